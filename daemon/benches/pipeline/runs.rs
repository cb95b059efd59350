//! One run of the line, and one of a bare loop of the same calls.
#![allow(dead_code)] // the benchmarks that share this use each its own part

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use inspectd::store::{Options, Store};
use models::image::encode_jpeg;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use stages::capture::{Event, Pace, Source, SourceError, Trigger};
use stages::frame::{Content, Frame};
use stages::line::{Limits, Line, LineConfig, standard};
use stages::part::Part;
use stages::recipe::RecipeInForce;
use stages::record::Recorder;
use stages::recycle::Buffers;
use stages::stage::{Decision, Flow, Stage, StageFactory};
use stages::verdict::{Cause, Verdict};

/// What is inspected, with what.
pub(crate) struct Work {
    pub(crate) recipe: Arc<RecipeInForce>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) limits: Limits,
}

/// What a run took.
pub(crate) struct Run {
    pub(crate) parts_per_s: f64,
    /// Of all threads, milliseconds.
    pub(crate) cpu_ms_per_part: f64,
    /// Trigger to verdict, milliseconds.
    pub(crate) latencies: Vec<f64>,
    /// Pictures written.
    pub(crate) kept: usize,
    undecided: u64,
}

/// Times `work` on so many parts.
fn measured(parts: usize, work: impl FnOnce() -> Vec<f64>) -> Run {
    let (began, used) = (Instant::now(), processor_time());
    let latencies = work();
    let seconds = began.elapsed().as_secs_f64();
    let cpu_ms_per_part = (processor_time() - used).as_secs_f64() * 1000.0 / parts as f64;
    Run { parts_per_s: parts as f64 / seconds, cpu_ms_per_part, latencies, kept: 0, undecided: 0 }
}

fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the kernel counts");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros as u64)
}

impl Work {
    /// Each thread takes the next frame, calls one stage after the other and keeps the pictures that the line would keep.
    pub(crate) fn bare(&self, parts: usize, pace: Option<f64>) -> Run {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let next = AtomicUsize::new(0);
        // At a pace one thread is never behind, so more would only idle.
        let threads = if pace.is_some() { 1 } else { self.limits.worker_threads() };
        let run = measured(parts, || {
            thread::scope(|scope| {
                let workers: Vec<_> =
                    (0..threads).map(|_| scope.spawn(|| self.bare_worker(&next, parts, pace, folder.path()))).collect();
                workers.into_iter().flat_map(|worker| worker.join().expect("the bare loop does not panic")).collect()
            })
        });
        Run { kept: folder.path().read_dir().expect("it is there").count(), ..run }
    }

    fn bare_worker(&self, next: &AtomicUsize, parts: usize, pace: Option<f64>, folder: &Path) -> Vec<f64> {
        let mut stages: Vec<Box<dyn Stage>> = standard(&self.limits).iter().map(|stage| stage.build()).collect();
        let buffers = Buffers::new(4);
        let started = Instant::now();
        let mut latencies = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= parts {
                return latencies;
            }
            if let Some(pace) = pace {
                let at = started + Duration::from_secs_f64(number as f64 / pace);
                thread::sleep(at.saturating_duration_since(Instant::now()));
            }
            let frame = self.frames[number % self.frames.len()].clone();
            let triggered = Instant::now();
            let part = Part::new(number as u64, frame, self.recipe.clone(), buffers.clone());
            let (part, verdict) = run(&mut stages, part);
            latencies.push(triggered.elapsed().as_secs_f64() * 1000.0);
            keep(verdict, &part, folder);
        }
    }

    /// The line with everything that it has: queues, deadlines, journal, index, evidence.
    pub(crate) fn line(&self, parts: usize, pace: Option<f64>) -> Run {
        let run = self.line_of(standard(&self.limits), parts, pace);
        assert_eq!(run.undecided, 0, "parts of this run had no decision");
        run
    }

    /// Parts a second of a line whose stages do nothing: what its queues, its keeper and its store take.
    pub(crate) fn line_alone(&self, parts: usize) -> f64 {
        self.line_of(vec![Box::new(Nothing)], parts, None).parts_per_s
    }

    fn line_of(&self, stages: Vec<Box<dyn StageFactory>>, parts: usize, pace: Option<f64>) -> Run {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options { line: "bench".into(), ..Options::default() };
        let (store, report) = Store::open(folder.path(), options).expect("a store in an empty folder");
        let store = Arc::new(store);
        let (mut undecided, mut kept) = (0, 0);
        let run = measured(parts, || {
            let recorder: Arc<dyn Recorder> = store.clone();
            let source = Memory { frames: self.frames.clone(), parts, next: 0, pace, started: Instant::now() };
            let line = Line::start(LineConfig {
                name: "bench".into(),
                first_id: report.next_id,
                source: Box::new(source),
                stages,
                recipe: self.recipe.clone(),
                recorder,
                serials: None,
                checker: None,
                sinks: Vec::new(),
                limits: self.limits.clone(),
            })
            .expect("the line starts");
            assert!(line.wait(Duration::from_secs(600)), "the line did not finish");
            let counts = line.drain();
            assert_eq!(counts.triggered, parts as u64, "{counts:?}");
            undecided = counts.no_decision;
            let page = store.after(0, parts.max(1));
            kept = page.iter().filter(|stored| stored.inspection.evidence.is_some()).count();
            page.iter().map(|stored| f64::from(stored.inspection.ledger.total_us) / 1000.0).collect()
        });
        Run { undecided, kept, ..run }
    }
}

/// Calls one stage after the other.
fn run(stages: &mut [Box<dyn Stage>], mut part: Part) -> (Part, Verdict) {
    for stage in stages {
        match stage.process(part) {
            Flow::Next(next) => part = next,
            Flow::Decided(part, decision) | Flow::Failed(part, decision) => return (part, decision.verdict),
        }
    }
    panic!("the last stage decides")
}

/// Writes the picture of everything that did not pass, as the store does: a file as it came.
fn keep(verdict: Verdict, part: &Part, folder: &Path) {
    if verdict == Verdict::Pass {
        return;
    }
    let path = folder.join(format!("{}.jpg", part.id));
    let written = match part.frame.content() {
        Content::Encoded => std::fs::write(path, part.frame.bytes()),
        Content::Pixels { .. } => {
            let view = part.view().expect("raw pixels");
            std::fs::write(path, encode_jpeg(view, 95).expect("a sane picture"))
        }
    };
    written.expect("the temporary folder takes files");
}

/// Passes every part.
struct Nothing;

impl StageFactory for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn workers(&self) -> usize {
        1
    }

    fn build(&self) -> Box<dyn Stage> {
        Box::new(Nothing)
    }
}

impl Stage for Nothing {
    fn process(&mut self, part: Part) -> Flow {
        Flow::Decided(part, Decision { verdict: Verdict::Pass, detail: None, ..Decision::none(Cause::StageFailed, "") })
    }
}

/// Hands out the frames in memory again and again.
struct Memory {
    frames: Vec<Frame>,
    parts: usize,
    next: usize,
    pace: Option<f64>,
    started: Instant,
}

impl Source for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn pace(&self) -> Pace {
        Pace::OnDemand
    }

    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        if self.next == self.parts {
            return Ok(Event::End);
        }
        if let Some(pace) = self.pace {
            let left = (self.started + Duration::from_secs_f64(self.next as f64 / pace))
                .saturating_duration_since(Instant::now());
            thread::sleep(left.min(wait));
            if left > wait {
                return Ok(Event::Idle);
            }
        }
        let frame = self.frames[self.next % self.frames.len()].clone();
        self.next += 1;
        Ok(Event::Trigger(Trigger { at: Instant::now(), serial: None, frame: Ok(frame), truth: None, call: None }))
    }
}
