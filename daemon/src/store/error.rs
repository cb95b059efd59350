//! What can go wrong with the store, in words: the thing, the reason, the way out.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the store does not open, or does not answer.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("cannot {what} {path}: {source}; {advice}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
        /// The way out.
        advice: &'static str,
    },
    /// Another process has the state directory.
    #[error("another inspectd runs on this state directory {dir} ({owner}); stop it or use another directory")]
    Locked {
        /// The state directory.
        dir: PathBuf,
        /// `pid N`, or that it is unknown.
        owner: String,
    },
    /// Written by a later program.
    #[error("{path} has journal format {found}, this program knows {known}; run the newer inspectd that wrote it")]
    NewerFormat {
        /// The journal file.
        path: PathBuf,
        /// Its format version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The journal took an error earlier and keeps nothing any more.
    #[error("{0}")]
    Failed(String),
    /// A record that was kept cannot be read back.
    #[error(
        "record in {path} at byte {offset} is damaged ({reason}); check the disk, the other records are not touched by this"
    )]
    Damaged {
        /// The journal file.
        path: PathBuf,
        /// Where the record starts.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// What is asked is counted by the index, and there is none.
    #[error(
        "the index is being made, or is off: nothing can be counted now; the log says which, try again in a minute"
    )]
    NoIndex,
    /// An option that makes no sense.
    #[error("store option {0}")]
    Option(String),
}

impl StoreError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> StoreError {
        let advice = advice(&source);
        StoreError::Io { what, path: path.to_owned(), source, advice }
    }
}

/// The way out of an I/O error.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full: free space, then restart",
        io::ErrorKind::PermissionDenied => "give the user that runs inspectd write access, or use another directory",
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: mount it writable (after an I/O error: check the disk)"
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "check the path",
        _ => "check the disk (`dmesg`), then restart",
    }
}
