//! Reading the journal while it is written: single records by position, and everything from a position on.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::entry::{Entry, FRAME_HEAD, MARKER, MAX_PAYLOAD, checksum};
use super::error::StoreError;
use super::segment::{self, Found, Header, HeaderRead, Position, Scanner, split_head};

/// Files kept open for reading. A query touches few.
const OPEN_FILES: usize = 8;
/// Bytes that are read at once: most records are shorter.
const AT_ONCE: usize = 2048;
/// Bytes that the disk is asked for beforehand where records are read one after another. The kernel does so by itself only upwards, and
/// the record is mostly read downwards.
const AHEAD: u64 = 1 << 20;

/// Reads single records.
pub(crate) struct Reader {
    dir: PathBuf,
    files: Mutex<VecDeque<OpenFile>>,
}

struct OpenFile {
    number: u32,
    file: Arc<File>,
    /// Where it was read last, in steps of [`AHEAD`].
    last: u64,
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
        self.files.lock().unwrap_or_else(PoisonError::into_inner).retain(|open| open.number != number);
    }

    /// The entry whose frame starts at `position`.
    pub(crate) fn entry(&self, position: Position) -> Result<Entry, StoreError> {
        let damaged = |reason: String| StoreError::Damaged {
            path: segment::path(&self.dir, position.segment),
            offset: u64::from(position.offset),
            reason,
        };
        let at = u64::from(position.offset);
        let file = self.file(position).map_err(|e| damaged(e.to_string()))?;
        let mut bytes = vec![0; AT_ONCE];
        let here = loop {
            match file.read_at(&mut bytes, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|e| damaged(e.to_string()))?,
            }
        };
        bytes.truncate(here);
        let Some((head, begun)) = bytes.split_first_chunk::<FRAME_HEAD>() else {
            return Err(damaged("the file ends there".into()));
        };
        let (marker, length, crc) = split_head(head);
        let size = u32::from_le_bytes(length) as usize;
        if marker != MARKER || size > MAX_PAYLOAD {
            return Err(damaged("no record starts there".into()));
        }
        let mut payload = begun[..size.min(begun.len())].to_vec();
        let (begun, rest) = (payload.len(), at + (FRAME_HEAD + payload.len()) as u64);
        payload.resize(size, 0);
        file.read_exact_at(&mut payload[begun..], rest).map_err(|e| damaged(e.to_string()))?;
        if checksum(length, &payload) != crc {
            return Err(damaged("its checksum does not match".into()));
        }
        rmp_serde::from_slice(&payload).map_err(|e| damaged(format!("not understood: {e}")))
    }

    /// The file of a position that is read now.
    fn file(&self, at: Position) -> io::Result<Arc<File>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let step = u64::from(at.offset) / AHEAD;
        if let Some(open) = files.iter_mut().find(|open| open.number == at.segment) {
            let last = std::mem::replace(&mut open.last, step);
            let file = open.file.clone();
            drop(files);
            if step.abs_diff(last) == 1 {
                let from = if step > last { step } else { step.saturating_sub(1) };
                let (from, length) = ((from * AHEAD).cast_signed(), 2 * AHEAD.cast_signed());
                let _it_is_only_slower = posix_fadvise(&file, from, length, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
            }
            return Ok(file);
        }
        let file = Arc::new(segment::open(&self.dir, at.segment)?);
        files.push_front(OpenFile { number: at.segment, file: file.clone(), last: step });
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
