//! What a day of the archive holds, with a checksum of each file, so that whoever finds it in ten years can tell whether it still is what it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stages::inspection::Inspection;

use super::shelf::{self, Read, Shelf};
use super::{ArchiveError, Target};

/// Its file.
pub(super) const NAME: &str = "_manifest.json";
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    pub(super) date: String,
    pub(super) line: String,
    pub(super) records: u64,
    /// Which parts they are of ([`Parts`]); absent before stores were archived into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<String>,
    /// SHA-256 by path below the day's folder.
    pub(super) files: BTreeMap<String, String>,
    program: String,
}

impl Manifest {
    pub(super) fn new(
        date: String,
        line: String,
        records: u64,
        parts: String,
        files: BTreeMap<String, String>,
    ) -> Manifest {
        let program = env!("CARGO_PKG_VERSION").into();
        Manifest { format: FORMAT, date, line, records, parts: Some(parts), files, program }
    }

    pub(super) fn images(&self) -> u64 {
        self.files.keys().filter(|name| name.starts_with(super::day::IMAGES)).count() as u64
    }

    /// As it is written.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, ArchiveError> {
        serde_json::to_vec_pretty(self).map_err(|error| ArchiveError::io("write", NAME.as_ref())(error.into()))
    }
}

/// SHA-256 over the number and the time of each part, in the journal's order: the same parts again, or another line's.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts(Sha256);

impl Parts {
    pub(super) fn add(&mut self, part: &Inspection) {
        self.0.update(part.id.to_le_bytes());
        self.0.update(part.triggered_at.as_microsecond().to_le_bytes());
    }

    pub(super) fn sum(&self) -> String {
        words(&self.0.clone().finalize())
    }
}

/// What is there of a day.
pub(super) enum Before {
    /// All of it, as its manifest says.
    Whole(Manifest),
    /// Nothing that can be relied upon: no manifest, or none that can be read.
    Nothing,
    /// A newer program's, of this format.
    Newer(u32),
}

pub(super) fn before(shelf: &mut dyn Shelf, day: &str) -> Result<Before, ArchiveError> {
    /// What every format has.
    #[derive(Deserialize)]
    struct Any {
        format: u32,
    }
    let Read::Bytes(bytes) = shelf.read(&format!("{day}/{NAME}"))? else { return Ok(Before::Nothing) };
    Ok(match serde_json::from_slice(&bytes) {
        Ok(Any { format }) if format > FORMAT => Before::Newer(format),
        Ok(Any { .. }) => serde_json::from_slice(&bytes).map_or(Before::Nothing, Before::Whole),
        Err(_) => Before::Nothing,
    })
}

pub(super) fn newer(place: &str, format: u32) -> ArchiveError {
    ArchiveError::Refused(format!(
        "`{place}` has a manifest of format {format}, but this program reads formats up to {FORMAT}: left as it is; update inspectd"
    ))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    words(&Sha256::digest(bytes))
}

fn words(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Days of lines that are whole.
    pub whole: u64,
    /// Records in them.
    pub records: u64,
    /// Files that were read.
    pub files: u64,
    /// Files that are not as they were written, each with what is wrong.
    pub damaged: Vec<(String, String)>,
}

/// Reads every file of an archive.
///
/// # Errors
/// A folder of it cannot be read, or the store cannot be reached.
pub fn check(of: &Target) -> Result<Checked, ArchiveError> {
    let mut shelf = shelf::open(of, false)?;
    let mut checked = Checked::default();
    for day in shelf.days()? {
        let damaged = match before(&mut *shelf, &day)? {
            Before::Whole(manifest) => {
                let damaged = files(&mut *shelf, &day, &manifest)?;
                checked.files += manifest.files.len() as u64;
                if damaged.is_empty() {
                    checked.whole += 1;
                    checked.records += manifest.records;
                }
                damaged
            }
            Before::Nothing => {
                let words = "is missing or damaged: what the day held is not known; an upload that broke off goes on with the next `inspectd archive`";
                vec![(shelf.named(&format!("{day}/{NAME}")), words.to_owned())]
            }
            Before::Newer(format) => {
                let words = format!("is of format {format}, which this program does not read: update inspectd");
                vec![(shelf.named(&format!("{day}/{NAME}")), words)]
            }
        };
        checked.damaged.extend(damaged);
    }
    Ok(checked)
}

/// What is wrong with the files of a day.
fn files(shelf: &mut dyn Shelf, day: &str, manifest: &Manifest) -> Result<Vec<(String, String)>, ArchiveError> {
    let mut damaged = Vec::new();
    for (name, sum) in &manifest.files {
        let path = format!("{day}/{name}");
        let words = match shelf.read(&path)? {
            Read::Bytes(bytes) if hex(&bytes) == *sum => continue,
            Read::Bytes(_) => "its checksum does not match".to_owned(),
            Read::Missing => "is missing".to_owned(),
            Read::Unreadable(why) => format!("cannot be read: {why}"),
        };
        damaged.push((shelf.named(&path), words));
    }
    Ok(damaged)
}
