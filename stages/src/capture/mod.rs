//! Sources of frames, one file each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::frame::Frame;
use crate::inspection::Truth;
use crate::verdict::Cause;

/// Who sets the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Parts come when they come: a full line costs a part (`NoDecision`, overload).
    Triggered,
    /// The source waits until the line has room: a folder read once, a simulation at full speed.
    OnDemand,
}

/// What a source has to say.
pub enum Event {
    /// A part was triggered.
    Trigger(Trigger),
    /// Nothing within the time given.
    Idle,
    /// No more parts will ever come.
    End,
}

/// One trigger.
pub struct Trigger {
    /// When it came.
    pub at: Instant,
    /// Serial number, where one is known.
    pub serial: Option<Arc<str>>,
    /// Its picture, or why there is none: the part then gets `NoDecision` with that cause.
    pub frame: Result<Frame, Fault>,
    /// What the part really is, when simulated.
    pub truth: Option<Truth>,
}

/// Why a trigger came without a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `NoFrame` (nothing came), `Overload` (no free buffer), `Unreadable`, ...
    pub cause: Cause,
    /// In words.
    pub detail: String,
}

/// Why a source stopped delivering. The capture stage reports it, counts it and opens the source anew.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// A camera, or something that stands in for one. Runs on the capture thread.
pub trait Source: Send {
    /// The camera's name, for records and messages.
    fn name(&self) -> &str;
    /// Who sets the pace.
    fn pace(&self) -> Pace;
    /// Waits at most `wait` for the next event.
    fn next(&mut self, wait: Duration) -> Result<Event, SourceError>;
}
