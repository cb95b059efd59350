//! The words that a search understands, by concept: `glossary.txt`, in English, German and Chinese.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The file, with what it says of itself.
const TEXT: &str = include_str!("glossary.txt");
/// The line of words that carry nothing.
const NOTHING: &str = "-";

/// The number of a concept: its place among the lines of the glossary.
pub type Concept = usize;

/// What a term stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    Concept(Concept),
    /// Understood, and without weight: `the`, `am`, `的`.
    Nothing,
}

/// Concepts and their terms.
#[derive(Debug)]
pub struct Glossary {
    names: Vec<&'static str>,
    /// By concept: its terms as they stand in the file, one list a language.
    terms: Vec<Vec<Vec<&'static str>>>,
    /// By normalised term.
    meanings: HashMap<String, Meaning>,
    /// Words of the longest term.
    longest: usize,
    /// Characters of the longest term that is written without spaces.
    longest_unspaced: usize,
}

static GLOSSARY: LazyLock<Glossary> = LazyLock::new(|| Glossary::read(TEXT));

impl Glossary {
    /// The one there is.
    pub fn get() -> &'static Glossary {
        &GLOSSARY
    }

    fn read(text: &'static str) -> Glossary {
        let mut glossary = Glossary {
            names: Vec::new(),
            terms: Vec::new(),
            meanings: HashMap::new(),
            longest: 1,
            longest_unspaced: 1,
        };
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((name, terms)) = line.split_once(": ") else { continue };
            let languages = terms.split(" | ").map(|terms| terms.split(", ").map(str::trim).collect::<Vec<_>>());
            let languages: Vec<Vec<&str>> = languages.collect();
            let meaning = if name == NOTHING { Meaning::Nothing } else { Meaning::Concept(glossary.names.len()) };
            for term in languages.iter().flatten() {
                let term = normal(term);
                glossary.longest = glossary.longest.max(term.split(' ').count());
                if term.contains(is_unspaced) {
                    glossary.longest_unspaced = glossary.longest_unspaced.max(term.chars().count());
                }
                // The first line that has a word keeps it.
                glossary.meanings.entry(term).or_insert(meaning);
            }
            if name != NOTHING {
                glossary.names.push(name);
                glossary.terms.push(languages);
            }
        }
        glossary
    }

    /// How many concepts there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A concept by its name in the file.
    pub fn concept(&self, name: &str) -> Option<Concept> {
        self.names.iter().position(|known| *known == name)
    }

    /// The name of a concept.
    pub fn name(&self, concept: Concept) -> &'static str {
        self.names.get(concept).copied().unwrap_or("")
    }

    /// The terms of a concept: a list for each language, English first.
    pub fn terms(&self, concept: Concept) -> &[Vec<&'static str>] {
        self.terms.get(concept).map_or(&[], Vec::as_slice)
    }

    pub(super) fn meaning(&self, normal: &str) -> Option<Meaning> {
        self.meanings.get(normal).copied()
    }

    /// Words of the longest term.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    pub(super) fn longest_unspaced(&self) -> usize {
        self.longest_unspaced
    }

    /// Single words that are no more than a slip away from a term.
    pub(super) fn nearly(&self, word: &str) -> Option<Meaning> {
        let most = slips(word);
        if most == 0 {
            return None;
        }
        let near = self.meanings.iter().filter(|(term, _)| term.chars().count() > 4 && !term.contains(' '));
        let near = near.map(|(term, meaning)| (strsim::osa_distance(word, term), term, meaning));
        // By the term as well, so that of two equally near ones the same is taken on every machine.
        near.filter(|(distance, ..)| *distance <= most).min().map(|(.., meaning)| *meaning)
    }
}

/// Letters that may be wrong in a word: in a short one, another word is as near.
pub(super) fn slips(word: &str) -> usize {
    match word.chars().count() {
        0..=4 => 0,
        5..=8 => 1,
        _ => 2,
    }
}

/// Small letters, umlauts written out, everything else between words one space. Between Chinese characters there is none.
pub(super) fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars().flat_map(char::to_lowercase) {
        match char {
            'ä' => out.push_str("ae"),
            'ö' => out.push_str("oe"),
            'ü' => out.push_str("ue"),
            'ß' => out.push_str("ss"),
            char if char.is_alphanumeric() => out.push(char),
            // What `to_lowercase` and some keyboards leave behind a letter: an accent by itself is no space.
            '\u{300}'..='\u{36f}' => {}
            _ if out.is_empty() || out.ends_with(' ') => {}
            _ => out.push(' '),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Whether a character belongs to a script that writes words without spaces between them.
pub(super) fn is_unspaced(char: char) -> bool {
    matches!(char, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_concept_has_words_in_three_languages_and_no_word_two_meanings_within_one() {
        let glossary = Glossary::get();
        assert!(glossary.len() > 30, "{}", glossary.len());
        for concept in 0..glossary.len() {
            assert_eq!(glossary.terms(concept).len(), 3, "{}", glossary.name(concept));
            assert!(glossary.terms(concept).iter().all(|terms| terms.iter().all(|term| !term.is_empty())));
            assert_eq!(glossary.concept(glossary.name(concept)), Some(concept));
        }
        for language in 0..3 {
            let mut seen = HashSet::new();
            for concept in 0..glossary.len() {
                for term in &glossary.terms(concept)[language] {
                    assert!(seen.insert(normal(term)), "`{term}` stands for two concepts");
                }
            }
        }
    }

    #[test]
    fn what_people_type_becomes_one_form() {
        for (typed, wanted) in [
            ("  Édge-Chip ", "édge chip"),
            ("Größe ÜBER", "groesse ueber"),
            ("edge_chip", "edge chip"),
            ("划痕，左上", "划痕 左上"),
            ("", ""),
            ("--- !", ""),
        ] {
            assert_eq!(normal(typed), wanted);
        }
    }
}
