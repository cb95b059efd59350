//! Each part's latency ledger: one mark per stage, on the monotonic clock.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// When a part entered and left one stage, in microseconds since its trigger. What lies between two marks is waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The stage's name.
    pub stage: Cow<'static, str>,
    /// Work began.
    pub entered_us: u32,
    /// Work ended; for the stage in which the part was given up: the moment of the verdict.
    pub left_us: u32,
}

/// The marks, in the order of the stages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// One per stage that worked on the part before its verdict.
    pub marks: Vec<Mark>,
    /// Trigger to the moment when the verdict went out.
    pub total_us: u32,
}

/// Microseconds from `start` to `end`; 0 if `end` comes first, and no more than fit (71 minutes).
pub fn micros_between(start: Instant, end: Instant) -> u32 {
    micros(end.saturating_duration_since(start))
}

/// Whole microseconds, no more than fit (71 minutes).
pub fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
