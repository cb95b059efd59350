//! The text of an e-mail: what a phone shows of it first comes first.

use std::fmt::Write as _;

use super::{Notice, facts, headline};

/// More changes at once are a matter for the page.
const MAX_CHANGES: usize = 50;

pub(super) fn body(notice: &Notice<'_>) -> String {
    let mut text = String::new();
    for change in notice.changes.iter().take(MAX_CHANGES) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} on line {}\n{}", headline(change), notice.line, change.alert.text);
        for (name, value) in facts(change) {
            let _ = writeln!(text, "  {name}: {value}");
        }
        text.push('\n');
    }
    if notice.changes.len() > MAX_CHANGES {
        let _ = writeln!(text, "and {} more\n", notice.changes.len() - MAX_CHANGES);
    }
    text.push_str("-- \ninspectd; who gets this is set under [alerts.destinations]\n");
    text
}
