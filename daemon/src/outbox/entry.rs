//! What the outbox writes down: one JSON object a line, behind its checksum.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Alerts that fired, were acknowledged or resolved.
    Alert,
    /// Results of parts.
    Results,
}

/// A message on its way. Its body is fixed when it is queued: every attempt sends the same bytes under the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What a receiver tells repetitions by.
    pub id: Arc<str>,
    /// Name of the destination.
    pub to: Arc<str>,
    /// What it carries.
    pub kind: Kind,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// One line for people; an e-mail's subject.
    pub subject: String,
    /// What is sent.
    pub body: Arc<str>,
    /// Results: the last part that is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_part: Option<u64>,
}

/// One line of the log. Replaying all of them in order gives the state of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(super) enum Entry {
    /// A message was taken over: from now on it is not lost.
    Queued(Message),
    /// An attempt failed.
    Tried { id: Arc<str>, at: Timestamp, attempts: u32, next_at: Timestamp, error: String },
    /// The receiver said so.
    Delivered { id: Arc<str>, to: Arc<str>, at: Timestamp },
    /// Given up; kept to be looked at and sent again.
    Dead { id: Arc<str>, at: Timestamp, reason: String },
    /// A dead one is to be sent again.
    Replayed { id: Arc<str>, at: Timestamp },
    /// Nothing is sent there any more.
    Disabled { to: Arc<str>, at: Timestamp, reason: String },
    /// It is again.
    Enabled { to: Arc<str> },
    /// Results up to this part have been queued. Written by compaction, and when a destination first wants results.
    Cursor { to: Arc<str>, part: u64 },
}
