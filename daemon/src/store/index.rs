//! The index follows the journal: one thread reads what has been acknowledged and adds its keys. A start that finds an index
//! replays only what came after the position it had reached; one that finds none, or a broken one, builds it anew by the same
//! path, while the line runs. Nothing here can fail the journal: sled's errors and panics end in a rebuild, and after several in a row
//! in an index that is off and says so.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use models::retrieval::Retriever;

use super::disk::free_bytes;
use super::entry::Entry;
use super::gone::Forgotten;
use super::query::Progress;
use super::reader::{Follower, Step};
use super::segment::{self, Position};
use super::trees::{Keys, Trees};

/// Entries between two looks at the clock and the stop sign.
const CHUNK: usize = 512;
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// After the disk was full, the index goes on when so much is free.
const ROOM: u64 = 16 << 20;
/// An index that names so many records that are gone, and more than half of all, is built anew.
const LEAST_STALE: u64 = 50_000;
/// Rebuilds in one life of the process before giving up.
const MAX_REBUILDS: u32 = 3;

/// What the index is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexState {
    /// Answers are complete.
    Ready,
    /// Older inspections may be missing from answers.
    Rebuilding(Progress),
    /// Only the newest inspections are found, with the reason and the way out.
    Off(String),
}

pub(crate) struct Index {
    dir: PathBuf,
    journal_dir: PathBuf,
    journal: u64,
    cache_bytes: u64,
    forgotten: Forgotten,
    /// Says where each part lies, for who looks for likeness.
    retriever: Option<Arc<Retriever>>,
    trees: RwLock<Option<Arc<Trees>>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Everything before this may be read.
    acked: Position,
    reached: Position,
    /// One above the highest id indexed by this process.
    below: u64,
    ready: bool,
    off: Option<String>,
    broken: Option<String>,
    stop: bool,
    /// Files of the journal were removed since the hours were counted.
    forget: bool,
    replayed: u64,
    rebuilds: u32,
}

enum Ended {
    Stopped,
    Broken(String),
    /// Nothing is wrong with it, but it is of no use any more: why.
    Stale(&'static str),
}

impl Index {
    pub(crate) fn new(
        dir: PathBuf,
        journal_dir: PathBuf,
        journal: u64,
        cache_bytes: u64,
        forgotten: Forgotten,
        retriever: Option<Arc<Retriever>>,
    ) -> Index {
        Index {
            dir,
            journal_dir,
            journal,
            cache_bytes,
            forgotten,
            retriever,
            trees: RwLock::new(None),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn retriever(&self) -> Option<&Arc<Retriever>> {
        self.retriever.as_ref()
    }

    /// More of the journal may be read.
    pub(crate) fn acknowledged(&self, end: Position) {
        self.lock().acked = end;
        self.changed.notify_all();
    }

    /// Records are gone: the hours are counted without them.
    pub(crate) fn forget(&self) {
        self.lock().forget = true;
        self.changed.notify_all();
    }

    /// The thread comes to its end after the entry at hand.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// Waits until answers are complete, or the index is off, or the time is up.
    pub(crate) fn wait_ready(&self, timeout: Duration) {
        let done = |state: &mut State| !(state.ready && state.reached >= state.acked) && state.off.is_none();
        let _ = self.changed.wait_timeout_while(self.lock(), timeout, done);
    }

    /// Entries read by this process that hold a record; how often the index was built anew.
    pub(crate) fn work_done(&self) -> (u64, u32) {
        let state = self.lock();
        (state.replayed, state.rebuilds)
    }

    /// `floor`: from this id on, answers do not come from the index.
    pub(crate) fn state(&self, floor: u64) -> IndexState {
        let (reached, acked) = {
            let state = self.lock();
            if let Some(reason) = &state.off {
                return IndexState::Off(reason.clone());
            }
            let behind = state.reached < state.acked && state.below < floor;
            if state.ready && !behind {
                return IndexState::Ready;
            }
            (state.reached, state.acked)
        };
        let done_bytes = bytes_before(&self.journal_dir, reached);
        IndexState::Rebuilding(Progress {
            done_bytes,
            total_bytes: bytes_before(&self.journal_dir, acked).max(done_bytes),
        })
    }

    /// Asks the trees; `None` if there are none, or they broke just now (then they are built anew).
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Trees) -> super::trees::Result<T>) -> Option<T> {
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        match guarded(|| question(&trees)) {
            Ok(answer) => Some(answer),
            Err(reason) => {
                self.lock().broken.get_or_insert(reason);
                self.changed.notify_all();
                None
            }
        }
    }

    /// The index thread. `distrust`: what is on disk may not be what was written.
    pub(crate) fn run(&self, distrust: bool) {
        let mut why = distrust.then(|| "the machine went down without a shutdown".to_owned());
        loop {
            if let Some(reason) = &why {
                let rebuilds = {
                    let mut state = self.lock();
                    state.ready = false;
                    state.broken = None;
                    state.rebuilds += 1;
                    state.rebuilds
                };
                *self.trees.write().unwrap_or_else(PoisonError::into_inner) = None;
                let moved = self.move_aside();
                if rebuilds > MAX_REBUILDS || moved.is_err() {
                    self.give_up(reason, moved.err());
                    return;
                }
                tracing::warn!("index {}: {reason}; it is built anew from the journal", self.dir.display());
            }
            match self.follow() {
                Ended::Stopped => return,
                Ended::Stale(reason) => {
                    tracing::info!("index {}: {reason}; it is built anew, while the line runs", self.dir.display());
                    self.lock().ready = false;
                    *self.trees.write().unwrap_or_else(PoisonError::into_inner) = None;
                    why = fs::remove_dir_all(&self.dir).err().map(|error| format!("it cannot be removed: {error}"));
                }
                // Nothing is wrong with what is there: it goes on from it, or is built anew if it cannot.
                Ended::Broken(reason) if self.lacks_room(&reason) => {
                    tracing::error!(
                        "index {}: {reason}; it goes on when there is room on the disk",
                        self.dir.display()
                    );
                    why = None;
                    *self.trees.write().unwrap_or_else(PoisonError::into_inner) = None;
                    if !self.wait_for_room() {
                        return;
                    }
                }
                Ended::Broken(reason) => why = Some(reason),
            }
        }
    }

    /// sled says it in words only, and sometimes with the error that followed.
    fn lacks_room(&self, reason: &str) -> bool {
        let free = free_bytes(self.dir.parent().unwrap_or(Path::new("."))).unwrap_or(u64::MAX);
        reason.contains("os error 28") || free < ROOM / 16
    }

    /// False: the store closes.
    fn wait_for_room(&self) -> bool {
        let mut state = self.lock();
        state.ready = false;
        state.broken = None;
        loop {
            if state.stop {
                return false;
            }
            if free_bytes(self.dir.parent().unwrap_or(Path::new("."))).is_none_or(|free| free >= ROOM) {
                return true;
            }
            state = self.changed.wait_timeout(state, FLUSH_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn give_up(&self, reason: &str, moved: Option<std::io::Error>) {
        let moved = moved.map(|e| format!("; it cannot be moved away: {e}")).unwrap_or_default();
        let dir = self.dir.display();
        let text =
            format!("index {dir}: {reason}{moved}; check the disk, delete {dir}, restart: no record is lost by that");
        tracing::error!("{text}");
        self.lock().off = Some(text);
        self.changed.notify_all();
    }

    /// A broken index is kept once, for whoever wants to know why.
    fn move_aside(&self) -> std::io::Result<()> {
        let aside = self.dir.with_extension("broken");
        let gone = |result: std::io::Result<()>| match result {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        gone(fs::remove_dir_all(&aside))?;
        gone(fs::rename(&self.dir, &aside))
    }

    fn follow(&self) -> Ended {
        let (trees, reached) = match self.open() {
            Ok(opened) => opened,
            Err(ended) => return ended,
        };
        *self.trees.write().unwrap_or_else(PoisonError::into_inner) = Some(trees.clone());
        {
            let mut state = self.lock();
            state.reached = reached;
            state.forget = true;
        }
        let mut follower = Follower::new(&self.journal_dir, reached);
        let mut unflushed = Some(Instant::now());
        loop {
            let (end, stop) = match self.wait(unflushed) {
                Ok(next) => next,
                Err(reason) => return Ended::Broken(reason),
            };
            if std::mem::take(&mut self.lock().forget) {
                match self.without_what_is_gone(&trees) {
                    Ok(false) => {}
                    Ok(true) if stop => {}
                    Ok(true) => return Ended::Stale("most of what it names is no longer kept"),
                    Err(reason) => return Ended::Broken(reason),
                }
            }
            let began = Instant::now();
            if !stop && follower.position() < end {
                if let Err(reason) = self.chunk(&trees, &mut follower, end) {
                    return Ended::Broken(reason);
                }
                unflushed.get_or_insert(began);
                if follower.position() < end && !self.lock().ready {
                    // Far behind: leave a third of the core to the line.
                    std::thread::sleep(began.elapsed() / 2);
                }
            }
            if stop || unflushed.is_some_and(|since| since.elapsed() >= FLUSH_EVERY) {
                let written =
                    guarded(|| trees.flush()).and_then(|()| if stop { guarded(|| trees.sync()) } else { Ok(()) });
                if let Err(reason) = written {
                    return if stop { Ended::Stopped } else { Ended::Broken(reason) };
                }
                unflushed = None;
            }
            if stop {
                *self.trees.write().unwrap_or_else(PoisonError::into_inner) = None;
                return Ended::Stopped;
            }
        }
    }

    /// Takes it out of the hours, where that was not done yet; whether it is the larger part of all.
    fn without_what_is_gone(&self, trees: &Trees) -> Result<bool, String> {
        let gone = self.forgotten.now();
        if guarded(|| trees.from())?.unwrap_or(1) == gone.first.max(1) {
            return Ok(false);
        }
        let (dead, all) = guarded(|| trees.forget(&gone))?;
        Ok(dead >= LEAST_STALE && 2 * dead > all)
    }

    fn open(&self) -> Result<(Arc<Trees>, Position), Ended> {
        let broken = |reason: String| Ended::Broken(reason);
        let opened =
            guarded(|| Trees::open(&self.dir, self.cache_bytes, self.forgotten.clone(), self.retriever.clone()));
        let trees = opened.map_err(broken)?;
        if let Some(reached) = guarded(|| trees.reached(self.journal)).map_err(broken)? {
            if reached <= self.lock().acked {
                return Ok((Arc::new(trees), reached));
            }
            return Err(Ended::Broken("it is ahead of the journal".into()));
        }
        if !guarded(|| trees.is_empty()).map_err(broken)? {
            // After an update, or with another retriever: once, and expected. A copy of it would help nobody.
            return Err(match guarded(|| trees.is_of(self.journal)).map_err(broken)? {
                true => Ended::Stale("it was made by another version, or with another retriever"),
                false => Ended::Broken("it was made for another journal".into()),
            });
        }
        guarded(|| trees.claim(self.journal)).map_err(broken)?;
        let listed = segment::list(&self.journal_dir).map_err(|error| broken(error.to_string()))?;
        Ok((Arc::new(trees), Position { segment: listed.first().map_or(1, |(number, _)| *number), offset: 0 }))
    }

    /// Waits for work, for the next flush, or for the end.
    fn wait(&self, unflushed: Option<Instant>) -> Result<(Position, bool), String> {
        let mut state = self.lock();
        loop {
            if let Some(reason) = state.broken.take() {
                return Err(reason);
            }
            if state.reached >= state.acked && !state.ready {
                state.ready = true;
                self.changed.notify_all();
            }
            if state.forget {
                return Ok((state.acked, state.stop));
            }
            let due = unflushed.map(|since| FLUSH_EVERY.saturating_sub(since.elapsed()));
            if state.stop || state.reached < state.acked || due.is_some_and(|due| due.is_zero()) {
                return Ok((state.acked, state.stop));
            }
            state = match due {
                Some(due) => self.changed.wait_timeout(state, due).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn chunk(&self, trees: &Trees, follower: &mut Follower, end: Position) -> Result<(), String> {
        let mut keys = Keys::default();
        let (mut records, mut below) = (0, 0);
        for _ in 0..CHUNK {
            match follower.next(end).map_err(|e| format!("the journal cannot be read: {e}"))? {
                None => break,
                Some(Step::Entry(position, Entry::Decided(inspection))) => {
                    keys.inspection(trees, position, &inspection);
                    below = inspection.id + 1;
                    records += 1;
                }
                Some(Step::Entry(position, Entry::Late(late))) => {
                    keys.late(position, late.id);
                    records += 1;
                }
                Some(Step::Entry(..)) => {}
                Some(Step::Damage { bytes }) => {
                    tracing::error!("journal: {bytes} bytes before {:?} are damaged and left out", follower.position());
                }
            }
        }
        let reached = follower.position();
        guarded(|| trees.apply(keys, reached))?;
        let mut state = self.lock();
        state.reached = reached;
        state.below = state.below.max(below);
        state.replayed += records;
        if reached >= state.acked {
            self.changed.notify_all();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// sled panics on damage that it does not expect.
fn guarded<T>(work: impl FnOnce() -> super::trees::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(format!("sled panicked: {text}"))
        }
    }
}

fn bytes_before(dir: &Path, position: Position) -> u64 {
    let size = |number: u32| segment::open(dir, number).and_then(|f| f.metadata()).map_or(0, |m| m.len());
    let earlier = segment::list(dir).unwrap_or_default().into_iter().filter(|(number, _)| *number < position.segment);
    earlier.map(|(number, _)| size(number)).sum::<u64>() + u64::from(position.offset)
}
