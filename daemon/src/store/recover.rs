//! Opening the journal after whatever happened to it.
//!
//! Only the newest segment is read, from its header on. One more is read back for each header that is damaged, and for a segment that
//! still has its first name (the machine went down before what precedes it was synced). What is damaged is copied to `damaged/`
//! and reported to the byte; a torn end is cut off; after either, a fresh segment is begun, so that nothing is reported twice.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::disk::Disk;
use super::entry::{Brief, MIN_FRAME};
use super::error::StoreError;
use super::journal::State;
use super::segment::{self, FORMAT, Found, Header, HeaderRead, Position, Scanner};

/// How the process before this one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastEnd {
    /// There was none.
    First,
    /// In order.
    Closed,
    /// It was killed or crashed; everything it had written was still there.
    Killed,
    /// The machine went down: what was not acknowledged may be gone. Ids go on after every one that may have been used.
    PowerCut,
}

/// A range of the journal that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The journal file.
    pub path: PathBuf,
    /// First byte.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
    /// It was the end of the file and has been cut off.
    pub torn_tail: bool,
    /// Where the bytes are kept.
    pub kept: PathBuf,
}

/// The journal, ready to go on, and what was found.
pub(crate) struct Recovered {
    pub(crate) state: State,
    pub(crate) last_end: LastEnd,
    pub(crate) damage: Vec<Damage>,
    pub(crate) missing: Vec<u32>,
    /// The newest decided parts, oldest first: every one with an id at or above `recent_floor`, as far as `keep` allowed.
    pub(crate) recent: VecDeque<(u64, Position)>,
    pub(crate) recent_floor: u64,
    /// Late results of the segments read.
    pub(crate) late: Vec<(u64, Position)>,
}

/// What recovery needs to know.
pub(crate) struct Setting<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) disk: &'a dyn Disk,
    pub(crate) boot: Arc<str>,
    /// How many of `recent` are wanted.
    pub(crate) keep: usize,
}

/// Opens the journal in `setting.dir`, which exists.
pub(crate) fn recover(setting: &Setting<'_>) -> Result<Recovered, StoreError> {
    let io = |what: &'static str, path: &Path| {
        let path = path.to_owned();
        move |e| StoreError::io(what, &path, e)
    };
    let mut segments = segment::list(setting.dir).map_err(io("list", setting.dir))?;
    let mut found = Reading::new(setting);
    drop_stillborn(setting, &mut segments)?;
    let Some(&(last, _)) = segments.last() else { return first_start(setting) };
    let missing = (segments[0].0..=last).filter(|n| segments.iter().all(|(m, _)| m != n)).collect();

    let (start, headers) = trusted_start(setting, &segments)?;
    for (&(number, _), header) in segments[start..].iter().zip(headers) {
        found.segment(number, number == last, header)?;
    }
    for &(number, new) in &segments[start..] {
        settle(setting, number, new)?;
    }

    let last_end = found.last_end();
    let state = found.resume(last, last_end)?;
    let Reading { damage, recent, recent_floor, late, .. } = found;
    Ok(Recovered { state, last_end, damage, missing, recent, recent_floor: recent_floor.unwrap_or(0), late })
}

/// The standard library seeds this hasher at random.
fn new_identity() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish().max(1)
}

/// A segment created in the instant before a crash: its name, and nothing in it.
fn drop_stillborn(setting: &Setting<'_>, segments: &mut Vec<(u32, bool)>) -> Result<(), StoreError> {
    while let Some(&(number, new)) = segments.last() {
        let path = name(setting.dir, number, new);
        if fs::metadata(&path).map_err(|e| StoreError::io("read", &path, e))?.len() > 0 {
            break;
        }
        fs::remove_file(&path).map_err(|e| StoreError::io("remove the empty", &path, e))?;
        segments.pop();
    }
    Ok(())
}

fn first_start(setting: &Setting<'_>) -> Result<Recovered, StoreError> {
    let origin = Header {
        journal: new_identity(),
        created_at: Timestamp::now(),
        boot: setting.boot.clone(),
        next_id: 1,
        reserved: 1,
        open: Vec::new(),
    };
    let state = begin_segment(setting, 1, &origin)?;
    Ok(Recovered {
        state,
        last_end: LastEnd::First,
        damage: Vec::new(),
        missing: Vec::new(),
        recent: VecDeque::new(),
        recent_floor: 1,
        late: Vec::new(),
    })
}

/// Index of the newest segment whose header stands for everything before it, and the headers from there on.
fn trusted_start(
    setting: &Setting<'_>,
    segments: &[(u32, bool)],
) -> Result<(usize, VecDeque<Option<(Header, u32)>>), StoreError> {
    let mut headers = VecDeque::new();
    for (index, &(number, new)) in segments.iter().enumerate().rev() {
        let path = name(setting.dir, number, new);
        let read = File::open(&path).and_then(|file| Header::read(&file));
        match read.map_err(|e| StoreError::io("read", &path, e))? {
            HeaderRead::Newer(found) => return Err(StoreError::NewerFormat { path, found, known: FORMAT }),
            HeaderRead::Bad => headers.push_front(None),
            HeaderRead::Good(header, first) => {
                headers.push_front(Some((header, first)));
                if !new {
                    return Ok((index, headers));
                }
            }
        }
    }
    Ok((0, headers))
}

/// Gives a segment its final name, once it and what precedes it is on the medium.
fn settle(setting: &Setting<'_>, number: u32, new: bool) -> Result<(), StoreError> {
    let path = name(setting.dir, number, new);
    let done = setting.disk.open(&path).and_then(|file| file.sync()).and_then(|()| {
        if new {
            fs::rename(&path, segment::path(setting.dir, number))?;
        }
        setting.disk.sync_dir(setting.dir)
    });
    done.map_err(|e| StoreError::io("sync", &path, e))
}

fn begin_segment(setting: &Setting<'_>, number: u32, header: &Header) -> Result<State, StoreError> {
    let path = segment::path(setting.dir, number);
    let bytes = header.encode().map_err(StoreError::Failed)?;
    let made = setting.disk.create(&path).and_then(|file| {
        file.write_all_at(&bytes, 0)?;
        file.sync()?;
        setting.disk.sync_dir(setting.dir)?;
        Ok(file)
    });
    let file = made.map_err(|e| StoreError::io("create", &path, e))?;
    let end = Position { segment: number, offset: bytes.len() as u32 };
    let mut state = State::new(header.journal, setting.boot.clone(), file, end);
    state.next_id = header.next_id;
    state.reserved = header.reserved;
    state.open = header.open.iter().copied().collect();
    Ok(state)
}

fn name(dir: &Path, number: u32, new: bool) -> PathBuf {
    if new { segment::new_path(dir, number) } else { segment::path(dir, number) }
}

/// What reading the segments in order brings together.
struct Reading<'a> {
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
    damage: Vec<Damage>,
    recent: VecDeque<(u64, Position)>,
    recent_floor: Option<u64>,
    late: Vec<(u64, Position)>,
    end: Position,
}

impl<'a> Reading<'a> {
    fn new(setting: &'a Setting<'a>) -> Reading<'a> {
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

    fn segment(&mut self, number: u32, last: bool, header: Option<(Header, u32)>) -> Result<(), StoreError> {
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
            Brief::Started { boot } => self.boot = Some(boot),
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

    fn last_end(&self) -> LastEnd {
        if self.closed && self.damage.is_empty() {
            LastEnd::Closed
        } else if !self.setting.boot.is_empty() && self.boot.as_ref() == Some(&self.setting.boot) {
            LastEnd::Killed
        } else {
            LastEnd::PowerCut
        }
    }

    fn resume(&mut self, last: u32, last_end: LastEnd) -> Result<State, StoreError> {
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

/// The kernel's boot id: another one after each start of the machine. Empty if it cannot be read, which counts as a power cut.
pub(crate) fn boot_id() -> Arc<str> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().into()
}
