//! The daemon's own records: `inspectd records export > STATE/records.jsonl`, with a label that a person gave added to a line:
//!
//!     {"inspection": {...}, "label": "scratch"}
//!
//! What the model said is no label: a model that learns from its own answers grows sure of its mistakes. Simulated parts bring
//! the truth along. Pictures lie in `evidence/` beside the list, and all of one serial number belong together.

use std::path::Path;

use serde::Deserialize;

use super::{Entries, Entry, MOST_BYTES, read_list, stays_below};
use crate::error::TrainError;
use crate::split::Side;

#[derive(Deserialize)]
struct Line {
    inspection: Option<Inspection>,
    /// A person's.
    label: Option<String>,
    /// A person's, where the part has more than one defect.
    #[serde(default)]
    labels: Vec<String>,
    split: Option<Side>,
}

#[derive(Deserialize)]
struct Inspection {
    #[serde(default)]
    line: String,
    serial: Option<String>,
    evidence: Option<String>,
    truth: Option<Truth>,
}

#[derive(Deserialize)]
struct Truth {
    label: String,
    #[serde(default)]
    bad_frame: bool,
}

pub(super) fn read(root: &Path, list: &Path, entries: &mut Entries) -> Result<(), TrainError> {
    let bytes = read_list(list, MOST_BYTES)?;
    let fail = |line: usize, reason: String| TrainError::Split { path: list.into(), line: line as u64, reason };
    let [mut unlabelled, mut without, mut gone] = [0_usize; 3];
    for (index, text) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let line: Line =
            serde_json::from_slice(text).map_err(|error| fail(index + 1, format!("no record: {error}")))?;
        let Some(inspection) = line.inspection else { continue };
        let truth = inspection.truth.filter(|truth| !truth.bad_frame).map(|truth| truth.label);
        let mut labels = line.labels;
        if labels.is_empty() {
            labels.extend(line.label.or(truth));
        }
        let Some(evidence) = inspection.evidence else {
            without += usize::from(!labels.is_empty());
            continue;
        };
        if labels.is_empty() {
            unlabelled += 1;
            continue;
        }
        if !stays_below(Path::new(&evidence)) {
            return Err(fail(index + 1, format!("path `{evidence}` does not stay below the data folder")));
        }
        let places = ["evidence/", ""].map(|folder| format!("{folder}{evidence}"));
        // Old pictures are deleted by design; what is gone cannot be learned from.
        let Some(path) = places.into_iter().find(|path| root.join(path).is_file()) else {
            gone += 1;
            continue;
        };
        let group = inspection.serial.map(|serial| format!("{} {serial}", inspection.line));
        let entry = Entry { labels, group, side: line.split.unwrap_or(Side::Train), ..Entry::new(path, "") };
        entries.push(entry).map_err(|reason| fail(index + 1, reason))?;
    }
    for (count, what) in [
        (unlabelled, "records carry no label"),
        (without, "labelled records have no picture"),
        (gone, "pictures of labelled records are not there any more"),
    ] {
        if count > 0 {
            entries.note(format!("{count} {what}"));
        }
    }
    Ok(())
}
