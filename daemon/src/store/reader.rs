//! Reading the journal while it is written: single records by position, and everything from a position on.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::entry::{Entry, FRAME_HEAD, MARKER, MAX_PAYLOAD, checksum};
use super::error::StoreError;
use super::segment::{self, Found, Header, HeaderRead, Position, Scanner, split_head};

/// Files kept open for reading. A query touches few.
const OPEN_FILES: usize = 8;

/// Reads single records.
pub(crate) struct Reader {
    dir: PathBuf,
    files: Mutex<VecDeque<(u32, Arc<File>)>>,
}

impl Reader {
    pub(crate) fn new(dir: PathBuf) -> Reader {
        Reader { dir, files: Mutex::new(VecDeque::new()) }
    }

    /// Where the journal lies.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file was removed: the room that it takes is given back when nobody has it open.
    pub(crate) fn forget(&self, number: u32) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _)| *of != number);
    }

    /// The entry whose frame starts at `position`.
    pub(crate) fn entry(&self, position: Position) -> Result<Entry, StoreError> {
        let damaged = |reason: String| StoreError::Damaged {
            path: segment::path(&self.dir, position.segment),
            offset: u64::from(position.offset),
            reason,
        };
        let file = self.file(position.segment).map_err(|e| damaged(e.to_string()))?;
        let mut head = [0; FRAME_HEAD];
        let at = u64::from(position.offset);
        file.read_exact_at(&mut head, at).map_err(|e| damaged(e.to_string()))?;
        let (marker, length, crc) = split_head(&head);
        let size = u32::from_le_bytes(length) as usize;
        if marker != MARKER || size > MAX_PAYLOAD {
            return Err(damaged("no record starts there".into()));
        }
        let mut payload = vec![0; size];
        file.read_exact_at(&mut payload, at + FRAME_HEAD as u64).map_err(|e| damaged(e.to_string()))?;
        if checksum(length, &payload) != crc {
            return Err(damaged("its checksum does not match".into()));
        }
        rmp_serde::from_slice(&payload).map_err(|e| damaged(format!("not understood: {e}")))
    }

    fn file(&self, number: u32) -> io::Result<Arc<File>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = files.iter().find(|(n, _)| *n == number) {
            return Ok(file.clone());
        }
        let file = Arc::new(segment::open(&self.dir, number)?);
        files.push_front((number, file.clone()));
        files.truncate(OPEN_FILES);
        Ok(file)
    }
}

/// What a [`Follower`] comes across.
pub(crate) enum Step {
    /// An entry, and where its frame starts.
    Entry(Position, Entry),
    /// Bytes that are no entry.
    Damage { bytes: u64 },
}

/// Walks the journal from a position on, across segments, past damage.
pub(crate) struct Follower {
    dir: PathBuf,
    at: Position,
    scanner: Option<Scanner>,
}

impl Follower {
    pub(crate) fn new(dir: &Path, at: Position) -> Follower {
        Follower { dir: dir.to_owned(), at, scanner: None }
    }

    /// Everything before this has been returned.
    pub(crate) fn position(&self) -> Position {
        self.at
    }

    /// The next step before `end`; `None` when there. `end` must be the end of a frame, or of the journal.
    pub(crate) fn next(&mut self, end: Position) -> io::Result<Option<Step>> {
        while self.at < end {
            let limit = if self.at.segment == end.segment { Some(u64::from(end.offset)) } else { None };
            if !self.open(limit)? {
                self.at = Position { segment: self.at.segment + 1, offset: 0 };
                continue;
            }
            let Some(scanner) = &mut self.scanner else { continue };
            let step = match scanner.next()? {
                Some(Found::Frame { offset, payload }) => {
                    let position = Position { segment: self.at.segment, offset };
                    Some(match rmp_serde::from_slice(payload) {
                        Ok(entry) => Step::Entry(position, entry),
                        Err(_) => Step::Damage { bytes: (FRAME_HEAD + payload.len()) as u64 },
                    })
                }
                Some(Found::Damage { bytes, .. }) => Some(Step::Damage { bytes: u64::from(bytes) }),
                None => None,
            };
            let offset = scanner.offset();
            match step {
                Some(step) => {
                    self.at.offset = offset;
                    return Ok(Some(step));
                }
                None if limit.is_some() => {
                    self.at.offset = self.at.offset.max(end.offset);
                    return Ok(None);
                }
                // The segment was live when it was opened and may have grown before it was rolled away from.
                None if scanner.grown()? => {}
                None => {
                    self.scanner = None;
                    self.at = Position { segment: self.at.segment + 1, offset: 0 };
                }
            }
        }
        Ok(None)
    }

    /// Makes sure that the present segment is open up to `limit`, or to its end; `false` if there is no such file.
    fn open(&mut self, limit: Option<u64>) -> io::Result<bool> {
        if self.scanner.is_none() {
            let file = match segment::open(&self.dir, self.at.segment) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
            if self.at.offset == 0 {
                self.at.offset = match Header::read(&file)? {
                    HeaderRead::Good(_, first) => first,
                    HeaderRead::Bad | HeaderRead::Newer(_) => 0,
                };
            }
            let size = file.metadata()?.len();
            self.scanner = Some(Scanner::new(file, self.at.offset, limit.unwrap_or(size)));
        }
        if let (Some(scanner), Some(limit)) = (&mut self.scanner, limit) {
            scanner.extend(limit);
        }
        Ok(true)
    }
}
