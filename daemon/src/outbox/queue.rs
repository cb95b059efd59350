//! The outbox's state: what waits, what is dead, who is disabled. No clock, no file, no network: time comes in, entries go
//! out, and the same entries read again give the same state.
//!
//! A destination takes one message at a time, in the order in which they were queued. When it cannot be reached, all of its
//! messages wait; when it refuses one, that one waits and the others go on.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::backoff::{LIFETIME, LONGEST, later, pause};
use super::entry::{Entry, Message};

/// Delivered ids that are remembered, so that a message offered once more is not sent once more.
const REMEMBERED: usize = 2048;
/// Dead letters that are kept; beyond, the oldest goes.
const MAX_DEAD: usize = 10_000;

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver does not want this message: it is tried again, the others go on.
    Refused(String),
    /// The receiver is away or busy: everything for it waits, at least as long as it asked for.
    Away(String, Option<Duration>),
    /// The receiver wants nothing any more (410).
    Gone(String),
}

/// A message that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The message.
    pub message: Message,
    /// Failed attempts.
    pub attempts: u32,
    /// Not before; none: at once.
    pub next_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// A message that was given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The message.
    pub message: Message,
    /// When it was given up.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// One destination as it stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Messages that wait.
    pub waiting: usize,
    /// Delivered, as far as is remembered.
    pub delivered: u64,
    /// When the last one was.
    pub delivered_at: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// Nothing is sent before.
    pub paused_until: Option<Timestamp>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// Why nothing is sent there any more, if so.
    pub disabled: Option<String>,
    /// Results up to this part were queued.
    pub cursor: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<u64, Waiting>,
    numbers: HashMap<Arc<str>, u64>,
    next_number: u64,
    dead: BTreeMap<u64, DeadLetter>,
    standings: BTreeMap<Arc<str>, Standing>,
    delivered: VecDeque<(Arc<str>, Arc<str>, Timestamp)>,
}

impl Queue {
    /// Takes in one entry. One that does not fit (damage before it, or written twice) changes nothing.
    pub(super) fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Queued(message) => self.queued(message),
            Entry::Tried { id, attempts, next_at, error, .. } => {
                if let Some(waiting) = self.number(&id).and_then(|number| self.waiting.get_mut(&number)) {
                    (waiting.attempts, waiting.next_at, waiting.error) = (attempts, Some(next_at), Some(error));
                }
            }
            Entry::Delivered { id, to, at } => {
                self.take(&id);
                let standing = self.standing(&to);
                standing.delivered += 1;
                standing.delivered_at = Some(at);
                self.delivered.push_back((id, to, at));
                if self.delivered.len() > REMEMBERED {
                    self.delivered.pop_front();
                }
            }
            Entry::Dead { id, at, reason } => {
                if let Some((number, Waiting { message, .. })) = self.take(&id) {
                    self.dead.insert(number, DeadLetter { message, at, reason });
                }
                if self.dead.len() > MAX_DEAD {
                    self.dead.pop_first();
                }
            }
            Entry::Replayed { id, at } => {
                let found = self.dead.iter().find(|(_, letter)| letter.message.id == id).map(|(&number, _)| number);
                if let Some(letter) = found.and_then(|number| self.dead.remove(&number)) {
                    // Its three days begin anew.
                    self.queued(Message { queued_at: at, ..letter.message });
                }
            }
            Entry::Disabled { to, reason, .. } => self.standing(&to).disabled = Some(reason),
            Entry::Enabled { to } => {
                let standing = self.standing(&to);
                (standing.disabled, standing.failures, standing.paused_until) = (None, 0, None);
            }
            Entry::Cursor { to, part } => {
                let cursor = &mut self.standing(&to).cursor;
                *cursor = Some(cursor.map_or(part, |before| before.max(part)));
            }
        }
    }

    fn queued(&mut self, message: Message) {
        if let Some(part) = message.last_part {
            self.apply(Entry::Cursor { to: message.to.clone(), part });
        }
        if self.knows(&message.id) {
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(message.id.clone(), number);
        self.standing(&message.to).waiting += 1;
        self.waiting.insert(number, Waiting { message, attempts: 0, next_at: None, error: None });
    }

    fn number(&self, id: &str) -> Option<u64> {
        self.numbers.get(id).copied()
    }

    fn take(&mut self, id: &str) -> Option<(u64, Waiting)> {
        let number = self.numbers.remove(id)?;
        let waiting = self.waiting.remove(&number)?;
        let standing = self.standing(&waiting.message.to);
        standing.waiting = standing.waiting.saturating_sub(1);
        Some((number, waiting))
    }

    fn standing(&mut self, to: &Arc<str>) -> &mut Standing {
        self.standings.entry(to.clone()).or_default()
    }

    /// Whether a message waits, is dead, or was delivered lately.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.numbers.contains_key(id)
            || self.dead.values().any(|letter| *letter.message.id == *id)
            || self.delivered.iter().any(|(delivered, ..)| **delivered == *id)
    }

    /// The message that this destination should get now.
    pub(super) fn due(&self, to: &str, now: Timestamp) -> Option<Message> {
        let standing = self.standings.get(to)?;
        if standing.disabled.is_some() || standing.paused_until.is_some_and(|until| ahead(until, now)) {
            return None;
        }
        let mut own = self.waiting.values().filter(|waiting| *waiting.message.to == *to);
        own.find(|waiting| waiting.next_at.is_none_or(|at| !ahead(at, now))).map(|waiting| waiting.message.clone())
    }

    /// How long nothing is due for a destination; none: until something is queued.
    pub(super) fn idle(&self, to: &str, now: Timestamp) -> Option<Duration> {
        let standing = self.standings.get(to).filter(|standing| standing.disabled.is_none() && standing.waiting > 0)?;
        let own = self.waiting.values().filter(|waiting| *waiting.message.to == *to);
        let first = own.map(|waiting| waiting.next_at.unwrap_or(now)).min()?;
        let at = standing.paused_until.map_or(first, |until| until.max(first));
        Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO).min(LONGEST))
    }

    /// What an attempt's outcome means: the entries to write down, then to apply. Pauses of a whole destination are kept in
    /// memory only, so that a new start tries at once.
    pub(super) fn outcome(&mut self, id: &str, outcome: &Outcome, now: Timestamp) -> Vec<Entry> {
        let Some(waiting) = self.number(id).and_then(|number| self.waiting.get(&number)) else { return Vec::new() };
        let (message, attempts) = (waiting.message.clone(), waiting.attempts + 1);
        let (id, to) = (message.id.clone(), message.to.clone());
        let old =
            now.duration_since(message.queued_at) >= SignedDuration::try_from(LIFETIME).unwrap_or(SignedDuration::MAX);
        let standing = self.standing(&to);
        let failed = |reason: &String, next_at: Timestamp| match old {
            true => Entry::Dead {
                id: id.clone(),
                at: now,
                reason: format!("{reason}; given up after {attempts} attempts over three days"),
            },
            false => Entry::Tried { id: id.clone(), at: now, attempts, next_at, error: reason.clone() },
        };
        match outcome {
            Outcome::Delivered => {
                (standing.failures, standing.paused_until, standing.error) = (0, None, None);
                vec![Entry::Delivered { id, to, at: now }]
            }
            Outcome::Refused(reason) => {
                (standing.failures, standing.paused_until, standing.error) = (0, None, Some(reason.clone()));
                vec![failed(reason, later(now, pause(attempts, &id)))]
            }
            Outcome::Away(reason, asked) => {
                standing.failures = standing.failures.saturating_add(1);
                standing.error = Some(reason.clone());
                let wait = pause(standing.failures, &id).max(asked.unwrap_or_default().min(LONGEST));
                standing.paused_until = Some(later(now, wait));
                vec![failed(reason, now)]
            }
            Outcome::Gone(reason) => {
                standing.error = Some(reason.clone());
                let disabled = Entry::Disabled { to: to.clone(), at: now, reason: reason.clone() };
                let own = self.waiting.values().filter(|waiting| waiting.message.to == to);
                let dead = own.map(|waiting| Entry::Dead {
                    id: waiting.message.id.clone(),
                    at: now,
                    reason: format!("the destination was disabled: {reason}"),
                });
                std::iter::once(disabled).chain(dead).collect()
            }
        }
    }

    /// Entries that give this state again.
    pub(super) fn snapshot(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (to, standing) in &self.standings {
            entries.extend(standing.cursor.map(|part| Entry::Cursor { to: to.clone(), part }));
            let disabled =
                |reason: &String| Entry::Disabled { to: to.clone(), at: Timestamp::UNIX_EPOCH, reason: reason.clone() };
            entries.extend(standing.disabled.as_ref().map(disabled));
        }
        entries.extend(self.delivered.iter().map(|(id, to, at)| Entry::Delivered {
            id: id.clone(),
            to: to.clone(),
            at: *at,
        }));
        for letter in self.dead.values() {
            entries.push(Entry::Queued(letter.message.clone()));
            let (id, reason) = (letter.message.id.clone(), letter.reason.clone());
            entries.push(Entry::Dead { id, at: letter.at, reason });
        }
        for Waiting { message, attempts, next_at, error } in self.waiting.values() {
            entries.push(Entry::Queued(message.clone()));
            if let (Some(next_at), Some(error)) = (*next_at, error.clone()) {
                entries.push(Entry::Tried { id: message.id.clone(), at: next_at, attempts: *attempts, next_at, error });
            }
        }
        entries
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn dead(&self) -> impl Iterator<Item = &DeadLetter> {
        self.dead.values()
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values()
    }

    pub(super) fn standings(&self) -> &BTreeMap<Arc<str>, Standing> {
        &self.standings
    }
}

/// Whether a moment is still to come. One that lies further ahead than any pause is none: the clock was set back.
fn ahead(at: Timestamp, now: Timestamp) -> bool {
    at > now && at < later(now, 2 * LONGEST)
}
