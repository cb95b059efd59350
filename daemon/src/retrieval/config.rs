//! `[retrieval]`: whether and how parts are found by words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use models::retrieval::{MOST_LETTERS, Retriever};
use serde::Deserialize;

use super::shipped;

/// Words of one's own, at most.
const MOST_WORDS: usize = 1000;

/// `[retrieval]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrievalSection {
    /// Whether a vector is kept of each part (68 bytes), by which it can be found.
    pub enabled: bool,
    /// A retriever of one's own (`inspectd retrieval train`); absent: the one in the program.
    pub file: Option<PathBuf>,
    /// The plant's own words, each with what it stands for: another word, or the name of a label.
    pub words: BTreeMap<String, String>,
}

impl Default for RetrievalSection {
    fn default() -> Self {
        RetrievalSection { enabled: true, file: None, words: BTreeMap::new() }
    }
}

impl RetrievalSection {
    /// Keys and what is wrong with them.
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, text: String| problems.push((format!("retrieval.{key}"), text));
        if self.file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
            wrong("file", "is empty: give a file, or leave it out".to_owned());
        }
        if self.words.len() > MOST_WORDS {
            wrong("words", format!("has {} words: give {MOST_WORDS} at most", self.words.len()));
        }
        for (word, means) in &self.words {
            let empty = |text: &str| !text.chars().any(char::is_alphanumeric);
            if empty(word) || empty(means) {
                wrong("words", format!("has `{word}` = `{means}`: both must be words"));
            } else if word.chars().count() > MOST_LETTERS || means.chars().count() > MOST_LETTERS {
                wrong("words", format!("has an entry of more than {MOST_LETTERS} letters"));
            }
        }
        problems
    }

    /// Paths are written relative to the configuration.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        self.file.iter_mut().for_each(|file| *file = folder.join(&file));
    }

    /// The retriever that it asks for; none: parts are not found by words here.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn retriever(&self) -> anyhow::Result<Option<Arc<Retriever>>> {
        if !self.enabled {
            return Ok(None);
        }
        let retriever = match &self.file {
            Some(file) => Retriever::open(file).with_context(|| format!("`retrieval.file`, {}", file.display()))?,
            None => match shipped() {
                Ok(retriever) => retriever,
                Err(error) => {
                    tracing::warn!("parts are not found by words: {error}");
                    return Ok(None);
                }
            },
        };
        Ok(Some(Arc::new(retriever.with_words(self.words.clone()))))
    }
}
