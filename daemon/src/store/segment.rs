//! One journal file: its name, its header, and the reader that walks its frames and gets past damage.
//!
//! The header tells what the frames before it would: the next id and the parts open at that point. So the newest segment alone
//! is enough to start from. Its first 20 bytes (magic, version, length, checksum) never change between format versions.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::{FRAME_HEAD, MARKER, MAX_PAYLOAD, checksum};

/// The journal format written here.
pub(crate) const FORMAT: u32 = 1;
const MAGIC: [u8; 8] = *b"INSPDJNL";
const FIXED: usize = 20;
/// Read ahead: large enough to be quick, small enough to be nothing.
const WINDOW: usize = 256 << 10;

/// Where a frame starts: file and byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

impl Position {
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.segment) << 32 | u64::from(self.offset)
    }

    pub(crate) fn unpack(packed: u64) -> Position {
        Position { segment: (packed >> 32) as u32, offset: packed as u32 }
    }
}

/// What is known where a segment begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Drawn when the journal is first made; an index made for another journal is not used.
    pub(crate) journal: u64,
    /// When the segment was begun.
    pub(crate) created_at: Timestamp,
    /// Kernel boot id of the process that began it.
    pub(crate) boot: Arc<str>,
    /// Every id ever opened is below this.
    pub(crate) next_id: u64,
    /// See `Entry::Reserved`.
    pub(crate) reserved: u64,
    /// Parts opened and not yet decided.
    pub(crate) open: Vec<(u64, Timestamp)>,
}

/// What stands at the start of a file.
pub(crate) enum HeaderRead {
    /// The header, and where the first frame starts.
    Good(Header, u32),
    /// Not whole, or not ours.
    Bad,
    /// A later format.
    Newer(u32),
}

impl Header {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        let payload =
            rmp_serde::to_vec_named(self).map_err(|e| format!("the segment header cannot be encoded: {e}"))?;
        let mut bytes = Vec::with_capacity(FIXED + payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&header_crc(FORMAT, &payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        Ok(bytes)
    }

    pub(crate) fn read(file: &File) -> io::Result<HeaderRead> {
        let size = file.metadata()?.len();
        let mut fixed = [0; FIXED];
        if size < FIXED as u64 {
            return Ok(HeaderRead::Bad);
        }
        file.read_exact_at(&mut fixed, 0)?;
        let word = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let (version, length, crc) = (word(8), word(12), word(16));
        let end = FIXED as u64 + u64::from(length);
        if fixed[..8] != MAGIC || length as usize > MAX_PAYLOAD || end > size {
            return Ok(HeaderRead::Bad);
        }
        let mut payload = vec![0; length as usize];
        file.read_exact_at(&mut payload, FIXED as u64)?;
        if header_crc(version, &payload) != crc {
            return Ok(HeaderRead::Bad);
        }
        if version > FORMAT {
            return Ok(HeaderRead::Newer(version));
        }
        Ok(rmp_serde::from_slice(&payload).map_or(HeaderRead::Bad, |header| HeaderRead::Good(header, end as u32)))
    }
}

fn header_crc(version: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&version.to_le_bytes());
    hasher.update(&(payload.len() as u32).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The final name of a segment.
pub(crate) fn path(dir: &Path, segment: u32) -> PathBuf {
    dir.join(format!("{segment:010}.journal"))
}

/// Its name until it and everything before it is synced. Seen at a start, it says: the segment before may lack its end.
pub(crate) fn new_path(dir: &Path, segment: u32) -> PathBuf {
    dir.join(format!("{segment:010}.journal.new"))
}

/// Opens a segment for reading under whichever name it has now.
pub(crate) fn open(dir: &Path, segment: u32) -> io::Result<File> {
    // Looked up twice: it may be renamed between the first and the second look.
    File::open(path(dir, segment))
        .or_else(|_| File::open(new_path(dir, segment)))
        .or_else(|_| File::open(path(dir, segment)))
}

/// Every segment in `dir`, by number; `true` where it still has its first name.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u32, bool)>> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir)? {
        let name = item?.file_name();
        let Some(name) = name.to_str() else { continue };
        let (stem, new) = match name.strip_suffix(".new") {
            Some(stem) => (stem, true),
            None => (name, false),
        };
        if let Some(number) = stem.strip_suffix(".journal").and_then(|n| n.parse().ok()) {
            found.push((number, new));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What a [`Scanner`] finds next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A whole frame.
    Frame { offset: u32, payload: &'a [u8] },
    /// Bytes that are no frame, from here up to the next whole frame, or to the end if `tail`.
    Damage { offset: u32, bytes: u32, tail: bool },
}

/// Walks the frames of one segment.
pub(crate) struct Scanner {
    file: File,
    offset: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Scanner {
    /// Reads `file` from `offset` to `end`.
    pub(crate) fn new(file: File, offset: u32, end: u64) -> Scanner {
        Scanner { file, offset: u64::from(offset), end, window: Vec::new(), window_at: 0 }
    }

    /// Where the next item starts.
    pub(crate) fn offset(&self) -> u32 {
        self.offset as u32
    }

    /// The segment has grown.
    pub(crate) fn extend(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// Reads on to the file's present end; whether that is further than before.
    pub(crate) fn grown(&mut self) -> io::Result<bool> {
        let size = self.file.metadata()?.len();
        let grown = size > self.end;
        self.extend(size);
        Ok(grown)
    }

    /// The next frame or damaged range; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        let at = self.offset;
        if at >= self.end {
            return Ok(None);
        }
        if let Some(length) = self.frame_at(at)? {
            self.offset = at + (FRAME_HEAD + length) as u64;
            let payload = self.bytes(at + FRAME_HEAD as u64, length)?.unwrap_or_default();
            return Ok(Some(Found::Frame { offset: at as u32, payload }));
        }
        let next = self.resync(at + 1)?;
        self.offset = next.unwrap_or(self.end);
        Ok(Some(Found::Damage { offset: at as u32, bytes: (self.offset - at) as u32, tail: next.is_none() }))
    }

    /// The payload's length if a whole frame starts at `at`.
    fn frame_at(&mut self, at: u64) -> io::Result<Option<usize>> {
        let Some(head) = self.bytes(at, FRAME_HEAD)? else { return Ok(None) };
        let (marker, length, crc) = split_head(head);
        let size = u32::from_le_bytes(length) as usize;
        if marker != MARKER || size > MAX_PAYLOAD {
            return Ok(None);
        }
        let Some(payload) = self.bytes(at + FRAME_HEAD as u64, size)? else { return Ok(None) };
        Ok((checksum(length, payload) == crc).then_some(size))
    }

    /// The start of the first whole frame at or after `at`.
    fn resync(&mut self, mut at: u64) -> io::Result<Option<u64>> {
        while at + FRAME_HEAD as u64 <= self.end {
            let look = (self.end - at).min(WINDOW as u64) as usize;
            let Some(bytes) = self.bytes(at, look)? else { return Ok(None) };
            match bytes.windows(MARKER.len()).position(|four| four == MARKER) {
                Some(step) => {
                    at += step as u64;
                    if self.frame_at(at)?.is_some() {
                        return Ok(Some(at));
                    }
                    at += 1;
                }
                // The marker may begin in the last three bytes looked at.
                None => at += (look - (MARKER.len() - 1)) as u64,
            }
        }
        Ok(None)
    }

    /// `length` bytes at `at`; `None` if they reach past the end.
    fn bytes(&mut self, at: u64, length: usize) -> io::Result<Option<&[u8]>> {
        if at + length as u64 > self.end {
            return Ok(None);
        }
        let inside = at >= self.window_at && at + length as u64 <= self.window_at + self.window.len() as u64;
        if !inside {
            let want = (self.end - at).min(WINDOW.max(length) as u64) as usize;
            self.window.resize(want, 0);
            self.window_at = at;
            if let Err(error) = self.file.read_exact_at(&mut self.window, at) {
                self.window.clear();
                return Err(error);
            }
        }
        let from = (at - self.window_at) as usize;
        Ok(Some(&self.window[from..from + length]))
    }
}

/// Marker, length (as stored), checksum.
pub(crate) fn split_head(head: &[u8]) -> ([u8; 4], [u8; 4], u32) {
    let four = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
    (four(0), four(4), u32::from_le_bytes(four(8)))
}
