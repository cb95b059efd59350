//! What PLC and line say to each other, whatever the protocol. docs/PLC.md explains each signal.

use std::sync::Arc;

use serde::Serialize;
use stages::verdict::{Cause, Verdict};
use utoipa::ToSchema;

/// What the PLC says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// A part is there. Its rise is the trigger; it is held until `trigger_ack` or an error.
    pub trigger: bool,
    /// The result was read. Its rise is the acknowledgement; it is held until `result_ready` falls.
    pub result_ack: bool,
    /// The part's id, chosen by the PLC; valid when `trigger` rises. 0: none.
    pub id: u32,
    /// What the part is to be inspected with, by its index; 0: with what is in force.
    pub recipe: u16,
    /// The part's serial number.
    pub serial: Option<Arc<str>>,
}

/// What the line says. [`Said::SAFE`] stands there before the line runs and after it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PlcOutputs)]
pub struct Said {
    /// A trigger would be taken now.
    pub trigger_ready: bool,
    /// The trigger was taken; its id stands in `ack_id`.
    pub trigger_ack: bool,
    /// `result` is valid and stays as it is until the PLC acknowledges it.
    pub result_ready: bool,
    /// As many results as may wait do wait: a trigger would be missed.
    pub busy: bool,
    /// `error_code` is not 0.
    pub error: bool,
    /// Changes with every beat.
    pub heartbeat: bool,
    /// A result waits for its acknowledgement longer than it should.
    pub ack_overdue: bool,
    /// Grows with every beat, and wraps.
    pub beat: u16,
    /// Another number after each start of the program: what was triggered before will get no result.
    pub session: u16,
    /// See [`ErrorCode`].
    pub error_code: u16,
    /// Index of the recipe in force; 0: it has none.
    pub recipe: u16,
    /// Id of the newest trigger that was taken.
    pub ack_id: u32,
    /// Triggers that were not taken because the line could not.
    pub missed: u32,
    /// The result, while `result_ready`; otherwise no decision.
    pub result: Outcome,
}

impl Said {
    /// Nothing is promised: not ready, no result, the heart does not beat.
    pub const SAFE: Said = Said {
        trigger_ready: false,
        trigger_ack: false,
        result_ready: false,
        busy: false,
        error: false,
        heartbeat: false,
        ack_overdue: false,
        beat: 0,
        session: 0,
        error_code: 0,
        recipe: 0,
        ack_id: 0,
        missed: 0,
        result: Outcome::NONE,
    };
}

/// One part's result, as a PLC reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PlcResult)]
pub struct Outcome {
    /// The id that came with the trigger.
    pub id: u32,
    /// See [`Answer`].
    pub verdict: Answer,
    /// Why there is no decision; 0 otherwise. See [`cause_code`].
    pub cause: u16,
    /// The part may go on: it passed, or a person is to look at it and the recipe lets such parts go on.
    pub accept: bool,
    /// The label that the verdict rests on, by its place in the model, from 1; 0: none; 65535: a kind that was taught here.
    pub label: u16,
    /// That label's score in ten thousandths.
    pub score: u16,
    /// The lower 32 bits of the part's number on record.
    pub part: u32,
    /// Trigger to verdict.
    pub latency_us: u32,
}

impl Outcome {
    /// Nobody may take this for a good part.
    pub const NONE: Outcome = Outcome {
        id: 0,
        verdict: Answer::NoDecision,
        cause: 0,
        accept: false,
        label: 0,
        score: 0,
        part: 0,
        latency_us: 0,
    };
}

/// A verdict as a number. No decision is 0, so that memory which nobody has written accepts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PlcAnswer)]
#[repr(u16)]
pub enum Answer {
    /// No decision, for the cause beside it.
    NoDecision = 0,
    /// Good.
    Pass = 1,
    /// Bad.
    Fail = 2,
    /// A person should look.
    Review = 3,
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Answer {
        match verdict {
            Verdict::Pass => Answer::Pass,
            Verdict::Fail => Answer::Fail,
            Verdict::Review => Answer::Review,
            Verdict::NoDecision(_) => Answer::NoDecision,
        }
    }
}

/// Why there was no decision, as a number. The numbers are part of the register map: they never change.
pub fn cause_code(verdict: Verdict) -> u16 {
    let Verdict::NoDecision(cause) = verdict else { return 0 };
    match cause {
        Cause::Late => 1,
        Cause::Overload => 2,
        Cause::NoFrame => 3,
        Cause::Truncated => 4,
        Cause::Unreadable => 5,
        Cause::WrongSize => 6,
        Cause::Blank => 7,
        Cause::Saturated => 8,
        Cause::OutOfFocus => 9,
        Cause::StageFailed => 10,
        Cause::SafeHold => 11,
        Cause::Restart => 12,
        Cause::NotAligned => 13,
        Cause::LightChanged => 14,
    }
}

/// What is wrong, as a number. Part of the register map too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum ErrorCode {
    /// The line does not take triggers: it starts, ends, hangs, or its source has ended.
    NotReady = 1,
    /// The line is in safe hold: triggers are taken, and each gets no decision.
    SafeHold = 2,
    /// No recipe has the index that came with the trigger.
    RecipeUnknown = 3,
    /// That recipe is not the one in force.
    RecipeNotInForce = 4,
    /// A part with this id was taken already: the trigger came twice.
    Doubled = 5,
    /// The trigger was missed: as many results as may wait do wait.
    Busy = 6,
}
