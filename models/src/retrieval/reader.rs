//! What a person's words say: concepts of the [`Glossary`], and the words that it does not know, which may be names of labels.

use std::collections::BTreeMap;

use super::glossary::{Concept, Glossary, Meaning, is_unspaced, normal, slips};

/// Letters of a question that are read; the rest is left out.
pub const MOST: usize = 400;
/// Letters that a word keeps when an ending is taken off.
const STEM: usize = 3;
/// Letters of a term that may stand at the end of a longer word, as German joins them: `Lackkratzer`.
const JOINED: usize = 5;
/// Endings of English and German words, longer ones first.
const ENDINGS: &[&str] = &["ern", "en", "er", "es", "em", "ed", "ly", "n", "e", "s", "r"];

/// What words say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Concepts, each once, in the order in which they were said.
    pub concepts: Vec<Concept>,
    /// Words that stand for no concept, normalised, each once.
    pub others: Vec<String>,
}

/// Reads words, by the glossary and by names of one's own.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// By normalised name: what is read in its place. A plant's own words for its labels.
    own: BTreeMap<String, String>,
}

impl Reader {
    /// With a plant's own words, each with the words that it stands for.
    pub fn with(own: impl IntoIterator<Item = (String, String)>) -> Reader {
        Reader { own: own.into_iter().map(|(word, means)| (normal(&word), means)).collect() }
    }

    /// What a text says.
    pub fn read(&self, text: &str) -> Reading {
        let text: String = text.chars().take(MOST).collect();
        let mut reading = Reading::default();
        let text = normal(&text);
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        let mut at = 0;
        while at < words.len() {
            at += self.take(&words[at..], &mut reading);
        }
        reading
    }

    /// Reads one term from the front; how many words it has.
    fn take(&self, words: &[&str], reading: &mut Reading) -> usize {
        let own = self.own.keys().map(|name| name.split(' ').count()).max().unwrap_or(0);
        for count in (1..=own.max(Glossary::get().longest()).min(words.len())).rev() {
            let term = words[..count].join(" ");
            if let Some(means) = self.own.get(&term) {
                // Not by these words again: one that means itself would be read for ever.
                let Reading { concepts, others } = Reader::default().read(means);
                concepts.into_iter().for_each(|concept| reading.concept(concept));
                others.into_iter().for_each(|word| reading.other(&word));
                return count;
            }
            // Endings and slips are looked for in single words: a term of several is rarely mistyped as a whole.
            let meaning = if count == 1 { known(&term) } else { exactly(&term) };
            if let Some(meaning) = meaning {
                reading.meaning(meaning);
                return count;
            }
        }
        if words[0].chars().any(is_unspaced) {
            unspaced(words[0], reading);
        } else if let Some(meaning) = joined(words[0]).or_else(|| Glossary::get().nearly(words[0])) {
            reading.meaning(meaning);
        } else {
            reading.other(words[0]);
        }
        1
    }
}

impl Reading {
    fn meaning(&mut self, meaning: Meaning) {
        if let Meaning::Concept(concept) = meaning {
            self.concept(concept);
        }
    }

    fn concept(&mut self, concept: Concept) {
        if !self.concepts.contains(&concept) {
            self.concepts.push(concept);
        }
    }

    fn other(&mut self, word: &str) {
        if !self.others.iter().any(|known| known == word) {
            self.others.push(word.to_owned());
        }
    }
}

fn exactly(term: &str) -> Option<Meaning> {
    // Of several words the last has the ending: `score marks`.
    Glossary::get().meaning(term).or_else(|| Glossary::get().meaning(term.strip_suffix('s')?))
}

/// A word as it is, or without its ending, or with another one.
fn known(word: &str) -> Option<Meaning> {
    let glossary = Glossary::get();
    let meaning = |word: &str| glossary.meaning(word);
    meaning(word).or_else(|| {
        let stems = ENDINGS.iter().filter_map(|ending| word.strip_suffix(ending));
        stems.filter(|stem| stem.chars().count() >= STEM).find_map(|stem| {
            meaning(stem).or_else(|| ["e", "en", "er"].iter().find_map(|ending| meaning(&format!("{stem}{ending}"))))
        })
    })
}

/// A term at the end of a longer word.
fn joined(word: &str) -> Option<Meaning> {
    let starts = word.char_indices().skip(2).map(|(at, _)| &word[at..]);
    starts.take_while(|rest| rest.chars().count() >= JOINED).find_map(known)
}

/// A name as it was typed, or a slip away from it.
pub(super) fn nearest<'a>(word: &str, names: &'a [String]) -> Option<&'a String> {
    let most = slips(word);
    let near = names.iter().map(|name| (strsim::osa_distance(word, name), name));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

/// Words without spaces between them: cut so that as few characters as may be are left that nobody knows, into as few terms as may be. What is
/// between terms stays a word of its own.
fn unspaced(text: &str, reading: &mut Reading) {
    let chars: Vec<char> = text.chars().collect();
    let longest = Glossary::get().longest_unspaced();
    // From the end: by where one stands, what is left unknown and the terms until the end, and where the next cut is.
    let mut best: Vec<((usize, usize), usize, Option<Meaning>)> = vec![((0, 0), 0, None); chars.len() + 1];
    for at in (0..chars.len()).rev() {
        let ((unknown, terms), ..) = best[at + 1];
        best[at] = ((unknown + 1, terms), at + 1, None);
        for end in at + 1..=(at + longest).min(chars.len()) {
            let term: String = chars[at..end].iter().collect();
            let Some(meaning) = Glossary::get().meaning(&term) else { continue };
            let ((unknown, terms), ..) = best[end];
            if (unknown, terms + 1) <= best[at].0 {
                best[at] = ((unknown, terms + 1), end, Some(meaning));
            }
        }
    }
    let (mut at, mut unknown) = (0, String::new());
    while at < chars.len() {
        let (_, end, meaning) = best[at];
        match meaning {
            None => unknown.push(chars[at]),
            Some(meaning) => {
                if !unknown.is_empty() {
                    reading.other(&std::mem::take(&mut unknown));
                }
                reading.meaning(meaning);
            }
        }
        at = end;
    }
    if !unknown.is_empty() {
        reading.other(&unknown);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The names of the concepts that are read, and the words that are not understood.
    fn read(text: &str) -> (Vec<&'static str>, Vec<String>) {
        let Reading { concepts, others } = Reader::default().read(text);
        (concepts.into_iter().map(|concept| Glossary::get().name(concept)).collect(), others)
    }

    #[test]
    fn three_languages_say_the_same() {
        for text in
            ["long scratch near the edge", "lange Kratzer am Rand", "边缘的长划痕", "LONG SCRATCHES, at the Edges!"]
        {
            let (mut concepts, others) = read(text);
            concepts.sort_unstable();
            assert_eq!((concepts, others), (vec!["border", "large", "scratch"], vec![]), "{text}");
        }
    }

    #[test]
    fn what_people_write_is_read() {
        for (text, concepts, others) in [
            ("scratch top left", vec!["scratch", "top", "left"], vec![]),
            ("edge chip", vec!["edge_chip"], vec![]),
            ("chip at the edge", vec!["edge_chip", "border"], vec![]),
            ("edge_chip", vec!["edge_chip"], vec![]),
            ("scartch", vec!["scratch"], vec![]),
            ("discoloration in the center", vec!["discolouration", "centre"], vec![]),
            ("kleiner Lackkratzer oben rechts", vec!["small", "scratch", "top", "right"], vec![]),
            ("Verfärbungen", vec!["discolouration"], vec![]),
            ("großer Fleck", vec!["large", "stain"], vec![]),
            ("左上角的小凹坑", vec!["left", "top", "corner", "small", "pit"], vec![]),
            ("burr left", vec!["left"], vec!["burr"]),
            ("毛刺在左侧", vec!["left"], vec!["毛刺"]),
            ("划痕左边缘", vec!["scratch", "left", "border"], vec![]),
            ("no scratch", vec!["scratch"], vec!["no"]),
            ("scratch scratch Kratzer", vec!["scratch"], vec![]),
            ("", vec![], vec![]),
            ("the of", vec![], vec![]),
        ] {
            assert_eq!(read(text), (concepts, others.into_iter().map(String::from).collect()), "{text}");
        }
    }

    #[test]
    fn a_plants_own_words_come_first() {
        let own = [("Grat".to_owned(), "burr".to_owned()), ("Klecks".to_owned(), "Fleck".to_owned())];
        let Reading { concepts, others } = Reader::with(own).read("Grat oder klecks links");
        let names: Vec<&str> = concepts.into_iter().map(|concept| Glossary::get().name(concept)).collect();
        assert_eq!((names, others), (vec!["stain", "left"], vec!["burr".to_owned()]));
        let endless = Reader::with([("a a".to_owned(), "a a".to_owned())]).read("a a b");
        assert_eq!(endless.others, ["b"]);
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_read(text in any::<String>()) {
            let reading = Reader::default().read(&text);
            prop_assert!(reading.others.iter().all(|word| !word.is_empty()));
        }
    }
}
