//! `make bench`: what the line costs beside a bare loop of the same calls.
//!
//! Both inspect the same frames, drawn beforehand, with the same stages, the same number of threads and the same share of
//! pictures kept. The bare loop has no queue, no keeper, no deadline, no journal: each thread takes the next frame and
//! calls one stage after the other. Runs alternate, so that a machine that slows down slows both.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use inspectd::config::parse_recipe;
use inspectd::store::{Options, Store};
use inspectd::supervise::{DEMO_RECIPE, Kitchen};
use models::image::encode_jpeg;
use stages::capture::synthetic::{Synthetic, SyntheticConfig};
use stages::capture::{Event, Pace, Source, SourceError, Trigger};
use stages::frame::Frame;
use stages::line::{Limits, Line, LineConfig, standard};
use stages::part::Part;
use stages::recipe::RecipeInForce;
use stages::record::Recorder;
use stages::recycle::Buffers;
use stages::stage::{Flow, Stage};
use stages::verdict::Verdict;

const PAIRS: usize = 9;
const PARTS: usize = 600;
const FRAMES: usize = 64;
const PACED_PARTS: usize = 200;
const PACE: f64 = 10.0;

fn main() {
    let recipe = recipe();
    let frames = frames();
    let limits = Limits::default();
    println!(
        "{} frames of 512 x 512 in colour, {PARTS} parts a run, {} workers, {} provider",
        frames.len(),
        limits.worker_threads(),
        format!("{:?}", recipe.model.provider()).to_lowercase()
    );
    let bench = Bench { recipe, frames, limits };

    bench.pipeline(PARTS / 4, None); // warm-up of both: sessions, page cache, frequency
    bench.bare(PARTS / 4, None);
    let mut ratios: Vec<f64> = (1..=PAIRS).map(|pair| bench.pair(pair)).collect();
    ratios.sort_by(f64::total_cmp);
    // Between the second and the second last of nine lies the median with 96 % confidence (sign test).
    println!(
        "pipeline / bare loop: median {:.3}, interval {:.3} to {:.3} (wanted: >= 0.90)",
        ratios[PAIRS / 2],
        ratios[1],
        ratios[PAIRS - 2]
    );

    let (bare, line) =
        (bench.bare(PACED_PARTS, Some(PACE)).latencies, bench.pipeline(PACED_PARTS, Some(PACE)).latencies);
    for (name, share) in [("p50", 0.50), ("p99", 0.99)] {
        let (bare, line) = (quantile(&bare, share), quantile(&line, share));
        println!("at {PACE} parts/s, {name}: bare {bare:.2} ms, line {line:.2} ms, added {:.2} ms", line - bare);
    }
}

/// The demo's recipe with the shipped model, without a deadline that a slow machine could miss.
fn recipe() -> Arc<RecipeInForce> {
    let mut recipe = parse_recipe(Path::new("the demo's recipe"), DEMO_RECIPE).expect("the shipped recipe is sound");
    recipe.deadline_ms = 60_000;
    recipe.quality = SyntheticConfig::default().quality();
    let kitchen = Kitchen { workers: Limits::default().worker_threads(), ..Kitchen::default() };
    kitchen.prepare(recipe, None).expect("the shipped model runs here").in_force
}

/// Parts of the synthetic line with its usual share of defects.
fn frames() -> Vec<Frame> {
    let config = SyntheticConfig { seed: 4711, bad_frame_rate: 0.0, ..SyntheticConfig::default() };
    let mut source = Synthetic::open(config).expect("the synthetic line opens");
    let mut frames = Vec::new();
    while frames.len() < FRAMES {
        if let Ok(Event::Trigger(Trigger { frame: Ok(frame), .. })) = source.next(Duration::from_secs(1)) {
            // A copy: the source's pool is smaller than what is kept here.
            frames.push(Frame::from_vec(frame.content(), frame.bytes().to_vec(), frame.sequence(), None));
        }
    }
    frames
}

struct Bench {
    recipe: Arc<RecipeInForce>,
    frames: Vec<Frame>,
    limits: Limits,
}

struct Run {
    parts_per_s: f64,
    /// Trigger to verdict, milliseconds.
    latencies: Vec<f64>,
}

impl Bench {
    fn pair(&self, number: usize) -> f64 {
        let (bare, line) = if number.is_multiple_of(2) {
            let bare = self.bare(PARTS, None);
            (bare, self.pipeline(PARTS, None))
        } else {
            let line = self.pipeline(PARTS, None);
            (self.bare(PARTS, None), line)
        };
        let ratio = line.parts_per_s / bare.parts_per_s;
        println!(
            "pair {number}: bare {:.1} parts/s, line {:.1} parts/s, ratio {ratio:.3}",
            bare.parts_per_s, line.parts_per_s
        );
        ratio
    }

    fn bare(&self, parts: usize, pace: Option<f64>) -> Run {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let next = AtomicUsize::new(0);
        let started = Instant::now();
        // At a pace one thread is never behind, so more would only idle.
        let threads = if pace.is_some() { 1 } else { self.limits.worker_threads() };
        let latencies = thread::scope(|scope| {
            let workers: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| self.bare_worker(&next, parts, pace, folder.path()))).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("the bare loop does not panic")).collect()
        });
        Run { parts_per_s: parts as f64 / started.elapsed().as_secs_f64(), latencies }
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
            let verdict = run(&mut stages, part);
            latencies.push(triggered.elapsed().as_secs_f64() * 1000.0);
            if let Some((verdict, part)) = verdict {
                keep(verdict, &part, folder);
            }
        }
    }

    fn pipeline(&self, parts: usize, pace: Option<f64>) -> Run {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options { line: "bench".into(), ..Options::default() };
        let (store, report) = Store::open(folder.path(), options).expect("a store in an empty folder");
        let store = Arc::new(store);
        let recorder: Arc<dyn Recorder> = store.clone();
        let source = Memory { frames: self.frames.clone(), parts, next: 0, pace, started: Instant::now() };
        let started = Instant::now();
        let line = Line::start(LineConfig {
            name: "bench".into(),
            first_id: report.next_id,
            source: Box::new(source),
            stages: standard(&self.limits),
            recipe: self.recipe.clone(),
            recorder,
            serials: None,
            checker: None,
            sinks: Vec::new(),
            limits: self.limits.clone(),
        })
        .expect("the line starts");
        assert!(line.wait(Duration::from_secs(600)), "the line did not finish");
        let seconds = started.elapsed().as_secs_f64();
        let counts = line.drain();
        assert_eq!((counts.triggered, counts.no_decision), (parts as u64, 0), "{counts:?}");
        let page = store.after(0, parts.max(1));
        let latencies = page.iter().map(|stored| f64::from(stored.inspection.ledger.total_us) / 1000.0).collect();
        Run { parts_per_s: parts as f64 / seconds, latencies }
    }
}

/// Calls one stage after the other.
fn run(stages: &mut [Box<dyn Stage>], mut part: Part) -> Option<(Verdict, Part)> {
    for stage in stages {
        match stage.process(part) {
            Flow::Next(next) => part = next,
            Flow::Decided(part, decision) => return Some((decision.verdict, part)),
        }
    }
    None
}

/// Writes the picture of everything that did not pass, as the store does.
fn keep(verdict: Verdict, part: &Part, folder: &Path) {
    if verdict == Verdict::Pass {
        return;
    }
    let jpeg = encode_jpeg(part.view().expect("raw pixels"), 95).expect("a sane picture");
    std::fs::write(folder.join(format!("{}.jpg", part.id)), jpeg).expect("the temporary folder takes files");
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

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}
