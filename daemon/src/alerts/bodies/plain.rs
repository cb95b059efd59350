//! Plain JSON, in the shape that Standard Webhooks recommends: `type`, `timestamp`, `data`.

use serde::Serialize;

use super::Notice;
use crate::alerts::machine::{Alert, Change};

#[derive(Serialize)]
struct Body<'a> {
    /// `alert.fired`, `alert.reminded`, `alert.acknowledged`, `alert.resolved`; `alerts.changed` if they differ.
    r#type: String,
    timestamp: jiff::Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    line: &'a str,
    changes: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    change: &'static str,
    at: jiff::Timestamp,
    alert: &'a Alert,
}

pub(super) fn body(notice: &Notice<'_>) -> serde_json::Result<String> {
    let first = notice.changes[0].what;
    let same = notice.changes.iter().all(|change| change.what == first);
    let kind = if same { format!("alert.{}", first.word()) } else { "alerts.changed".to_owned() };
    let data = Data { line: notice.line, changes: notice.changes.iter().map(entry).collect() };
    serde_json::to_string(&Body { r#type: kind, timestamp: notice.at, data })
}

fn entry(Change { what, at, alert }: &Change) -> Entry<'_> {
    Entry { change: what.word(), at: *at, alert }
}
