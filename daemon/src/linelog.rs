//! A file of things that happened: append-only lines, each with its checksum, synced before it counts. The outbox, the labels and the
//! models' register are each such a file; replaying it in order gives their state.
//!
//! A line is the CRC-32 of its JSON in eight hexadecimal digits, a space, the JSON, a line feed. A damaged line costs itself only: the next one begins after the next line feed. After an error nothing that was
//! written is trusted: the next append writes the whole file anew from memory, beside the old one, and renames it. So does an open that finds
//! damage, which thereby is reported once; the file as it was is kept aside.

use std::fs::{self, File};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::access::files;
use crate::store::{Disk, JournalFile};

/// Files smaller than this are not written anew.
const COMPACT_FROM: u64 = 1 << 20;

/// Why a line was not taken over.
#[derive(Debug, Error)]
pub enum LogError {
    /// The operating system refused something.
    #[error("cannot {what} {path}: {source}; check the disk, then do it again")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("another inspectd has `{0}`: ask it over HTTP, or stop it first")]
    Locked(PathBuf),
    /// What cannot be written down.
    #[error("a line cannot be written down: {0}; this is a fault of the program")]
    Encode(String),
}

impl LogError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> LogError {
        LogError::Io { what, path: path.to_owned(), source }
    }
}

/// The open file.
pub(crate) struct Log<E> {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    file: Arc<dyn JournalFile>,
    end: u64,
    /// Size right after it was last written anew.
    fresh: u64,
    /// An error came up: what the file holds is unknown.
    broken: bool,
    /// Held as long as it is open.
    _lock: File,
    lines: PhantomData<fn(&E)>,
}

/// What the file held.
pub(crate) struct Opened<E> {
    pub(crate) log: Log<E>,
    pub(crate) entries: Vec<E>,
    /// Lines that were no entries, the torn last one apart.
    pub(crate) damaged: usize,
}

impl<E: Serialize + DeserializeOwned + Clone> Log<E> {
    /// Opens or makes the file `name` in `dir`, which is ours as long as this lives.
    pub(crate) fn open(dir: &Path, name: &str, disk: Arc<dyn Disk>) -> Result<Opened<E>, LogError> {
        fs::create_dir_all(dir).map_err(|error| LogError::io("create", dir, error))?;
        let lock = lock(dir)?;
        let path = dir.join(name);
        let named = path.clone();
        let io = |what| {
            let named = &named;
            move |error| LogError::io(what, named, error)
        };
        let mut torn = false;
        let (entries, damaged) = match fs::read(&path) {
            Ok(bytes) => {
                torn = bytes.last().is_some_and(|&last| last != b'\n');
                read(&bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The folder may be new, too: its name is as good as the file's.
                let folders = [Some(dir), dir.parent()];
                let durable = || folders.into_iter().flatten().try_for_each(|folder| disk.sync_dir(folder));
                disk.create(&path).and_then(|_| durable()).map_err(io("create"))?;
                (Vec::new(), 0)
            }
            Err(error) => return Err(io("read")(error)),
        };
        let file = disk.open(&path).map_err(io("open"))?;
        let end = fs::metadata(&path).map_err(io("read"))?.len();
        let mut log = Log { path, disk, file, end, fresh: end, broken: false, _lock: lock, lines: PhantomData };
        if torn || damaged > 0 {
            let aside = files::aside(&log.path);
            let what = if torn { "its last line is cut short" } else { "lines of it are damaged" };
            tracing::warn!("{}: {what} and left out{aside}", log.path.display());
            // An error is no reason not to start: the next append writes it anew again.
            if let Err(error) = log.rewrite(&entries) {
                tracing::error!("{error}");
            }
        }
        Ok(Opened { log, entries, damaged })
    }

    /// Appends. `sync`: returns once everything so far is on the medium. `before` gives all entries of the state before these,
    /// for when the file has to be written anew.
    pub(crate) fn append(
        &mut self,
        entries: &[E],
        sync: bool,
        before: impl FnOnce() -> Vec<E>,
    ) -> Result<(), LogError> {
        if self.broken || self.end > COMPACT_FROM.max(2 * self.fresh) {
            let mut all = before();
            all.extend_from_slice(entries);
            return self.rewrite(&all);
        }
        let bytes = encode(entries)?;
        let done = self.write(&bytes).and_then(|()| if sync { self.file.sync() } else { Ok(()) });
        done.map_err(|error| {
            self.broken = true;
            LogError::io("write", &self.path, error)
        })
    }

    /// Writes everything into a new file, syncs it, and puts it in the old one's place.
    fn rewrite(&mut self, entries: &[E]) -> Result<(), LogError> {
        let bytes = encode(entries)?;
        let fresh = self.path.with_extension("new");
        let replace = || -> io::Result<Arc<dyn JournalFile>> {
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = self.disk.create(&fresh)?;
            file.write_all_at(&bytes, 0)?;
            file.sync()?;
            fs::rename(&fresh, &self.path)?;
            self.disk.sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
            Ok(file)
        };
        match replace() {
            Ok(file) => {
                (self.file, self.end, self.fresh, self.broken) = (file, bytes.len() as u64, bytes.len() as u64, false);
                Ok(())
            }
            Err(error) => {
                self.broken = true;
                Err(LogError::io("write", &fresh, error))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

/// Two processes would write over each other.
fn lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(|error| LogError::io("create", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(LogError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(LogError::io("lock", &path, error)),
    }
}

fn encode<E: Serialize>(entries: &[E]) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(line(entry).map_err(|error| LogError::Encode(error.to_string()))?);
    }
    Ok(bytes)
}

/// Every whole entry, and how many lines were none. The torn line that a kill leaves at the end is no damage.
pub(crate) fn read<E: DeserializeOwned>(bytes: &[u8]) -> (Vec<E>, usize) {
    let (mut entries, mut damaged) = (Vec::new(), 0);
    let mut lines = bytes.split(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        match entry(line) {
            Some(entry) => entries.push(entry),
            None => damaged += usize::from(lines.peek().is_some()),
        }
    }
    (entries, damaged)
}

/// An entry as its line.
pub(crate) fn line<E: Serialize>(entry: &E) -> serde_json::Result<Vec<u8>> {
    let json = serde_json::to_vec(entry)?;
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

/// From a line without its line feed; none: damaged.
pub(crate) fn entry<E: DeserializeOwned>(line: &[u8]) -> Option<E> {
    let (head, json) = line.split_at_checked(9)?;
    let sum = u32::from_str_radix(std::str::from_utf8(head).ok()?.strip_suffix(' ')?, 16).ok()?;
    (crc32fast::hash(json) == sum).then(|| serde_json::from_slice(json).ok()).flatten()
}
