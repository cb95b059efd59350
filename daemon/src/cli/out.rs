//! Standard output: what a command was asked for. Logs and progress go to standard error.

use std::io::{self, Write};

use serde::Serialize;

/// One line of text.
///
/// # Errors
/// The reader went away, or the disk behind it is full.
pub(super) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// One line of JSON.
///
/// # Errors
/// As [`line`].
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(value)?;
    Ok(line(text)?)
}
