//! The handshake with a PLC: which triggers are taken, which result is shown, what is counted. A plain state machine without clock,
//! thread, lock or protocol, tested in simulated time; [`Exchange`](super::exchange::Exchange) locks it.
//!
//! The rules: a trigger is a rise. It is taken while fewer than `capacity` parts are open or wait to be acknowledged, so that a place
//! for its result is certain. Results are shown one at a time, in trigger order; what is shown does not change until the PLC
//! acknowledges it. A trigger that cannot be taken is counted as missed; one that comes twice, or asks for another recipe, is
//! refused with a code. Nothing else that the PLC does can lose a result or make a second one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;
use stages::capture::called::Call;
use utoipa::ToSchema;

use super::signals::{Answer, ErrorCode, Heard, Outcome, Said};

/// Handshakes that are remembered for people.
const REMEMBERED: usize = 32;

/// What stays the same.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Parts that may be open or wait for their acknowledgement.
    pub capacity: usize,
    /// A result that is not acknowledged within this time is an alarm.
    pub ack_wait: Duration,
    /// Between two beats of the heart.
    pub heartbeat: Duration,
    /// Indices from 1 to this are recipes.
    pub recipes: u16,
    /// See [`Said::session`].
    pub session: u16,
}

/// How the line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineLook {
    /// It takes triggers.
    pub takes: bool,
    /// It takes them and decides nothing.
    pub held: bool,
    /// Index of the recipe in force; 0: it has none.
    pub recipe: u16,
}

/// What was counted since the start. `triggered == pass + fail + review + no_decision + in_flight`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PlcCounts)]
pub struct Tally {
    /// Triggers that were taken.
    pub triggered: u64,
    /// Results: good.
    pub pass: u64,
    /// Results: bad.
    pub fail: u64,
    /// Results: a person should look.
    pub review: u64,
    /// Results: no decision.
    pub no_decision: u64,
    /// Taken, without a result yet.
    pub in_flight: u64,
    /// Results that wait for their acknowledgement, the one shown among them.
    pub waiting: u64,
    /// Results that were acknowledged.
    pub acknowledged: u64,
    /// Results whose acknowledgement came later than it should, or has not come yet.
    pub late_acks: u64,
    /// Triggers that were not taken because the line could not.
    pub missed: u64,
    /// Triggers that were refused because they came twice.
    pub doubled: u64,
    /// Triggers that were refused because they asked for a recipe that is not in force.
    pub refused: u64,
}

/// A handshake that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// The result as it was shown.
    pub outcome: Outcome,
    /// When its trigger was taken.
    pub triggered: Instant,
    /// When its result came.
    pub decided: Instant,
    /// When it was acknowledged.
    pub acknowledged: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    id: u32,
    triggered: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    outcome: Outcome,
    triggered: Instant,
    decided: Instant,
}

/// See the module.
pub struct Handshake {
    terms: Terms,
    heard: Heard,
    line: LineLook,
    /// Taken, without a result yet, oldest first.
    open: VecDeque<Open>,
    /// Results to acknowledge, oldest first; the first one is shown, or waits for `result_ack` to fall.
    results: VecDeque<Waiting>,
    shown: bool,
    /// Since when the first result could have been acknowledged.
    first_since: Option<Instant>,
    /// It is late, and was counted.
    late: bool,
    /// Why the trigger that is held was not taken.
    refusal: Option<ErrorCode>,
    acked: bool,
    last_id: Option<u32>,
    beat: u16,
    beat_at: Option<Instant>,
    quiet: bool,
    ended: bool,
    tally: Tally,
    done: VecDeque<Done>,
}

impl Handshake {
    /// Outputs are safe until the line was looked at.
    pub fn new(terms: Terms) -> Handshake {
        Handshake {
            open: VecDeque::with_capacity(terms.capacity),
            results: VecDeque::with_capacity(terms.capacity),
            terms,
            heard: Heard::default(),
            line: LineLook::default(),
            shown: false,
            first_since: None,
            late: false,
            refusal: None,
            acked: false,
            last_id: None,
            beat: 0,
            beat_at: None,
            quiet: false,
            ended: false,
            tally: Tally::default(),
            done: VecDeque::with_capacity(REMEMBERED),
        }
    }

    /// What the PLC's bits are when they are seen for the first time: a trigger that is up then is not a rise.
    pub fn prime(&mut self, heard: Heard) {
        self.heard = heard;
    }

    /// What the PLC says now. `place` hands a call to the line; false: the line does not take it.
    pub fn hear(&mut self, heard: Heard, now: Instant, place: impl FnOnce(Call) -> bool) {
        let before = std::mem::replace(&mut self.heard, heard);
        if self.heard.trigger && !before.trigger {
            match self.take(now, place) {
                Ok(()) => self.acked = true,
                Err(code) => self.refusal = Some(code),
            }
        }
        if !self.heard.trigger {
            (self.acked, self.refusal) = (false, None);
        }
        if self.heard.result_ack && !before.result_ack && self.shown {
            self.acknowledge(now);
        }
        self.show(now);
    }

    fn take(&mut self, now: Instant, place: impl FnOnce(Call) -> bool) -> Result<(), ErrorCode> {
        let Heard { id, recipe, .. } = self.heard;
        if self.is_known(id) {
            self.tally.doubled += 1;
            return Err(ErrorCode::Doubled);
        }
        if recipe != 0 && recipe != self.line.recipe {
            self.tally.refused += 1;
            let known = recipe <= self.terms.recipes;
            return Err(if known { ErrorCode::RecipeNotInForce } else { ErrorCode::RecipeUnknown });
        }
        let call = Call { at: now, id, serial: self.heard.serial.clone() };
        let taken = if !self.takes() {
            Err(ErrorCode::NotReady)
        } else if self.is_full() {
            Err(ErrorCode::Busy)
        } else if !place(call) {
            Err(ErrorCode::NotReady)
        } else {
            self.open.push_back(Open { id, triggered: now });
            self.last_id = Some(id);
            self.tally.triggered += 1;
            Ok(())
        };
        self.tally.missed += u64::from(taken.is_err());
        taken
    }

    /// Whether a part with this id was taken and may still be on its way. 0 is no id.
    fn is_known(&self, id: u32) -> bool {
        let open = || self.open.iter().any(|open| open.id == id);
        let waits = || self.results.iter().any(|waiting| waiting.outcome.id == id);
        id != 0 && (self.last_id == Some(id) || open() || waits())
    }

    fn takes(&self) -> bool {
        self.line.takes && !self.quiet && !self.ended
    }

    fn is_full(&self) -> bool {
        self.open.len() + self.results.len() >= self.terms.capacity
    }

    /// A part that was called for has its verdict. Verdicts come in trigger order: calls before this one that have none will get none from
    /// the line, so they get no decision here. False: nobody waits for such a result.
    pub fn decide(&mut self, outcome: Outcome, now: Instant) -> bool {
        let Some(at) = self.open.iter().position(|open| open.id == outcome.id) else { return false };
        for skipped in self.open.drain(..at).collect::<Vec<_>>() {
            self.enqueue(skipped, Outcome { id: skipped.id, ..Outcome::NONE }, now);
        }
        if let Some(open) = self.open.pop_front() {
            self.enqueue(open, outcome, now);
        }
        self.show(now);
        true
    }

    fn enqueue(&mut self, open: Open, outcome: Outcome, now: Instant) {
        let counter = match outcome.verdict {
            Answer::Pass => &mut self.tally.pass,
            Answer::Fail => &mut self.tally.fail,
            Answer::Review => &mut self.tally.review,
            Answer::NoDecision => &mut self.tally.no_decision,
        };
        *counter += 1;
        self.results.push_back(Waiting { outcome, triggered: open.triggered, decided: now });
    }

    /// Shows the first result, unless the PLC still holds the acknowledgement of the one before.
    fn show(&mut self, now: Instant) {
        if self.results.is_empty() || self.shown {
            return;
        }
        self.first_since.get_or_insert(now);
        self.shown = !self.heard.result_ack;
    }

    fn acknowledge(&mut self, now: Instant) {
        self.look_late(now);
        let Some(Waiting { outcome, triggered, decided }) = self.results.pop_front() else { return };
        (self.shown, self.first_since, self.late) = (false, None, false);
        self.tally.acknowledged += 1;
        if self.done.len() == REMEMBERED {
            self.done.pop_front();
        }
        self.done.push_back(Done { outcome, triggered, decided, acknowledged: now });
    }

    fn look_late(&mut self, now: Instant) {
        let overdue = self.first_since.is_some_and(|since| now.saturating_duration_since(since) > self.terms.ack_wait);
        if overdue && !self.late {
            self.late = true;
            self.tally.late_acks += 1;
        }
    }

    /// Time goes on, and somebody has looked at the line. Without looks the heart does not beat.
    pub fn look(&mut self, line: LineLook, now: Instant) {
        self.line = line;
        self.look_late(now);
        if !self.ended && self.beat_at.is_none_or(|at| now.saturating_duration_since(at) >= self.terms.heartbeat) {
            self.beat = self.beat.wrapping_add(1);
            self.beat_at = Some(now);
        }
    }

    /// No further trigger is taken; what was taken still gets its result.
    pub fn quiet(&mut self) {
        self.quiet = true;
    }

    /// Outputs are safe from now on, for good.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether every trigger that was taken has its result, and every result its acknowledgement.
    pub fn is_idle(&self) -> (bool, bool) {
        (self.open.is_empty(), self.results.is_empty())
    }

    /// What the line says.
    pub fn said(&self) -> Said {
        if self.ended || self.beat_at.is_none() {
            return Said::SAFE;
        }
        let trouble = match self.line {
            _ if !self.takes() => Some(ErrorCode::NotReady),
            LineLook { held: true, .. } => Some(ErrorCode::SafeHold),
            LineLook { .. } => None,
        };
        let code = self.refusal.or(trouble);
        let first = self.results.front().filter(|_| self.shown);
        Said {
            trigger_ready: self.takes() && !self.is_full() && !self.heard.trigger,
            trigger_ack: self.acked,
            result_ready: first.is_some(),
            busy: self.is_full(),
            error: code.is_some(),
            heartbeat: !self.beat.is_multiple_of(2),
            ack_overdue: self.late,
            beat: self.beat,
            session: self.terms.session,
            error_code: code.map_or(0, |code| code as u16),
            recipe: self.line.recipe,
            ack_id: self.last_id.unwrap_or(0),
            missed: u32::try_from(self.tally.missed).unwrap_or(u32::MAX),
            result: first.map_or(Outcome::NONE, |first| first.outcome),
        }
    }

    /// What was counted.
    pub fn tally(&self) -> Tally {
        Tally { in_flight: self.open.len() as u64, waiting: self.results.len() as u64, ..self.tally }
    }

    /// For how long the first result has waited, if that is too long.
    pub fn overdue(&self, now: Instant) -> Option<(u32, Duration)> {
        let (since, first) = (self.first_since?, self.results.front()?);
        self.late.then(|| (first.outcome.id, now.saturating_duration_since(since)))
    }

    /// The newest handshakes, oldest first.
    pub fn done(&self) -> impl Iterator<Item = &Done> {
        self.done.iter()
    }
}

#[cfg(test)]
mod tests;
