//! Makes a backup, beside the running line. What is there already is not copied again; a backup that breaks off leaves pieces that the next one uses.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::Path;

use jiff::Timestamp;

use super::manifest::{Entry, Manifest, read};
use super::objects::{self, Digest};
use super::source::{Source, everything};
use super::{BackupError, Folder, names};
use crate::access::Who;
use crate::audit::{Deed, Trail};
use crate::background::yield_to_the_line;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its name.
    pub name: String,
    /// Whatever was acknowledged before this is in it.
    pub began_at: Timestamp,
    /// The newest part with a verdict in it.
    pub newest_part: Option<u64>,
    /// Files in it.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Bytes that were written: what no backup before it had.
    pub new_bytes: u64,
    /// Older backups that were removed.
    pub removed: usize,
}

/// Backs `state` up into `dest`; keeps the newest `keep` backups there, if that is said.
///
/// # Errors
/// Something cannot be read or written. What was there before is as it was.
pub fn take(state: &Path, dest: &Path, keep: Option<usize>) -> Result<Taken, BackupError> {
    yield_to_the_line();
    let folder = Folder::make(dest)?;
    if !state.join("journal").is_dir() {
        return Err(BackupError::NoState(state.to_owned()));
    }
    let whole = |path: &Path| fs::canonicalize(path).map_err(BackupError::io("read", path));
    if whole(dest)?.starts_with(whole(state)?) {
        return Err(BackupError::Inside(dest.to_owned()));
    }
    let deed = Deed::new("backup.take", dest.display().to_string());
    Trail::open(state)?.append(&Who::on_this_machine(), deed)?;
    let began_at = Timestamp::now();
    let (sources, newest_part) = everything(state)?;
    // A damaged one is no help, and `--verify` names it.
    let before = names(&folder.dir)?.last().and_then(|name| read(&folder.dir, name).ok());
    let known = before.as_ref().map(Manifest::by_path).unwrap_or_default();
    let (mut entries, mut new_bytes) = (Vec::with_capacity(sources.len()), 0);
    for source in sources {
        let unchanged = |entry: &&Entry, size: u64, modified_ns: i128| {
            entry.size == size
                && entry.modified_ns == modified_ns
                && modified_ns >= 0
                && entry.pieces.iter().all(|&piece| objects::has(&folder.dir, piece))
        };
        let path = source.path.clone();
        let before = known.get(path.as_str()).copied();
        let copied = copy(source, state, &folder.dir, |size, modified_ns| {
            before.filter(|entry| unchanged(entry, size, modified_ns)).map(|entry| entry.pieces.clone())
        })?;
        if let Some((entry, new)) = copied {
            entries.push(entry);
            new_bytes += new;
        }
    }
    // All pieces are on the medium before a backup names them.
    let handle = File::open(&folder.dir).map_err(BackupError::io("open", &folder.dir))?;
    nix::unistd::syncfs(&handle).map_err(|error| BackupError::io("sync", &folder.dir)(error.into()))?;
    let name = began_at.strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
    let manifest = Manifest::new(began_at, newest_part, entries);
    manifest.write(&folder.dir, &name)?;
    let removed = keep.map_or(Ok(0), |keep| prune(&folder, keep.max(1)))?;
    let (files, bytes) = (manifest.head.files, manifest.head.bytes);
    Ok(Taken { name, began_at, newest_part, files, bytes, new_bytes, removed })
}

/// A file's entry, and how many bytes of it were new. None: it is there no longer.
fn copy(
    source: Source,
    state: &Path,
    dest: &Path,
    known: impl FnOnce(u64, i128) -> Option<Vec<Digest>>,
) -> Result<Option<(Entry, u64)>, BackupError> {
    let (path, place) = (source.path.clone(), state.join(&source.path));
    let Some(mut opened) = source.open(state)? else { return Ok(None) };
    let (mode, modified_ns) = (opened.mode, opened.modified_ns);
    if let Some(pieces) = known(opened.size, modified_ns) {
        return Ok(Some((Entry { path, size: opened.size, mode, modified_ns, pieces }, 0)));
    }
    let (mut pieces, mut size, mut new_bytes, mut buffer) = (Vec::new(), 0, 0, Vec::new());
    loop {
        objects::piece(&mut opened.from, &mut buffer).map_err(BackupError::io("read", &place))?;
        if buffer.is_empty() {
            break;
        }
        let (digest, new) = objects::put(dest, &buffer)?;
        pieces.push(digest);
        size += buffer.len() as u64;
        new_bytes += if new { buffer.len() as u64 } else { 0 };
        if buffer.len() < objects::PIECE {
            break;
        }
    }
    Ok(Some((Entry { path, size, mode, modified_ns, pieces }, new_bytes)))
}

/// Removes all but the newest backups, and what no backup names any more. Nothing is removed where one of those that stay cannot be read: nobody knows
/// what it names.
fn prune(folder: &Folder, keep: usize) -> Result<usize, BackupError> {
    let names = names(&folder.dir)?;
    let (old, stay) = names.split_at(names.len().saturating_sub(keep));
    let mut needed: HashSet<String> = HashSet::new();
    for name in stay {
        let manifest = read(&folder.dir, name)?;
        needed.extend(manifest.entries.iter().flat_map(|entry| &entry.pieces).map(Digest::to_string));
    }
    for name in old {
        let path = folder.dir.join("backups").join(format!("{name}.backup"));
        fs::remove_file(&path).map_err(BackupError::io("remove", &path))?;
    }
    let objects = folder.dir.join("objects");
    for item in fs::read_dir(&objects).map_err(BackupError::io("read", &objects))?.flatten() {
        for file in fs::read_dir(item.path()).into_iter().flatten().flatten() {
            if file.file_name().to_str().is_some_and(|name| name.len() == 64 && !needed.contains(name)) {
                fs::remove_file(file.path()).map_err(BackupError::io("remove", &file.path()))?;
            }
        }
    }
    Ok(old.len())
}
