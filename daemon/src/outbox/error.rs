//! What can go wrong with the outbox itself. That a receiver is away is no error: see [`Outcome`](super::Outcome).

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a message was not taken over.
#[derive(Debug, Error)]
pub enum OutboxError {
    /// The operating system refused something.
    #[error("cannot {what} {path}: {source}; check the disk: the message is offered again")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process delivers from it.
    #[error("another inspectd has the outbox `{0}`: ask it over HTTP, or stop it first")]
    Locked(PathBuf),
    /// A message that cannot be written down.
    #[error("a message cannot be written down: {0}; this is a fault of the program")]
    Encode(String),
    /// Too much is waiting.
    #[error("{0} messages wait already: mend the destination that does not take them, or take it out")]
    Full(usize),
    /// Nobody knows such a message.
    #[error("no dead letter `{0}`: `inspectd alerts list` shows those that can be sent again")]
    Unknown(String),
}

impl OutboxError {
    pub(super) fn io(what: &'static str, path: &Path, source: io::Error) -> OutboxError {
        OutboxError::Io { what, path: path.to_owned(), source }
    }
}
