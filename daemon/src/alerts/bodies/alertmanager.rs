//! Alerts for Prometheus Alertmanager: `POST /api/v2/alerts` (OpenAPI of Alertmanager, version 2).
//!
//! Its own senders repeat an alert that goes on, and it takes one that is not repeated for resolved. This outbox does not
//! repeat; so an alert that goes on is said to end in a week, and its end is sent when it comes.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::Notice;
use crate::alerts::machine::Change;

const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

pub(super) fn body(notice: &Notice<'_>) -> serde_json::Result<String> {
    serde_json::to_string(&notice.changes.iter().map(|change| alert(notice.line, change)).collect::<Vec<_>>())
}

fn alert(line: &str, change: &Change) -> Value {
    let alert = &change.alert;
    let ends = alert.resolved_at.unwrap_or_else(|| change.at.saturating_add(WEEK).unwrap_or(change.at));
    // The labels are the identity: nothing that changes while the alert goes on may stand there.
    json!({
        "labels": {
            "alertname": alert.rule,
            "line": line,
            "subject": alert.subject,
            "severity": alert.severity.word(),
            "job": "inspectd",
        },
        "annotations": {"summary": alert.text, "id": alert.id},
        "startsAt": alert.since.to_string(),
        "endsAt": ends.to_string(),
    })
}
