//! What the line says of a part, and why.

use serde::{Deserialize, Serialize};

/// The one answer that every trigger gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Good.
    Pass,
    /// Bad.
    Fail,
    /// A person should look; the gate does what the recipe says (default: reject).
    Review,
    /// No answer, with a cause; the line treats it as a reject.
    NoDecision(Cause),
}

/// Why there was no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The deadline passed.
    Late,
    /// A queue was full, or no frame buffer was free.
    Overload,
    /// A trigger without a picture.
    NoFrame,
    /// The picture ends early.
    Truncated,
    /// The picture cannot be read.
    Unreadable,
    /// Not the size that the recipe asks for.
    WrongSize,
    /// Nothing to see: (nearly) one grey level.
    Blank,
    /// Over- or underexposed.
    Saturated,
    /// Out of focus.
    OutOfFocus,
    /// Exposure or light differ from the recipe's golden picture.
    LightChanged,
    /// The part does not lie where it can be aligned: no outline, not like the reference, moved too far.
    NotAligned,
    /// A stage failed on this part.
    StageFailed,
    /// The line is in safe hold: nothing is decided until a person or a restart clears it.
    SafeHold,
    /// The process ended while the part was in flight.
    Restart,
}
