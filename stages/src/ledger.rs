//! Each part's latency ledger: one mark per stage, on the monotonic clock.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// When a part entered and left one stage, in microseconds since its trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The stage's name.
    pub stage: Cow<'static, str>,
    /// Work began.
    pub entered_us: u32,
    /// Work ended.
    pub left_us: u32,
}

/// The marks, in the order of the stages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// One per stage passed.
    pub marks: Vec<Mark>,
    /// Trigger to verdict.
    pub total_us: u32,
}
