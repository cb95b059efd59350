//! Opening the journal after whatever happened to it.
//!
//! Only the newest segment is read, from its header on. One more is read back for each header that is damaged, and for a segment that
//! still has its first name (the machine went down before what precedes it was synced). What is damaged is copied to `damaged/`
//! and reported to the byte; a torn end is cut off; after either, a fresh segment is begun, so that nothing is reported twice.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::disk::Disk;
use super::error::StoreError;
use super::journal::State;
use super::reading::Reading;
use super::segment::{self, FORMAT, Header, HeaderRead, Position};

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
    let recent_floor = recent_floor.unwrap_or(0);
    Ok(Recovered { state, last_end, damage, missing, recent, recent_floor, late })
}

/// The standard library seeds this hasher at random.
pub(super) fn new_identity() -> u64 {
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
    // The folders themselves must survive a power cut too.
    for dir in setting.dir.ancestors().skip(1).take(2).filter(|dir| !dir.as_os_str().is_empty()) {
        setting.disk.sync_dir(dir).map_err(|e| StoreError::io("sync", dir, e))?;
    }
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

/// Of each segment, its header and where the first frame starts, if the header is whole.
type Headers = VecDeque<Option<(Header, u32)>>;

/// Index of the newest segment whose header stands for everything before it, and the headers from there on.
fn trusted_start(setting: &Setting<'_>, segments: &[(u32, bool)]) -> Result<(usize, Headers), StoreError> {
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

pub(super) fn begin_segment(setting: &Setting<'_>, number: u32, header: &Header) -> Result<State, StoreError> {
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

/// The kernel's boot id: another one after each start of the machine. Empty if it cannot be read, which counts as a power cut.
pub(crate) fn boot_id() -> Arc<str> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().into()
}
