//! What the segments that a start reads bring together: ids, open parts, damage, the newest records.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::entry::{Brief, MIN_FRAME};
use super::error::StoreError;
use super::journal::State;
use super::recover::{Damage, LastEnd, Setting, begin_segment, new_identity};
use super::segment::{self, Found, Header, Position, Scanner};

/// What reading the segments in order brings together.
pub(super) struct Reading<'a> {
    setting: &'a Setting<'a>,
    identity: u64,
    boot: Option<Arc<str>>,
    open: BTreeMap<u64, Timestamp>,
    next_id: u64,
    reserved: u64,
    closed: bool,
    /// The time of the newest trigger seen: what lost parts are given.
    last_time: Timestamp,
    /// Bytes lost since the last frame that carried an id: only then may a jump in the ids hide parts.
    lost_here: u64,
    pub(super) damage: Vec<Damage>,
    pub(super) recent: VecDeque<(u64, Position)>,
    pub(super) recent_floor: Option<u64>,
    pub(super) late: Vec<(u64, Position)>,
    end: Position,
}

impl<'a> Reading<'a> {
    pub(super) fn new(setting: &'a Setting<'a>) -> Reading<'a> {
        Reading {
            setting,
            identity: 0,
            boot: None,
            open: BTreeMap::new(),
            next_id: 1,
            reserved: 1,
            closed: false,
            last_time: Timestamp::now(),
            lost_here: 0,
            damage: Vec::new(),
            recent: VecDeque::new(),
            recent_floor: None,
            late: Vec::new(),
            end: Position::default(),
        }
    }

    pub(super) fn segment(&mut self, number: u32, last: bool, header: Option<(Header, u32)>) -> Result<(), StoreError> {
        let dir = self.setting.dir;
        let path = if segment::path(dir, number).exists() {
            segment::path(dir, number)
        } else {
            segment::new_path(dir, number)
        };
        let failed = |e| StoreError::io("read", &path, e);
        let first = match header {
            Some((header, first)) => {
                self.header(header);
                first
            }
            // Frames are found behind the damaged header; what is not one of them is reported like any damage.
            None => 0,
        };
        let file = File::open(&path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if u32::try_from(size).is_err() {
            return Err(StoreError::Failed(format!(
                "{} has {size} bytes: not written by inspectd; move it away",
                path.display()
            )));
        }
        let mut scanner = Scanner::new(file, first, size);
        let mut cut = None;
        while let Some(found) = scanner.next().map_err(failed)? {
            match found {
                Found::Frame { offset, payload } => self.frame(Position { segment: number, offset }, payload),
                Found::Damage { offset, bytes, tail } => {
                    self.lost(&path, (u64::from(offset), u64::from(bytes)), tail && last)?;
                    cut = (tail && last).then_some(offset);
                }
            }
        }
        if let Some(offset) = cut {
            let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
            file.set_len(u64::from(offset))
                .and_then(|()| file.sync_all())
                .map_err(|e| StoreError::io("cut the torn end of", &path, e))?;
        }
        self.end = Position { segment: number, offset: cut.unwrap_or(size as u32) };
        Ok(())
    }

    fn header(&mut self, header: Header) {
        self.identity = header.journal;
        self.boot = Some(header.boot);
        self.recent_floor.get_or_insert(header.next_id);
        // What was lost at the end of the segment before: the header knows how far the ids had come.
        self.gap(header.next_id);
        self.next_id = self.next_id.max(header.next_id);
        self.reserved = self.reserved.max(header.reserved);
        self.open.extend(header.open);
        self.lost_here = 0;
        self.closed = false;
    }

    /// Ids between what was seen and `next` whose frames must have been in the bytes just lost are parts without a verdict.
    fn gap(&mut self, next: u64) {
        let hidden = next.saturating_sub(self.next_id);
        if hidden > 0 && hidden <= self.lost_here / MIN_FRAME {
            self.open.extend((self.next_id..next).map(|id| (id, self.last_time)));
        }
    }

    fn frame(&mut self, position: Position, payload: &[u8]) {
        // Checksummed and yet not understood: written by a program that broke its format's promise. Reading it by its
        // position reports it.
        let Ok(entry) = rmp_serde::from_slice::<Brief>(payload) else { return };
        self.closed = matches!(entry, Brief::Closed {});
        match entry {
            Brief::Started { boot, next_id } => {
                self.boot = Some(boot);
                self.next_id = self.next_id.max(next_id);
            }
            Brief::Reserved { below } => self.reserved = self.reserved.max(below),
            Brief::Closed {} => {}
            Brief::Opened { id, at } => {
                self.seen(id);
                self.last_time = at;
                self.open.insert(id, at);
            }
            Brief::Decided(part) => {
                self.seen(part.id);
                self.open.remove(&part.id);
                self.recent.push_back((part.id, position));
                if self.recent.len() > self.setting.keep {
                    let gone = self.recent.pop_front().map_or(0, |(id, _)| id + 1);
                    self.recent_floor = self.recent_floor.max(Some(gone));
                }
            }
            Brief::Late(part) => self.late.push((part.id, position)),
        }
    }

    fn seen(&mut self, id: u64) {
        if id >= self.next_id {
            self.gap(id);
            self.next_id = id + 1;
        }
        self.lost_here = 0;
    }

    fn lost(&mut self, path: &Path, (offset, bytes): (u64, u64), torn_tail: bool) -> Result<(), StoreError> {
        let kept = keep_aside(path, offset, bytes)?;
        self.lost_here += bytes;
        self.damage.push(Damage { path: path.to_owned(), offset, bytes, torn_tail, kept });
        Ok(())
    }

    pub(super) fn last_end(&self) -> LastEnd {
        if self.closed && self.damage.is_empty() {
            LastEnd::Closed
        } else if !self.setting.boot.is_empty() && self.boot.as_ref() == Some(&self.setting.boot) {
            LastEnd::Killed
        } else {
            LastEnd::PowerCut
        }
    }

    pub(super) fn resume(&mut self, last: u32, last_end: LastEnd) -> Result<State, StoreError> {
        let lost: u64 = self.damage.iter().map(|d| d.bytes).sum();
        if last_end == LastEnd::PowerCut || lost > 0 {
            // Ids may have been used whose frames are gone. A lost reservation is covered by the size of what was lost.
            self.next_id = self.next_id.max(self.reserved) + lost / MIN_FRAME;
        }
        if self.identity == 0 {
            // No header was whole. A new identity makes the index be built anew.
            self.identity = new_identity();
        }
        let header = Header {
            journal: self.identity,
            created_at: Timestamp::now(),
            boot: self.setting.boot.clone(),
            next_id: self.next_id,
            reserved: self.reserved.max(self.next_id),
            open: self.open.iter().map(|(id, at)| (*id, *at)).collect(),
        };
        if lost > 0 {
            return begin_segment(self.setting, last + 1, &header);
        }
        let path = segment::path(self.setting.dir, last);
        let file = self.setting.disk.open(&path).map_err(|e| StoreError::io("open", &path, e))?;
        let mut state = State::new(self.identity, self.setting.boot.clone(), file, self.end);
        state.next_id = header.next_id;
        state.reserved = header.reserved;
        state.open = std::mem::take(&mut self.open);
        Ok(state)
    }
}

/// Copies damaged bytes to `damaged/` beside the journal.
fn keep_aside(path: &Path, offset: u64, bytes: u64) -> Result<PathBuf, StoreError> {
    use std::os::unix::fs::FileExt;
    let dir = path.parent().and_then(Path::parent).unwrap_or(Path::new(".")).join("damaged");
    fs::create_dir_all(&dir).map_err(|e| StoreError::io("create", &dir, e))?;
    let stem = path.file_name().and_then(|n| n.to_str()).unwrap_or("journal");
    let kept = dir.join(format!("{stem}-{offset}-{bytes}.bin"));
    let copy = || -> std::io::Result<()> {
        let mut data = vec![0; bytes as usize];
        File::open(path)?.read_exact_at(&mut data, offset)?;
        fs::write(&kept, data)?;
        File::open(&kept)?.sync_all()
    };
    copy().map_err(|e| StoreError::io("keep damaged bytes in", &kept, e))?;
    Ok(kept)
}
