//! Which files of a state directory belong to a backup, and how each is read so that it is whole while the line writes.
//!
//! - The journal is cut where its last whole frame ends (`store::snapshot`), taken before everything else.
//! - The audit trail is read with its head under the trail's own lock.
//! - Logs that grow by lines are cut behind the last whole line.
//! - Everything else is replaced as a whole by whoever writes it, so an open file is one state of it.
//!
//! Left out: what is made anew from the rest (`index/`, `engines/`), what is under way (`training/`, frozen data of trainings, files of the name
//! `*.new` and `lock`), who is signed in (`access/sessions.json`), and the program's own TLS key, which is made anew.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::BackupError;
use crate::store::{Snapshot, snapshot};

/// A file to be copied.
pub(super) struct Source {
    /// Below the state directory.
    pub(super) path: String,
    /// Open already, where it must not be opened later; bytes that count.
    pub(super) open: Option<(File, u64)>,
    /// Read already, because it belongs to another.
    pub(super) read: Option<Vec<u8>>,
}

/// Everything of a state directory, and the newest part in it.
pub(super) fn everything(state: &Path) -> Result<(Vec<Source>, Option<u64>), BackupError> {
    // First: the moment of the journal is that of the backup.
    let Snapshot { files, newest_part } = snapshot(state)?;
    let mut all: Vec<Source> = files
        .into_iter()
        .map(|it| Source { path: format!("journal/{}", it.name), open: it.open, read: None })
        .collect();
    all.extend(trail(state)?);
    let mut found = Vec::new();
    walk(state, Path::new(""), &mut found)?;
    // The registers first: what they name is read later, and stays longer than they say.
    found.sort_unstable_by_key(|path| (!path.ends_with(".log"), path.clone()));
    all.extend(found.into_iter().map(|path| Source { path, open: None, read: None }));
    Ok((all, newest_part))
}

/// The audit trail and its head, which must fit each other.
fn trail(state: &Path) -> Result<Vec<Source>, BackupError> {
    let dir = state.join("audit");
    let path = dir.join("trail.jsonl");
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(BackupError::io("read", &path))?,
    };
    let read = |name: &str| -> io::Result<Option<Source>> {
        match fs::read(dir.join(name)) {
            Ok(bytes) => Ok(Some(Source { path: format!("audit/{name}"), open: None, read: Some(bytes) })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    };
    let both = || -> io::Result<Vec<Source>> {
        file.lock_shared()?;
        Ok([read("trail.jsonl")?, read("head")?].into_iter().flatten().collect())
    };
    both().map_err(BackupError::io("read", &path))
}

/// Whether a file or folder belongs to a backup, by its path.
fn belongs(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let left_out = [
        "index",
        "index.broken",
        "engines",
        "training",
        "journal",
        "evidence/unfinished",
        "access/sessions.json",
        "access/key.pem",
        "access/certificate.pem",
        "access/certificate.names",
        "audit/trail.jsonl",
        "audit/head",
    ];
    let frozen = path.starts_with("jobs/") && name == "data";
    !left_out.contains(&path) && name != "lock" && !name.ends_with(".new") && !frozen
}

fn walk(state: &Path, below: &Path, found: &mut Vec<String>) -> Result<(), BackupError> {
    let dir = state.join(below);
    let items = match fs::read_dir(&dir) {
        // Gone meanwhile: a day's pictures were let go.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !below.as_os_str().is_empty() => return Ok(()),
        other => other.map_err(BackupError::io("read", &dir))?,
    };
    for item in items {
        let item = item.map_err(BackupError::io("read", &dir))?;
        let path = below.join(item.file_name());
        let Some(text) = path.to_str().filter(|text| belongs(text)) else { continue };
        // Of links and devices none is ours.
        match item.file_type() {
            Ok(kind) if kind.is_dir() => walk(state, &path, found)?,
            Ok(kind) if kind.is_file() => found.push(text.to_owned()),
            _ => {}
        }
    }
    Ok(())
}

/// A file as it is copied.
pub(super) struct Opened {
    pub(super) from: Box<dyn Read>,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) modified_ns: i128,
}

impl Source {
    /// Opens it. None: it is there no longer.
    pub(super) fn open(self, state: &Path) -> Result<Option<Opened>, BackupError> {
        let path: PathBuf = state.join(&self.path);
        if let Some(bytes) = self.read {
            let size = bytes.len() as u64;
            // Read anew each time: nobody knows when it was written.
            return Ok(Some(Opened { from: Box::new(io::Cursor::new(bytes)), size, mode: 0o600, modified_ns: -1 }));
        }
        let (mut file, size) = match self.open {
            Some((file, size)) => (file, Some(size)),
            None => match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => (other.map_err(BackupError::io("read", &path))?, None),
            },
        };
        let failed = |error| BackupError::io("read", &path)(error);
        let meta = file.metadata().map_err(failed)?;
        let size = match size {
            Some(size) => size,
            None if self.path.ends_with(".log") || self.path.ends_with(".jsonl") => {
                whole_lines(&mut file, meta.len()).map_err(BackupError::io("read", &path))?
            }
            None => meta.len(),
        };
        file.seek(SeekFrom::Start(0)).map_err(BackupError::io("read", &path))?;
        let modified_ns = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        let from = Box::new(file.take(size));
        Ok(Some(Opened { from, size, mode: meta.mode() & 0o777, modified_ns }))
    }
}

/// Bytes up to and with the last line feed of the first `size`.
fn whole_lines(file: &mut File, size: u64) -> io::Result<u64> {
    let mut end = size;
    let mut buffer = [0; 4096];
    while end > 0 {
        let here = end.min(buffer.len() as u64);
        file.seek(SeekFrom::Start(end - here))?;
        let part = &mut buffer[..here as usize];
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|&byte| byte == b'\n') {
            return Ok(end - here + at as u64 + 1);
        }
        end -= here;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_secret_or_made_anew_stays_out() {
        for path in [
            "index",
            "engines",
            "lock",
            "learning/lock",
            "access/sessions.json",
            "access/key.pem",
            "jobs/7/data",
            "evidence/unfinished",
            "access/accounts.new",
            "audit/head",
            "journal",
        ] {
            assert!(!belongs(path), "{path}");
        }
        for path in [
            "evidence/2026/11/27/5.jpg",
            "learning/labels.log",
            "models/models.log",
            "access/accounts.json",
            "audit/pseudonym.key",
            "recipes/recipes.log",
            "jobs/7/job.json",
            "retention/holds.log",
            "counters.json",
        ] {
            assert!(belongs(path), "{path}");
        }
    }

    #[test]
    fn half_a_line_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        for (text, whole) in [("", 0), ("a", 0), ("a\n", 2), ("a\nb", 2)] {
            fs::write(&path, text).unwrap();
            assert_eq!(whole_lines(&mut File::open(&path).unwrap(), text.len() as u64).unwrap(), whole, "{text:?}");
        }
        let long = format!("{}\n{}", "a".repeat(5000), "b".repeat(9000));
        fs::write(&path, &long).unwrap();
        assert_eq!(whole_lines(&mut File::open(&path).unwrap(), long.len() as u64).unwrap(), 5001);
    }
}
