//! Stage one: the trunk stands still, so each image passes it a few times only (once per augmented view); the head then
//! learns from the kept feature maps, thousands of images a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use burn::module::Module;
use burn::optim::AdamWConfig;
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use half::slice::HalfFloatSliceExt;
use models::weights::Weights;
use models::zoo::mobilenet_v3_small::{FEATURES, STRIDE};

use crate::batch::{Prepare, Targets};
use crate::choice::Choice;
use crate::error::TrainError;
use crate::fit::Workers;
use crate::loss::{Loss, Score, losses, score};
use crate::net::{Head, Trunk, numbers};
use crate::peers::{Peers, wire};
use crate::progress::{Course, Observer, Progress, Stage};
use crate::sampler::{BalancedSampler, Plan, Sampling};
use crate::schedule::cosine;
use crate::train::digest_of;

/// Bytes of feature maps that may be kept. At 512 px a map is 288 KiB in half precision.
pub(crate) const MAP_BYTES: usize = 1 << 30;

/// Images that pass the trunk together on one thread.
const TOGETHER: usize = 4;

/// Maps of a step that one thread takes at a time.
pub(crate) const MAPS_TOGETHER: usize = 16;

/// Fewer steps than this leave a new head half learned, however few images there are; a step takes milliseconds.
pub(crate) const LEAST_STEPS: usize = 240;

/// Settings of stage one.
#[derive(Debug, Clone)]
pub struct StageOne {
    /// Augmented views of each image, as far as memory allows.
    pub views: usize,
    /// Views at most, of all images together.
    pub most: usize,
    /// Rounds over the views; more where the views are few (240 steps at least).
    pub epochs: usize,
    /// Images per step.
    pub batch: usize,
    /// Highest learning rate.
    pub rate: f64,
    /// Weight decay.
    pub decay: f32,
}

impl Default for StageOne {
    fn default() -> Self {
        StageOne { views: 3, most: 20_000, epochs: 12, batch: 64, rate: 2e-3, decay: 1e-2 }
    }
}

/// A trunk that stands still.
pub trait Still: Sync {
    /// Channels of its last feature map.
    fn channels(&self) -> usize;

    /// Loads samples (see [`Prepare::batch`]) and gives their last feature maps one after the other, each `cells x channels`, and their
    /// targets.
    ///
    /// # Errors
    /// When a sample cannot be loaded or the trunk does not run.
    fn look(
        &self,
        prepare: &Prepare<'_>,
        tickets: &[(u64, usize)],
        device: &Device,
    ) -> Result<(Vec<f32>, Targets), TrainError>;
}

/// Our own trunk, standing still.
pub struct Resting(Trunk);

impl Resting {
    /// A copy that is not recorded. It has to be taken once: every fork of a trunk that learns leaves an entry on the tape that nobody asks
    /// for, and after some thousand samples looking for those is all that is done.
    pub fn of(trunk: &Trunk) -> Resting {
        Resting(trunk.clone().no_grad())
    }
}

impl Still for Resting {
    fn channels(&self) -> usize {
        FEATURES
    }

    fn look(
        &self,
        prepare: &Prepare<'_>,
        tickets: &[(u64, usize)],
        device: &Device,
    ) -> Result<(Vec<f32>, Targets), TrainError> {
        let (batch, targets) = prepare.batch(tickets)?;
        Ok((numbers(self.0.clone().fork(device).no_grad().forward(&batch, device)), targets))
    }
}

/// Last feature maps in half precision, with their targets.
pub(crate) struct Maps {
    cells: [usize; 2],
    channels: usize,
    maps: Vec<Vec<f16>>,
    pub(crate) targets: Vec<Targets>,
}

impl Maps {
    /// Passes samples through the trunk.
    pub(crate) fn compute(
        workers: &Workers,
        trunk: &dyn Still,
        prepare: &Prepare<'_>,
        tickets: &[(u64, usize)],
        observe: &mut Observer<'_>,
    ) -> Result<Maps, TrainError> {
        let ([rows, columns], channels) = (prepare.cells(), trunk.channels());
        let mut all = Maps { cells: [rows, columns], channels, maps: Vec::new(), targets: Vec::new() };
        let mut course = Course::new(tickets.len().div_ceil(64), None, 0);
        for some in tickets.chunks(64) {
            let parts = workers.map_among("feature maps", (some, TOGETHER), |part| {
                let (values, targets) = trunk.look(prepare, part, &workers.device)?;
                let halves = |map: &[f32]| map.iter().map(|&value| f16::from_f32(value)).collect::<Vec<_>>();
                let maps: Vec<_> = values.chunks_exact(rows * columns * channels).map(halves).collect();
                Ok((maps, targets.split(prepare.classes, rows * columns)))
            })?;
            for (maps, targets) in parts {
                all.maps.extend(maps);
                all.targets.extend(targets);
            }
            course.advance();
            if !observe(&Progress::share(Stage::Features, course.done(), course.eta())) {
                return Err(TrainError::Stopped);
            }
        }
        Ok(all)
    }

    /// Some maps as one tensor, `images x height x width x channels`, and their targets.
    pub(crate) fn batch(&self, indices: &[usize], workers: &Workers) -> (Tensor<4>, Targets) {
        let ([rows, columns], channels) = (self.cells, self.channels);
        let mut values = vec![0.0; indices.len() * rows * columns * channels];
        let mut targets = Targets::default();
        for (&index, out) in indices.iter().zip(values.chunks_exact_mut(rows * columns * channels)) {
            self.maps[index].convert_to_f32_slice(out);
            targets.extend(&self.targets[index]);
        }
        let data = TensorData::new(values, [indices.len(), rows, columns, channels]);
        (Tensor::from_data(data, &workers.device), targets)
    }
}

/// Where the head learns.
pub struct HeadTask<'a> {
    /// Training samples.
    pub learn: Prepare<'a>,
    /// Selection samples, seen as they are.
    pub select: Prepare<'a>,
    /// The loss.
    pub loss: Loss,
    /// How often each label is drawn, and by how much more than that (see [`Plan::shares`]).
    pub sampling: (Sampling, &'a [usize]),
    /// Share of a round's places that hard images take again (see [`Plan::boost`]).
    pub boost: f32,
    /// Longest time for the steps of learning.
    pub limit: Option<Duration>,
    /// Which head is kept.
    pub choice: Choice,
}

/// Teaches the head. Gives the best head by the selection set, or the last where that cannot tell, and its score there.
///
/// # Errors
/// When a sample cannot be loaded, training diverges or the observer stops it.
pub fn run(
    settings: &StageOne,
    task: &HeadTask<'_>,
    workers: &Workers,
    (trunk, mut head): (&dyn Still, Head),
    observe: &mut Observer<'_>,
) -> Result<(Head, Score), TrainError> {
    let Prepare { samples, preprocess, classes, seed, .. } = task.learn;
    let map_bytes = preprocess.tensor_len() / 3 / STRIDE / STRIDE * trunk.channels() * size_of::<f16>();
    let wanted = (samples.len() * settings.views).min(settings.most).min(MAP_BYTES / map_bytes).max(1);
    let labels: Vec<usize> = (0..samples.len()).map(|index| samples.label(index)).collect();
    let (sampling, shares) = task.sampling;
    let plan = |batch, seed| Plan { sampling, shares, ..Plan::balanced(batch, seed) };
    // Class-balanced already here, so that memory goes to rare labels as much as to common ones.
    let drawn = BalancedSampler::new(&labels, &plan(wanted, seed)).next_batch();
    let tickets: Vec<(u64, usize)> = (0..).zip(drawn).collect();
    let maps = Maps::compute(workers, trunk, &task.learn, &tickets, observe)?;
    let selected: Vec<(u64, usize)> = (0..task.select.samples.len()).map(|index| (0, index)).collect();
    let selection = Maps::compute(workers, trunk, &task.select, &selected, observe)?;

    let view_labels: Vec<usize> = tickets.iter().map(|&(_, index)| labels[index]).collect();
    let mut sampler = BalancedSampler::new(&view_labels, &Plan { boost: task.boost, ..plan(settings.batch, seed ^ 1) });
    let mut optimizer = AdamWConfig::new().with_weight_decay(settings.decay).init();
    let per_epoch = tickets.len().div_ceil(settings.batch);
    let mut course = Course::new((per_epoch * settings.epochs).max(LEAST_STEPS), task.limit, 0);
    course.agree(&workers.peers)?;
    // The head as it came counts too: a last pass may not end worse than it began.
    let mut best = (head.clone(), measure(&head, &selection, classes, workers)?);
    let mut epoch = 0;
    while course.done() < 1.0 {
        epoch += 1;
        let (mut seen, mut rate) = (Score::default(), 0.0);
        for _ in 0..per_epoch {
            let indices = sampler.next_batch();
            let total: f32 = indices.iter().map(|&index| maps.targets[index].weights[0]).sum();
            rate = cosine(course.done(), settings.rate);
            let hardness = Hardness::default();
            let step = workers.step(head, &mut optimizer, rate, (&indices, MAPS_TOGETHER), |head: &Head, part| {
                let (map, targets) = maps.batch(part, workers);
                let outputs = head.forward(map);
                if task.boost > 0.0 {
                    hardness.note(part.iter().copied(), losses(&numbers(outputs.logits.clone()), &targets, classes));
                }
                Ok(task.loss.of(outputs, &targets, total, &workers.device))
            });
            let step = step.map_err(|error| error.at(|| format!("step {} of the head", course.step() + 1)))?;
            head = step.0;
            if task.boost > 0.0 {
                hardness.tell(&workers.peers, &mut sampler)?;
            }
            seen.add(step.1);
            course.advance();
            course.agree(&workers.peers)?;
        }
        if !workers.peers.is_alone() {
            let mut weights = Weights::default();
            head.save(&mut weights);
            workers.peers.agree("weights", &digest_of(&weights))?;
        }
        let now = measure(&head, &selection, classes, workers)?;
        let progress = Progress {
            stage: Stage::Head,
            epoch,
            step: course.step(),
            images: course.step() * settings.batch,
            rate: Some(rate),
            done: course.done(),
            loss: seen.mean_loss(),
            accuracy: seen.accuracy(),
            selection: Some(now),
            eta: course.eta(),
        };
        if task.choice.takes(&now, &best.1) {
            best = (head.clone(), now);
        }
        if !observe(&progress) {
            return Err(TrainError::Stopped);
        }
    }
    Ok(best)
}

/// The losses of a step's images by themselves, gathered from its threads, and from all processes.
#[derive(Default)]
pub(crate) struct Hardness(Mutex<Vec<(usize, f32)>>);

impl Hardness {
    pub(crate) fn note(&self, indices: impl Iterator<Item = usize>, losses: Vec<f32>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(indices.zip(losses));
    }

    /// Hands them on in an order that no thread and no process decides.
    pub(crate) fn tell(self, peers: &Peers, sampler: &mut BalancedSampler) -> Result<(), TrainError> {
        let mut losses = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !peers.is_alone() {
            let all = peers.gather("losses", Ok(wire::bytes(&losses)))?;
            losses = all.iter().filter_map(|theirs| wire::value::<Vec<(usize, f32)>>(theirs)).flatten().collect();
        }
        losses.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        losses.into_iter().for_each(|(index, loss)| sampler.learned(index, loss));
        Ok(())
    }
}

/// The head's score on kept maps.
fn measure(head: &Head, maps: &Maps, classes: usize, workers: &Workers) -> Result<Score, TrainError> {
    let indices: Vec<usize> = (0..maps.maps.len()).collect();
    let still = head.clone().no_grad();
    let parts = workers.map_among("selection scores", (&indices, 32), |part| {
        let (map, targets) = maps.batch(part, workers);
        let outputs = still.clone().fork(&workers.device).no_grad().forward(map);
        Ok(score(&numbers(outputs.logits), &targets, classes))
    })?;
    Score::sum(parts).finite()
}
