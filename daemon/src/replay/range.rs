//! The parts of a range, read from the journal beside a running line. No lock is taken and nothing is changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::Timestamp;
use stages::inspection::Inspection;

use crate::store::{self, Exported, Filter};

/// What a first look over the journal finds of the parts that were asked for.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// All of them.
    pub(super) asked_for: u64,
    /// Those within the limit.
    pub(super) looked_at: u64,
    /// Parts within the limit, by the recipe on record.
    pub(super) recipes: BTreeMap<Arc<str>, u64>,
    /// The same by the model, of parts that have scores.
    pub(super) models: BTreeMap<Arc<str>, u64>,
    pub(super) damaged_bytes: u64,
    /// First and last time of those within the limit.
    pub(super) looked_at_span: Option<(Timestamp, Timestamp)>,
    /// First and last time on record, whatever was asked for.
    span: Option<(Timestamp, Timestamp)>,
}

/// Counts what there is, so that what is wrong with the question is said before the work and not after it. `None`: `stop` said so.
///
/// # Errors
/// There is no journal, or no such part in it.
pub(super) fn survey(
    state: &Path,
    filter: &Filter,
    limit: u64,
    stop: &dyn Fn() -> bool,
) -> anyhow::Result<Option<Survey>> {
    let mut survey = Survey::default();
    let mut export = open(state)?;
    for record in &mut export {
        if stop() {
            return Ok(None);
        }
        let Exported::Inspection(part) = record? else { continue };
        let at = part.triggered_at;
        survey.span = widened(survey.span, at);
        if !filter.matches(&part) {
            continue;
        }
        survey.asked_for += 1;
        if survey.looked_at < limit {
            survey.looked_at += 1;
            survey.looked_at_span = widened(survey.looked_at_span, at);
            *survey.recipes.entry(part.recipe.clone()).or_default() += 1;
            if !part.scores.is_empty() {
                *survey.models.entry(part.model.clone()).or_default() += 1;
            }
        }
    }
    survey.damaged_bytes = export.damaged_bytes();
    if survey.asked_for == 0 {
        bail!("{}", survey.nothing(state, filter));
    }
    Ok(Some(survey))
}

/// The first `count` parts that were asked for, in the order in which they were written, until `each` gives `false`.
///
/// # Errors
/// The journal cannot be read.
pub(super) fn walk(
    state: &Path,
    filter: &Filter,
    count: u64,
    mut each: impl FnMut(&Inspection) -> bool,
) -> anyhow::Result<()> {
    let mut left = count;
    for record in open(state)? {
        if left == 0 {
            break;
        }
        if let Exported::Inspection(part) = record?
            && filter.matches(&part)
        {
            left -= 1;
            if !each(&part) {
                break;
            }
        }
    }
    Ok(())
}

fn widened(span: Option<(Timestamp, Timestamp)>, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
    Some(span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))))
}

fn open(state: &Path) -> anyhow::Result<store::Export> {
    store::export(state).with_context(|| {
        format!("no records in `{}`; name the directory with `--state` or the line's `--config`", state.display())
    })
}

impl Survey {
    /// Why there is nothing to look at, and where there would be something.
    fn nothing(&self, state: &Path, filter: &Filter) -> String {
        let Some((first, last)) = self.span else {
            return format!("no part is on record in `{}`: name another directory with `--state`", state.display());
        };
        let (first, last) = (super::report::time(first), super::report::time(last));
        let narrowed = filter.verdict.is_some() || filter.label.is_some() || filter.serial.is_some();
        let more = if narrowed { ", or ask for another serial number, label or verdict" } else { "" };
        format!(
            "no such part is on record in this range: the records reach from {first} to {last}; choose a range \
             within{more}"
        )
    }
}
