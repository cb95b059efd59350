//! The desk at which people look at parts: queue and labels with the log that keeps them.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use stages::inspection::Inspection;
use stages::sample::{Reason, Why};
use thiserror::Error;

use super::event::{Answer, Answered, Event, Item, Way};
use super::labels::{Given, Labels};
use super::queue::{Budget, Offer, Queue};
use crate::linelog::{Log, LogError, Opened};
use crate::store::{Disk, RealDisk, Store, StoreError};

/// Most characters of a label's name.
const LONGEST_NAME: usize = 64;

/// Parts that may wait once people have sent theirs: more, nobody looks at.
const MOST_WAITING: usize = 2000;

/// Why an answer was not taken.
#[derive(Debug, Error)]
pub enum DeskError {
    /// No such part.
    #[error("no part {0} is on record")]
    NoPart(u64),
    /// It is known what it is.
    #[error("part {0} was sent through to check the line, and what it is was known before: it is not learned from")]
    Checked(u64),
    /// Not a name.
    #[error("`{0}` is no name for a label: give 1 to {LONGEST_NAME} characters without line breaks, `/` and `,`")]
    Name(String),
    /// There is nothing to take back.
    #[error("there is no answer of yours that could be taken back")]
    NothingToUndo,
    /// The last answer is about another part.
    #[error("your last answer is about part {last}, not {of}: nothing is taken back")]
    AnotherPart {
        /// As asked.
        of: u64,
        /// The part of the last answer.
        last: u64,
    },
    /// People have enough to look at.
    #[error(
        "{waiting} parts wait already, and {MOST_WAITING} may: answer some in the review queue first, or send fewer"
    )]
    Full {
        /// So many.
        waiting: usize,
    },
    /// The part cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be kept.
    #[error("the answer was not kept: {0}")]
    Log(#[from] LogError),
}

/// Sees each part on record once, in order; a part may be seen again where it could not be offered.
pub type See<'a> = &'a mut dyn FnMut(&Inspection) -> Option<Reason>;

/// The open desk.
pub struct Desk {
    desk: Mutex<State>,
}

/// Queue and labels of one moment.
pub struct State {
    log: Log<Event>,
    /// What waits.
    pub queue: Queue,
    /// What was said.
    pub labels: Labels,
    /// Every part up to this one was offered.
    seen: u64,
    /// Grows with every change.
    pub(super) revision: u64,
}

impl Desk {
    /// Opens what is kept in `dir`. `second_share` of the queue's labels ask for a second opinion.
    ///
    /// # Errors
    /// It cannot be read or written, or another process has it.
    pub fn open(dir: &Path, second_share: f32) -> Result<Desk, LogError> {
        Desk::open_on(dir, second_share, Arc::new(RealDisk))
    }

    /// The same on a disk of the caller's.
    ///
    /// # Errors
    /// As [`Desk::open`].
    pub fn open_on(dir: &Path, second_share: f32, disk: Arc<dyn Disk>) -> Result<Desk, LogError> {
        let Opened { log, entries, damaged } = Log::open(dir, "labels.log", disk)?;
        if damaged > 0 {
            tracing::error!("labels: {damaged} lines are damaged and left out");
        }
        let mut state = State { log, queue: Queue::default(), labels: Labels::new(second_share), seen: 0, revision: 0 };
        entries.into_iter().for_each(|event| state.apply(event));
        Ok(Desk { desk: Mutex::new(state) })
    }

    /// Queue and labels, as long as the guard is held. Not for long: answers wait meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers the parts that came since the last time, and shows each to `see`, which may have a reason of its own for a look; how many
    /// there were.
    ///
    /// # Errors
    /// The log cannot be written; the parts are offered again.
    pub fn follow(&self, store: &Store, budget: &Budget, see: See<'_>) -> Result<usize, LogError> {
        let seen = self.lock().seen;
        let news = store.after(seen, 256);
        for stored in &news {
            let inspection = &stored.inspection;
            // What is sent through to check the line says nothing of production.
            if inspection.check.is_some() {
                self.lock().seen = inspection.id;
                continue;
            }
            let reason = see(inspection);
            if (inspection.sample.is_wanted() || reason.is_some()) && inspection.evidence.is_some() {
                let mut item = Item::of(inspection);
                item.reasons.extend(reason);
                self.lock().offer(item, budget)?;
            }
            self.lock().seen = inspection.id;
        }
        Ok(news.len())
    }

    /// Begins with the newest part, where nothing was ever queued; and never further back than `most` parts.
    pub fn begin(&self, newest: u64, most: u64) {
        let mut state = self.lock();
        state.seen = if state.seen == 0 { newest } else { state.seen.max(newest.saturating_sub(most)) };
    }

    /// A person's answer about a part. On disk when this returns.
    ///
    /// # Errors
    /// No such part or name, or it could not be kept: then nothing has changed.
    pub fn answer(&self, store: &Store, id: u64, answer: Answer, by: &Arc<str>) -> Result<Given, DeskError> {
        let answer = checked(answer)?;
        let found = store.get(id)?;
        if found.as_ref().is_some_and(|stored| stored.inspection.check.is_some()) {
            return Err(DeskError::Checked(id));
        }
        let mut state = self.lock();
        let (way, item) = if state.labels.wants_second(id, by) {
            (Way::SecondOpinion, state.labels.about(id).last().map(|given| given.item.clone()))
        } else if let Some(item) = state.queue.get(id) {
            (Way::Queue, Some(item.clone()))
        } else {
            (Way::Override, None)
        };
        let item = item.or_else(|| found.map(|stored| Item::of(&stored.inspection))).ok_or(DeskError::NoPart(id))?;
        let answered =
            Answered { number: state.labels.next_number(), id, answer, by: by.clone(), at: Timestamp::now(), way };
        state.keep(Event::Answered { answered: answered.clone(), item: Box::new(item.clone()) })?;
        Ok(Given { answered, item, undone: false })
    }

    /// Whether so many more parts may wait.
    ///
    /// # Errors
    /// [`DeskError::Full`].
    pub fn has_room(&self, more: usize) -> Result<(), DeskError> {
        let waiting = self.lock().queue.len();
        if waiting + more > MOST_WAITING { Err(DeskError::Full { waiting }) } else { Ok(()) }
    }

    /// Puts parts before people because one of them asks for it. On disk when this returns. How many wait from now on, how many did
    /// already, how many have no picture to look at, how many checked the line and are no production, and how many are not on record.
    ///
    /// # Errors
    /// A part cannot be read, or it could not be kept.
    pub fn ask(&self, store: &Store, ids: &[u64], by: &Arc<str>) -> Result<[usize; 5], DeskError> {
        let [mut waiting, mut without_picture, mut checks, mut unknown] = [0; 4];
        let mut items = Vec::new();
        for &id in ids {
            match store.get(id)? {
                None => unknown += 1,
                // No answer would be taken of it (`DeskError::Checked`): it would wait for ever.
                Some(found) if found.inspection.check.is_some() => checks += 1,
                Some(found) if found.inspection.evidence.is_none() => without_picture += 1,
                Some(found) => items.push(Item::of(&found.inspection)),
            }
        }
        let mut state = self.lock();
        items.retain(|item| {
            let waits = state.queue.get(item.id).is_some();
            waiting += usize::from(waits);
            !waits
        });
        for item in &mut items {
            let detail = format!("{by} asks what it is");
            item.reasons.insert(0, Reason { why: Why::Asked, value: 1.0, detail });
        }
        let events: Vec<Event> = items.iter().cloned().map(Event::Queued).collect();
        let State { log, queue, labels, .. } = &mut *state;
        log.append(&events, true, || snapshot(queue, labels))?;
        state.revision += 1;
        let queued = items.len();
        items.into_iter().for_each(|item| state.queue.put(item));
        Ok([queued, waiting, without_picture, checks, unknown])
    }

    /// Takes back the last answer of a person; the part that it was about. With `of` only if it was about that part: so one who asks
    /// twice does not take back two.
    ///
    /// # Errors
    /// There is none, it is about another part, or it could not be kept.
    pub fn undo(&self, by: &Arc<str>, of: Option<u64>) -> Result<u64, DeskError> {
        let mut state = self.lock();
        let given = state.labels.last_by(by).ok_or(DeskError::NothingToUndo)?;
        let (number, id) = (given.answered.number, given.answered.id);
        if let Some(of) = of.filter(|&of| of != id) {
            return Err(DeskError::AnotherPart { of, last: id });
        }
        state.keep(Event::Undone { number, by: by.clone(), at: Timestamp::now() })?;
        Ok(id)
    }
}

impl State {
    /// Every part up to this one was offered.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn offer(&mut self, item: Item, budget: &Budget) -> Result<(), LogError> {
        let labels = &self.labels;
        let Offer::Taken(dropped) = self.queue.offer(item.clone(), budget, &|label| labels.rarity(label)) else {
            return Ok(());
        };
        // Not synced: after a power cut the parts are offered again.
        let events: Vec<Event> =
            dropped.into_iter().map(|id| Event::Dropped { id }).chain([Event::Queued(item)]).collect();
        let before = || snapshot(&self.queue, &self.labels);
        self.revision += 1;
        self.log.append(&events, false, before)
    }

    /// Writes an event down, then lets it count.
    fn keep(&mut self, event: Event) -> Result<(), LogError> {
        let (queue, labels) = (&self.queue, &self.labels);
        self.log.append(std::slice::from_ref(&event), true, || snapshot(queue, labels))?;
        self.apply(event);
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        self.revision += 1;
        match event {
            Event::Queued(item) => {
                self.seen = self.seen.max(item.id);
                self.queue.put(item);
            }
            Event::Dropped { id } => self.queue.drop(id),
            Event::Answered { answered, item } => {
                if answered.way == Way::Queue {
                    self.queue.answer(&item);
                }
                self.labels.answer(answered, *item);
            }
            Event::Undone { number, .. } => {
                if let Some(given) = self.labels.undo(number).cloned()
                    && given.answered.way == Way::Queue
                {
                    self.queue.undo(given.item);
                }
            }
        }
    }
}

/// The state as events, for when the log is written anew.
fn snapshot(queue: &Queue, labels: &Labels) -> Vec<Event> {
    let answers = labels.given().flat_map(|given| {
        let Given { answered, item, undone } = given.clone();
        // First it waited: so its hour's budget is spent again.
        let waited = (answered.way == Way::Queue).then(|| Event::Queued(item.clone()));
        let undone =
            undone.then(|| Event::Undone { number: answered.number, by: answered.by.clone(), at: answered.at });
        waited.into_iter().chain([Event::Answered { answered, item: Box::new(item) }]).chain(undone)
    });
    // An answer that was taken back put its part in again, and a better one may have taken its place since.
    let undone = labels.given().filter(|given| given.undone).map(|given| given.item.id);
    let dropped = undone.filter(|id| queue.get(*id).is_none()).map(|id| Event::Dropped { id });
    answers.chain(dropped).chain(queue.items().cloned().map(Event::Queued)).collect()
}

fn checked(answer: Answer) -> Result<Answer, DeskError> {
    let Answer::Label { label, means } = answer else { return Ok(answer) };
    let name = label.trim();
    let plain = |c: char| !c.is_control() && c != '/' && c != ',';
    if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(plain) {
        return Err(DeskError::Name(label.to_string()));
    }
    Ok(Answer::Label { label: name.into(), means })
}

impl Item {
    /// A part as it stands on record.
    pub fn of(inspection: &Inspection) -> Item {
        Item {
            id: inspection.id,
            at: inspection.triggered_at,
            serial: inspection.serial.clone(),
            verdict: inspection.verdict,
            label: inspection.label.clone(),
            reasons: inspection.sample.reasons.clone(),
            sketch: inspection.sample.sketch,
            // The sketch is what this one saw.
            model: inspection.regions.first().map_or(&inspection.model, |deciding| &deciding.model).clone(),
        }
    }
}

#[cfg(test)]
mod tests;
