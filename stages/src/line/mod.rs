//! Wires the stages of one line: threads and bounded channels.
//!
//! ```text
//! capture -> [queue] -> stage workers -> [queue] -> ... -> stage workers
//!    |                        |                                |
//!    +---- admit ----------- enter, leave, fail ------------ decide
//!    v                        v                                v
//!  keeper: open parts in trigger order, the law, deadlines; verdicts go out to sinks and
//!    |                                                          [queue] -> recording -> recorder
//!  deadline thread (late parts)        supervisor (hung threads, stalled store, silent source)
//! ```
//!
//! A queue that is full holds back the stage before it, and at last capture: a triggered part is then `NoDecision`
//! (overload), a source on demand is asked later. Nothing waits for the stages but the parts themselves: a verdict that
//! is due goes out from the deadline thread.

mod books;
mod capture;
mod config;
mod counts;
mod guard;
mod keeper;
mod recording;
mod status;
mod supervisor;
pub mod urgent;
mod worker;

use std::convert::Infallible;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use thiserror::Error;

pub use self::config::{Limits, LineConfig, standard};
pub use self::counts::{Counts, EDGES_US, LatencySummary};
pub use self::status::{LineState, LineStatus, StageQueue};

use self::books::Terms;
use self::capture::{Capture, POLL};
use self::guard::Post;
use self::keeper::{Keeper, Snapshot};
use self::recording::Recording;
use self::supervisor::{Seat, Supervisor};
use self::worker::Station;
use crate::capture::Pace;
use crate::capture::statistics::Gauge;
use crate::check::Checker;
use crate::frame::Pins;
use crate::recipe::RecipeInForce;
use crate::recycle::Buffers;
use crate::stage::StageFactory;

/// Told by dropping the sender: every thread but capture ends.
type Stop = Receiver<Infallible>;

/// How long after its last trigger a line counts as running.
const RUNNING: Duration = Duration::from_secs(5);

/// Why a line did not start.
#[derive(Debug, Error)]
pub enum LineError {
    /// There is nobody to decide.
    #[error("line `{0}` has no stages: give it a chain that ends with `decide`")]
    NoStages(Arc<str>),
    /// Limits that no line can keep; each names the key, the reason and the way out.
    #[error("{}", .0.join("; "))]
    Limits(Vec<String>),
    /// The system gave no thread.
    #[error("no new thread: {0}; raise the limit on tasks (TasksMax, ulimit -u)")]
    Thread(#[from] std::io::Error),
}

/// A running line. Dropping it drains it.
pub struct Line {
    keeper: Arc<Keeper>,
    gauge: Option<Gauge>,
    checker: Option<Arc<dyn Checker>>,
    recipe: Arc<ArcSwap<RecipeInForce>>,
    watched: Watched,
    /// For the length of their queues alone: who holds a station keeps its queues open.
    stations: Vec<Weak<Station>>,
    hang: Duration,
    /// Dropping it stops the threads; none once the line is drained.
    stop: Option<Sender<Infallible>>,
    capture: Option<JoinHandle<()>>,
    recording: Option<JoinHandle<()>>,
    /// Deadline thread and supervisor. They never hang: whoever they call is caught, bounded or left behind.
    own: Vec<JoinHandle<()>>,
}

/// Places where a call may take too long.
#[derive(Clone)]
struct Watched {
    /// The source is asked.
    asking: Arc<Post>,
    /// The store opens a trigger.
    opening: Arc<Post>,
    /// The store takes a verdict.
    recording: Arc<Post>,
    /// The supervisor's own round.
    supervising: Arc<Post>,
}

impl Line {
    /// Starts every thread; capture comes last.
    ///
    /// # Errors
    /// An empty chain, limits that no line can keep, or a system without threads. Nothing keeps running then.
    pub fn start(config: LineConfig) -> Result<Line, LineError> {
        let LineConfig { name, first_id, source, stages, recipe, recorder, serials, checker, sinks, limits } = config;
        if stages.is_empty() {
            return Err(LineError::NoStages(name));
        }
        let problems = limits.problems();
        if !problems.is_empty() {
            return Err(LineError::Limits(problems));
        }
        let hang = limits.hang();
        // Nobody waits for a part that the line fetches itself.
        let realtime = if source.pace() == Pace::Triggered { limits.realtime_priority } else { 0 };
        let camera: Arc<str> = source.name().into();
        let workers: usize = stages.iter().map(|stage| stage.workers().max(1)).sum();
        let first_stage = stages[0].name();
        // Enough to keep every worker busy and one part waiting at each stage; more would only add latency.
        let window = workers + stages.len();
        // A part may hold a decoded picture and a prepared one.
        let buffers = Buffers::new(2 * (workers + stages.len() * limits.queue_depth));
        let terms = Terms {
            line: name,
            camera: camera.clone(),
            stages: stages.iter().map(|stage| stage.name()).collect(),
            pins: Pins::new(limits.pinned_frames),
            capacity: limits.unrecorded,
            max_restarts: limits.max_restarts as usize,
            restart_window: Duration::from_secs(u64::from(limits.restart_window_s)),
            max_abandoned: u64::from(limits.max_abandoned),
            checker: checker.clone(),
        };

        let (keeper, jobs) = Keeper::new(terms, sinks);
        let keeper = Arc::new(keeper);
        let post = || Arc::new(Post::new());
        let watched = Watched { asking: post(), opening: post(), recording: post(), supervising: post() };
        let (stop, stopped) = bounded(0);
        let recipe = Arc::new(ArcSwap::new(recipe));
        let mut line = Line {
            keeper: keeper.clone(),
            gauge: source.gauge(),
            checker: checker.clone(),
            recipe: recipe.clone(),
            watched: watched.clone(),
            stations: Vec::new(),
            hang,
            stop: Some(stop),
            capture: None,
            recording: None,
            own: Vec::new(),
        };

        // From here on an early return drops `line`, which stops what runs.
        let clock = keeper.clone();
        let deadlines = move || {
            urgent::from_now_on(realtime);
            clock.keep_deadlines();
        };
        line.own.push(spawn("deadlines", deadlines)?);
        let recording = Recording {
            jobs,
            recorder: recorder.clone(),
            keeper: keeper.clone(),
            post: watched.recording.clone(),
            allowed: hang,
            stop: stopped.clone(),
        };
        let record = move || {
            urgent::from_now_on(realtime);
            recording.run();
        };
        line.recording = Some(spawn("record", record)?);

        let mut seats = Vec::with_capacity(workers);
        let (chain, inputs): (Vec<_>, Vec<_>) = stages
            .into_iter()
            .map(|factory| {
                let (queue, input) = bounded(limits.queue_depth);
                ((Arc::<dyn StageFactory>::from(factory), queue), input)
            })
            .unzip();
        for (index, input) in inputs.into_iter().enumerate() {
            let station = Arc::new(Station {
                index,
                factory: chain[index].0.clone(),
                input,
                onward: chain[index + 1..].to_vec(),
                keeper: keeper.clone(),
                hang,
                stop: stopped.clone(),
                realtime,
                failures: AtomicU32::new(0),
            });
            line.stations.push(Arc::downgrade(&station));
            for number in 0..station.factory.workers().max(1) {
                seats.push(Seat::fill(&station, number)?);
            }
        }
        let supervisor = Supervisor {
            seats,
            keeper: keeper.clone(),
            camera,
            watched: watched.clone(),
            interval: (hang / 8).clamp(Duration::from_millis(2), Duration::from_millis(100)),
            hang,
            stop: stopped,
        };
        line.own.push(spawn("supervisor", move || supervisor.run())?);

        let capture = Capture {
            source,
            keeper,
            recorder,
            recipe,
            serials,
            checker,
            buffers,
            first: (chain[0].1.clone(), first_stage),
            next_id: first_id,
            window,
            asking: watched.asking,
            opening: watched.opening,
            hang,
        };
        let capturing = move || {
            urgent::from_now_on(realtime);
            capture.run();
        };
        line.capture = Some(spawn("capture", capturing)?);
        Ok(line)
    }

    /// The law, at this moment; cheaper than [`status`](Line::status).
    pub fn counts(&self) -> Counts {
        self.keeper.counts()
    }

    /// What it is doing; cheaper than [`status`](Line::status), and keeps nobody waiting.
    pub fn state(&self) -> LineState {
        self.state_at(&self.keeper.snapshot())
    }

    /// A snapshot; the counts in it are of one moment.
    pub fn status(&self) -> LineStatus {
        let now = self.keeper.snapshot();
        let (latency, stages) = self.keeper.latencies_now();
        let state = self.state_at(&now);
        LineStatus {
            state,
            counts: now.counts,
            latency,
            stages,
            queues: self.stations.iter().filter_map(Weak::upgrade).map(|station| station.queue()).collect(),
            pictures_dropped: now.tallies.pictures_dropped,
            restarts: now.tallies.restarts,
            abandoned: now.tallies.abandoned,
            late_results: now.tallies.late_results,
            record_errors: now.tallies.record_errors,
            source_errors: now.tallies.source_errors,
            source_trouble: now.tallies.source_trouble,
            source: self.gauge.as_ref().map(Gauge::read),
        }
    }

    fn state_at(&self, now: &Snapshot) -> LineState {
        match (state(now), &self.checker) {
            (known @ (LineState::Ready | LineState::Running), Some(checker)) => {
                let refused = checker.refuses(&self.recipe.load());
                refused.map_or(known, |reason| LineState::NotReady(reason.to_string()))
            }
            (known, _) => known,
        }
    }

    /// From the next part on, this recipe is in force.
    pub fn swap_recipe(&self, recipe: Arc<RecipeInForce>) {
        self.recipe.store(recipe);
    }

    /// Puts the line into safe hold: every part is `NoDecision` until that is cleared, those in flight too.
    pub fn safe_hold(&self, reason: &str) {
        self.keeper.hold(reason);
    }

    /// Clears a safe hold: parts from now on are inspected again. The caller has mended the reason.
    pub fn clear_safe_hold(&self) {
        self.keeper.clear_hold();
    }

    /// Somebody watches: up to this many pictures a second go to the recorder with `show` set; 0: nobody watches.
    pub fn watch(&self, per_second: u32) {
        self.keeper.watch(per_second);
    }

    /// Whether every stage progresses or is idle, and too few threads hang to give up: feeds the service's watchdog.
    pub fn healthy(&self) -> bool {
        let now = Instant::now();
        let Watched { asking, opening, recording, supervising } = &self.watched;
        let stuck = [asking, opening, recording, supervising].into_iter().any(|post| post.overrun(now).is_some());
        !stuck && !self.keeper.exhausted() && !self.keeper.overdue(self.hang)
    }

    /// Whether too many threads hang to go on: only a new process gets rid of them.
    pub fn exhausted(&self) -> bool {
        self.keeper.exhausted()
    }

    /// Takes no new parts from now on; [`wait`](Line::wait) tells when those in flight are finished and recorded. For a
    /// line that others still look at; [`drain`](Line::drain) also joins the threads.
    pub fn begin_drain(&self) {
        self.keeper.drain();
    }

    /// Waits until the source has ended and the last part is recorded, or the time is up; true if it has.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.keeper.wait_until(timeout, |books| books.finished())
    }

    /// Takes no new parts, finishes those in flight (each by its deadline), joins the threads that do not hang.
    pub fn drain(mut self) -> Counts {
        self.shut_down();
        self.keeper.counts()
    }

    fn shut_down(&mut self) {
        let Some(stop) = self.stop.take() else { return };
        self.keeper.drain();
        if self.capture.is_none() {
            self.keeper.ended();
        }
        // Capture returns within a poll, unless its source or the store hangs.
        let capture_ended = self.keeper.wait_until(POLL + 2 * self.hang, |books| books.ended);
        while !self.keeper.wait_until(POLL, |books| books.in_flight() == 0) && !self.keeper.overdue(self.hang) {}
        let stalled = || self.watched.recording.overrun(Instant::now()).is_some();
        while !self.keeper.wait_until(POLL, |books| books.unrecorded == 0) && !stalled() {}

        self.keeper.close();
        drop(stop);
        let recording_ends = !stalled();
        let ending = [(self.capture.take(), capture_ended, "source"), (self.recording.take(), recording_ends, "store")];
        let own = self.own.drain(..).map(|thread| (Some(thread), true, "line"));
        for (thread, ends, what) in own.chain(ending) {
            if !ends {
                tracing::error!("the {what} hangs; its thread is left behind");
            } else if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("a thread of the {what} died");
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn state(now: &Snapshot) -> LineState {
    let running = now.counts.in_flight > 0 || now.last_trigger.is_some_and(|at| at.elapsed() < RUNNING);
    match &now.hold {
        _ if now.finished => LineState::Stopped,
        Some(reason) => LineState::SafeHold(reason.clone()),
        None if now.draining => LineState::Draining,
        None if running => LineState::Running,
        None => LineState::Ready,
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}
