//! Why a search did not come to its end.

use std::error::Error;
use std::path::PathBuf;

use thiserror::Error;

/// See the variants.
#[derive(Debug, Error)]
pub enum SearchError {
    /// The journal, or its folder, could not be read or written.
    #[error("`{path}`: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A line of the journal is not what was written.
    #[error(
        "journal `{path}`, line {line}: {reason}; take the file away to start anew, or cut it before that line to go on from there"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The journal is a newer program's.
    #[error(
        "journal `{path}` has format {found}, this inspectd knows {known}: use the one that wrote it, or another --out"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The journal belongs to a search on other terms.
    #[error(
        "journal `{path}` belongs to another search: its {what} is `{found}`, here it is `{here}`; give what it was started with, or \
         another --out"
    )]
    OtherSearch {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
        /// What it is there.
        found: String,
        /// What it is here.
        here: String,
    },
    /// There is a journal, and nobody said to go on with it.
    #[error("`{0}` is the journal of a search: go on with it by `--resume`, or give another --out")]
    Exists(PathBuf),
    /// Another process writes the journal.
    #[error("another search is at work on `{0}`: wait for it, stop it, or give another --out")]
    Busy(PathBuf),
    /// Nothing that was proposed is quick enough.
    #[error(
        "of {tried} networks in a row none keeps to {max_latency_ms} ms; the quickest took {quickest_ms:.2} ms on this machine: allow \
         that much, or search while the machine does nothing else"
    )]
    NoneQuick {
        /// Networks that were timed.
        tried: usize,
        /// What was asked for.
        max_latency_ms: f64,
        /// The least that was measured.
        quickest_ms: f64,
    },
    /// Settings that cannot be.
    #[error("{0}")]
    Settings(String),
    /// A network could not be built, timed, trained or measured.
    #[error(transparent)]
    Train(Box<dyn Error + Send + Sync>),
    /// Somebody asked it to stop.
    #[error("the search was stopped; `--resume` goes on where it was")]
    Stopped,
    /// The time of the search is over, in the middle of something.
    #[error("the time is over")]
    TimeOver,
}

impl SearchError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> SearchError {
        let path = path.into();
        move |source| SearchError::Io { path, source }
    }
}
