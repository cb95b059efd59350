//! Serial numbers of a line's parts: those that are sent for the coming ones, those that the line counts itself, and what is odd about
//! those that came: seen before, or left out. docs/IDENTITY.md.
//!
//! - `waiting` holds what was sent over the API until a part takes it.
//! - `counter` counts, and never gives a number twice, whatever happens to the process.
//! - `trace` says which numbers repeat and which are left out: a plain state machine.
//! - `traced` stands before the store and writes into each record what `trace` says.

mod counter;
mod trace;
mod traced;
mod waiting;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stages::identify::Serials;

pub use self::counter::CounterError;
pub use self::traced::Traced;
pub use self::waiting::{Queued, Refused, WAITING};

use self::counter::Counter;
use self::waiting::Waiting;
use crate::store::Store;

/// What is known of serial numbers since the program started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Parts with a serial number.
    pub read: u64,
    /// Parts that should have one and have none.
    pub unread: u64,
    /// Parts whose serial number another part had before.
    pub repeated: u64,
    /// Times that serial numbers were left out.
    pub gaps: u64,
    /// Serial numbers left out, together.
    pub missing: u64,
    /// Parts whose serial number comes before one that was there already.
    pub late: u64,
}

/// A line's serial numbers. Cloning gives another handle on the same.
#[derive(Clone)]
pub struct LineSerials(Arc<Inner>);

struct Inner {
    waiting: Mutex<Waiting>,
    counter: Mutex<Counter>,
    tally: Mutex<Tally>,
}

impl LineSerials {
    /// Reads how far the line had counted, from its state directory and its records.
    ///
    /// # Errors
    /// The file is there and cannot be read: a number might be given twice.
    pub fn open(dir: &Path, store: &Store) -> Result<LineSerials, CounterError> {
        let counter = Counter::open(dir.join("counters.json"), store)?;
        let inner = Inner { waiting: Mutex::default(), counter: Mutex::new(counter), tally: Mutex::default() };
        Ok(LineSerials(Arc::new(inner)))
    }

    /// Puts serial numbers behind those that wait: all of them, or none.
    ///
    /// # Errors
    /// One of them is none, or there is no room.
    pub fn send(&self, serials: &[String]) -> Result<(), Refused> {
        lock(&self.0.waiting).send(serials)
    }

    /// Forgets those that wait; how many they were.
    pub fn clear(&self) -> usize {
        lock(&self.0.waiting).clear()
    }

    /// What waits, and what became of the others.
    pub fn queued(&self) -> Queued {
        lock(&self.0.waiting).view()
    }

    /// What came so far.
    pub fn tally(&self) -> Tally {
        *lock(&self.0.tally)
    }

    /// Writes down how far the line has counted, so that the next start leaves no number out. Without it numbers may be left out, never
    /// given twice.
    pub fn save(&self) {
        lock(&self.0.counter).save_quietly();
    }
}

impl Serials for LineSerials {
    fn sent(&self) -> Option<Arc<str>> {
        lock(&self.0.waiting).take()
    }

    fn count(&self, prefix: &str, start: u64, id: u64) -> Result<u64, String> {
        lock(&self.0.counter).next(prefix, start, id)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here is half done after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
