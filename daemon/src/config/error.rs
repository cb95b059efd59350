//! What is wrong with a configuration: every problem, each with its key, the reason, the way out.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::strict::line_of;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key; empty: the file as a whole.
    pub key: String,
    /// Line in the file, from 1, where it is known.
    pub line: Option<usize>,
    /// The reason and the way out; reads on after the key.
    pub text: String,
}

impl Problem {
    /// Not yet placed on a line.
    pub fn new(key: impl Into<String>, text: impl Into<String>) -> Problem {
        Problem { key: key.into(), line: None, text: text.into() }
    }

    /// From a sentence that begins with a key in backticks, as other crates write them. `section` comes before the key.
    pub(super) fn from_text(text: &str, section: &str) -> Problem {
        match text.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
            Some((key, reason)) => Problem::new(format!("{section}{key}"), reason.trim_start_matches([' ', ':'])),
            None => Problem::new(section.trim_end_matches('.'), text),
        }
    }

    /// Placed.
    pub(super) fn at(self, line: Option<usize>) -> Problem {
        Problem { line, ..self }
    }

    /// Placed where its key stands in this text.
    pub(super) fn placed_in(self, text: &str) -> Problem {
        let line = line_of(text, &self.key);
        self.at(line)
    }

    /// Whether it follows from a key that was dropped because something was wrong with it.
    pub(super) fn is_about(&self, dropped: &[String]) -> bool {
        let below = |key: &str| self.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        dropped.iter().any(|key| below(key))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{}`: {}", .path.display(), .problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n  "))]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(path: &Path, problems: Vec<Problem>) -> ConfigError {
        ConfigError { path: path.to_owned(), problems }
    }

    /// One problem with a file or folder as a whole.
    pub(crate) fn about(path: &Path, text: String) -> ConfigError {
        ConfigError::new(path, vec![Problem::new("", text)])
    }
}
