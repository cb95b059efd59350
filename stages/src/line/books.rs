//! The books of one line: which parts are open, until when, and what has been counted. A plain state machine: it has no
//! clock, thread or lock of its own, so that its rules can be tested in simulated time. [`Keeper`](super::keeper::Keeper)
//! locks it and carries out what it says.
//!
//! The rules: a part is resolved once, and the first resolution wins. Verdicts go out in trigger order: a decided part
//! waits behind an undecided older one. It never waits beyond its own deadline, because deadlines never decrease in
//! trigger order and at its deadline an undecided part is resolved as late.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use models::runtime::Provider;

use super::counts::Counts;
use crate::check::Checker;
use crate::frame::{Pins, View, WeakFrame};
use crate::inspection::{Identity, ImageHealth, Inspection, Truth};
use crate::ledger::{Ledger, Mark, micros_between};
use crate::part::Part;
use crate::prepare::Pose;
use crate::recipe::RecipeInForce;
use crate::record::{LateResult, Picture};
use crate::sample::drawn_by_lot;
use crate::stage::Decision;
use crate::verdict::{Cause, Verdict};

/// A part as it enters the books.
pub(super) struct Admission {
    pub(super) id: u64,
    pub(super) serial: Option<Arc<str>>,
    pub(super) identity: Option<Identity>,
    pub(super) call: Option<u32>,
    pub(super) origin: Option<Arc<str>>,
    pub(super) triggered: Instant,
    pub(super) triggered_at: Timestamp,
    /// Weak: the books never keep a buffer from the camera's pool.
    pub(super) frame: Option<WeakFrame>,
    pub(super) truth: Option<Truth>,
    pub(super) recipe: Arc<RecipeInForce>,
}

struct Open {
    part: Admission,
    deadline: Instant,
    marks: Vec<Mark>,
    /// The stage that works on it, and since when.
    inside: Option<(usize, Instant)>,
    outcome: Option<Outcome>,
    /// A result that came after the outcome, but before the verdict could go out.
    late: Option<LateResult>,
}

struct Outcome {
    decision: Decision,
    beside: Beside,
    picture: Option<Picture>,
}

/// What the record says of a part beside its decision.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    pub(super) provider: Option<Provider>,
    pub(super) image: Option<ImageHealth>,
    pub(super) pose: Option<Pose>,
    pub(super) views: Arc<[View]>,
}

/// What goes out for one part.
pub(super) struct Emission {
    pub(super) inspection: Inspection,
    pub(super) picture: Option<Picture>,
    pub(super) late: Option<LateResult>,
}

/// What stays the same while the line runs.
pub(super) struct Terms {
    pub(super) line: Arc<str>,
    pub(super) camera: Arc<str>,
    pub(super) stages: Vec<&'static str>,
    pub(super) pins: Pins,
    /// Open and unrecorded parts together, at most.
    pub(super) capacity: usize,
    pub(super) max_restarts: usize,
    pub(super) restart_window: Duration,
    pub(super) max_abandoned: u64,
    /// Who knows of parts that check the line.
    pub(super) checker: Option<Arc<dyn Checker>>,
}

/// Everything a line counts beside the law.
#[derive(Debug, Clone, Default)]
pub(super) struct Tallies {
    pub(super) pictures_dropped: u64,
    pub(super) restarts: u64,
    pub(super) abandoned: u64,
    pub(super) late_results: u64,
    pub(super) record_errors: u64,
    pub(super) source_errors: u64,
    pub(super) source_trouble: Option<String>,
}

pub(super) struct Books {
    terms: Terms,
    open: VecDeque<Open>,
    counts: Counts,
    last_deadline: Option<Instant>,
    last_trigger: Option<Instant>,
    last_shown: Option<Instant>,
    /// Pictures a second that viewers ask for.
    watched: u32,
    /// Late results of parts whose verdict is out.
    loose: VecDeque<LateResult>,
    recent_restarts: VecDeque<Instant>,
    /// Emitted, not yet taken by the recorder.
    pub(super) unrecorded: usize,
    pub(super) hold: Option<String>,
    /// A safe hold that has not been logged yet.
    pub(super) news: Option<String>,
    /// Too many threads hang to go on.
    pub(super) exhausted: bool,
    pub(super) tallies: Tallies,
    /// No new triggers are asked for.
    pub(super) draining: bool,
    /// No trigger will come any more.
    pub(super) ended: bool,
    /// The line is gone; whoever still comes is too late.
    pub(super) closed: bool,
}

impl Books {
    pub(super) fn new(terms: Terms) -> Books {
        Books {
            open: VecDeque::with_capacity(terms.capacity),
            terms,
            counts: Counts::default(),
            last_deadline: None,
            last_trigger: None,
            last_shown: None,
            watched: 0,
            loose: VecDeque::new(),
            recent_restarts: VecDeque::new(),
            unrecorded: 0,
            hold: None,
            news: None,
            exhausted: false,
            tallies: Tallies::default(),
            draining: false,
            ended: false,
            closed: false,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { in_flight: self.open.len() as u64, ..self.counts }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.open.len()
    }

    /// Whether one more part can be promised a place in the recorder's queue.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() + self.unrecorded < self.terms.capacity
    }

    /// Whether nothing is left to do, now and ever.
    pub(super) fn finished(&self) -> bool {
        self.ended && self.open.is_empty() && self.unrecorded == 0
    }

    pub(super) fn last_trigger(&self) -> Option<Instant> {
        self.last_trigger
    }

    pub(super) fn watch(&mut self, per_second: u32) {
        self.watched = per_second;
    }

    /// The earliest moment at which a part becomes late. The oldest part is undecided, or it would be out.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.open.front().map(|open| open.deadline)
    }

    /// Enters a part. True if it may go on to the stages; in safe hold it is resolved here and now.
    pub(super) fn admit(&mut self, part: Admission, now: Instant) -> bool {
        debug_assert!(self.open.back().is_none_or(|last| last.part.id + 1 == part.id), "ids are consecutive");
        debug_assert!(self.has_room(), "capture waits for room");
        let own = part.triggered + Duration::from_millis(u64::from(part.recipe.recipe.deadline_ms));
        let deadline = self.last_deadline.map_or(own, |last| last.max(own));
        self.last_deadline = Some(deadline);
        self.last_trigger = Some(now);
        self.counts.triggered += 1;
        let id = part.id;
        let marks = Vec::with_capacity(self.terms.stages.len());
        let refused = self.terms.checker.as_ref().and_then(|checker| checker.refuses(&part.recipe));
        self.open.push_back(Open { part, deadline, marks, inside: None, outcome: None, late: None });
        if let Some(reason) = self.hold.clone().or_else(|| refused.map(|reason| reason.to_string())) {
            self.fail(id, Cause::SafeHold, &reason, now);
        }
        self.expire(now);
        self.undecided(id)
    }

    pub(super) fn undecided(&self, id: u64) -> bool {
        self.index(id).is_some_and(|at| self.open[at].outcome.is_none())
    }

    /// Work on a part begins. True if the part still waits for its verdict.
    pub(super) fn enter(&mut self, id: u64, stage: usize, now: Instant) -> bool {
        let Some(open) = self.index(id).map(|at| &mut self.open[at]).filter(|open| open.outcome.is_none()) else {
            return false;
        };
        open.inside = Some((stage, now));
        true
    }

    /// Work on a part ended. True if the part still waits for its verdict.
    pub(super) fn leave(&mut self, id: u64, now: Instant) -> bool {
        if let Some(at) = self.index(id) {
            self.open[at].close_mark(&self.terms.stages, now);
        }
        self.undecided(id)
    }

    /// What a stage has found out about which part it is: it counts as long as the verdict is not out, even if that has fallen.
    pub(super) fn know(&mut self, part: &Part) {
        let Some(at) = self.index(part.id) else { return };
        let known = &mut self.open[at].part;
        if known.identity != part.identity {
            known.identity.clone_from(&part.identity);
            known.serial.clone_from(&part.serial);
        }
    }

    /// A stage's result. If the part is resolved already, this is a late result.
    pub(super) fn decide(&mut self, id: u64, triggered: Instant, result: (Decision, Beside), now: Instant) {
        let (decision, beside) = result;
        if self.undecided(id) {
            return self.resolve(id, decision, beside, now);
        }
        self.tallies.late_results += 1;
        let late = LateResult { id, decision, after_us: micros_between(triggered, now) };
        match self.index(id) {
            Some(at) => self.open[at].late = Some(late),
            None => self.loose.push_back(late),
        }
    }

    /// The line itself gives a part up. Without effect if the part is resolved already.
    pub(super) fn fail(&mut self, id: u64, cause: Cause, detail: &str, now: Instant) {
        if self.undecided(id) {
            self.resolve(id, Decision::none(cause, detail), Beside::default(), now);
        }
    }

    /// Resolves every part whose deadline has come.
    pub(super) fn expire(&mut self, now: Instant) {
        for at in 0..self.open.len() {
            let open = &self.open[at];
            if open.deadline > now {
                break;
            }
            if open.outcome.is_none() {
                let (id, detail) = (open.part.id, self.where_late(open, now));
                self.resolve(id, Decision::none(Cause::Late, detail), Beside::default(), now);
            }
        }
    }

    /// The next verdict that may go out, oldest first.
    pub(super) fn pop_ready(&mut self, now: Instant) -> Option<Emission> {
        let Open { part, marks, outcome, late, .. } = self.open.pop_front_if(|open| open.outcome.is_some())?;
        let Outcome { decision, beside, picture } = outcome?;
        self.unrecorded += 1;
        let identification = &part.recipe.recipe.identity;
        let lot = part.serial.as_deref().and_then(|serial| identification.lot_of(serial)).map(Arc::from);
        let mut inspection = Inspection {
            id: part.id,
            line: self.terms.line.clone(),
            camera: self.terms.camera.clone(),
            serial: part.serial,
            lot,
            identity: part.identity,
            call: part.call,
            origin: part.origin,
            triggered_at: part.triggered_at,
            verdict: decision.verdict,
            detail: decision.detail,
            label: decision.label,
            found: decision.found,
            scores: decision.scores,
            heat: decision.heat,
            image: beside.image,
            regions: decision.regions,
            views: beside.views,
            pose: beside.pose,
            sample: decision.sample,
            recipe: part.recipe.tag.clone(),
            model: part.recipe.model.digest().clone(),
            provider: beside.provider,
            ledger: Ledger { marks, total_us: micros_between(part.triggered, now) },
            evidence: None,
            truth: part.truth,
            conditions: Vec::new(),
            check: None,
        };
        if let Some(checker) = &self.terms.checker {
            checker.verdict(&mut inspection, &part.recipe, part.triggered);
        }
        self.counts.tally(inspection.verdict);
        Some(Emission { inspection, picture, late })
    }

    /// The next late result of a part whose verdict is out.
    pub(super) fn pop_loose(&mut self) -> Option<LateResult> {
        self.loose.pop_front()
    }

    /// From now on every part is `NoDecision`, those in flight too. False if that is so already.
    pub(super) fn enter_hold(&mut self, reason: &str, now: Instant) -> bool {
        if self.hold.is_some() {
            return false;
        }
        self.hold = Some(reason.to_owned());
        self.news = Some(reason.to_owned());
        for at in 0..self.open.len() {
            self.fail(self.open[at].part.id, Cause::SafeHold, reason, now);
        }
        true
    }

    pub(super) fn clear_hold(&mut self) {
        self.hold = None;
        self.recent_restarts.clear();
    }

    /// A stage was restarted after a panic. True if that was once too often.
    pub(super) fn restarted(&mut self, now: Instant) -> bool {
        self.tallies.restarts += 1;
        self.recent_restarts.push_back(now);
        let window = self.terms.restart_window;
        while self.recent_restarts.pop_front_if(|at| now.saturating_duration_since(*at) > window).is_some() {}
        self.recent_restarts.len() >= self.terms.max_restarts
    }

    /// A stage's thread was abandoned. True if that was once too often.
    pub(super) fn abandoned(&mut self) -> bool {
        self.tallies.abandoned += 1;
        self.exhausted |= self.tallies.abandoned >= self.terms.max_abandoned;
        self.exhausted
    }

    fn resolve(&mut self, id: u64, decision: Decision, beside: Beside, now: Instant) {
        let Some(at) = self.index(id) else { return };
        let picture = self.picture_for(at, &decision, now);
        let open = &mut self.open[at];
        open.close_mark(&self.terms.stages, now);
        open.outcome = Some(Outcome { decision, beside, picture });
    }

    /// The part's picture, if it is wanted and may be held.
    fn picture_for(&mut self, at: usize, decision: &Decision, now: Instant) -> Option<Picture> {
        let part = &self.open[at].part;
        let weak = part.frame.as_ref()?;
        let keep = decision.verdict != Verdict::Pass
            || decision.sample.is_wanted()
            || self.terms.checker.as_ref().is_some_and(|checker| checker.is_on())
            || drawn_by_lot(part.id, part.recipe.recipe.evidence.pass_fraction);
        let show =
            self.watched > 0 && self.last_shown.is_none_or(|last| now >= last + Duration::from_secs(1) / self.watched);
        if !keep && !show {
            return None;
        }
        let Some(frame) = weak.upgrade().and_then(|frame| frame.pinned(&self.terms.pins)) else {
            self.tallies.pictures_dropped += 1;
            return None;
        };
        if show {
            self.last_shown = Some(now);
        }
        Some(Picture { frame, keep, show })
    }

    fn where_late(&self, open: &Open, now: Instant) -> String {
        let limit = open.part.recipe.recipe.deadline_ms;
        let name = |stage: usize| self.terms.stages.get(stage).copied();
        let place = match open.inside {
            Some((stage, since)) => {
                let busy = now.saturating_duration_since(since).as_millis();
                format!("`{}` was at it for {busy} ms", name(stage).unwrap_or("a stage"))
            }
            None => name(open.marks.len()).map_or("on its way".to_owned(), |next| format!("waiting for `{next}`")),
        };
        format!("no verdict within {limit} ms: {place}")
    }

    /// Ids are consecutive, so a part's place follows from its id.
    fn index(&self, id: u64) -> Option<usize> {
        let first = self.open.front()?.part.id;
        usize::try_from(id.checked_sub(first)?).ok().filter(|&at| at < self.open.len())
    }
}

impl Open {
    /// Ends the mark of the stage that works on the part. Once the part is resolved its marks stand as they are.
    fn close_mark(&mut self, stages: &[&'static str], now: Instant) {
        if self.outcome.is_none()
            && let Some((stage, since)) = self.inside.take()
        {
            let at = |moment| micros_between(self.part.triggered, moment);
            self.marks.push(Mark { stage: Cow::Borrowed(stages[stage]), entered_us: at(since), left_us: at(now) });
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
pub(super) mod tests;
