//! A Microsoft Teams message: an Adaptive Card 1.4, as workflows ("Post to a channel when a webhook request is received") take it.

use serde_json::{Value, json};

use super::{Notice, facts, headline};
use crate::alerts::machine::{Change, What};
use crate::alerts::rule::Severity;

/// Teams takes 28 KB.
const MAX_CHANGES: usize = 10;
const MAX_TEXT: usize = 1000;

pub(super) fn body(notice: &Notice<'_>) -> serde_json::Result<String> {
    let mut items: Vec<Value> =
        notice.changes.iter().take(MAX_CHANGES).flat_map(|change| card(notice.line, change)).collect();
    if notice.changes.len() > MAX_CHANGES {
        let text = format!("and {} more", notice.changes.len() - MAX_CHANGES);
        items.push(json!({"type": "TextBlock", "text": text, "isSubtle": true}));
    }
    serde_json::to_string(&json!({
        "type": "message",
        "summary": notice.subject(),
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": {"width": "Full"},
                "body": items,
            },
        }],
    }))
}

fn card(line: &str, change: &Change) -> [Value; 3] {
    let color = match (change.what, change.alert.severity) {
        (What::Resolved, _) => "good",
        (_, Severity::Critical) => "attention",
        (_, Severity::Warning) => "warning",
        (_, Severity::Info) => "default",
    };
    let title = format!("{} · line {}", headline(change), plain(line));
    let text: String = change.alert.text.chars().take(MAX_TEXT).collect();
    let facts = facts(change).into_iter().map(|(name, value)| json!({"title": name, "value": plain(&value)}));
    [
        json!({"type": "TextBlock", "text": title, "weight": "bolder", "size": "medium", "color": color, "wrap": true}),
        json!({"type": "TextBlock", "text": plain(&text), "wrap": true}),
        json!({"type": "FactSet", "facts": facts.collect::<Vec<_>>()}),
    ]
}

/// Text blocks take some Markdown: nothing in a text may be taken for a link.
fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if "\\`*_[]()<>#~|".contains(c) { vec!['\\', c] } else { vec![c] }).collect()
}
