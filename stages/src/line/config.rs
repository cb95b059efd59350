//! What a line is made of, and the sizes and times that bound it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::urgent;
use crate::capture::Source;
use crate::check::Checker;
use crate::identify::Serials;
use crate::recipe::RecipeInForce;
use crate::record::{Recorder, VerdictSink};
use crate::stage::StageFactory;

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
    /// Who sends or counts serial numbers; none: nobody.
    pub serials: Option<Arc<dyn Serials>>,
    /// Who knows of parts that are sent through to check the line; none: nobody.
    pub checker: Option<Arc<dyn Checker>>,
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
    /// Real-time priority (`SCHED_RR`) of the threads that a triggered part's verdict waits for; 0: none. It keeps what else runs here from
    /// holding them up, and needs the right to it. See [`urgent`].
    pub realtime_priority: u8,
    /// A stage that works longer on one part is given up and replaced.
    pub hang_ms: u32,
    /// Restarts within `restart_window_s` after which the line goes into safe hold.
    pub max_restarts: u32,
    /// See `max_restarts`.
    pub restart_window_s: u32,
    /// Abandoned threads after which the line holds for good and the process should exit.
    pub max_abandoned: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            workers: 0,
            queue_depth: 8,
            pinned_frames: 16,
            unrecorded: 512,
            realtime_priority: 0,
            hang_ms: 2000,
            max_restarts: 5,
            restart_window_s: 60,
            max_abandoned: 4,
        }
    }
}

impl Limits {
    /// `workers`, or one per core.
    pub fn worker_threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        }
    }

    /// Everything that is wrong with these limits: each names the key, the reason and the way out.
    pub fn problems(&self) -> Vec<String> {
        let least_one: [(&str, u64); 6] = [
            ("queue_depth", self.queue_depth as u64),
            ("unrecorded", self.unrecorded as u64),
            ("hang_ms", u64::from(self.hang_ms)),
            ("max_restarts", u64::from(self.max_restarts)),
            ("restart_window_s", u64::from(self.restart_window_s)),
            ("max_abandoned", u64::from(self.max_abandoned)),
        ];
        // Bounds on memory: the queues are allocated at the start.
        let bounded: [(&str, usize, usize); 5] = [
            ("workers", self.workers, 256),
            ("queue_depth", self.queue_depth, 4096),
            ("pinned_frames", self.pinned_frames, 4096),
            ("unrecorded", self.unrecorded, 65_536),
            ("realtime_priority", self.realtime_priority.into(), urgent::MOST.into()),
        ];
        let small = least_one
            .into_iter()
            .filter(|&(_, value)| value == 0)
            .map(|(key, _)| format!("`limits.{key}` is 0: a line cannot run so; give 1 or more, or leave it out"));
        let large = bounded
            .into_iter()
            .filter(|&(_, value, most)| value > most)
            .map(|(key, value, most)| format!("`limits.{key}` is {value}: {most} is the most"));
        small.chain(large).collect()
    }

    pub(super) fn hang(&self) -> Duration {
        Duration::from_millis(u64::from(self.hang_ms))
    }
}

/// The chain of every line: quality, identify, align, preprocess, infer, decide.
pub fn standard(limits: &Limits) -> Vec<Box<dyn StageFactory>> {
    let workers = limits.worker_threads();
    vec![
        Box::new(crate::quality::Quality { workers }),
        Box::new(crate::identify::Identify { workers }),
        Box::new(crate::align::Align { workers }),
        Box::new(crate::preprocess::Preprocess { workers }),
        Box::new(crate::infer::Infer { workers }),
        Box::new(crate::decide::Decide),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_every_zero_is_named() {
        assert_eq!(Limits::default().problems(), Vec::<String>::new());
        let zero = Limits { queue_depth: 0, hang_ms: 0, unrecorded: 70_000, ..Limits::default() };
        let problems = zero.problems().join("\n");
        for key in ["queue_depth", "hang_ms", "unrecorded"] {
            assert!(problems.contains(key), "{problems}");
        }
        assert_eq!(zero.problems().len(), 3);
    }
}
