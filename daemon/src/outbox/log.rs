//! The outbox's file: append-only lines, each with its checksum, synced before a message counts as taken over.
//!
//! A damaged line costs itself only: the next one begins after the next line feed. After an error nothing that was
//! written is trusted: the next append writes the whole file anew from memory, beside the old one, and renames it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::Entry;
use super::error::OutboxError;
use crate::store::{Disk, JournalFile};

/// Files smaller than this are not written anew.
const COMPACT_FROM: u64 = 1 << 20;

/// The open file.
pub(super) struct Log {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    file: Arc<dyn JournalFile>,
    end: u64,
    /// Size right after it was last written anew.
    fresh: u64,
    /// An error came up: what the file holds is unknown.
    broken: bool,
    /// Held as long as the outbox is open.
    _lock: File,
}

/// What the file held.
pub(super) struct Opened {
    pub(super) log: Log,
    pub(super) entries: Vec<Entry>,
    /// Lines that were no entries, the torn last one apart.
    pub(super) damaged: usize,
}

impl Log {
    /// Opens or makes the file in `dir`.
    pub(super) fn open(dir: &Path, disk: Arc<dyn Disk>) -> Result<Opened, OutboxError> {
        fs::create_dir_all(dir).map_err(|error| OutboxError::io("create", dir, error))?;
        let lock = lock(dir)?;
        let path = dir.join("outbox.log");
        let named = path.clone();
        let io = |what| {
            let named = &named;
            move |error| OutboxError::io(what, named, error)
        };
        let (entries, damaged) = match fs::read(&path) {
            Ok(bytes) => read(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk.create(&path).and_then(|_| disk.sync_dir(dir)).map_err(io("create"))?;
                (Vec::new(), 0)
            }
            Err(error) => return Err(io("read")(error)),
        };
        let file = disk.open(&path).map_err(io("open"))?;
        let end = fs::metadata(&path).map_err(io("read"))?.len();
        let mut log = Log { path, disk, file, end, fresh: end, broken: false, _lock: lock };
        if end > 0 {
            // A torn last line must not swallow the next one.
            log.write(b"\n").map_err(io("write"))?;
        }
        Ok(Opened { log, entries, damaged })
    }

    /// Appends. `sync`: returns once everything so far is on the medium. `before` gives all entries of the state before these,
    /// for when the file has to be written anew.
    pub(super) fn append(
        &mut self,
        entries: &[Entry],
        sync: bool,
        before: impl FnOnce() -> Vec<Entry>,
    ) -> Result<(), OutboxError> {
        if self.broken || self.end > COMPACT_FROM.max(2 * self.fresh) {
            let mut all = before();
            all.extend_from_slice(entries);
            return self.rewrite(&all);
        }
        let bytes = encode(entries)?;
        let done = self.write(&bytes).and_then(|()| if sync { self.file.sync() } else { Ok(()) });
        done.map_err(|error| {
            self.broken = true;
            OutboxError::io("write", &self.path, error)
        })
    }

    /// Writes everything into a new file, syncs it, and puts it in the old one's place.
    fn rewrite(&mut self, entries: &[Entry]) -> Result<(), OutboxError> {
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
                Err(OutboxError::io("write", &fresh, error))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

/// Two processes that deliver from one outbox would send everything twice.
fn lock(dir: &Path) -> Result<File, OutboxError> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(|error| OutboxError::io("create", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(OutboxError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(OutboxError::io("lock", &path, error)),
    }
}

fn encode(entries: &[Entry]) -> Result<Vec<u8>, OutboxError> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(entry.encode().map_err(|error| OutboxError::Encode(error.to_string()))?);
    }
    Ok(bytes)
}

/// Every whole entry, and how many lines were none. The torn line that a kill leaves at the end is no damage.
pub(super) fn read(bytes: &[u8]) -> (Vec<Entry>, usize) {
    let (mut entries, mut damaged) = (Vec::new(), 0);
    let mut lines = bytes.split(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        match Entry::decode(line) {
            Some(entry) => entries.push(entry),
            None => damaged += usize::from(lines.peek().is_some()),
        }
    }
    (entries, damaged)
}
