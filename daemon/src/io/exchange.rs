//! Where line and PLC meet: the handshake behind one lock, which nobody holds while waiting for anything. A verdict is in the outputs
//! before the line's books are free again, long before its record is on disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stages::capture::called::{CallCounts, Caller};
use stages::inspection::Inspection;
use stages::recipe::{Gate, Recipe};
use stages::record::VerdictSink;
use stages::verdict::Verdict;
use tokio::sync::Notify;

use super::handshake::{Done, Handshake, LineLook, Tally, Terms};
use super::signals::{Answer, Heard, Outcome, Said, cause_code};

/// A label that is not one of the model's own.
const TAUGHT_HERE: u16 = u16::MAX;

/// What is known of the way to the PLC.
#[derive(Debug, Clone, Default)]
pub struct Contact {
    /// When the PLC was last heard of.
    pub heard_at: Option<Instant>,
    /// Connections that are open.
    pub connections: u32,
    /// Connections, or attempts, that were turned away or failed.
    pub refused: u64,
    /// Requests that were answered by an exception, and frames that made no sense.
    pub wrong: u64,
    /// What went wrong last, in words.
    pub trouble: Option<String>,
}

/// The state of things, for people.
pub struct Report {
    /// What the PLC is told.
    pub said: Said,
    /// What was counted.
    pub tally: Tally,
    /// Of the source that is called.
    pub calls: CallCounts,
    /// The way to the PLC.
    pub contact: Contact,
    /// For how long the PLC was not heard of, if that is too long.
    pub lost_for: Option<Duration>,
    /// Id of the result that waits too long for its acknowledgement, and for how long it has.
    pub overdue: Option<(u32, Duration)>,
    /// The newest handshakes, oldest first.
    pub done: Vec<Done>,
}

/// See the module.
pub struct Exchange {
    handshake: Mutex<Handshake>,
    caller: Caller,
    contact: Mutex<Contact>,
    changed: Notify,
    /// Names of recipes; an index is a place here, from 1.
    recipes: Vec<String>,
    /// The recipe in force lets parts for review go on.
    review_goes_on: AtomicBool,
    since: Instant,
    lost_after: Duration,
}

impl Exchange {
    pub(super) fn new(terms: Terms, caller: Caller, recipes: Vec<String>, lost_after: Duration) -> Exchange {
        Exchange {
            handshake: Mutex::new(Handshake::new(terms)),
            caller,
            contact: Mutex::new(Contact::default()),
            changed: Notify::new(),
            recipes,
            review_goes_on: AtomicBool::new(false),
            since: Instant::now(),
            lost_after,
        }
    }

    /// What the PLC says now.
    pub fn hear(&self, heard: Heard) {
        let mut handshake = self.handshake();
        let before = handshake.said();
        handshake.hear(heard, Instant::now(), |call| self.caller.call(call).is_ok());
        self.tell(&before, &handshake);
    }

    /// What the PLC's bits are at the first sight; see [`Handshake::prime`].
    pub fn prime(&self, heard: Heard) {
        self.handshake().prime(heard);
    }

    /// What the PLC is told now.
    pub fn said(&self) -> Said {
        self.handshake().said()
    }

    /// Waits until the outputs have changed since the last wait.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The PLC was heard of.
    pub fn contact(&self) {
        self.contact_mut().heard_at = Some(Instant::now());
    }

    /// Changes what is known of the way to the PLC.
    pub fn note(&self, change: impl FnOnce(&mut Contact)) {
        change(&mut self.contact_mut());
    }

    /// Somebody has looked at the line.
    pub(super) fn look(&self, line: LineLook) {
        let mut handshake = self.handshake();
        let before = handshake.said();
        handshake.look(line, Instant::now());
        self.tell(&before, &handshake);
    }

    /// Another recipe is in force, or will be with the next look.
    pub(super) fn recipe(&self, recipe: &Recipe) -> u16 {
        self.review_goes_on.store(recipe.review_as == Gate::Accept, Ordering::Relaxed);
        let place = self.recipes.iter().position(|name| *name == recipe.name);
        place.and_then(|place| u16::try_from(place + 1).ok()).unwrap_or(0)
    }

    /// No further trigger is taken.
    pub(super) fn quiet(&self) {
        self.handshake().quiet();
        self.changed.notify_one();
    }

    /// Outputs are safe from now on.
    pub(super) fn end(&self) {
        self.handshake().end();
        self.changed.notify_one();
    }

    /// Whether every trigger has its result, and every result its acknowledgement.
    pub(super) fn is_idle(&self) -> (bool, bool) {
        self.handshake().is_idle()
    }

    /// How things are.
    pub fn report(&self) -> Report {
        let now = Instant::now();
        let contact = self.contact_mut().clone();
        let silent = now.saturating_duration_since(contact.heard_at.unwrap_or(self.since));
        let handshake = self.handshake();
        Report {
            said: handshake.said(),
            tally: handshake.tally(),
            calls: self.caller.counts(),
            lost_for: (silent > self.lost_after).then_some(silent),
            overdue: handshake.overdue(now),
            done: handshake.done().copied().collect(),
            contact,
        }
    }

    fn outcome(&self, id: u32, inspection: &Inspection) -> Outcome {
        let review_goes_on = self.review_goes_on.load(Ordering::Relaxed);
        let (label, score) = label_and_score(inspection);
        Outcome {
            id,
            verdict: Answer::from(inspection.verdict),
            cause: cause_code(inspection.verdict),
            accept: match inspection.verdict {
                Verdict::Pass => true,
                Verdict::Review => review_goes_on,
                Verdict::Fail | Verdict::NoDecision(_) => false,
            },
            label,
            score,
            // The lower half, on purpose.
            part: inspection.id as u32,
            latency_us: inspection.ledger.total_us,
        }
    }

    fn tell(&self, before: &Said, handshake: &Handshake) {
        if handshake.said() != *before {
            self.changed.notify_one();
        }
    }

    fn handshake(&self) -> MutexGuard<'_, Handshake> {
        self.handshake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contact_mut(&self) -> MutexGuard<'_, Contact> {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VerdictSink for Exchange {
    fn verdict(&self, inspection: &Inspection) {
        // Parts that nobody called for are no business of the PLC's.
        let Some(id) = inspection.call else { return };
        let outcome = self.outcome(id, inspection);
        if self.handshake().decide(outcome, Instant::now()) {
            self.changed.notify_one();
        }
    }
}

/// The label's place in the model from 1, and its score in ten thousandths.
fn label_and_score(inspection: &Inspection) -> (u16, u16) {
    let Some(label) = &inspection.label else { return (0, 0) };
    let among = |list: &[stages::inspection::LabelScore]| {
        list.iter().enumerate().find(|(_, score)| score.label == *label).map(|(place, score)| (place, score.score))
    };
    let own = among(&inspection.scores);
    let place = own.and_then(|(place, _)| u16::try_from(place + 1).ok()).unwrap_or(TAUGHT_HERE);
    let score = own.or_else(|| among(&inspection.found)).map_or(0.0, |(_, score)| score);
    (place, (score.clamp(0.0, 1.0) * 10_000.0).round() as u16)
}
