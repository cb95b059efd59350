//! The file that the trail lives in, and how an entry gets into it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use super::chain::{Entry, Hash, Line, MAX_LINE_BYTES, line};
use super::head::Head;
use crate::access::{Who, files};

/// Characters of a subject or a reason that are kept.
const MAX_TEXT: usize = 1000;
/// Bytes of `before` and `after` that are kept, as JSON.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// Why nothing was written. The change must not be made then.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The operating system refused.
    #[error("the audit trail `{}` cannot be {what}: {source}; nothing is changed without an entry in it, so mend that first", .path.display())]
    Io {
        /// `read` or `written`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// `before` or `after` is too large for a trail.
    #[error("the audit entry `{0}` is too large: name the thing by its digest instead")]
    TooLarge(&'static str),
}

/// What somebody is about to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    what: &'static str,
    subject: String,
    before: Option<Value>,
    after: Option<Value>,
    reason: Option<String>,
}

impl Deed {
    /// `what` is `noun.verb`, as `alert.acknowledge`; `subject` is what it is done to.
    pub fn new(what: &'static str, subject: impl Into<String>) -> Deed {
        Deed { what, subject: subject.into(), before: None, after: None, reason: None }
    }

    /// What it is now. What cannot be written as JSON is left out.
    #[must_use]
    pub fn before(self, value: impl Serialize) -> Deed {
        Deed { before: serde_json::to_value(value).ok(), ..self }
    }

    /// What it will be.
    #[must_use]
    pub fn after(self, value: impl Serialize) -> Deed {
        Deed { after: serde_json::to_value(value).ok(), ..self }
    }

    /// Why, in the person's words.
    #[must_use]
    pub fn because(self, reason: Option<String>) -> Deed {
        Deed { reason: reason.filter(|reason| !reason.trim().is_empty()), ..self }
    }
}

/// The trail of one state directory.
pub struct Trail {
    path: PathBuf,
    head_path: PathBuf,
    end: Mutex<End>,
}

/// What is known of the file's end. Another process may have written since.
struct End {
    bytes: u64,
    head: Head,
}

/// The trail's file and its head's, below a state directory.
pub(super) fn paths(state: &Path) -> (PathBuf, PathBuf) {
    let dir = state.join("audit");
    (dir.join("trail.jsonl"), dir.join("head"))
}

/// The bytes of a trail; empty if there is none.
///
/// # Errors
/// The file cannot be read.
pub fn read(state: &Path) -> Result<Vec<u8>, AuditError> {
    let (path, _) = paths(state);
    match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|source| AuditError::Io { what: "read", path, source }),
    }
}

impl Trail {
    /// Opens the trail below a state directory, or begins one.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn open(state: &Path) -> Result<Trail, AuditError> {
        let (path, head_path) = paths(state);
        let made = files::private_dir(path.parent().unwrap_or(state)).and_then(|()| files::private(&path, true));
        made.map_err(|source| AuditError::Io { what: "written", path: path.clone(), source })?;
        let trail = Trail { path, head_path, end: Mutex::new(End { bytes: 0, head: Head::EMPTY }) };
        trail.locked(|file, end| trail.catch_up(file, end))?;
        Ok(trail)
    }

    /// Writes down what is about to happen, synced. Waits for the disk: call it where that is allowed. Gives the entry's number.
    ///
    /// # Errors
    /// Nothing was written: the change must not be made.
    pub fn append(&self, who: &Who, deed: Deed) -> Result<u64, AuditError> {
        let what = deed.what;
        let large = |value: &Option<Value>| value.as_ref().is_some_and(|it| it.to_string().len() > MAX_VALUE_BYTES);
        if large(&deed.before) || large(&deed.after) {
            return Err(AuditError::TooLarge(what));
        }
        self.locked(|file, end| {
            self.catch_up(file, end)?;
            let entry = entry(end.head.n.saturating_add(1), who, deed);
            let (bytes, hash) = line(end.head.hash, &entry).map_err(|error| self.io("written", error.into()))?;
            self.write(file, end, &bytes).map_err(|source| self.io("written", source))?;
            end.head = Head { n: entry.n, hash };
            // The entry is safe; a head that lags by one is known for what it is.
            if let Err(error) = end.head.keep(&self.head_path) {
                tracing::error!("the head of the audit trail cannot be kept: {error}");
            }
            tracing::info!(target: "audit", head = %end.head, who = entry.who, "{what} {}", entry.subject);
            Ok(entry.n)
        })
    }

    /// The newest entry's number and hash.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn head(&self) -> Result<Head, AuditError> {
        self.locked(|file, end| self.catch_up(file, end).map(|()| end.head))
    }

    /// Runs `work` while no other thread and no other process writes.
    fn locked<T>(&self, work: impl FnOnce(&mut File, &mut End) -> Result<T, AuditError>) -> Result<T, AuditError> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = files::private(&self.path, true).map_err(|source| self.io("written", source))?;
        file.lock().map_err(|source| self.io("locked", source))?;
        // The lock goes with the file.
        work(&mut file, &mut end)
    }

    fn write(&self, file: &mut File, end: &mut End, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_data()) {
            // Half an entry would be in the way of the next; what cannot be cut off now is cut off when it is found.
            let _ = file.set_len(end.bytes);
            return Err(error);
        }
        if end.bytes == 0 {
            files::sync_dir(&self.path)?;
        }
        end.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Learns the end of the file anew if another process has written.
    fn catch_up(&self, file: &mut File, end: &mut End) -> Result<(), AuditError> {
        let bytes = file.metadata().map_err(|source| self.io("read", source))?.len();
        if bytes == end.bytes {
            return Ok(());
        }
        let tail = tail(file, bytes).map_err(|source| self.io("read", source))?;
        // An entry that a crash cut short was never acknowledged: nothing was changed on its account.
        let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let torn = (tail.len() - whole) as u64;
        if torn > 0 {
            tracing::warn!(
                "the audit trail ends in {torn} bytes of an entry that was never finished; they are cut off"
            );
            file.set_len(bytes - torn).and_then(|()| file.sync_data()).map_err(|source| self.io("written", source))?;
        }
        let last = tail[..whole].strip_suffix(b"\n").unwrap_or_default();
        let last = last.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        *end = match (Line::parse(last), bytes - torn) {
            (_, 0) => End { bytes: 0, head: Head::EMPTY },
            (Some(line), bytes) => End { bytes, head: Head { n: line.entry.n, hash: line.hash } },
            (None, bytes) => End { bytes, head: self.behind_damage(&tail[..whole]) },
        };
        Ok(())
    }

    /// What the next entry follows where the last one cannot be read: the head that is kept beside the trail, else the last entry that can be
    /// read, and the numbers of the lines behind it. Nothing of the file is changed: `inspectd audit verify` names what is damaged.
    fn behind_damage(&self, tail: &[u8]) -> Head {
        let mut readable = Head::EMPTY;
        let mut behind = 0;
        for line in tail.strip_suffix(b"\n").unwrap_or_default().rsplit(|&byte| byte == b'\n') {
            if let Some(line) = Line::parse(line) {
                readable = Head { n: line.entry.n, hash: line.hash };
                break;
            }
            behind += 1;
        }
        let kept = Head::kept(&self.head_path).unwrap_or_default().unwrap_or(Head::EMPTY);
        let n = kept.n.max(readable.n.saturating_add(behind));
        tracing::error!(
            "the last entry of the audit trail `{}` cannot be read; it stays as it is, and the next one is number {}: look with `inspectd audit verify`",
            self.path.display(),
            n.saturating_add(1)
        );
        Head { n, hash: if kept.n >= readable.n { kept.hash } else { readable.hash } }
    }

    fn io(&self, what: &'static str, source: io::Error) -> AuditError {
        AuditError::Io { what, path: self.path.clone(), source }
    }
}

/// The last bytes of the file: two lines at most.
fn tail(file: &mut File, bytes: u64) -> io::Result<Vec<u8>> {
    let from = bytes.saturating_sub(2 * MAX_LINE_BYTES as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(bytes - from).read_to_end(&mut tail)?;
    Ok(tail)
}

fn entry(n: u64, who: &Who, deed: Deed) -> Entry {
    let short = |text: String| text.chars().take(MAX_TEXT).collect::<String>();
    Entry {
        n,
        at: Timestamp::now(),
        who: who.name.to_string(),
        role: who.role,
        via: who.via,
        from: who.from.map(|from| from.to_string()),
        what: deed.what.to_owned(),
        subject: short(deed.subject),
        before: deed.before,
        after: deed.after,
        reason: deed.reason.map(short),
    }
}

impl Trail {
    /// The last entries of which `wanted` is true, newest first, at most `limit`; only those before `before`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn list(
        &self,
        before: Option<u64>,
        limit: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<(Entry, Hash)>, AuditError> {
        let bytes = std::fs::read(&self.path).map_err(|source| self.io("read", source))?;
        let lines = bytes.rsplit(|&byte| byte == b'\n').filter_map(Line::parse);
        let older = lines.filter(|line| before.is_none_or(|before| line.entry.n < before));
        let found = older.filter(|line| wanted(&line.entry)).map(|line| (line.entry, line.hash));
        Ok(found.take(limit).collect())
    }
}
