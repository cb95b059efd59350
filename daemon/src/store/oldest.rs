//! The journal's oldest file, looked at and removed as a whole: how records end. Nothing is ever cut out of a file.

use std::fs;

use jiff::Timestamp;
use stages::inspection::Inspection;

use super::gone::Gone;
use super::index::IndexState;
use super::query::VerdictKind;
use super::row::{Row, verdict_of};
use super::segment;
use super::{Store, StoreError};

/// Files that stay in any case: the one that is written, and two before it, so that a start has a header to trust.
const STAY: usize = 3;

/// A record, as far as its age and verdict go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// The part.
    pub id: u64,
    /// When it was triggered.
    pub at: Timestamp,
    /// The answer.
    pub verdict: VerdictKind,
}

impl Glance {
    fn of(row: &Row) -> Option<Glance> {
        let at = Timestamp::from_microsecond(row.at_us).ok()?;
        Some(Glance { id: row.id, at, verdict: verdict_of(row.verdict)?.into() })
    }
}

/// The journal's oldest file, and the records that would go with it.
#[derive(Debug, Clone)]
pub struct OldestFile {
    /// Its number.
    pub number: u32,
    /// Its size.
    pub bytes: u64,
    /// Its records.
    pub records: Vec<Glance>,
    after: Gone,
}

impl Store {
    /// The journal's oldest file, if it may be removed at all: others follow it, its records are not held in memory, and the index knows
    /// them all.
    ///
    /// # Errors
    /// The journal's folder cannot be read.
    pub fn oldest_file(&self) -> Result<Option<OldestFile>, StoreError> {
        let shared = &self.shared;
        let dir = shared.reader.dir();
        let files = segment::list(dir).map_err(|e| StoreError::io("list", dir, e))?;
        if files.len() < STAY + 1 || shared.index.state(shared.live.floor()) != IndexState::Ready {
            return Ok(None);
        }
        let ((number, _), (next, new)) = (files[0], files[1]);
        let Some(after) = Gone::before(dir, next).filter(|gone| !new && gone.below <= shared.live.floor()) else {
            return Ok(None);
        };
        let now = shared.forgotten.now();
        let mut records = Vec::new();
        let found = shared.index.ask(|trees| {
            trees.each_row(now.low(), after.below, |row| {
                if after.has(row.id) && !now.has(row.id) {
                    records.extend(Glance::of(row));
                }
            })
        });
        let path = segment::path(dir, number);
        let bytes = fs::metadata(&path).map_err(|e| StoreError::io("read", &path, e))?.len();
        Ok(found.map(|()| OldestFile { number, bytes, records, after }))
    }

    /// Removes it. Its records are found no more from here on.
    ///
    /// # Errors
    /// It cannot be removed, or is the oldest no longer: then nothing has changed.
    pub fn remove_oldest(&self, oldest: &OldestFile) -> Result<(), StoreError> {
        let shared = &self.shared;
        let dir = shared.reader.dir();
        let before = shared.forgotten.now();
        // Readers first: whoever asks meanwhile finds a record or none, and no hole.
        shared.forgotten.set(oldest.after.clone());
        let path = segment::path(dir, oldest.number);
        let removed = fs::remove_file(&path);
        if let Err(error) = removed {
            shared.forgotten.set(Gone::clone(&before));
            return Err(StoreError::io("remove", &path, error));
        }
        shared.reader.forget(oldest.number);
        shared.index.forget();
        // Not synced: after a power cut the file may be there again, and is removed again.
        Ok(())
    }

    /// Shows every record that the index knows, by and large the oldest first; false: there is no index, or not all of it.
    pub fn each_glance(&self, mut each: impl FnMut(Glance)) -> bool {
        let shared = &self.shared;
        let gone = shared.forgotten.now();
        let ready = shared.index.state(shared.live.floor()) == IndexState::Ready;
        let shown = ready.then(|| {
            shared.index.ask(|trees| {
                trees.each_row(gone.low(), u64::MAX, |row| {
                    if let Some(glance) = Glance::of(row).filter(|_| !gone.has(row.id)) {
                        each(glance);
                    }
                })
            })
        });
        shown.flatten().is_some()
    }

    /// The trigger of the oldest record, where records before it went by right. None: nothing did.
    pub fn records_since(&self) -> Option<Timestamp> {
        let shared = &self.shared;
        let gone = shared.forgotten.now();
        if gone.below <= 1 {
            return None;
        }
        shared.index.ask(|trees| trees.oldest(&gone))?
    }

    /// Bytes of the journal's files.
    pub fn journal_bytes(&self) -> u64 {
        let dir = self.shared.reader.dir();
        let files = segment::list(dir).unwrap_or_default();
        let size = |number: u32| segment::open(dir, number).and_then(|file| file.metadata()).map_or(0, |it| it.len());
        files.into_iter().map(|(number, _)| size(number)).sum()
    }

    /// Removes a kept picture, by its path as in the record; its size.
    ///
    /// # Errors
    /// It cannot be removed. One that is not there counts as removed, with size 0.
    pub fn remove_picture(&self, id: u64, path: &str) -> Result<u64, StoreError> {
        self.shared.evidence.remove(id, path)
    }

    /// Pictures up to this part may have been let go: what readers are told of one that is not there.
    pub fn pictures_let_go(&self, up_to: u64) {
        self.shared.evidence.let_go(up_to);
    }

    /// Whether the part's picture was kept and let go.
    pub fn has_let_go(&self, part: &Inspection) -> bool {
        part.evidence.is_some() && self.shared.evidence.has_let_go(part.id)
    }

    /// Bytes that are free on the disk of the pictures; none: it cannot be asked.
    pub fn free_bytes(&self) -> Option<u64> {
        super::disk::free_bytes(self.evidence_dir())
    }
}
