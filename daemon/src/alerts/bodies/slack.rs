//! A Slack message: a text for notifications, and blocks (api.slack.com/reference/block-kit).

use serde_json::json;

use super::{Notice, facts, headline};

/// Slack takes 50 blocks; each change is two of them.
const MAX_CHANGES: usize = 20;
/// Of 3000 that Slack takes in a section.
const MAX_TEXT: usize = 2000;

pub(super) fn body(notice: &Notice<'_>) -> serde_json::Result<String> {
    let mut blocks = Vec::new();
    for change in notice.changes.iter().take(MAX_CHANGES) {
        let text: String = change.alert.text.chars().take(MAX_TEXT).collect();
        let title = format!("*{}* · line `{}`\n{}", headline(change), plain(notice.line), plain(&text));
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": title}}));
        let words: Vec<String> =
            facts(change).iter().map(|(name, value)| format!("{name}: {}", plain(value))).collect();
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": words.join(" · ")}]}));
    }
    if notice.changes.len() > MAX_CHANGES {
        let text = format!("and {} more", notice.changes.len() - MAX_CHANGES);
        blocks.push(json!({"type": "section", "text": {"type": "plain_text", "text": text}}));
    }
    serde_json::to_string(&json!({"text": plain(&notice.subject()), "blocks": blocks}))
}

/// Nothing in a text may be taken for a link or a mention.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
