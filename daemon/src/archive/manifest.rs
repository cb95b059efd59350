//! What a day of the archive holds, with a checksum of each file, so that whoever finds it in ten years can tell whether it still is what it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ArchiveError;

/// Its file.
pub(super) const NAME: &str = "_manifest.json";
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    pub(super) date: String,
    pub(super) line: String,
    pub(super) records: u64,
    /// SHA-256 by path below the day's folder.
    pub(super) files: BTreeMap<String, String>,
    program: String,
}

impl Manifest {
    pub(super) fn new(date: String, line: String, records: u64, files: BTreeMap<String, String>) -> Manifest {
        Manifest { format: FORMAT, date, line, records, files, program: env!("CARGO_PKG_VERSION").into() }
    }

    pub(super) fn images(&self) -> u64 {
        self.files.keys().filter(|name| name.starts_with(super::day::IMAGES)).count() as u64
    }
}

/// Of a day's folder; none: there is none that can be read.
pub(super) fn read(folder: &Path) -> Option<Manifest> {
    let bytes = fs::read(folder.join(NAME)).ok()?;
    serde_json::from_slice(&bytes).ok().filter(|it: &Manifest| it.format <= FORMAT)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
    pub damaged: Vec<(PathBuf, String)>,
}

/// Reads every file of an archive.
///
/// # Errors
/// A folder of it cannot be read.
pub fn check(dest: &Path) -> Result<Checked, ArchiveError> {
    let mut checked = Checked::default();
    for date in folders(dest, "date=")? {
        for folder in folders(&date, "line=")? {
            let Some(manifest) = read(&folder) else {
                checked
                    .damaged
                    .push((folder.join(NAME), "is missing or damaged: what the day held is not known".into()));
                continue;
            };
            let before = checked.damaged.len();
            for (name, sum) in &manifest.files {
                checked.files += 1;
                let path = folder.join(name);
                match fs::read(&path) {
                    Ok(bytes) if hex(&bytes) == *sum => {}
                    Ok(_) => checked.damaged.push((path, "its checksum does not match".into())),
                    Err(error) => checked.damaged.push((path, format!("cannot be read: {error}"))),
                }
            }
            if checked.damaged.len() == before {
                checked.whole += 1;
                checked.records += manifest.records;
            }
        }
    }
    Ok(checked)
}

fn folders(dir: &Path, prefix: &str) -> Result<Vec<PathBuf>, ArchiveError> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).map_err(ArchiveError::io("read", dir))? {
        let path = item.map_err(ArchiveError::io("read", dir))?.path();
        let named = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix));
        found.extend((named && path.is_dir()).then_some(path));
    }
    found.sort_unstable();
    Ok(found)
}
