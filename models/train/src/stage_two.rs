//! Stage two: all layers learn, at a small rate.

use std::time::Duration;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::AdamWConfig;
use burn::tensor::Tensor;

use crate::batch::Prepare;
use crate::error::TrainError;
use crate::fit::{Workers, rate_at};
use crate::loss::{Loss, Score, score};
use crate::net::{Net, Trunk, numbers};
use crate::progress::{Course, Observer, Progress, Stage};
use crate::sampler::{BalancedSampler, Plan, Sampling};

/// Images of a step that one thread takes at a time, at an input of 256 px; fewer at larger inputs.
const TOGETHER: usize = 8;

/// Settings of stage two.
#[derive(Debug, Clone)]
pub struct StageTwo {
    /// Rounds over the training samples; 0 leaves the stage out.
    pub epochs: usize,
    /// Images per step.
    pub batch: usize,
    /// Highest learning rate.
    pub rate: f64,
    /// Weight decay.
    pub decay: f32,
    /// Images between two looks at the selection set; `None`: an epoch.
    pub look_every: Option<usize>,
    /// How strongly the trunk is held to the features that it started with: the weight of [`distance`] in the loss. 0 lets it go.
    pub distill: f32,
}

impl Default for StageTwo {
    fn default() -> Self {
        StageTwo { epochs: 12, batch: 32, rate: 1e-3, decay: 1e-2, look_every: None, distill: 0.0 }
    }
}

/// Where all layers learn.
pub struct NetTask<'a> {
    /// Training samples.
    pub learn: Prepare<'a>,
    /// Selection samples, seen as they are.
    pub select: Prepare<'a>,
    /// The loss.
    pub loss: Loss,
    /// How often each label is drawn, and by how much more than that (see [`Plan::shares`]).
    pub sampling: (Sampling, &'a [usize]),
    /// The trunk as it was at the start, whose features are kept where [`StageTwo::distill`] asks for it.
    pub teacher: Option<&'a Trunk>,
    /// Longest time.
    pub limit: Option<Duration>,
    /// Epochs that an interrupted training has done already.
    pub done_epochs: usize,
    /// The best so far, by the selection set: the network is given back only where it beats this.
    pub to_beat: Score,
}

/// Called after each look at the selection set with the present network, the best, its score, and the epoch.
pub type Keep<'a> = dyn FnMut(&Net, Option<(&Net, Score)>, usize) -> Result<(), TrainError> + 'a;

/// Teaches all layers. Gives the best network by the selection set and its score; `None` where none beat the start.
///
/// # Errors
/// When a sample cannot be loaded, training diverges, a checkpoint cannot be written or the observer stops it.
pub fn run(
    settings: &StageTwo,
    task: &NetTask<'_>,
    workers: &Workers,
    mut net: Net,
    keep: &mut Keep<'_>,
    observe: &mut Observer<'_>,
) -> Result<Option<(Net, Score)>, TrainError> {
    let samples = task.learn.samples;
    let labels: Vec<usize> = (0..samples.len()).map(|index| samples.label(index)).collect();
    let (sampling, shares) = task.sampling;
    let plan = Plan { sampling, shares, ..Plan::balanced(settings.batch, task.learn.seed ^ 2) };
    let mut sampler = BalancedSampler::new(&labels, &plan);
    let mut optimizer = AdamWConfig::new().with_weight_decay(settings.decay).init();
    optimizer = optimizer.with_grad_clipping(GradientClippingConfig::Norm(1.0).init());
    let together = together(task.learn.preprocess.tensor_len());
    let per_look = settings.look_every.unwrap_or(samples.len()).div_ceil(settings.batch).max(1);
    let steps = (samples.len() * settings.epochs).div_ceil(settings.batch);
    let mut course = Course::new(steps, task.limit, (task.done_epochs * per_look).min(steps));
    // The order goes on where it stopped: what was seen is not seen again before the rest.
    (0..task.done_epochs * per_look).for_each(|_| drop(sampler.next_batch()));
    let mut ticket = (task.done_epochs * per_look * settings.batch) as u64;
    let mut best: Option<(Net, Score)> = None;
    let mut epoch = task.done_epochs;
    while course.done() < 1.0 {
        epoch += 1;
        let mut seen = Score::default();
        for step in 0..per_look {
            let tickets: Vec<(u64, usize)> = (ticket..).zip(sampler.next_batch()).collect();
            ticket += tickets.len() as u64;
            let total = tickets.len() as f32;
            let rate = rate_at(course.done(), settings.rate);
            let done = workers.step(net, &mut optimizer, rate, (&tickets, together), |net: &Net, part| {
                let (batch, targets) = task.learn.batch(part)?;
                let map = net.trunk.forward(&batch, &workers.device);
                let (loss, score) = task.loss.of(net.head.forward(map.clone()), &targets, total, &workers.device);
                let Some(teacher) = task.teacher else { return Ok((loss, score)) };
                let taught = teacher.clone().fork(&workers.device).no_grad().forward(&batch, &workers.device).detach();
                let images = part.len() as f32;
                Ok((loss + distance(map, taught) * (settings.distill * images / total), score))
            })?;
            net = done.0;
            seen.add(done.1);
            course.advance();
            if step % 8 == 7 && !observe(&report(&course, epoch, seen, None)) {
                return Err(TrainError::Stopped);
            }
            if course.done() >= 1.0 {
                break;
            }
        }
        let now = measure(&net, &task.select, workers)?;
        let bar = best.as_ref().map_or(task.to_beat, |(_, score)| *score);
        if now.count == 0 || now.beats(&bar) {
            best = Some((net.clone(), now));
        }
        keep(&net, best.as_ref().map(|(net, score)| (net, *score)), epoch)?;
        if !observe(&report(&course, epoch, seen, Some(now))) {
            return Err(TrainError::Stopped);
        }
    }
    Ok(best)
}

/// How far feature maps have moved from those of the teacher: the squared difference as a share of the teacher's square, both
/// over the whole batch. Source of holding features so: Li and Hoiem, "Learning without Forgetting", ECCV 2016, and Romero
/// et al., "FitNets", ICLR 2015.
pub fn distance(map: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
    let size = teacher.clone().powf_scalar(2.0).sum().detach() + f32::MIN_POSITIVE;
    (map - teacher).powf_scalar(2.0).sum() / size
}

fn report(course: &Course, epoch: usize, seen: Score, selection: Option<Score>) -> Progress {
    Progress {
        stage: Stage::All,
        epoch,
        done: course.done(),
        loss: seen.mean_loss(),
        accuracy: seen.accuracy(),
        selection: selection.filter(|score| score.count > 0),
        eta: course.eta(),
    }
}

/// Images per thread and pass: as many as keep the activations of one pass near the size of the cache.
fn together(tensor_len: usize) -> usize {
    (TOGETHER * 3 * 256 * 256 / tensor_len).clamp(1, TOGETHER)
}

/// The network's score on samples as they are.
///
/// # Errors
/// When a sample cannot be loaded.
pub fn measure(net: &Net, prepare: &Prepare<'_>, workers: &Workers) -> Result<Score, TrainError> {
    let tickets: Vec<(u64, usize)> = (0..prepare.samples.len()).map(|index| (0, index)).collect();
    let still = net.clone().no_grad();
    let parts = workers.map(&tickets, together(prepare.preprocess.tensor_len()), |part| {
        let (batch, targets) = prepare.batch(part)?;
        let outputs = still.clone().fork(&workers.device).no_grad().forward(&batch, &workers.device);
        Ok(score(&numbers(outputs.logits), &targets, prepare.classes))
    })?;
    Ok(parts.into_iter().fold(Score::default(), |mut total, part| {
        total.add(part);
        total
    }))
}
