//! How well questions are answered: of the ten parts that come first, how many are what was asked for.

use std::collections::BTreeSet;

use models::retrieval::{Concept, Glossary, Retriever, Vector};
use serde::Serialize;

use super::Part;
use super::truth::{Caption, GOOD, PLACES, Truth};

/// Parts that a question is judged by.
pub const TOP: usize = 10;

/// What came of many questions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Answers {
    /// Questions.
    pub questions: usize,
    /// The mean share of right ones among the first ten; among fewer where fewer are right. 1: no better order is possible.
    pub recall_at_10: f64,
    /// The share of questions whose very first part is right.
    pub first: f64,
    /// What any order gives on average: the share of parts that are right.
    pub by_chance: f64,
}

impl Answers {
    /// The mean over several ways to put the same questions.
    pub fn mean(of: &[Answers]) -> Answers {
        let mean = |one: &dyn Fn(&Answers) -> f64| of.iter().map(one).sum::<f64>() / of.len().max(1) as f64;
        Answers {
            questions: of.first().map_or(0, |answers| answers.questions),
            recall_at_10: mean(&|it| it.recall_at_10),
            first: mean(&|it| it.first),
            by_chance: mean(&|it| it.by_chance),
        }
    }
}

/// Questions by what it is and where, one or two places at once: each that is true of three parts at least.
pub fn by_place(parts: &[Truth]) -> Vec<Caption> {
    let glossary = Glossary::get();
    let mut asked = BTreeSet::new();
    for defect in parts.iter().flat_map(|part| &part.defects) {
        let is_place = |concept: &Concept| PLACES.contains(&glossary.name(*concept));
        let places: Vec<Concept> = defect.concepts.iter().copied().filter(is_place).collect();
        for (at, &place) in places.iter().enumerate() {
            for &other in &places[at..] {
                let mut concepts = vec![place, other];
                concepts.dedup();
                concepts.sort_unstable();
                asked.insert(Caption { label: Some(defect.label.clone()), concepts, part: Vec::new() });
            }
        }
    }
    often(asked, parts)
}

/// Questions by what it is and on what surface.
pub fn by_surface(parts: &[Truth]) -> Vec<Caption> {
    let mut asked = BTreeSet::new();
    for part in parts {
        let labels: Vec<&str> = part.defects.iter().map(|defect| defect.label.as_str()).collect();
        for label in if labels.is_empty() { vec![GOOD] } else { labels } {
            for &surface in part.concepts.iter().take(1) {
                asked.insert(Caption { label: Some(label.to_owned()), concepts: Vec::new(), part: vec![surface] });
            }
        }
    }
    often(asked, parts)
}

/// Those that are true of three parts at least.
fn often(asked: BTreeSet<Caption>, parts: &[Truth]) -> Vec<Caption> {
    asked.into_iter().filter(|caption| parts.iter().filter(|part| part.fits(caption)).count() >= 3).collect()
}

/// A question in words of one language (0 English, 1 German, 2 Chinese), by the `pick`th term of each concept.
pub fn words(caption: &Caption, language: usize, pick: usize) -> String {
    let glossary = Glossary::get();
    let term = |concept: usize| {
        let terms = glossary.terms(concept).get(language).map_or(&[][..], Vec::as_slice);
        terms.get(pick % terms.len().max(1)).copied().unwrap_or("")
    };
    let label = caption.label.as_deref().unwrap_or("");
    let label = glossary.concept(label).map_or_else(|| label.replace('_', " "), |concept| term(concept).to_owned());
    let rest = caption.concepts.iter().chain(&caption.part).map(|&concept| term(concept).to_owned());
    std::iter::once(label).chain(rest).collect::<Vec<String>>().join(if language == 2 { "" } else { " " })
}

/// How people in a plant say it, who had not seen the glossary.
const PARAPHRASES: &str = include_str!("paraphrases.txt");
/// Languages in the order of the glossary.
const LANGUAGES: [&str; 3] = ["en", "de", "zh"];

/// The same question as somebody puts it who has not seen the glossary: by the `pick`th of their ways to say each concept, or the first ones
/// again. None where one of the concepts was never put so.
pub fn paraphrase(caption: &Caption, language: usize, pick: usize) -> Option<String> {
    let ways = |name: &str| -> Option<Vec<&'static str>> {
        let start = format!("{name} {}: ", LANGUAGES.get(language)?);
        let line = PARAPHRASES.lines().find_map(|line| line.strip_prefix(&start))?;
        Some(line.split(" | ").map(str::trim).collect())
    };
    let way = |name: &str| ways(name).map(|ways| ways[pick % ways.len()]);
    let mut said = vec![way(caption.label.as_deref()?)?];
    for &concept in &caption.concepts {
        said.push(way(Glossary::get().name(concept))?);
    }
    Some(said.join(if language == 2 { "" } else { " " }))
}

/// Where each part lies, with or without its sketch.
pub fn vectors(retriever: &Retriever, parts: &[Part], sketch: bool) -> Vec<Vector> {
    let place = |part: &Part| {
        let scores: Vec<(&str, f32)> = part.scores.iter().map(|(label, score)| (label.as_str(), *score)).collect();
        retriever.of_part(&part.seen(&scores, sketch)).unwrap_or(Vector::NOTHING)
    };
    parts.iter().map(place).collect()
}

/// Judges an order of parts for each question: `rank` gives every part's worth, the highest first.
pub fn judge(questions: &[Caption], truths: &[Truth], mut rank: impl FnMut(&Caption) -> Vec<f64>) -> Answers {
    let mut sums = [0.0; 3];
    for question in questions {
        let right: Vec<bool> = truths.iter().map(|truth| truth.fits(question)).collect();
        let all = right.iter().filter(|right| **right).count();
        let worth = rank(question);
        let mut order: Vec<usize> = (0..truths.len()).collect();
        // Equal ones in a fixed order that has nothing to do with what is right.
        order.sort_by(|&a, &b| worth[b].total_cmp(&worth[a]).then(a.cmp(&b)));
        let top = &order[..TOP.min(order.len())];
        let hits = top.iter().filter(|at| right[**at]).count();
        sums[0] += hits as f64 / TOP.min(all).max(1) as f64;
        sums[1] += f64::from(u8::from(top.first().is_some_and(|at| right[*at])));
        sums[2] += all as f64 / truths.len().max(1) as f64;
    }
    let count = questions.len().max(1) as f64;
    let [recall_at_10, first, by_chance] = sums.map(|sum| sum / count);
    Answers { questions: questions.len(), recall_at_10, first, by_chance }
}

/// What a retriever answers to questions in these words.
pub fn answers(
    retriever: &Retriever,
    vectors: &[Vector],
    questions: &[Caption],
    truths: &[Truth],
    say: impl Fn(&Caption) -> String,
) -> Answers {
    let labels: BTreeSet<&str> = questions.iter().filter_map(|question| question.label.as_deref()).collect();
    judge(questions, truths, |question| {
        let asked = retriever.ask(&say(question), labels.iter().copied()).vector.unwrap_or(Vector::NOTHING);
        vectors.iter().map(|vector| f64::from(asked.dot(vector))).collect()
    })
}

/// The same without learning: by the score of the label, then by where the heat map is highest.
pub fn by_rule(parts: &[Part], questions: &[Caption], truths: &[Truth], places: bool) -> Answers {
    judge(questions, truths, |question| {
        let worth = |part: &Part| {
            let asked = question.label.as_deref();
            let score =
                part.scores.iter().find(|(label, _)| Some(label.as_str()) == asked).map_or(0.0, |(_, score)| *score);
            let fits = if places { part.peak().map_or(0.0, |at| share_of(question, at)) } else { 0.0 };
            f64::from(score) * (1.0 + fits)
        };
        parts.iter().map(worth).collect()
    })
}

/// The share of the places asked for that a point lies in.
fn share_of(question: &Caption, at: [f32; 2]) -> f64 {
    let point = super::truth::Extent { centre: at, length: 0.1, stretch: 2.0, angle: 0.0 };
    let here = point.concepts(5.0);
    let right = question.concepts.iter().filter(|concept| here.contains(concept)).count();
    right as f64 / question.concepts.len().max(1) as f64
}

impl Part {
    /// The highest cell of the heat map, 0 to 1 across and down.
    fn peak(&self) -> Option<[f32; 2]> {
        let ([width, height], cells) = self.heat.as_ref()?;
        let highest = (0..cells.len()).max_by_key(|&at| cells[at])?;
        Some([((highest % width) as f32 + 0.5) / *width as f32, ((highest / width) as f32 + 0.5) / *height as f32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retrieval::truth::{Defect, concept};

    fn truth(label: &str, places: &[&str]) -> Truth {
        let concepts = places.iter().filter_map(|name| concept(name)).collect();
        Truth { defects: vec![Defect { label: label.into(), concepts }], concepts: Vec::new() }
    }

    #[test]
    fn questions_are_true_of_three_parts_at_least_and_a_perfect_order_has_all() {
        let mut truths = vec![truth("scratch", &["left"]); 3];
        truths.extend(vec![truth("pit", &["left"]); 20]);
        truths.extend(vec![truth("crack", &["top"]); 2]);
        let asked = by_place(&truths);
        assert_eq!(asked.len(), 2, "{asked:?}");
        let perfect =
            judge(&asked, &truths, |it| truths.iter().map(|truth| f64::from(u8::from(truth.fits(it)))).collect());
        assert_eq!((perfect.recall_at_10, perfect.first), (1.0, 1.0));
        let worst =
            judge(&asked, &truths, |it| truths.iter().map(|truth| -f64::from(u8::from(truth.fits(it)))).collect());
        assert!(worst.recall_at_10 < 0.5 && worst.first == 0.0, "{worst:?}");
    }

    #[test]
    fn every_question_is_put_in_all_languages_by_people_too() {
        for label in
            ["scratch", "pit", "crack", "stain", "inclusion", "dent", "edge_chip", "discolouration", "contamination"]
        {
            for place in PLACES {
                let caption = Caption {
                    label: Some(label.into()),
                    concepts: vec![concept(place).expect("a place of the glossary")],
                    part: Vec::new(),
                };
                assert!((0..3).all(|language| paraphrase(&caption, language, 9).is_some()), "{label} {place}");
                assert!((0..3).all(|language| !words(&caption, language, 0).is_empty()));
            }
        }
    }
}
