//! The journal while it is written: the truth that everything else is rebuilt from.
//!
//! Appending is one `write` under a short lock, so the capture thread may do it. One other thread syncs: it takes what waits for
//! acknowledgement, lets go of the lock, calls `fdatasync`, and only then acknowledges, so that one sync serves everything written
//! before it began. After an error of either kind nothing is appended or acknowledged any more: `fdatasync` reports a lost write
//! only once, and a half-written frame must stay the last thing in the file. The next start cuts it off.
//!
//! A disk that is full is no such error. Behind its end each file keeps room of its own, which nobody else can take, so that records go on being kept
//! while the disk is full; when even that is used up, the half frame is cut off at once, what asked for it is refused, and the next append tries anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use stages::inspection::Inspection;

use super::disk::{Disk, JournalFile, is_full};
use super::entry::{Entry, LateRecord, encode};
use super::error::advice;
use super::segment::{self, Header, Position};

/// Ids are reserved in blocks of this many.
pub(crate) const RESERVE: u64 = 4096;
/// Records that may wait for their sync; then `decided` waits, and with it the record thread, never the capture thread.
const MAX_PENDING: usize = 4096;
/// An `Opened` alone does not hurry: the record that follows shares its sync.
const OPENED_WAITS: Duration = Duration::from_millis(20);
/// Where there was no room, it is asked for again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// What becomes visible once it is synced.
#[derive(Debug, Clone)]
pub(crate) enum Ack {
    Decided(Arc<Inspection>),
    Late(Arc<LateRecord>),
}

/// One group commit.
pub(crate) struct Round {
    /// In the order in which they were appended.
    pub(crate) acks: Vec<Ack>,
    /// Everything before this is on the medium.
    pub(crate) end: Position,
}

/// The open journal.
pub(crate) struct Journal {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    segment_bytes: u32,
    /// Room that is kept behind the end.
    reserve_bytes: u32,
    state: Mutex<State>,
    /// Something was appended, or the journal closes.
    work: Condvar,
    /// Waiting records were taken, or the journal failed.
    room: Condvar,
}

/// Where the journal stands; recovery makes it, appending moves it on.
pub(crate) struct State {
    pub(crate) identity: u64,
    pub(crate) boot: Arc<str>,
    pub(crate) file: Arc<dyn JournalFile>,
    /// Where the next frame goes.
    pub(crate) end: Position,
    pub(crate) open: BTreeMap<u64, Timestamp>,
    pub(crate) next_id: u64,
    pub(crate) reserved: u64,
    pending: Vec<Ack>,
    dirty_since: Option<Instant>,
    /// Segments rolled away from, not yet synced; with the number of the one that still has its first name.
    rolled: Option<Rolled>,
    /// Room is kept for the present file up to here.
    room_to: u64,
    /// There was no room at this time: neither for a new file nor to be kept.
    no_room: Option<Instant>,
    /// Why nothing can be kept at this moment: the disk is full.
    full: Option<Arc<str>>,
    /// The same of before there was room again, until somebody asks.
    was_full: Option<Arc<str>>,
    failed: Option<Arc<str>>,
    closing: bool,
}

/// A file that is full.
struct Rolled {
    file: Arc<dyn JournalFile>,
    end: u32,
    /// The number of its follower.
    next: u32,
}

impl State {
    pub(crate) fn new(identity: u64, boot: Arc<str>, file: Arc<dyn JournalFile>, end: Position) -> State {
        State {
            identity,
            boot,
            file,
            end,
            open: BTreeMap::new(),
            next_id: 1,
            reserved: 1,
            pending: Vec::new(),
            dirty_since: None,
            rolled: None,
            room_to: 0,
            no_room: None,
            full: None,
            was_full: None,
            failed: None,
            closing: false,
        }
    }

    fn room_again(&mut self) {
        if let Some(reason) = self.full.take() {
            tracing::warn!("there is room on the disk again: records are kept");
            self.was_full = Some(reason);
        }
    }

    fn waits_for_room(&self) -> bool {
        self.no_room.is_some_and(|since| since.elapsed() < ASK_AGAIN)
    }

    pub(crate) fn header(&self) -> Header {
        Header {
            journal: self.identity,
            created_at: Timestamp::now(),
            boot: self.boot.clone(),
            next_id: self.next_id,
            reserved: self.reserved,
            open: self.open.iter().map(|(id, at)| (*id, *at)).collect(),
        }
    }
}

impl Journal {
    pub(crate) fn new(
        dir: PathBuf,
        disk: Arc<dyn Disk>,
        (segment_bytes, reserve_bytes): (u32, u32),
        state: State,
    ) -> Journal {
        let (work, room) = (Condvar::new(), Condvar::new());
        Journal { dir, disk, segment_bytes, reserve_bytes, state: Mutex::new(state), work, room }
    }

    /// Every id ever opened is below this.
    pub(crate) fn next_id(&self) -> u64 {
        self.lock().next_id
    }

    /// Parts opened and not decided.
    pub(crate) fn open_parts(&self) -> usize {
        self.lock().open.len()
    }

    /// Records that wait for their sync.
    pub(crate) fn pending(&self) -> usize {
        self.lock().pending.len()
    }

    /// Whether something was appended that no sync has taken up yet.
    pub(crate) fn unsynced(&self) -> bool {
        self.lock().dirty_since.is_some()
    }

    /// Why nothing is kept any more, if so.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.lock().failed.clone()
    }

    /// Why nothing can be kept until there is room on the disk, if so.
    pub(crate) fn full(&self) -> Option<Arc<str>> {
        self.lock().full.clone()
    }

    /// Looks for room, where there was none; gives, once, what was said of it before there was some again.
    pub(crate) fn room_again(&self) -> Option<Arc<str>> {
        if self.full().is_some() {
            self.keep_room();
        }
        let mut state = self.lock();
        if state.full.is_none() { state.was_full.take() } else { None }
    }

    /// Keeps room behind the end again, where some of it has been used. Called by the syncing thread, and by who waits for a full disk to have room.
    pub(crate) fn keep_room(&self) {
        let reserve = u64::from(self.reserve_bytes);
        let (file, segment, wanted) = {
            let state = self.lock();
            let end = u64::from(state.end.offset);
            let enough = state.room_to >= end + reserve - reserve / 4 && state.full.is_none();
            if enough || reserve == 0 || state.failed.is_some() || state.waits_for_room() {
                return;
            }
            (state.file.clone(), state.end.segment, end + reserve)
        };
        let kept = file.reserve(wanted);
        let mut state = self.lock();
        match kept {
            Ok(()) if state.end.segment == segment => {
                (state.room_to, state.no_room) = (wanted, None);
                state.room_again();
            }
            Ok(()) => {}
            Err(error) if is_full(&error) => state.no_room = Some(Instant::now()),
            // The file system keeps no room: it is not asked again for this file.
            Err(_) => state.room_to = u64::MAX,
        }
    }

    /// A process took over.
    pub(crate) fn started(&self) -> Result<(), String> {
        let mut state = self.lock();
        let (boot, program, next_id) = (state.boot.clone(), env!("CARGO_PKG_VERSION").into(), state.next_id);
        self.append(&mut state, &Entry::Started { boot, at: Timestamp::now(), program, next_id })?;
        // Synced with the start: the first ids used in this life are reserved before they are used, too.
        self.reserve_for(&mut state, next_id)
    }

    /// A trigger came. Never waits for the disk's medium.
    pub(crate) fn opened(&self, id: u64, at: Timestamp) -> Result<(), String> {
        let mut state = self.lock();
        if id < state.next_id {
            return Err(format!("part id {id} was used before: the next free one is {}", state.next_id));
        }
        self.reserve_for(&mut state, id)?;
        self.append(&mut state, &Entry::Opened { id, at })?;
        state.next_id = id + 1;
        state.open.insert(id, at);
        self.work.notify_one();
        Ok(())
    }

    /// Reserves the next block of ids half a block ahead of need, so that its sync has long happened when it is entered.
    fn reserve_for(&self, state: &mut State, id: u64) -> Result<(), String> {
        if id + RESERVE / 2 >= state.reserved {
            let below = id + RESERVE;
            self.append(state, &Entry::Reserved { below })?;
            state.reserved = below;
        }
        Ok(())
    }

    /// A part is decided. Waits while too many records wait for their sync.
    pub(crate) fn decided(&self, inspection: Arc<Inspection>) -> Result<(), String> {
        let id = inspection.id;
        let entry = Entry::Decided(inspection.clone());
        let mut state = self.append_acked(&entry, Ack::Decided(inspection))?;
        state.open.remove(&id);
        state.next_id = state.next_id.max(id + 1);
        Ok(())
    }

    /// A result came after its part's verdict.
    pub(crate) fn late(&self, late: Arc<LateRecord>) -> Result<(), String> {
        self.append_acked(&Entry::Late(late.clone()), Ack::Late(late)).map(|_| ())
    }

    fn append_acked(&self, entry: &Entry, ack: Ack) -> Result<MutexGuard<'_, State>, String> {
        let frame = encode(entry)?;
        let mut state = self.lock();
        while state.pending.len() >= MAX_PENDING && state.failed.is_none() && !state.closing {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.append_frame(&mut state, &frame)?;
        state.pending.push(ack);
        self.work.notify_one();
        Ok(state)
    }

    fn append(&self, state: &mut State, entry: &Entry) -> Result<(), String> {
        self.append_frame(state, &encode(entry)?)
    }

    fn append_frame(&self, state: &mut State, frame: &[u8]) -> Result<(), String> {
        if let Some(reason) = &state.failed {
            return Err(reason.to_string());
        }
        if state.closing {
            return Err("the store is closed".into());
        }
        let offset = state.end.offset;
        let Some(end) = u32::try_from(frame.len()).ok().and_then(|length| offset.checked_add(length)) else {
            return Err(self.fail(state, "grow", &std::io::Error::other("the file has reached 4 GiB")));
        };
        if let Err(error) = state.file.write_all_at(frame, u64::from(offset)) {
            if is_full(&error) && state.file.cut(u64::from(offset)).is_ok() {
                return Err(self.refuse(state, &error));
            }
            return Err(self.fail(state, "write to", &error));
        }
        // A small frame may find room where a large one does not: where room can be kept, only that says that there is some.
        if self.reserve_bytes == 0 || state.room_to == u64::MAX {
            state.room_again();
        }
        state.end.offset = end;
        state.dirty_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// There is no room for this frame. Whoever asked for it is told; whatever was accepted before is kept all the same.
    fn refuse(&self, state: &mut State, error: &std::io::Error) -> String {
        let path = segment::path(&self.dir, state.end.segment);
        let reason = format!("cannot write to journal {}: {error}; free space on the disk", path.display());
        if state.full.is_none() {
            tracing::error!("{reason}; no record is kept until then");
        }
        state.full = Some(reason.as_str().into());
        // Cutting gave back what was kept.
        state.room_to = 0;
        reason
    }

    /// The end of this journal's writing life.
    fn fail(&self, state: &mut State, what: &str, error: &std::io::Error) -> String {
        let path = segment::path(&self.dir, state.end.segment);
        let reason = format!("cannot {what} journal {}: {error}; {}", path.display(), advice(error));
        tracing::error!("{reason}; no record is acknowledged from here on");
        state.failed = Some(reason.as_str().into());
        state.pending.clear();
        self.work.notify_all();
        self.room.notify_all();
        reason
    }

    /// Waits for something to sync, syncs it, and returns what may be acknowledged. `Ok(None)`: closed, all is synced.
    ///
    /// # Errors
    /// The journal has failed: call no more.
    pub(crate) fn sync_round(&self) -> Result<Option<Round>, String> {
        let mut state = self.lock();
        loop {
            if let Some(reason) = &state.failed {
                return Err(reason.to_string());
            }
            match state.dirty_since {
                None if state.closing => return Ok(None),
                None => state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(since) => {
                    let waited = since.elapsed();
                    if !state.pending.is_empty() || state.closing || waited >= OPENED_WAITS {
                        break;
                    }
                    let rest = OPENED_WAITS - waited;
                    state = self.work.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        self.sync(state).map(Some)
    }

    fn sync(&self, mut state: MutexGuard<'_, State>) -> Result<Round, String> {
        let round = Round { acks: std::mem::take(&mut state.pending), end: state.end };
        let rolled = state.rolled.take();
        let file = state.file.clone();
        state.dirty_since = None;
        drop(state);
        self.room.notify_all();
        let synced = sync_in_order(&*self.disk, &self.dir, rolled, &*file);
        let mut state = self.lock();
        if let Err(error) = synced {
            return Err(self.fail(&mut state, "sync", &error));
        }
        // An append may have failed meanwhile: what was promised to end there ends there.
        match &state.failed {
            Some(reason) => Err(reason.to_string()),
            None => Ok(round),
        }
    }

    /// Begins a new segment if the present one is full. Called by the syncing thread, so that no other ever creates a file.
    pub(crate) fn roll_if_full(&self) -> Result<(), String> {
        let next = {
            let state = self.lock();
            let full = state.end.offset >= self.segment_bytes;
            // Once it closes, `Closed` stays the last thing in the last segment: the next start looks for it there.
            if !full || state.failed.is_some() || state.rolled.is_some() || state.closing || state.waits_for_room() {
                return Ok(());
            }
            state.end.segment + 1
        };
        let path = segment::new_path(&self.dir, next);
        let created = self.disk.create(&path);
        // Without room of its own for the new file, the present one goes on: it has some.
        let room = created.as_ref().map_or(Ok(()), |file| file.reserve(u64::from(self.reserve_bytes)));
        if created.as_ref().err().or(room.as_ref().err()).is_some_and(is_full) {
            if created.is_ok() {
                std::fs::remove_file(&path).map_err(|e| self.fail(&mut self.lock(), "take back a new file of", &e))?;
            }
            self.lock().no_room = Some(Instant::now());
            return Ok(());
        }
        let mut state = self.lock();
        let file = created.map_err(|e| self.fail(&mut state, "begin a new file of", &e))?;
        if state.closing {
            return std::fs::remove_file(&path).map_err(|e| self.fail(&mut state, "take back a new file of", &e));
        }
        let header = state.header().encode()?;
        file.write_all_at(&header, 0).map_err(|e| self.fail(&mut state, "begin a new file of", &e))?;
        let old = std::mem::replace(&mut state.file, file);
        state.rolled = Some(Rolled { file: old, end: state.end.offset, next });
        state.room_to = if room.is_ok() { u64::from(self.reserve_bytes) } else { u64::MAX };
        state.end = Position { segment: next, offset: header.len() as u32 };
        state.dirty_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Says that the process ends in order; the syncing thread then comes to its end.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if !state.closing {
            // On an error the reason is kept in `failed`; the next start treats the end as a crash.
            let _ = self.append(&mut state, &Entry::Closed { at: Timestamp::now() });
            state.closing = true;
        }
        self.work.notify_all();
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The old segment is on the medium before the new one gets its final name: a start that sees the final name may trust that
/// nothing before it is missing.
fn sync_in_order(disk: &dyn Disk, dir: &Path, rolled: Option<Rolled>, file: &dyn JournalFile) -> std::io::Result<()> {
    let Some(Rolled { file: old, end, next }) = rolled else { return file.sync() };
    // Only to give back the room that it kept; nothing stands there.
    let _ = old.cut(u64::from(end));
    old.sync()?;
    file.sync()?;
    std::fs::rename(segment::new_path(dir, next), segment::path(dir, next))?;
    disk.sync_dir(dir)
}
