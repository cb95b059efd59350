//! Finding parts by words, and by their likeness to a part: two small towers that bring what is on record of a part, and what a person asks
//! for, into one space, in which what fits lies near ([CLIP](https://arxiv.org/abs/2103.00020)'s way, of what the journal has already).
//!
//! The part's tower sees the model's scores by the labels' *names*, the heat map's place and shape, and the sketch of the trunk's features
//! ([`Seen`]). The other reads words by a glossary in three languages ([`Reader`]). A name that the glossary does not know is hashed, the same
//! on both sides: a plant's own labels are found by their own names, though nobody taught them. docs/RETRIEVAL.md has the figures.

mod file;
mod glossary;
mod part;
mod reader;
mod towers;

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

pub use file::About;
pub use glossary::{Concept, Glossary};
pub use part::{Heat, Names, Seen, inputs};
pub use reader::{MOST as MOST_LETTERS, Reader, Reading};
pub use towers::{DIMENSIONS, HIDDEN, Vector};

use crate::weights::WeightsError;
use towers::Tower;

/// Names of the towers' tensors.
pub const PART: &str = "part";
/// The same of the words'.
pub const WORDS: &str = "words";

/// Why a retriever cannot be used.
#[derive(Debug, Error)]
pub enum RetrievalError {
    /// The file could not be read.
    #[error("retriever `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is something else, or damaged.
    #[error("not a retriever of this program: {0}; make one with `inspectd retrieval train`")]
    Other(String),
    /// Its inputs mean other concepts.
    #[error(
        "the retriever was trained with another glossary than this program has; train it anew with `inspectd retrieval train`, or leave out `retriever` to use the one in the program"
    )]
    Glossary,
    /// Its tensors do not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// Both towers, ready to run: on every record, and on every question.
#[derive(Debug, Clone)]
pub struct Retriever {
    part: Tower,
    words: Tower,
    reader: Reader,
    names: Arc<Names>,
    digest: Arc<str>,
    about: About,
}

/// A question as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Concepts of the glossary, in the order in which they were said, and words of labels' names that it does not know.
    pub understood: Reading,
    /// Words that stand for nothing here. They count for nothing.
    pub unknown: Vec<String>,
    /// Where parts that fit it lie; none where nothing was understood.
    pub vector: Option<Vector>,
}

impl Retriever {
    /// With a plant's own words, each with the words that it stands for.
    pub fn with_words(mut self, own: impl IntoIterator<Item = (String, String)>) -> Retriever {
        self.reader = Reader::with(own);
        self
    }

    /// Changes when vectors of another retriever do not fit this one's.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// What it says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether it learned with the sketches of the model with this digest: those of another mean nothing to it.
    pub fn knows_sketches_of(&self, model: &str) -> bool {
        self.about.models.iter().any(|known| known == model)
    }

    /// Where a part lies; none where nothing was seen of it.
    pub fn of_part(&self, seen: &Seen<'_>) -> Option<Vector> {
        seen.numbers(&self.names).map(|numbers| self.part.vector(&numbers))
    }

    /// Where parts lie that fit these words. `labels`: what there is to be found; a word that the glossary does not know counts where a label
    /// is called so.
    pub fn ask<'a>(&self, words: &str, labels: impl IntoIterator<Item = &'a str>) -> Question {
        let Reading { concepts, others } = self.reader.read(words);
        let mut understood = Reading { concepts, others: Vec::new() };
        let mut unknown = Vec::new();
        if !others.is_empty() {
            let names: Vec<String> = labels.into_iter().flat_map(|label| self.names.of(label).others.clone()).collect();
            for word in others {
                match reader::nearest(&word, &names) {
                    Some(name) if !understood.others.contains(name) => understood.others.push(name.clone()),
                    Some(_) => {}
                    None => unknown.push(word),
                }
            }
        }
        let nothing = understood.concepts.is_empty() && understood.others.is_empty();
        let vector = (!nothing).then(|| self.words.vector(&numbers_of(&understood)));
        Question { understood, unknown, vector }
    }
}

/// What the words' tower sees of a reading.
pub fn numbers_of(reading: &Reading) -> Vec<f32> {
    let mut numbers = vec![0.0; part::named()];
    let (concepts, hashed) = numbers.split_at_mut(Glossary::get().len());
    reading.concepts.iter().for_each(|&concept| concepts[concept] = 1.0);
    reading.others.iter().for_each(|word| part::hash(word, 1.0, hashed));
    numbers
}
