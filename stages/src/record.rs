//! Where inspections go: the last stage hands each one, in trigger order, to a [`Recorder`].

use thiserror::Error;

use crate::frame::Frame;
use crate::inspection::Inspection;
use crate::stage::Decision;

/// Why something was not kept. The line goes into safe hold.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub struct RecordError(pub String);

/// A result that came after its part's verdict.
#[derive(Debug, Clone)]
pub struct LateResult {
    /// The part.
    pub id: u64,
    /// What the line would have said.
    pub decision: Decision,
    /// How long after the trigger it came.
    pub after_us: u32,
}

/// A part's picture on its way to the store. It holds one of the line's `pinned_frames` permits until dropped.
#[derive(Clone)]
pub struct Picture {
    /// The picture as captured.
    pub frame: Frame,
    /// Keep it as evidence: `Fail`, `Review`, `NoDecision`, or a sampled `Pass`.
    pub keep: bool,
    /// Somebody watches and this one is due: make a preview.
    pub show: bool,
}

/// The store, as the line sees it. An error, and a panic, puts the line into safe hold.
pub trait Recorder: Send + Sync {
    /// A trigger has come. Written before the part enters the line (not yet synced), so that a restart can account for it.
    fn opened(&self, id: u64, triggered_at: jiff::Timestamp) -> Result<(), RecordError>;
    /// A part is decided. Called in trigger order, by one thread. `picture` is there when it should be kept or shown.
    fn record(&self, inspection: Inspection, picture: Option<Picture>) -> Result<(), RecordError>;
    /// A result that came too late. Called after its part's `record`, by the same thread.
    fn late(&self, result: LateResult) -> Result<(), RecordError>;
}

/// Told each verdict at the moment of decision, in trigger order: a PLC, a gate, a tally. Must not block and must not call
/// the line: the line's books are locked meanwhile. A panic puts the line into safe hold.
pub trait VerdictSink: Send + Sync {
    /// One verdict.
    fn verdict(&self, inspection: &Inspection);
}
