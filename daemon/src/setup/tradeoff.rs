//! What another threshold would do to the parts that people have labelled: escapes and overkill, with intervals.

use std::collections::BTreeMap;

use models::bundle::{Disposition, Label};
use models::ruling::verdict_by_scores;
use models_train::evaluation::intervals::{self, Interval};
use stages::inspection::Inspection;
use stages::recipe::RecipeInForce;
use stages::verdict::Verdict;

use crate::learning::names;
use crate::supervise::Board;

/// Labelled parts that are looked at, the newest.
const MOST: usize = 3000;
/// Steps between 0 and 1.
const STEPS: u32 = 100;
const CONFIDENCE: f64 = 0.95;

/// All of it for one label.
#[derive(Debug, Clone, PartialEq)]
pub struct Tradeoff {
    /// The threshold in force.
    pub threshold: f32,
    /// Labelled parts that are good.
    pub good: usize,
    /// Labelled parts that are bad.
    pub bad: usize,
    /// Labelled parts that another model has judged: their scores say nothing of this one.
    pub others: usize,
    /// From threshold 0 to 1.
    pub points: Vec<Point>,
}

/// What one threshold would do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Which.
    pub threshold: f32,
    /// Bad parts that would pass.
    pub escapes: usize,
    /// The share of them among the bad, 95 %.
    pub escapes_ci: Option<Interval>,
    /// Good parts that would fail.
    pub overkill: usize,
    /// The share of them among the good, 95 %.
    pub overkill_ci: Option<Interval>,
    /// Parts that would go to a person.
    pub review: usize,
}

/// One labelled part: its scores in the model's order, what the heads beside the scores make of it, and whether it is good.
struct Case {
    scores: Vec<f32>,
    least: Disposition,
    good: bool,
}

/// None: the model in force has no such label.
pub fn tradeoff(board: &Board, label: &str) -> Option<Tradeoff> {
    let in_force = board.recipe.load().in_force.clone();
    let at = in_force.labels.iter().position(|own| own.name == label)?;
    let meaning: BTreeMap<String, Disposition> =
        names(in_force.model.manifest()).map(|(name, means)| (name.to_owned(), means)).collect();
    let labelled: Vec<(u64, bool)> = {
        let desk = board.learning.desk.lock();
        let known = desk.labels.all().filter_map(|(id, of)| {
            let means = meaning.get(&**of.label).copied().or_else(|| desk.labels.means(of.label))?;
            Some((id, means == Disposition::Pass))
        });
        let mut all: Vec<(u64, bool)> = known.collect();
        all.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
        all.truncate(MOST);
        all
    };
    let (mut cases, mut others, mut own) = (Vec::new(), 0, BTreeMap::new());
    for (id, good) in labelled {
        let Ok(Some(stored)) = board.store.get(id) else { continue };
        let part = &stored.inspection;
        // What its own recipe made of its scores: thresholds may have changed since.
        let then = own.entry(part.recipe.clone()).or_insert_with(|| labels_under(board, &in_force, &part.recipe));
        let Some(then) = then else {
            others += 1;
            continue;
        };
        match case_of(part, then, in_force.model.digest(), good) {
            Some(case) => cases.push(case),
            None => others += 1,
        }
    }
    Some(of_cases(&cases, others, &in_force.labels, at))
}

/// The labels of the model in force with the thresholds of a version of the recipe; none: that version is not kept.
fn labels_under(board: &Board, in_force: &RecipeInForce, tag: &str) -> Option<Vec<Label>> {
    if *in_force.tag == *tag {
        return Some(in_force.labels.clone());
    }
    let text = board.recipes.lock().get(tag).ok()?.text.clone();
    let thresholds = board.recipes.parse(&text).ok()?.thresholds;
    let mut labels = in_force.model.manifest().labels.clone();
    for label in &mut labels {
        label.threshold = thresholds.get(&label.name).copied().unwrap_or(label.threshold);
    }
    Some(labels)
}

/// `labels` with the thresholds that the part was decided by.
fn case_of(part: &Inspection, labels: &[Label], model: &str, good: bool) -> Option<Case> {
    if *part.model != *model || part.scores.len() != labels.len() {
        return None;
    }
    let scores: Vec<f32> = part.scores.iter().map(|score| score.score).collect();
    let said = match part.verdict {
        Verdict::Pass => Disposition::Pass,
        Verdict::Review => Disposition::Review,
        Verdict::Fail => Disposition::Fail,
        Verdict::NoDecision(_) => return None,
    };
    // Where the line was harder on it than its scores, a memory or a kind was: no threshold changes that.
    let least = if said > verdict_by_scores(&scores, labels) { said } else { Disposition::Pass };
    Some(Case { scores, least, good })
}

fn of_cases(cases: &[Case], others: usize, labels: &[Label], at: usize) -> Tradeoff {
    let good = cases.iter().filter(|case| case.good).count();
    let bad = cases.len() - good;
    let point = |threshold: f32| {
        let mut labels = labels.to_vec();
        labels[at].threshold = threshold;
        let mut point = Point { threshold, escapes: 0, escapes_ci: None, overkill: 0, overkill_ci: None, review: 0 };
        for case in cases {
            match (verdict_by_scores(&case.scores, &labels).max(case.least), case.good) {
                (Disposition::Pass, false) => point.escapes += 1,
                (Disposition::Fail, true) => point.overkill += 1,
                (Disposition::Review, _) => point.review += 1,
                _ => {}
            }
        }
        let ci = |seen: usize, of: usize| (of > 0).then(|| intervals::two_sided(seen, of, CONFIDENCE));
        (point.escapes_ci, point.overkill_ci) = (ci(point.escapes, bad), ci(point.overkill, good));
        point
    };
    let points = (0..=STEPS).map(|step| point(step as f32 / STEPS as f32)).collect();
    Tradeoff { threshold: labels[at].threshold, good, bad, others, points }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::testing::part;

    #[test]
    fn a_threshold_trades_escapes_for_overkill() {
        let label = |name: &str, verdict, threshold| Label { name: name.into(), verdict, threshold };
        let labels = [label("good", Disposition::Pass, 0.3), label("scratch", Disposition::Fail, 0.5)];
        let case = |scratch: f32, good| Case { scores: vec![1.0 - scratch, scratch], least: Disposition::Pass, good };
        let mut cases = vec![case(0.1, true), case(0.6, true), case(0.4, false), case(0.9, false)];
        // A memory of good parts held this one back: no threshold lets it pass.
        cases.push(Case { least: Disposition::Fail, ..case(0.0, false) });
        let trade = of_cases(&cases, 3, &labels, 1);
        assert_eq!((trade.threshold, trade.good, trade.bad, trade.others), (0.5, 2, 3, 3));
        let at = |threshold: f32| {
            let near = |point: &&Point| (point.threshold - threshold).abs() < 1e-4;
            let point = trade.points.iter().find(near).expect("it is a step");
            (point.escapes, point.overkill, point.review)
        };
        assert_eq!(at(0.0), (0, 2, 0));
        assert_eq!(at(0.3), (0, 1, 0));
        assert_eq!(at(0.5), (1, 1, 0));
        assert_eq!(at(0.7), (1, 0, 0));
        // Beyond 0.9 the last bad one is found no more; `good` does not reach 0.3 either, so a person looks.
        assert_eq!(at(1.0), (1, 0, 1));
        let [low, high] = trade.points[50].escapes_ci.expect("there are bad parts");
        assert!(low < 1.0 / 3.0 && high > 1.0 / 3.0);
        assert_eq!(of_cases(&[], 0, &labels, 1).points[0].escapes_ci, None);
    }

    #[test]
    fn what_failed_by_a_threshold_of_then_was_held_back_by_nothing_else() {
        let label = |threshold| Label { name: "scratch".into(), verdict: Disposition::Fail, threshold };
        let score = stages::inspection::LabelScore { label: "scratch".into(), score: 0.5 };
        let part = Inspection { scores: vec![score], ..part(Verdict::Fail, Some("scratch")) };
        let least = |threshold| case_of(&part, &[label(threshold)], &part.model, true).map(|case| case.least);
        assert_eq!(least(0.4), Some(Disposition::Pass), "its scores say all");
        assert_eq!(least(0.6), Some(Disposition::Fail), "by these thresholds a memory must have held it back");
    }
}
