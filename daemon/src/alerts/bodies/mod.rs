//! What each kind of receiver is sent, one file a kind. All are made of the same [`Notice`].

mod alertmanager;
mod email;
mod plain;
mod slack;
mod teams;

use jiff::Timestamp;

use super::machine::{Change, What};
use super::rule::Severity;
use crate::outbox::DestinationKind;

/// Changes that are told together.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// When it was put together.
    pub at: Timestamp,
    /// The line's name.
    pub line: &'a str,
    /// At least one.
    pub changes: &'a [Change],
}

impl Notice<'_> {
    /// The body for one kind of receiver.
    ///
    /// # Errors
    /// JSON cannot hold it; that does not happen with the data here.
    pub fn body(&self, kind: DestinationKind) -> serde_json::Result<String> {
        match kind {
            DestinationKind::Webhook => plain::body(self),
            DestinationKind::Slack => slack::body(self),
            DestinationKind::Teams => teams::body(self),
            DestinationKind::Alertmanager => alertmanager::body(self),
            DestinationKind::Email => Ok(email::body(self)),
        }
    }

    /// One line for people.
    pub fn subject(&self) -> String {
        let first = &self.changes[0];
        let more = match self.changes.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("[{}] {} {}: {}{more}", self.line, headline(first), first.alert.rule, first.alert.text)
    }
}

/// The state in a word or two. An alert that is over has no severity any more.
fn headline(change: &Change) -> &'static str {
    match (change.what, change.alert.severity) {
        (What::Resolved, _) => "RESOLVED",
        (What::Acknowledged, _) => "ACKNOWLEDGED",
        (_, Severity::Critical) => "CRITICAL",
        (_, Severity::Warning) => "WARNING",
        (_, Severity::Info) => "INFO",
    }
}

/// Name and value pairs for people.
fn facts(change: &Change) -> Vec<(&'static str, String)> {
    let alert = &change.alert;
    let mut facts = vec![("Rule", alert.rule.clone())];
    if !alert.subject.is_empty() {
        facts.push(("Subject", alert.subject.clone()));
    }
    facts.push(("Since", second(alert.since)));
    facts.extend(alert.resolved_at.map(|at| ("Until", second(at))));
    let by = |note: &super::machine::Note| match &note.comment {
        Some(comment) => format!("{}: {comment}", note.by),
        None => note.by.clone(),
    };
    facts.extend(alert.acknowledged.as_ref().map(|note| ("Acknowledged by", by(note))));
    facts.extend(alert.resolved_by.as_ref().map(|note| ("Resolved by", by(note))));
    facts
}

/// Without fractions.
fn second(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

#[cfg(test)]
mod tests;
