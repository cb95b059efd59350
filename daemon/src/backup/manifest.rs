//! One backup, written down: a line of JSON about it, one for each file, and the SHA-256 of all that in the last line.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::BackupError;
use super::objects::{Digest, PIECE, digest};
use crate::access::files;
use crate::formats::newer;

/// The form written here.
const FORMAT: u32 = 1;

/// About a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    format: u32,
    /// Version of the program that made it.
    pub program: String,
    /// Whatever was acknowledged before this is in it.
    pub began_at: Timestamp,
    /// When it was done.
    pub ended_at: Timestamp,
    /// The newest part with a verdict in it.
    pub newest_part: Option<u64>,
    /// Files in it.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
}

/// A backup of a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// About it, or what is wrong with it.
    pub head: Result<Head, String>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Below the state directory.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) mode: u32,
    /// What the file had when it was read: a file that has the same is not read again.
    pub(super) modified_ns: i128,
    /// Its pieces, in order.
    pub(super) pieces: Vec<Digest>,
}

/// A backup.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manifest {
    pub(super) head: Head,
    pub(super) entries: Vec<Entry>,
}

impl Manifest {
    pub(super) fn new(began_at: Timestamp, newest_part: Option<u64>, entries: Vec<Entry>) -> Manifest {
        let head = Head {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            began_at,
            ended_at: Timestamp::now(),
            newest_part,
            files: entries.len() as u64,
            bytes: entries.iter().map(|entry| entry.size).sum(),
        };
        Manifest { head, entries }
    }

    /// By the path of the file.
    pub(super) fn by_path(&self) -> HashMap<&str, &Entry> {
        self.entries.iter().map(|entry| (entry.path.as_str(), entry)).collect()
    }

    pub(super) fn write(&self, dir: &Path, name: &str) -> Result<(), BackupError> {
        let path = place(dir, name);
        let line = |value: serde_json::Result<String>| value.map_err(std::io::Error::other);
        let text = || -> std::io::Result<String> {
            let mut text = line(serde_json::to_string(&self.head))? + "\n";
            for entry in &self.entries {
                text += &line(serde_json::to_string(entry))?;
                text += "\n";
            }
            let sum = digest(text.as_bytes());
            text += &format!("sha256 {sum}\n");
            Ok(text)
        };
        text().and_then(|text| files::replace(&path, text.as_bytes())).map_err(BackupError::io("write", &path))
    }
}

fn place(dir: &Path, name: &str) -> PathBuf {
    dir.join("backups").join(format!("{name}.backup"))
}

/// Reads a backup's manifest, and refuses one that is not as it was written.
pub(super) fn read(dir: &Path, name: &str) -> Result<Manifest, BackupError> {
    let path = place(dir, name);
    let text = fs::read(&path).map_err(BackupError::io("read", &path))?;
    parse(&text).map_err(|reason| BackupError::Damaged { path, reason })
}

fn parse(text: &[u8]) -> Result<Manifest, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text")?;
    let body = text.strip_suffix('\n').ok_or("it was cut off")?;
    let (body, last) = body.rsplit_once('\n').ok_or("it was cut off")?;
    let body = format!("{body}\n");
    let sum = last.strip_prefix("sha256 ").ok_or("it was cut off")?;
    if digest(body.as_bytes()).to_string() != sum {
        return Err("its checksum does not match".into());
    }
    let mut lines = body.lines();
    let first = lines.next().unwrap_or_default();
    if let Some(why) = newer(first.as_bytes(), FORMAT) {
        return Err(why);
    }
    let head: Head = serde_json::from_str(first).map_err(|_| "its first line is not understood")?;
    let entries: Result<Vec<Entry>, String> = lines.map(entry).collect();
    let entries = entries?;
    if entries.len() as u64 != head.files {
        return Err("it lists another number of files than it says".into());
    }
    Ok(Manifest { head, entries })
}

/// Nothing leads out of the folder that it is put back into, whoever wrote the line.
fn entry(line: &str) -> Result<Entry, String> {
    let entry: Entry = serde_json::from_str(line).map_err(|error| format!("a line is not understood: {error}"))?;
    let inside = Path::new(&entry.path).components().all(|it| matches!(it, std::path::Component::Normal(_)));
    if !inside || entry.path.is_empty() {
        return Err(format!("it names `{}`, which leads out of the state directory", entry.path));
    }
    if entry.size.div_ceil(PIECE as u64) != entry.pieces.len() as u64 {
        return Err(format!("of `{}` size and pieces contradict each other", entry.path));
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str) -> Manifest {
        let entry = Entry { path: path.into(), size: 3, mode: 0o600, modified_ns: 7, pieces: vec![digest(b"abc")] };
        Manifest::new(Timestamp::UNIX_EPOCH, Some(4), vec![entry])
    }

    #[test]
    fn a_manifest_is_what_was_written_or_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("backups")).unwrap();
        let written = manifest("learning/labels.log");
        written.write(dir.path(), "one").unwrap();
        assert_eq!(read(dir.path(), "one").unwrap(), written);
        let path = place(dir.path(), "one");
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(parse(&damaged).is_err(), "byte {at}");
            assert!(parse(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("backups")).unwrap();
        for path in ["../x", "/etc/passwd", "a/../../x", "", "./x", "a/./../b"] {
            manifest(path).write(dir.path(), "bad").unwrap();
            let refused = read(dir.path(), "bad").expect_err(path).to_string();
            assert!(refused.contains("leads out of"), "{path}: {refused}");
        }
    }
}
