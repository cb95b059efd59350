//! The whole training: stage one, stage two, and where asked for a last pass of the head at another input size.

use std::time::{Duration, Instant};

use models::heads::{attention, border};
use models::preprocess::Preprocess;
use models::weights::{Tensor, Weights};
use models::zoo::mobilenet_v3_small as zoo;
use sha2::{Digest, Sha256};

use crate::augment::Augment;
use crate::batch::Prepare;
use crate::checkpoint::{Checkpoint, Saved, Snapshot, State};
use crate::choice::Choice;
use crate::error::TrainError;
use crate::fit::Workers;
use crate::loss::{Loss, Score};
use crate::mixed::Precision;
use crate::net::{Head, Net, Trunk};
use crate::optimizer;
use crate::peers::Peers;
use crate::progress::Observer;
use crate::sampler::Sampling;
use crate::samples::Samples;
use crate::stage_one::{self, HeadTask, Resting, StageOne};
use crate::stage_two::{self, Look, NetTask, Position, StageTwo};

/// Samples to learn from, and samples to choose by. Neither may hold anything that the result is measured on.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// To learn from.
    pub learn: &'a dyn Samples,
    /// To choose the best network and the end of training by (as [`Settings::choice`] says), and the thresholds.
    pub select: &'a dyn Samples,
}

/// How to train.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Number of labels, at least two.
    pub classes: usize,
    /// The input of stage one and two.
    pub preprocess: Preprocess,
    /// Decides every random choice.
    pub seed: u64,
    /// Threads; `None`: one per core.
    pub threads: Option<usize>,
    /// The processes that learn together with this one, all with the same settings, start and data.
    pub peers: Peers,
    /// Time for everything. The learning rate falls to its end within it.
    pub limit: Option<Duration>,
    /// Channels inside the attention.
    pub attention: usize,
    /// The log-mean-exp's sharpness at the start (it is learned); `None` for a plain mean.
    pub sharpness: Option<f32>,
    /// The loss.
    pub loss: Loss,
    /// In which floats stage two computes.
    pub precision: Precision,
    /// Random changes of the training samples.
    pub augment: Augment,
    /// How often each label is drawn.
    pub sampling: Sampling,
    /// By how much more than that (see [`crate::sampler::Plan::shares`]): 1 for all where it is empty.
    pub shares: Vec<usize>,
    /// Share of a round's places that its hardest images take again (see [`crate::sampler::Plan::boost`]); 0: none.
    pub boost: f32,
    /// Which network is kept.
    pub choice: Choice,
    /// Frozen trunk.
    pub one: StageOne,
    /// All layers.
    pub two: StageTwo,
    /// A last pass of the head alone.
    pub finish: Option<StageOne>,
}

impl Settings {
    /// Settings for a folder of images.
    pub fn new(classes: usize, preprocess: Preprocess) -> Settings {
        Settings {
            classes,
            preprocess,
            seed: 1,
            threads: None,
            peers: Peers::default(),
            limit: None,
            attention: attention::SQUEEZE,
            sharpness: Some(2.0),
            loss: Loss::default(),
            precision: Precision::Full,
            augment: Augment::default(),
            sampling: Sampling::Balanced,
            shares: Vec::new(),
            boost: 0.0,
            choice: Choice::Best,
            one: StageOne::default(),
            two: StageTwo::default(),
            finish: None,
        }
    }

    /// What makes two trainings the same, as text. The time limit, the threads, the lengths and the patience may differ.
    fn fingerprint(&self, start: &Start<'_>, data: &Data<'_>) -> String {
        let Settings { classes, preprocess, seed, augment, loss, sampling, shares, boost, sharpness, choice, .. } =
            self;
        let StageTwo { batch, accumulate, schedule, decay, last_layers, layer_decay, distill, .. } = &self.two;
        let (digest, learn, select) = (start.data_digest, data.learn.len(), data.select.len());
        let trunk = digest_of(start.trunk);
        let precision = if self.precision == Precision::Mixed { " mixed" } else { "" };
        // Not said where it is as ever, so that checkpoints from before it could be another go on.
        let attention = match self.attention {
            attention::SQUEEZE => String::new(),
            channels => format!(" attention {channels}"),
        };
        format!(
            "{digest} {trunk} {classes} {preprocess:?} {seed} {augment:?} {loss:?} {sampling} {shares:?} {boost} {sharpness:?} {learn} {select} \
             {batch} {accumulate} {schedule:?} {decay} {last_layers:?} {layer_decay} {distill} {choice:?}{precision}{attention}"
        )
    }
}

/// The last pass of the head: at another input size, on samples of that size.
#[derive(Clone, Copy)]
pub struct Finish<'a> {
    /// The input.
    pub preprocess: &'a Preprocess,
    /// Samples of that size.
    pub data: Data<'a>,
}

/// Where a training starts and leaves its traces.
pub struct Start<'a> {
    /// The trunk's weights (a whole network's serve as well: its head is not used).
    pub trunk: &'a Weights,
    /// SHA-256 of the data.
    pub data_digest: &'a str,
    /// Where checkpoints go; `None` for none. Of several processes the first one's counts, and the others have none.
    pub checkpoint: Option<&'a Checkpoint>,
    /// Go on from the checkpoint. Of several processes the first one decides.
    pub resume: bool,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Trained {
    /// All weights, the pooling's sharpness among them.
    pub weights: Weights,
    /// The selection set's score after stage one.
    pub stage_one: Score,
    /// After stage two. Where the selection set chooses, the better of both is kept, and this never is worse than `stage_one`.
    pub stage_two: Score,
    /// After the last pass of the head, at its input size.
    pub finish: Option<Score>,
    /// Time that it took, with the time before an interruption.
    pub spent: Duration,
}

/// Trains.
///
/// # Errors
/// When settings, weights or data do not fit, a sample cannot be loaded, training diverges or learns nothing, or the observer
/// stops it.
pub fn train(
    settings: &Settings,
    start: &Start<'_>,
    data: &Data<'_>,
    finish: Option<&Finish<'_>>,
    observe: &mut Observer<'_>,
) -> Result<Trained, TrainError> {
    check(settings, data)?;
    let peers = &settings.peers;
    let workers = Workers::new(settings.threads)?.in_precision(settings.precision).among(peers.clone());
    let checkpoint = start.checkpoint;
    let mut run = Run { settings, data, workers, checkpoint, before: Duration::ZERO, clock: Instant::now() };
    let fingerprint = settings.fingerprint(start, data);
    let Settings { one, two, finish: last, .. } = settings;
    peers.agree_at_start("data and settings", &format!("{fingerprint} {one:?} {two:?} {last:?}"))?;
    let snapshot = match Saved::of(start, peers)? {
        Some(saved) => {
            let snapshot = saved.snapshot(&fingerprint)?;
            run.before = snapshot.state.spent;
            snapshot
        }
        None => run.begin(fingerprint, start.trunk, observe)?,
    };
    let stage_one = snapshot.state.stage_one;
    let teacher = match settings.two.distill > 0.0 {
        true => Some(Trunk::load(start.trunk, &run.workers.device)?),
        false => None,
    };
    let (weights, score) = run.stage_two(snapshot, teacher.as_ref(), observe)?;
    if settings.choice == Choice::Best || settings.two.steps(data.learn.len()) == 0 {
        score.better_than_a_guess(settings.classes)?;
    }
    let (mut weights, finish) = match (finish, &settings.finish) {
        (Some(finish), Some(one)) => run.finish(one, finish, &weights, observe).map(|(w, score)| (w, Some(score)))?,
        _ => (weights, None),
    };
    if settings.loss.cell_weight == 0.0 || !knows_places(data.learn)? {
        border::note_untaught(&mut weights);
    }
    Ok(Trained { weights, stage_one, stage_two: score, finish, spent: run.spent() })
}

/// Whether settings and data fit each other.
pub(crate) fn check(settings: &Settings, data: &Data<'_>) -> Result<(), TrainError> {
    let Preprocess { width, height, .. } = settings.preprocess;
    zoo::checked_size([height as usize, width as usize])?;
    if settings.classes < 2 {
        return Err(TrainError::Data("a classifier needs at least two labels".into()));
    }
    if settings.attention == 0 {
        return Err(TrainError::Settings("the attention needs at least one channel inside".into()));
    }
    settings.two.check()?;
    if data.select.is_empty() {
        return Err(TrainError::Data(
            "no image is left to choose the network and its thresholds by: give at least two images of some label"
                .into(),
        ));
    }
    let labels: Vec<usize> = (0..data.learn.len()).map(|index| data.learn.label(index)).collect();
    match (0..settings.classes).find(|class| !labels.contains(class)) {
        Some(class) => Err(TrainError::Data(format!("label number {class} has no sample to learn from"))),
        None => Ok(()),
    }
}

/// Whether the label of each pixel is known of some sample, as far as a look at some of all labels tells.
pub(crate) fn knows_places(samples: &dyn Samples) -> Result<bool, TrainError> {
    for index in (0..samples.len()).step_by(samples.len().div_ceil(LOOKED_AT).max(1)) {
        if samples.load(index)?.mask.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// SHA-256 of weights, by name.
pub(crate) fn digest_of(weights: &Weights) -> String {
    let mut digest = Sha256::new();
    for (name, tensor) in &weights.0 {
        digest.update(name.as_bytes());
        tensor.data.iter().for_each(|value| digest.update(value.to_le_bytes()));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Samples that are looked at, at most, to see whether the labels of pixels are known.
const LOOKED_AT: usize = 64;
/// Share of the time limit that is left for what comes after stage two.
const FINISH_SHARE: f64 = 0.2;
/// Share of the time limit that the head's steps of stage one may take.
const HEAD_SHARE: f64 = 0.15;

fn prepare<'a>(
    settings: &'a Settings,
    samples: &'a dyn Samples,
    preprocess: &'a Preprocess,
    augmented: bool,
) -> Prepare<'a> {
    let Settings { classes, seed, augment, .. } = settings;
    Prepare { samples, classes: *classes, preprocess, augment: augmented.then_some(augment), seed: *seed }
}

/// What the head learns from at an input size.
pub(crate) fn head_task<'a>(settings: &'a Settings, data: &Data<'a>, preprocess: &'a Preprocess) -> HeadTask<'a> {
    HeadTask {
        learn: prepare(settings, data.learn, preprocess, true),
        select: prepare(settings, data.select, preprocess, false),
        loss: settings.loss,
        sampling: (settings.sampling, &settings.shares),
        boost: settings.boost,
        limit: settings.limit.map(|limit| limit.mul_f64(HEAD_SHARE)),
        choice: settings.choice,
    }
}

/// A training that runs.
struct Run<'a> {
    settings: &'a Settings,
    data: &'a Data<'a>,
    workers: Workers,
    checkpoint: Option<&'a Checkpoint>,
    /// Time spent before an interruption.
    before: Duration,
    clock: Instant,
}

impl Run<'_> {
    fn spent(&self) -> Duration {
        self.before + self.clock.elapsed()
    }

    fn prepare<'b>(&'b self, samples: &'b dyn Samples, augmented: bool) -> Prepare<'b> {
        prepare(self.settings, samples, &self.settings.preprocess, augmented)
    }

    /// Stage one, and the checkpoint that stage two starts from.
    fn begin(&self, fingerprint: String, trunk: &Weights, observe: &mut Observer<'_>) -> Result<Snapshot, TrainError> {
        let (weights, score) = self.stage_one(trunk, observe)?;
        let position = Position::default();
        let state = State { fingerprint, position, spent: self.spent(), stage_one: score, best: score, standing: None };
        let snapshot = Snapshot { state, present: weights.clone(), best: weights, moments: Vec::new() };
        if let Some(checkpoint) = self.checkpoint {
            checkpoint.save(&snapshot, self.settings.classes)?;
        }
        Ok(snapshot)
    }

    fn stage_one(&self, trunk: &Weights, observe: &mut Observer<'_>) -> Result<(Weights, Score), TrainError> {
        let settings = self.settings;
        let mut weights = trunk.only(&zoo::layers_of(trunk))?;
        weights.merge(attention::init_with(zoo::FEATURES, settings.attention, settings.classes, settings.seed));
        if let Some(sharpness) = settings.sharpness {
            weights.insert(attention::SHARPNESS, Tensor::scalar(sharpness));
        }
        let device = &self.workers.device;
        let trunk = Trunk::load(&weights, device)?;
        let head = Head::load(&weights, zoo::FEATURES, settings.classes, device)?;
        if settings.one.epochs == 0 {
            let net = Net { trunk, head };
            let score = stage_two::measure(&net, &self.prepare(self.data.select, false), &self.workers)?;
            return Ok((net.to_weights(), score));
        }
        let task = head_task(settings, self.data, &settings.preprocess);
        let (head, score) = stage_one::run(&settings.one, &task, &self.workers, (&Resting::of(&trunk), head), observe)?;
        Ok((Net { trunk, head }.to_weights(), score))
    }

    /// All layers, from where the snapshot stands; gives what is to be kept of its best and what comes.
    fn stage_two(
        &self,
        snapshot: Snapshot,
        teacher: Option<&Trunk>,
        observe: &mut Observer<'_>,
    ) -> Result<(Weights, Score), TrainError> {
        let settings = self.settings;
        let Snapshot { state, present, best, moments } = snapshot;
        let net = Net::from_weights(&present, settings.classes, &self.workers.device)?;
        let left = settings.limit.map(|limit| {
            let end = if settings.finish.is_some() { limit.mul_f64(1.0 - FINISH_SHARE) } else { limit };
            end.saturating_sub(self.spent())
        });
        let task = NetTask {
            learn: self.prepare(self.data.learn, true),
            select: self.prepare(self.data.select, false),
            loss: settings.loss,
            sampling: (settings.sampling, &settings.shares),
            boost: settings.boost,
            standing: state.standing.clone(),
            teacher,
            limit: left,
            position: state.position,
            moments: (!moments.is_empty()).then_some(moments),
            choice: settings.choice,
            to_beat: state.best,
        };
        let mut keep = |look: &Look<'_>| {
            let Some(checkpoint) = self.checkpoint else { return Ok(()) };
            let score = look.best.map_or(state.best, |(_, score)| score);
            let standing = look.standing.clone();
            let state = State { position: look.position, spent: self.spent(), best: score, standing, ..state.clone() };
            let best = look.best.map_or_else(|| best.clone(), |(net, _)| net.to_weights());
            let moments = optimizer::moments(look.optimizer)?;
            checkpoint.save(&Snapshot { state, present: look.net.to_weights(), best, moments }, settings.classes)
        };
        let found = match settings.two.steps(self.data.learn.len()) {
            0 => None,
            _ => stage_two::run(&settings.two, task, &self.workers, net, &mut keep, observe)?,
        };
        Ok(match found {
            Some((net, score)) => (net.to_weights(), score),
            None => (best, state.best),
        })
    }

    /// The head alone, at another input size, from where it stands.
    fn finish(
        &self,
        one: &StageOne,
        finish: &Finish<'_>,
        weights: &Weights,
        observe: &mut Observer<'_>,
    ) -> Result<(Weights, Score), TrainError> {
        let device = &self.workers.device;
        let Net { trunk, head } = Net::from_weights(weights, self.settings.classes, device)?;
        let task = head_task(self.settings, &finish.data, finish.preprocess);
        let (head, score) = stage_one::run(one, &task, &self.workers, (&Resting::of(&trunk), head), observe)?;
        Ok((Net { trunk, head }.to_weights(), score))
    }
}
