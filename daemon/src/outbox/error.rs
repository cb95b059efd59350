//! What can go wrong with the outbox itself. That a receiver is away is no error: see [`Outcome`](super::Outcome).

use thiserror::Error;

use crate::linelog::LogError;

/// Why a message was not taken over.
#[derive(Debug, Error)]
pub enum OutboxError {
    /// Its file does not take it.
    #[error("the outbox: {0}: the message is offered again")]
    Log(#[from] LogError),
    /// Too much is waiting.
    #[error("{0} messages wait already: mend the destination that does not take them, or take it out")]
    Full(usize),
    /// Nobody knows such a message.
    #[error("no dead letter `{0}`: `inspectd alerts list` shows those that can be sent again")]
    Unknown(String),
}
