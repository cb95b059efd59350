//! Reading a whole journal without opening the store: beside a running line, or from a copy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use stages::inspection::Inspection;

use super::entry::{Entry, LateRecord};
use super::error::StoreError;
use super::reader::{Follower, Step};
use super::segment::{self, Position};

/// One thing on record.
#[derive(Debug, Clone)]
pub enum Exported {
    /// A decided part.
    Inspection(Arc<Inspection>),
    /// A result that came after its part's verdict; its inspection came before.
    Late(Arc<LateRecord>),
}

/// Everything on record, in the order in which it was written.
pub struct Export {
    follower: Follower,
    dir: PathBuf,
    end: Position,
    file: u32,
    damaged_bytes: u64,
}

/// Reads the journal in the state directory `dir`, up to where it ends now. Takes no lock and changes nothing.
///
/// # Errors
/// There is no journal, or it cannot be read.
pub fn export(dir: &Path) -> Result<Export, StoreError> {
    let dir = dir.join("journal");
    let failed = |e| StoreError::io("read the journal in", &dir, e);
    let segments = segment::list(&dir).map_err(failed)?;
    let first = segments.first().map_or(1, |(number, _)| *number);
    let end = match segments.last() {
        Some(&(number, _)) => {
            let size = segment::open(&dir, number).and_then(|f| f.metadata()).map_err(failed)?.len();
            Position { segment: number, offset: u32::try_from(size).unwrap_or(u32::MAX) }
        }
        None => Position { segment: first, offset: 0 },
    };
    let follower = Follower::new(&dir, Position { segment: first, offset: 0 });
    Ok(Export { follower, dir, end, file: first, damaged_bytes: 0 })
}

/// The same of the two newest files alone.
///
/// # Errors
/// As [`export`].
pub fn export_newest(dir: &Path) -> Result<Export, StoreError> {
    let export = export(dir)?;
    let last = export.end.segment;
    export_files(dir, last.saturating_sub(1).max(export.file), last)
}

/// The same of the journal's files `first` to `last`.
///
/// # Errors
/// As [`export`].
pub fn export_files(dir: &Path, first: u32, last: u32) -> Result<Export, StoreError> {
    let mut export = export(dir)?;
    let end = Position { segment: last.saturating_add(1), offset: 0 };
    export.follower = Follower::new(&export.dir, Position { segment: first, offset: 0 });
    export.end = export.end.min(end);
    Ok(export)
}

impl Export {
    /// The file that the newest item stood in.
    pub fn file(&self) -> u32 {
        self.file
    }

    /// Bytes passed over so far because they are no records. Beside a running line the last record may be half written.
    pub fn damaged_bytes(&self) -> u64 {
        self.damaged_bytes
    }
}

impl Iterator for Export {
    type Item = Result<Exported, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.follower.next(self.end) {
                Ok(None) => return None,
                Ok(Some(Step::Entry(position, Entry::Decided(inspection)))) => {
                    self.file = position.segment;
                    return Some(Ok(Exported::Inspection(inspection)));
                }
                Ok(Some(Step::Entry(_, Entry::Late(late)))) => return Some(Ok(Exported::Late(late))),
                Ok(Some(Step::Entry(..))) => {}
                Ok(Some(Step::Damage { bytes })) => self.damaged_bytes += bytes,
                Err(error) => {
                    // Not again and again the same: an iterator that has failed is at its end.
                    self.end = Position::default();
                    return Some(Err(StoreError::io("read the journal in", &self.dir, error)));
                }
            }
        }
    }
}
