//! Messages to other programs and people, each delivered at least once: taken over when it is on the medium, sent with the same
//! id and the same bytes until the receiver has it, and after three days put aside as a dead letter that can be sent again.
//!
//! - [`queue`](self::queue) is the state, `log` its file (`outbox/outbox.log` in the state directory), `backoff` the pauses.
//! - `destination` is the configuration of one receiver, `client` speaks HTTP to it, `sign` signs.
//! - `guard` says which addresses may be connected to.
//! - `postman` delivers, on one thread a destination. `results` pushes the parts' results from the store.

mod backoff;
mod client;
mod destination;
mod entry;
mod error;
mod guard;
mod mail;
mod postman;
mod queue;
mod results;
mod sign;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

pub use backoff::LIFETIME;
pub(crate) use client::own_roots;
pub(crate) use destination::resolve as secret_of;
pub use destination::{Destination, DestinationKind, ResultsPush};
pub use entry::{Kind, Message};
pub use error::OutboxError;
pub use guard::{AllowList, refusal};
pub use mail::MailOptions;
pub use postman::{Postman, Sender, deliver_next};
pub use queue::{DeadLetter, Outcome, Standing, Waiting};
pub use results::ResultsPusher;
pub use sign::{Secret, signature};

use self::entry::Entry;
use self::queue::Queue;
use crate::linelog::{self, Log, LogError, Opened};
use crate::store::{Disk, RealDisk};

/// Messages that may wait, all destinations together.
const MAX_WAITING: usize = 20_000;

/// The open outbox.
pub struct Outbox {
    state: Mutex<State>,
    /// Something was queued or enabled, or the postman is to end.
    news: Condvar,
}

struct State {
    log: Log<Entry>,
    queue: Queue,
    /// Counts what waiting threads may have missed.
    news: u64,
}

/// What is in it.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// By destination.
    pub standings: Vec<(Arc<str>, Standing)>,
    /// Oldest first.
    pub waiting: Vec<Waiting>,
    /// Oldest first.
    pub dead: Vec<DeadLetter>,
}

impl Outbox {
    /// Opens the outbox of a state directory.
    ///
    /// # Errors
    /// See [`OutboxError`]; another process has it, or the disk does not do its part.
    pub fn open(state_dir: &Path) -> Result<Outbox, OutboxError> {
        Outbox::open_on(state_dir, Arc::new(RealDisk))
    }

    /// The same on a disk of the caller's: tests put one in place that fails or forgets.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(state_dir: &Path, disk: Arc<dyn Disk>) -> Result<Outbox, OutboxError> {
        let Opened { log, entries, damaged } = Log::open(&state_dir.join("outbox"), "outbox.log", disk)?;
        if damaged > 0 {
            tracing::error!("{damaged} lines of the outbox are damaged: what they said is lost; check the disk");
        }
        let mut queue = Queue::default();
        entries.into_iter().for_each(|entry| queue.apply(entry));
        Ok(Outbox { state: Mutex::new(State { log, queue, news: 0 }), news: Condvar::new() })
    }

    /// Takes messages over: when this returns, they are on the medium, all of them or (on an error) perhaps none. One that is
    /// known already is not taken again; its cursor is.
    ///
    /// # Errors
    /// Nothing is taken over then: offer it again.
    pub fn push(&self, messages: Vec<Message>) -> Result<(), OutboxError> {
        let mut state = self.lock();
        let new: Vec<Entry> = messages
            .into_iter()
            .filter(|message| message.last_part.is_some() || !state.queue.knows(&message.id))
            .map(Entry::Queued)
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        if state.queue.len() + new.len() > MAX_WAITING {
            return Err(OutboxError::Full(state.queue.len()));
        }
        state.write(new, true)?;
        self.tell(state);
        Ok(())
    }

    /// Where results for a destination go on: the last part that was queued. `start` is noted when there was none yet.
    fn cursor(&self, to: &Arc<str>, start: impl FnOnce() -> u64) -> Result<u64, OutboxError> {
        let mut state = self.lock();
        if let Some(cursor) = state.queue.standings().get(to).and_then(|standing| standing.cursor) {
            return Ok(cursor);
        }
        let part = start();
        state.write(vec![Entry::Cursor { to: to.clone(), part }], true)?;
        Ok(part)
    }

    /// Messages that wait for one destination.
    pub fn waiting_for(&self, to: &str) -> usize {
        self.lock().queue.standings().get(to).map_or(0, |standing| standing.waiting)
    }

    /// Sends a dead letter again, under its old id.
    ///
    /// # Errors
    /// There is none with this id, or the disk does not do its part.
    pub fn replay(&self, id: &str, now: Timestamp) -> Result<(), OutboxError> {
        let mut state = self.lock();
        let Some(id) = state.queue.dead().find(|letter| *letter.message.id == *id).map(|it| it.message.id.clone())
        else {
            return Err(OutboxError::Unknown(id.to_owned()));
        };
        state.write(vec![Entry::Replayed { id, at: now }], true)?;
        self.tell(state);
        Ok(())
    }

    /// Sends all dead letters of a destination again (of all, without one) and enables it; gives their number.
    ///
    /// # Errors
    /// The disk does not do its part.
    pub fn replay_all(&self, to: Option<&str>, now: Timestamp) -> Result<usize, OutboxError> {
        let mut state = self.lock();
        let wanted = |name: &str| to.is_none_or(|to| *to == *name);
        let disabled = state.queue.standings().iter().filter(|(name, it)| wanted(name) && it.disabled.is_some());
        let mut entries: Vec<Entry> = disabled.map(|(name, _)| Entry::Enabled { to: name.clone() }).collect();
        let letters = state.queue.dead().filter(|letter| wanted(&letter.message.to));
        let again: Vec<Entry> = letters.map(|it| Entry::Replayed { id: it.message.id.clone(), at: now }).collect();
        let count = again.len();
        entries.extend(again);
        if !entries.is_empty() {
            state.write(entries, true)?;
            self.tell(state);
        }
        Ok(count)
    }

    /// Puts aside what waits for destinations that are there no more: nobody would ever send it.
    ///
    /// # Errors
    /// The disk does not do its part.
    pub fn retire(&self, is_destination: impl Fn(&str) -> bool, now: Timestamp) -> Result<(), OutboxError> {
        let mut state = self.lock();
        let left = state.queue.waiting().filter(|waiting| !is_destination(&waiting.message.to));
        let reason = "the destination is no longer configured";
        let dead = left.map(|it| Entry::Dead { id: it.message.id.clone(), at: now, reason: reason.to_owned() });
        let dead: Vec<Entry> = dead.collect();
        if dead.is_empty() { Ok(()) } else { state.write(dead, true) }
    }

    /// A copy of everything.
    pub fn contents(&self) -> Contents {
        Contents::of(&self.lock().queue)
    }

    /// By destination.
    pub fn standings(&self) -> Vec<(Arc<str>, Standing)> {
        self.lock().queue.standings().iter().map(|(name, standing)| (name.clone(), standing.clone())).collect()
    }

    /// Dead letters.
    pub fn dead_letters(&self) -> usize {
        self.lock().queue.dead().count()
    }

    fn due(&self, to: &str, now: Timestamp) -> Option<Message> {
        self.lock().queue.due(to, now)
    }

    /// Notes an attempt's outcome. That it may not reach the disk is no harm: the message would be sent once more.
    fn note(&self, id: &str, outcome: &Outcome, now: Timestamp) {
        let mut state = self.lock();
        let entries = state.queue.outcome(id, outcome, now);
        // A dead letter must be found again, and a disabled destination stay so.
        let sync = entries.iter().any(|entry| matches!(entry, Entry::Dead { .. } | Entry::Disabled { .. }));
        if let Err(error) = state.write(entries.clone(), sync) {
            tracing::warn!("the outcome of an attempt is not on disk, so it may be repeated after a restart: {error}");
            entries.into_iter().for_each(|entry| state.queue.apply(entry));
        }
    }

    fn news(&self) -> u64 {
        self.lock().news
    }

    /// Waits until something may be due for `to` or there are other news than `seen`, at most `longest`.
    fn wait(&self, to: &str, longest: Duration, seen: u64) {
        let state = self.lock();
        let idle = state.queue.idle(to, Timestamp::now()).unwrap_or(longest).min(longest);
        let _woken = self.news.wait_timeout_while(state, idle, |state| state.news == seen);
    }

    fn wake(&self) {
        self.tell(self.lock());
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) {
        state.news += 1;
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// On disk first, then in memory.
    fn write(&mut self, entries: Vec<Entry>, sync: bool) -> Result<(), OutboxError> {
        let queue = &self.queue;
        self.log.append(&entries, sync, || queue.snapshot())?;
        entries.into_iter().for_each(|entry| self.queue.apply(entry));
        Ok(())
    }
}

impl Contents {
    fn of(queue: &Queue) -> Contents {
        Contents {
            standings: queue.standings().iter().map(|(name, standing)| (name.clone(), standing.clone())).collect(),
            waiting: queue.waiting().cloned().collect(),
            dead: queue.dead().cloned().collect(),
        }
    }

    /// Reads an outbox without opening it, so that another process may have it open.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(state_dir: &Path) -> Result<Contents, OutboxError> {
        let path = state_dir.join("outbox/outbox.log");
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|error| LogError::io("read", &path, error))?,
        };
        let mut queue = Queue::default();
        linelog::read(&bytes).0.into_iter().for_each(|entry| queue.apply(entry));
        Ok(Contents::of(&queue))
    }
}

/// An id that is the same whenever the same thing is sent to the same destination, so that whatever is offered again after a
/// kill is recognised, here and by the receiver. `parts` must be different for everything that is sent.
pub fn message_id(parts: &[&str]) -> Arc<str> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("msg_{hex}").into()
}

#[cfg(test)]
mod tests;
