//! What happens to golden samples, as the log keeps it: replayed in order it gives every run, and whether the line has shown that it judges
//! right.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::check::GoldenSample;
use stages::verdict::Verdict;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// From the next part on, samples come.
    Started {
        /// Number of the run, from 1.
        run: u64,
        /// When.
        at: Timestamp,
        /// Who shows them.
        by: Arc<str>,
        /// `name@version`.
        recipe: Arc<str>,
        /// SHA-256 of the model's graph.
        model: Arc<str>,
        /// What comes.
        samples: Vec<GoldenSample>,
    },
    /// The line has judged a sample.
    Judged {
        /// Of which run.
        run: u64,
        /// How.
        judged: Judged,
    },
    /// A run is over.
    Ended {
        /// Which.
        run: u64,
        /// When.
        at: Timestamp,
        /// How.
        outcome: Outcome,
        /// Why, in words.
        words: String,
        /// Who ended it, if it was not the last sample.
        by: Option<Arc<str>>,
    },
    /// Somebody lets the line go on all the same.
    Overridden {
        /// When.
        at: Timestamp,
        /// Who.
        by: Arc<str>,
        /// Why, in their words.
        reason: String,
        /// The recipe that was in force, `name@version`.
        recipe: Arc<str>,
    },
}

/// How a sample was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Its place among the samples, from 0.
    pub sample: usize,
    /// The part on record.
    pub part: u64,
    /// Its serial number, where one was known.
    pub serial: Option<Arc<str>>,
    /// When it was triggered.
    pub at: Timestamp,
    /// What the line said.
    pub verdict: Verdict,
    /// The label that rests on.
    pub label: Option<Arc<str>>,
    /// Whether that is what it should have said.
    pub right: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every sample was judged right.
    Passed,
    /// At least one was not.
    Failed,
    /// Somebody ended it before anything went wrong.
    Cancelled,
    /// The program ended, or recipe or model changed, before all were seen: it has to be repeated.
    Interrupted,
}
