//! A replay that the daemon asks for: the question comes in a file, and the answer goes into files beside it, written by the worker.
//! So the daemon never holds a long report: it hands out files, and shows an excerpt of bounded size.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use models::bundle::Trust;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::report::{Changed, Report, Which, time};
use super::{Question, answer};
use crate::access::files;
use crate::words::harmless;
use crate::worker::child::Reporter;

/// Parts whose verdict changes that an excerpt has.
const CHANGED: usize = 500;
/// Serial numbers of each kind of change.
const SERIALS: usize = 200;
/// Pictures that could not be seen, of each kind.
const UNSEEN: usize = 100;
/// Recipes, and reasons.
const OTHERS: usize = 50;

/// The whole report.
pub(super) const REPORT: &str = "report.json";
/// Serial numbers.
pub(super) const TABLE: &str = "changed.csv";
/// What the page shows.
pub(super) const EXCERPT: &str = "excerpt.json";

/// What a replay found, in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayFound)]
pub(crate) struct Found {
    /// Parts of the range.
    asked_for: u64,
    /// Of these, decided anew.
    decided: u64,
    /// Of these, with another verdict.
    changed: u64,
    /// The first of them.
    #[schema(required = true)]
    first: Option<Which>,
}

/// A report whose lists are cut to a length that can be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Excerpt {
    pub(crate) report: Report,
    pub(crate) left_out: LeftOut,
}

/// Entries that an excerpt lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayLeftOut)]
pub(crate) struct LeftOut {
    pub(crate) changed: usize,
    /// Of all kinds of change together.
    pub(crate) serials: usize,
    pub(crate) missing: usize,
    pub(crate) unreadable: usize,
    pub(crate) undecidable: usize,
    pub(crate) recipes: usize,
}

/// Answers the question in a file. `None`: it was asked to stop, and nothing is left behind.
///
/// # Errors
/// As [`answer`]; the files cannot be read or written.
pub(crate) fn work(question: &Path, reporter: &Reporter) -> anyhow::Result<Option<Found>> {
    let named = || format!("the question `{}`", question.display());
    let bytes = std::fs::read(question).with_context(named)?;
    let asked: Question = serde_json::from_slice(&bytes).with_context(named)?;
    // Who made a model was looked at before its bundle was put beside the question.
    let Some(report) = answer(&asked, Trust::default(), reporter)? else { return Ok(None) };
    let place = |name: &str| question.with_file_name(name);
    let found = Found {
        asked_for: report.parts.asked_for,
        decided: report.parts.decided,
        changed: report.parts.changed,
        first: report.changed.first().map(|changed| changed.part.clone()),
    };
    write(&place(REPORT), |out| Ok(serde_json::to_writer(out, &report)?))?;
    write(&place(TABLE), |out| table(&report.changed, out))?;
    let excerpt = Excerpt::of(report);
    write(&place(EXCERPT), |out| Ok(serde_json::to_writer(out, &excerpt)?))?;
    Ok(Some(found))
}

/// Writes a file for the daemon's user alone.
fn write(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let named = || format!("the answer cannot be kept in `{}`: is the disk full?", path.display());
    let mut out = BufWriter::new(files::private(path, false).with_context(named)?);
    content(&mut out).with_context(named)?;
    out.flush().with_context(named)
}

/// One line a part, for whoever has to find the parts.
fn table(changed: &[Changed], out: &mut BufWriter<File>) -> anyhow::Result<()> {
    let mut lines = csv::Writer::from_writer(out);
    let heading =
        ["serial", "part", "time", "before", "before_label", "after", "after_label", "highest_label", "highest_score"];
    lines.write_record(heading)?;
    for Changed { part, before, after, top } in changed {
        let why = |said: &super::report::Said| said.label.clone().or(said.cause.clone()).unwrap_or_default();
        lines.write_record([
            harmless(part.serial.as_deref().unwrap_or_default()),
            part.id.to_string(),
            time(part.at).to_string(),
            before.verdict.clone(),
            harmless(&why(before)),
            after.verdict.clone(),
            harmless(&why(after)),
            harmless(top.as_ref().map_or("", |top| &top.label)),
            top.as_ref().map_or_else(String::new, |top| format!("{:.4}", top.score)),
        ])?;
    }
    Ok(lines.flush()?)
}

impl Excerpt {
    fn of(mut report: Report) -> Excerpt {
        fn cut<T>(list: &mut Vec<T>, most: usize) -> usize {
            let more = list.len().saturating_sub(most);
            list.truncate(most);
            more
        }
        let left_out = LeftOut {
            changed: cut(&mut report.changed, CHANGED),
            serials: report.changes.iter_mut().map(|change| cut(&mut change.serials, SERIALS)).sum(),
            missing: cut(&mut report.missing, UNSEEN),
            unreadable: cut(&mut report.unreadable, UNSEEN),
            undecidable: cut(&mut report.undecidable, OTHERS),
            recipes: cut(&mut report.recipes, OTHERS),
        };
        Excerpt { report, left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn no_cell_is_computed_by_a_spreadsheet() {
        for (cell, safe) in [("A1", "A1"), ("-12.5", "-12.5"), ("", ""), ("1-2", "1-2")] {
            assert_eq!(harmless(cell), safe);
        }
        for formula in ["=1+1", "+A1", "@SUM(A1)", "-A1", "\t=1", "\r=1"] {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
    }
}
