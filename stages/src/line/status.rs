//! What a line says of itself.

use super::counts::{Counts, LatencySummary};
use crate::capture::statistics::SourceStatistics;

/// The state an operator sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineState {
    /// Up, no part yet or none for a while.
    Ready,
    /// Parts are coming.
    Running,
    /// Everything is `NoDecision`, with the reason.
    SafeHold(String),
    /// Everything is `NoDecision` until the line has shown that it judges right, with the reason.
    NotReady(String),
    /// No new parts are taken; those in flight are finished.
    Draining,
    /// The source ended or the line was drained.
    Stopped,
}

/// A snapshot of a line.
#[derive(Debug, Clone)]
pub struct LineStatus {
    /// State.
    pub state: LineState,
    /// The law.
    pub counts: Counts,
    /// Trigger to verdict since the start.
    pub latency: LatencySummary,
    /// Per stage: name, latency inside the stage.
    pub stages: Vec<(&'static str, LatencySummary)>,
    /// The queue in front of each stage, in the order of the line; none once the line has stopped.
    pub queues: Vec<StageQueue>,
    /// Evidence or preview pictures dropped because too many were pinned.
    pub pictures_dropped: u64,
    /// Stage threads restarted after a panic.
    pub restarts: u64,
    /// Stage threads abandoned because they hung.
    pub abandoned: u64,
    /// Results that came after their verdict.
    pub late_results: u64,
    /// Triggers, inspections and late results that the recorder did not take.
    pub record_errors: u64,
    /// Times that the source failed: an error, a panic, no answer.
    pub source_errors: u64,
    /// What is wrong with the source now, in words.
    pub source_trouble: Option<String>,
    /// What the source counts of itself; none for those that have nothing to lose.
    pub source: Option<SourceStatistics>,
}

/// How much waits in front of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageQueue {
    /// The stage.
    pub stage: &'static str,
    /// Parts that wait.
    pub waiting: usize,
    /// Parts that fit; when the first queue is full, a part is `NoDecision{overload}`.
    pub capacity: usize,
}
