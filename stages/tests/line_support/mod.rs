//! A source, stages, a model and a recorder that do exactly what a test says.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part of this

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use models::bundle::{Disposition, FORMAT, Label, Manifest, Pooling, Provenance, Tolerance};
use models::image::PixelFormat;
use models::prediction::{HeatMap, Model, Prediction};
use models::preprocess::Preprocess;
use models::runtime::{Provider, RuntimeError};
use stages::capture::{Event, Fault, Pace, Source, SourceError, Trigger};
use stages::frame::{Content, Frame, FramePool};
use stages::inspection::Inspection;
use stages::line::{Limits, Line, LineConfig};
use stages::part::Part;
use stages::recipe::{Evidence, Quality, Recipe, RecipeInForce, Review};
use stages::record::{LateResult, Picture, RecordError, Recorder, VerdictSink};
use stages::stage::{Decision, Flow, Stage, StageFactory};
use stages::verdict::Verdict;

pub const SIZE: u32 = 8;
pub const PIXELS: Content = Content::Pixels { width: SIZE, height: SIZE, format: PixelFormat::Mono8 };
pub const FRAME_BYTES: usize = (SIZE * SIZE) as usize;
/// Far beyond anything that a test waits for: what takes longer is a deadlock.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A model with two labels that finds every part good. No test's verdict depends on it but those of the standard chain.
pub struct FakeModel {
    manifest: Manifest,
    digest: Arc<str>,
}

impl FakeModel {
    pub fn new(preprocess: Preprocess) -> FakeModel {
        let label = |name: &str, verdict, threshold| Label { name: name.to_owned(), verdict, threshold };
        let manifest = Manifest {
            format: FORMAT,
            name: "fake".into(),
            labels: vec![label("good", Disposition::Pass, 0.5), label("scratch", Disposition::Fail, 0.5)],
            preprocess,
            pooling: Pooling::Mean,
            input: "input".into(),
            scores: "scores".into(),
            heat: "heat".into(),
            heads: Default::default(),
            precision: Default::default(),
            graph_sha256: String::new(),
            files_sha256: Default::default(),
            tolerance: Tolerance { fp32: 1e-3, fp16: 1e-2 },
            provenance: Provenance::default(),
        };
        FakeModel { manifest, digest: "feed".into() }
    }
}

impl Model for FakeModel {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    fn digest(&self) -> &Arc<str> {
        &self.digest
    }
    fn provider(&self) -> Provider {
        Provider::Cpu
    }
    fn predict(&self, tensor: &[f32]) -> Result<Prediction, RuntimeError> {
        assert_eq!(tensor.len(), self.manifest.preprocess.tensor_len());
        Ok(Prediction {
            scores: vec![0.9, 0.1],
            heat: HeatMap { labels: 2, height: 2, width: 2, logits: vec![0.0; 8] },
            embedding: None,
            views: None,
            anomaly: None,
            prototypes: None,
            provider: Provider::Cpu,
            model_digest: self.digest.clone(),
        })
    }
}

pub fn recipe(deadline_ms: u32) -> Arc<RecipeInForce> {
    recipe_with(1, deadline_ms, 0.0)
}

pub fn recipe_with(version: u32, deadline_ms: u32, pass_fraction: f32) -> Arc<RecipeInForce> {
    recipe_of(Arc::new(FakeModel::new(Preprocess::imagenet(32))), version, deadline_ms, pass_fraction)
}

pub fn recipe_of(model: Arc<dyn Model>, version: u32, deadline_ms: u32, pass_fraction: f32) -> Arc<RecipeInForce> {
    let recipe = Recipe {
        name: "test".into(),
        version,
        bundle: None,
        deadline_ms,
        review_as: Default::default(),
        require_provider: None,
        thresholds: Default::default(),
        quality: Quality::default(),
        calibration: None,
        align: None,
        mask: Vec::new(),
        evidence: Evidence { pass_fraction },
        regions: Vec::new(),
        tiles: None,
        review: Review { audit_fraction: 0.0, ..Review::default() },
        identity: Default::default(),
        golden_samples: None,
    };
    Arc::new(RecipeInForce::new(recipe, model).expect("a sound recipe"))
}

/// A source made of a function.
pub struct FnSource<F> {
    pub pace: Pace,
    pub next: F,
}

impl<F: FnMut(Duration) -> Result<Event, SourceError> + Send> Source for FnSource<F> {
    fn name(&self) -> &str {
        "fake camera"
    }
    fn pace(&self) -> Pace {
        self.pace
    }
    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        (self.next)(wait)
    }
}

pub fn source(
    pace: Pace,
    next: impl FnMut(Duration) -> Result<Event, SourceError> + Send + 'static,
) -> Box<dyn Source> {
    Box::new(FnSource { pace, next })
}

/// `parts` triggers, `gap` after one another, then the end. Frames come from `pool`; with none free, the fault says so.
pub fn series(pace: Pace, parts: u64, gap: Duration, pool: FramePool) -> Box<dyn Source> {
    let mut sent = 0;
    source(pace, move |_| {
        if sent == parts {
            return Ok(Event::End);
        }
        if sent > 0 && !gap.is_zero() {
            std::thread::sleep(gap);
        }
        sent += 1;
        Ok(trigger(frame_from(&pool, sent)))
    })
}

/// A source that a test feeds by hand.
pub fn fed(pace: Pace) -> (crossbeam_channel::Sender<Event>, Box<dyn Source>) {
    let (feed, events) = crossbeam_channel::bounded::<Event>(1000);
    let source = source(pace, move |wait| match events.recv_timeout(wait) {
        Ok(event) => Ok(event),
        Err(crossbeam_channel::RecvTimeoutError::Timeout) => Ok(Event::Idle),
        Err(crossbeam_channel::RecvTimeoutError::Disconnected) => Ok(Event::End),
    });
    (feed, source)
}

pub fn trigger(frame: Result<Frame, Fault>) -> Event {
    Event::Trigger(Trigger { at: Instant::now(), serial: None, frame, truth: None, call: None })
}

pub fn frame_from(pool: &FramePool, sequence: u64) -> Result<Frame, Fault> {
    let fault = || Fault { cause: stages::verdict::Cause::Overload, detail: "no free frame buffer".into() };
    let mut buffer = pool.try_take().ok_or_else(fault)?;
    buffer.resize(FRAME_BYTES, sequence as u8);
    Ok(buffer.into_frame(PIXELS, sequence, None))
}

pub fn loose_frame(sequence: u64) -> Result<Frame, Fault> {
    Ok(Frame::from_vec(PIXELS, vec![0; FRAME_BYTES], sequence, None))
}

/// A stage made of a function.
pub struct FnStage {
    name: &'static str,
    workers: usize,
    work: Arc<dyn Fn(Part) -> Flow + Send + Sync>,
    pub built: Arc<AtomicU64>,
}

impl FnStage {
    pub fn new(name: &'static str, workers: usize, work: impl Fn(Part) -> Flow + Send + Sync + 'static) -> FnStage {
        FnStage { name, workers, work: Arc::new(work), built: Arc::default() }
    }
}

struct FnRuntime(Arc<dyn Fn(Part) -> Flow + Send + Sync>);

impl Stage for FnRuntime {
    fn process(&mut self, part: Part) -> Flow {
        (self.0)(part)
    }
}

impl StageFactory for FnStage {
    fn name(&self) -> &'static str {
        self.name
    }
    fn workers(&self) -> usize {
        self.workers
    }
    fn build(&self) -> Box<dyn Stage> {
        self.built.fetch_add(1, Ordering::SeqCst);
        Box::new(FnRuntime(self.work.clone()))
    }
}

pub fn stage(
    name: &'static str,
    workers: usize,
    work: impl Fn(Part) -> Flow + Send + Sync + 'static,
) -> Box<dyn StageFactory> {
    Box::new(FnStage::new(name, workers, work))
}

/// Does nothing but `before` and passes the part on.
pub fn through(
    name: &'static str,
    workers: usize,
    before: impl Fn(u64) + Send + Sync + 'static,
) -> Box<dyn StageFactory> {
    stage(name, workers, move |part| {
        before(part.id);
        Flow::Next(part)
    })
}

/// Decides every part by its id.
pub fn decider(verdict: impl Fn(u64) -> Verdict + Send + Sync + 'static) -> Box<dyn StageFactory> {
    stage("decide", 1, move |part| {
        let decision = Decision { verdict: verdict(part.id), detail: None, ..passed() };
        Flow::Decided(part, decision)
    })
}

pub fn passed() -> Decision {
    Decision {
        verdict: Verdict::Pass,
        label: None,
        found: vec![],
        scores: vec![],
        heat: None,
        regions: Vec::new(),
        detail: None,
        sample: Default::default(),
    }
}

/// A call of the recorder, in the order in which they came.
#[derive(Debug, Clone)]
pub enum Call {
    Opened(u64),
    Recorded { inspection: Box<Inspection>, picture: Option<Shown> },
    Late(Box<LateResult>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub keep: bool,
    pub show: bool,
}

type Refusal = Box<dyn Fn(&Call) -> Result<(), RecordError> + Send + Sync>;

/// Keeps every call in memory, and on request the pictures too.
#[derive(Default)]
pub struct Memory {
    calls: Mutex<Vec<Call>>,
    pub pictures: Mutex<Vec<Picture>>,
    pub keep_pictures: bool,
    /// What goes wrong, or how long it takes.
    pub fault: Option<Refusal>,
}

impl Memory {
    pub fn failing(fault: impl Fn(&Call) -> Result<(), RecordError> + Send + Sync + 'static) -> Arc<Memory> {
        Arc::new(Memory { fault: Some(Box::new(fault)), ..Memory::default() })
    }

    pub fn keeping() -> Arc<Memory> {
        Arc::new(Memory { keep_pictures: true, ..Memory::default() })
    }

    fn take(&self, call: Call) -> Result<(), RecordError> {
        if let Some(fault) = &self.fault {
            fault(&call)?;
        }
        self.calls.lock().expect("unpoisoned").push(call);
        Ok(())
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("unpoisoned").clone()
    }

    pub fn opened(&self) -> Vec<u64> {
        self.calls().iter().filter_map(|call| if let Call::Opened(id) = call { Some(*id) } else { None }).collect()
    }

    pub fn recorded(&self) -> Vec<Inspection> {
        let recorded = |call| if let Call::Recorded { inspection, .. } = call { Some(*inspection) } else { None };
        self.calls().into_iter().filter_map(recorded).collect()
    }

    pub fn shown(&self) -> Vec<(u64, Option<Shown>)> {
        let shown = |call| match call {
            Call::Recorded { inspection, picture } => Some((inspection.id, picture)),
            _ => None,
        };
        self.calls().into_iter().filter_map(shown).collect()
    }

    pub fn late(&self) -> Vec<LateResult> {
        let late = |call| if let Call::Late(late) = call { Some(*late) } else { None };
        self.calls().into_iter().filter_map(late).collect()
    }

    pub fn verdict_of(&self, id: u64) -> Inspection {
        self.recorded()
            .into_iter()
            .find(|inspection| inspection.id == id)
            .unwrap_or_else(|| panic!("no record of {id}"))
    }
}

impl Recorder for Memory {
    fn opened(&self, id: u64, _: jiff::Timestamp) -> Result<(), RecordError> {
        self.take(Call::Opened(id))
    }
    fn record(&self, inspection: Inspection, picture: Option<Picture>) -> Result<(), RecordError> {
        let shown = picture.as_ref().map(|picture| {
            assert!(picture.frame.is_pinned(), "a picture comes with its permit");
            Shown { keep: picture.keep, show: picture.show }
        });
        let kept = self.take(Call::Recorded { inspection: Box::new(inspection), picture: shown });
        if self.keep_pictures {
            self.pictures.lock().expect("unpoisoned").extend(picture);
        }
        kept
    }
    fn late(&self, result: LateResult) -> Result<(), RecordError> {
        self.take(Call::Late(Box::new(result)))
    }
}

/// Notes every verdict and when it went out.
#[derive(Default)]
pub struct Gate(Mutex<VecDeque<(u64, Verdict, Instant)>>);

impl Gate {
    pub fn seen(&self) -> Vec<(u64, Verdict, Instant)> {
        self.0.lock().expect("unpoisoned").iter().copied().collect()
    }
}

impl VerdictSink for Gate {
    fn verdict(&self, inspection: &Inspection) {
        self.0.lock().expect("unpoisoned").push_back((inspection.id, inspection.verdict, Instant::now()));
    }
}

/// A line with a memory and a gate.
pub struct Rig {
    pub line: Line,
    pub memory: Arc<Memory>,
    pub gate: Arc<Gate>,
}

pub struct Setup {
    pub recipe: Arc<RecipeInForce>,
    pub limits: Limits,
    pub memory: Arc<Memory>,
    pub sinks: Vec<Arc<dyn VerdictSink>>,
}

impl Default for Setup {
    /// Limits that a loaded test machine does not hit by chance.
    fn default() -> Self {
        Setup {
            recipe: recipe(20_000),
            limits: Limits { hang_ms: 20_000, ..Limits::default() },
            memory: Arc::default(),
            sinks: Vec::new(),
        }
    }
}

impl Setup {
    pub fn start(self, source: Box<dyn Source>, stages: Vec<Box<dyn StageFactory>>) -> Rig {
        let gate = Arc::new(Gate::default());
        let mut sinks = self.sinks;
        sinks.push(gate.clone());
        let config = LineConfig {
            name: "line".into(),
            first_id: 1,
            source,
            stages,
            recipe: self.recipe,
            recorder: self.memory.clone(),
            serials: None,
            checker: None,
            sinks,
            limits: self.limits,
        };
        Rig { line: Line::start(config).expect("the line starts"), memory: self.memory, gate }
    }
}

/// Waits for something that happens on other threads.
pub fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A door that stages wait at until the test opens it.
#[derive(Clone, Default)]
pub struct Door(Arc<(Mutex<bool>, std::sync::Condvar)>);

impl Door {
    pub fn open(&self) {
        *self.0.0.lock().expect("unpoisoned") = true;
        self.0.1.notify_all();
    }
    pub fn wait(&self) {
        let shut = self.0.0.lock().expect("unpoisoned");
        drop(self.0.1.wait_while(shut, |open| !*open).expect("unpoisoned"));
    }
}
