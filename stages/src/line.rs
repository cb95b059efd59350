//! Wires the stages of one line: threads and bounded channels.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::capture::Source;
use crate::recipe::RecipeInForce;
use crate::record::{Recorder, VerdictSink};
use crate::stage::StageFactory;

/// `triggered == pass + fail + review + no_decision + in_flight`, at any moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Parts that came.
    pub triggered: u64,
    /// Good.
    pub pass: u64,
    /// Bad.
    pub fail: u64,
    /// For a person.
    pub review: u64,
    /// No answer.
    pub no_decision: u64,
    /// On their way.
    pub in_flight: u64,
}

/// The state an operator sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineState {
    /// Up, no part yet or none for a while.
    Ready,
    /// Parts are coming.
    Running,
    /// Everything is `NoDecision`, with the reason.
    SafeHold(String),
    /// No new parts are taken; those in flight are finished.
    Draining,
    /// The source ended or the line was drained.
    Stopped,
}

/// Trigger-to-verdict latency, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Median.
    pub p50_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Longest.
    pub max_us: u64,
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
    /// Evidence or preview pictures dropped because too many were pinned.
    pub pictures_dropped: u64,
    /// Stage threads restarted after a panic.
    pub restarts: u64,
    /// Stage threads abandoned because they hung.
    pub abandoned: u64,
    /// Results that came after their verdict.
    pub late_results: u64,
    /// Inspections and late results that the recorder did not take.
    pub record_errors: u64,
    /// Times that the source failed: an error, a panic, no answer.
    pub source_errors: u64,
    /// What is wrong with the source now, in words.
    pub source_trouble: Option<String>,
}

/// Everything a line needs.
pub struct LineConfig {
    /// The line's name.
    pub name: Arc<str>,
    /// First part id to use.
    pub first_id: u64,
    /// Where parts come from.
    pub source: Box<dyn Source>,
    /// The chain, in order; the last one decides. See [`standard`].
    pub stages: Vec<Box<dyn StageFactory>>,
    /// What they are inspected with.
    pub recipe: Arc<RecipeInForce>,
    /// Where inspections go.
    pub recorder: Arc<dyn Recorder>,
    /// Who is told each verdict at once.
    pub sinks: Vec<Arc<dyn VerdictSink>>,
    /// Limits.
    pub limits: Limits,
}

/// Sizes and times that bound a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Threads that preprocess and infer; 0: one per core.
    pub workers: usize,
    /// Parts that may wait before each stage.
    pub queue_depth: usize,
    /// Frames that evidence and viewers may hold.
    pub pinned_frames: usize,
    /// Parts that may be open, or decided and not yet taken by the recorder. At this many the line takes no further part.
    pub unrecorded: usize,
    /// A stage that works longer on one part is given up and replaced.
    pub hang_ms: u32,
    /// Restarts within `restart_window_s` after which the line goes into safe hold.
    pub max_restarts: u32,
    /// See `max_restarts`.
    pub restart_window_s: u32,
    /// Abandoned threads after which the process should exit.
    pub max_abandoned: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            workers: 0,
            queue_depth: 8,
            pinned_frames: 16,
            unrecorded: 512,
            hang_ms: 2000,
            max_restarts: 5,
            restart_window_s: 60,
            max_abandoned: 4,
        }
    }
}

/// The chain of every line: quality, preprocess, infer, decide.
pub fn standard(limits: &Limits) -> Vec<Box<dyn StageFactory>> {
    let workers = limits.worker_threads();
    vec![
        Box::new(crate::quality::Quality { workers }),
        Box::new(crate::preprocess::Preprocess { workers }),
        Box::new(crate::infer::Infer { workers }),
        Box::new(crate::decide::Decide),
    ]
}

impl Limits {
    /// `workers`, or one per core.
    pub fn worker_threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        }
    }
}

/// A running line.
pub struct Line {}

impl Line {
    /// Starts every thread.
    pub fn start(_config: LineConfig) -> Line {
        todo!()
    }

    /// The law, at this moment; cheaper than [`status`](Line::status).
    pub fn counts(&self) -> Counts {
        todo!()
    }

    /// Clears a safe hold: parts from now on are inspected again. The caller has mended the reason.
    pub fn clear_safe_hold(&self) {
        todo!()
    }

    /// Somebody watches: up to this many pictures a second go to the recorder with `show` set; 0: nobody watches.
    pub fn watch(&self, _per_second: u32) {
        todo!()
    }

    /// A consistent snapshot.
    pub fn status(&self) -> LineStatus {
        todo!()
    }

    /// From the next part on, this recipe is in force.
    pub fn swap_recipe(&self, _recipe: Arc<RecipeInForce>) {
        todo!()
    }

    /// Whether every stage progresses or is idle, and too few threads hang to give up: feeds the service's watchdog.
    pub fn healthy(&self) -> bool {
        todo!()
    }

    /// Waits until the source has ended and the last part is recorded, or the time is up; true if it has.
    pub fn wait(&self, _timeout: Duration) -> bool {
        todo!()
    }

    /// Takes no new parts, finishes those in flight (each by its deadline), joins the threads.
    pub fn drain(self) -> Counts {
        todo!()
    }
}
