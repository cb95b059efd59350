//! Reads every byte of a folder of backups and says what is not as it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::manifest::read;
use super::objects::{Digest, digest, place};
use super::{BackupError, MARKER, names};

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// Backups that are whole, with all that they name.
    pub whole: Vec<String>,
    /// Files that were read.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Files that are damaged or missing, each with what is wrong and what it costs.
    pub damaged: Vec<(PathBuf, String)>,
}

/// Checks everything in `dest`.
///
/// # Errors
/// It is no folder of backups, or cannot be read.
pub fn verify(dest: &Path) -> Result<Verified, BackupError> {
    let marker = dest.join(MARKER.0);
    if !marker.exists() && !dest.join("backups").is_dir() {
        return Err(BackupError::None(dest.to_owned(), String::new()));
    }
    let mut found = Verified { files: 1, ..Verified::default() };
    if fs::read(&marker).ok().as_deref() != Some(MARKER.1.as_bytes()) {
        let words = format!("does not say `{}`; write that into it, no backup is lost", MARKER.1.trim());
        found.damaged.push((marker, words));
    }
    let mut needed: BTreeMap<Digest, BTreeSet<(String, String)>> = BTreeMap::new();
    for name in names(dest)? {
        found.files += 1;
        match read(dest, &name) {
            Ok(manifest) => {
                for entry in manifest.entries {
                    for piece in entry.pieces {
                        needed.entry(piece).or_default().insert((name.clone(), entry.path.clone()));
                    }
                }
                found.whole.push(name);
            }
            Err(BackupError::Damaged { path, reason }) => {
                found.damaged.push((path, format!("{reason}; this backup is lost, remove the file")));
            }
            Err(error) => return Err(error),
        }
    }
    let mut there = BTreeSet::new();
    let objects = dest.join("objects");
    for folder in sorted(&objects)? {
        if folder.is_dir() {
            for file in sorted(&folder)? {
                found.object(&file, &needed, &mut there)?;
            }
        } else if folder.file_name().is_some_and(|name| name != "unfinished") {
            found.damaged.push((folder, "is no part of a backup".into()));
        }
    }
    for (piece, of) in needed.iter().filter(|(piece, _)| !there.contains(*piece)) {
        found.damaged.push((place(dest, *piece), format!("is missing; {}", cost(of))));
    }
    let bad: BTreeSet<&String> = needed
        .iter()
        .filter(|(piece, _)| !there.contains(*piece))
        .flat_map(|(_, of)| of.iter().map(|(name, _)| name))
        .collect();
    found.whole.retain(|name| !bad.contains(name));
    Ok(found)
}

impl Verified {
    fn object(
        &mut self,
        file: &Path,
        needed: &BTreeMap<Digest, BTreeSet<(String, String)>>,
        there: &mut BTreeSet<Digest>,
    ) -> Result<(), BackupError> {
        let bytes = fs::read(file).map_err(BackupError::io("read", file))?;
        self.files += 1;
        self.bytes += bytes.len() as u64;
        let named: Option<Digest> = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        match named {
            Some(name) if digest(&bytes) == name => {
                there.insert(name);
            }
            Some(name) => {
                let of = needed.get(&name).map_or("no backup needs it".to_owned(), cost);
                let words = format!(
                    "is damaged; {of}; remove it, and the next backup writes it anew while the original is there"
                );
                self.damaged.push((file.to_owned(), words));
                // Named once is enough.
                if needed.contains_key(&name) {
                    self.whole.retain(|whole| !needed[&name].iter().any(|(backup, _)| backup == whole));
                    there.insert(name);
                }
            }
            None => self.damaged.push((file.to_owned(), "is no part of a backup".into())),
        }
        Ok(())
    }
}

/// Which files of how many backups are lost with a piece.
fn cost(of: &BTreeSet<(String, String)>) -> String {
    let backups: BTreeSet<&String> = of.iter().map(|(name, _)| name).collect();
    let paths: BTreeSet<&String> = of.iter().map(|(_, path)| path).collect();
    let first = paths.first().map_or("", |path| path.as_str());
    let more = if paths.len() > 1 { format!(" and {} more", paths.len() - 1) } else { String::new() };
    format!("it is part of `{first}`{more} in {} backups", backups.len())
}

fn sorted(dir: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut all = Vec::new();
    for item in fs::read_dir(dir).map_err(BackupError::io("read", dir))? {
        all.push(item.map_err(BackupError::io("read", dir))?.path());
    }
    all.sort_unstable();
    Ok(all)
}
