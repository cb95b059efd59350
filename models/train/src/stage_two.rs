//! Stage two: all layers learn, or the last of them, at a small rate.
//!
//! How long it takes follows from the data: it ends when the selection set's loss has not fallen for a while. What is kept is the
//! best network by the selection set; where that cannot tell, the stage goes on to its end and keeps the last ([`Choice`]).
//! docs/TRAINING.md says how the defaults were chosen.

use std::time::Duration;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::batch::Prepare;
use crate::choice::Choice;
use crate::error::TrainError;
use crate::fit::Workers;
use crate::loss::{Loss, Score, losses, score};
use crate::net::{Net, Trunk, numbers};
use crate::optimizer;
use crate::progress::{Course, Observer, Progress, Stage};
use crate::sampler::{BalancedSampler, Plan, Sampling, Standing};
use crate::schedule::Schedule;
use crate::stage_one::Hardness;
use crate::train::digest_of;

/// Images of a step that one thread takes at a time, at an input of 256 px; fewer at larger inputs.
const TOGETHER: usize = 8;

/// Steps at most, unless the images are so many that these are less than [`LEAST_ROUNDS`] rounds.
const MOST_STEPS: usize = 1000;
/// Rounds over the images that there is time for at least.
const LEAST_ROUNDS: usize = 8;

/// How long stage two may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// 1,000 steps, or 8 rounds over the images where these are more; with piecewise rates a third more steps than to the last
    /// change.
    Auto,
    /// Rounds over the images.
    Rounds(usize),
    /// Steps of the optimiser.
    Steps(usize),
}

/// Settings of stage two.
#[derive(Debug, Clone)]
pub struct StageTwo {
    /// How long it may take; no rounds or no steps leave the stage out.
    pub length: Length,
    /// Images of a batch.
    pub batch: usize,
    /// Batches to a step of the optimiser.
    pub accumulate: usize,
    /// The learning rate.
    pub schedule: Schedule,
    /// Weight decay.
    pub decay: f32,
    /// Steps between two looks at the selection set; `None`: a round over the images, but 20 at least and 200 at most.
    pub look_every: Option<usize>,
    /// Looks in a row at which the selection set's loss has not fallen to a new low, after which the stage ends; `None`: it goes
    /// on to its full length.
    pub patience: Option<usize>,
    /// Convolutions of the trunk that learn, counted from its end; `None`: all. The head always learns.
    pub last_layers: Option<usize>,
    /// Share of the learning rate that each depth has of the one above it: head, last convolution, each block, first convolution.
    pub layer_decay: f64,
    /// How strongly the trunk is held to the features that it started with: the weight of [`distance`] in the loss. 0 lets it go.
    pub distill: f32,
}

impl Default for StageTwo {
    fn default() -> Self {
        StageTwo {
            length: Length::Auto,
            batch: 32,
            accumulate: 1,
            schedule: Schedule::Cosine { peak: 1e-3 },
            decay: 1e-2,
            look_every: None,
            patience: Some(24),
            last_layers: None,
            layer_decay: 1.0,
            distill: 0.0,
        }
    }
}

impl StageTwo {
    /// Steps of the optimiser at most, with so many samples to learn from.
    pub fn steps(&self, samples: usize) -> usize {
        let rounds = |rounds: usize| (samples * rounds).div_ceil(self.step_images());
        match (self.length, &self.schedule) {
            (Length::Rounds(count), _) => rounds(count),
            (Length::Steps(steps), _) => steps,
            (Length::Auto, Schedule::Cosine { .. }) => MOST_STEPS.max(rounds(LEAST_ROUNDS)),
            (Length::Auto, Schedule::Piecewise { steps, .. }) => {
                steps.last().map_or(MOST_STEPS, |last| last + last / 3).max(1)
            }
        }
    }

    /// Images of one step of the optimiser.
    fn step_images(&self) -> usize {
        self.batch * self.accumulate
    }

    /// Refuses settings that cannot be.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), TrainError> {
        self.schedule.check()?;
        let refuse = |words: &str| Err(TrainError::Settings(words.into()));
        match self {
            StageTwo { batch: 0, .. } | StageTwo { accumulate: 0, .. } => refuse("a step needs at least one image"),
            StageTwo { look_every: Some(0), .. } => refuse("between two looks at the selection set there is a step"),
            StageTwo { layer_decay, .. } if !(*layer_decay > 0.0 && *layer_decay <= 1.0) => {
                refuse("the layer decay lies above 0 and is at most 1 (1: all layers at the same rate)")
            }
            _ => Ok(()),
        }
    }
}

/// How far the stage is, and what early stopping remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Steps done.
    pub steps: usize,
    /// Lowest mean loss of the selection set so far in this stage.
    pub lowest: Option<f32>,
    /// Looks since then.
    pub waited: usize,
}

impl Position {
    fn look(&mut self, now: Score) {
        match self.lowest {
            Some(lowest) if now.mean_loss() >= lowest => self.waited += 1,
            _ => (self.lowest, self.waited) = (Some(now.mean_loss()), 0),
        }
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
    /// Share of a round's places that hard images take again (see [`Plan::boost`]).
    pub boost: f32,
    /// Where the sampler of an interrupted training stood, with a boost.
    pub standing: Option<Standing>,
    /// The trunk as it was at the start, whose features are kept where [`StageTwo::distill`] asks for it.
    pub teacher: Option<&'a Trunk>,
    /// Longest time.
    pub limit: Option<Duration>,
    /// Where an interrupted training goes on.
    pub position: Position,
    /// The optimiser's moments there.
    pub moments: Option<Vec<u8>>,
    /// Which network is kept.
    pub choice: Choice,
    /// The score of the network kept so far: another is given back only where it takes its place.
    pub to_beat: Score,
}

/// What there is to keep after a look at the selection set.
pub struct Look<'a> {
    /// The present network.
    pub net: &'a Net,
    /// Its optimiser.
    pub(crate) optimizer: &'a ModuleOptimizer,
    /// The network of this run to keep, where one took the place of the start.
    pub best: Option<(&'a Net, Score)>,
    /// How far the stage is.
    pub position: Position,
    /// Where the sampler stands, with a boost: without one it follows from the position.
    pub standing: Option<Standing>,
}

/// Called after each look at the selection set.
pub type Keep<'a> = dyn FnMut(&Look<'_>) -> Result<(), TrainError> + 'a;

/// Teaches the layers. Gives the network to keep and its score; `None` where none took the place of the start.
///
/// # Errors
/// When a sample cannot be loaded, training diverges or, by what the last network was taught, learns nothing, a checkpoint cannot be
/// written or the observer stops it.
pub fn run(
    settings: &StageTwo,
    mut task: NetTask<'_>,
    workers: &Workers,
    net: Net,
    keep: &mut Keep<'_>,
    observe: &mut Observer<'_>,
) -> Result<Option<(Net, Score)>, TrainError> {
    let moments = task.moments.take();
    let mut run = Run::new(settings, &task, workers, net, moments)?;
    let mut best: Option<(Net, Score)> = None;
    let patience = settings.patience.filter(|_| task.choice == Choice::Best);
    let patient = |position: &Position| patience.is_none_or(|patience| position.waited < patience);
    loop {
        run.course.agree(&workers.peers)?;
        if run.course.done() >= 1.0 || !patient(&run.position) {
            break;
        }
        let seen = run.until_look(observe)?;
        // Before it is kept, so that what is refused once is not taken after all where it goes on.
        if task.choice == Choice::Last && run.course.done() >= 1.0 {
            seen.better_than_a_guess(task.learn.classes)?;
        }
        let now = measure(&run.net, &task.select, workers)?;
        run.position.look(now);
        if task.choice.takes(&now, best.as_ref().map_or(&task.to_beat, |(_, score)| score)) {
            best = Some((run.net.clone(), now));
        }
        let (net, optimizer, position) = (&run.net, &run.optimizer, run.position);
        let standing = (task.boost > 0.0).then(|| run.sampler.standing());
        keep(&Look { net, optimizer, best: best.as_ref().map(|(net, score)| (net, *score)), position, standing })?;
        if !observe(&run.report(seen, Some(now))) {
            return Err(TrainError::Stopped);
        }
    }
    Ok(best)
}

/// The stage while it runs.
struct Run<'a> {
    settings: &'a StageTwo,
    task: &'a NetTask<'a>,
    workers: &'a Workers,
    net: Net,
    optimizer: ModuleOptimizer,
    sampler: BalancedSampler,
    course: Course,
    position: Position,
    steps_a_look: usize,
    /// The learning rate of the last step.
    rate: f64,
}

impl<'a> Run<'a> {
    fn new(
        settings: &'a StageTwo,
        task: &'a NetTask<'a>,
        workers: &'a Workers,
        net: Net,
        moments: Option<Vec<u8>>,
    ) -> Result<Run<'a>, TrainError> {
        let samples = task.learn.samples;
        let labels: Vec<usize> = (0..samples.len()).map(|index| samples.label(index)).collect();
        let (sampling, shares) = task.sampling;
        let plan = Plan { sampling, shares, boost: task.boost, ..Plan::balanced(settings.batch, task.learn.seed ^ 2) };
        let mut sampler = BalancedSampler::new(&labels, &plan);
        // The order goes on where it stopped: what was seen is not seen again before the rest.
        match &task.standing {
            Some(standing) => sampler.go_on(standing)?,
            None => (0..task.position.steps * settings.accumulate).for_each(|_| drop(sampler.next_batch())),
        }
        let net = set_learning(net, settings);
        let mut optimizer = optimizer::optimizer(&net, settings.decay, settings.layer_decay);
        if let Some(moments) = moments {
            optimizer = optimizer::with_moments(optimizer, moments)?;
        }
        let course = Course::new(settings.steps(samples.len()), task.limit, task.position.steps);
        let round = samples.len().div_ceil(settings.step_images());
        let steps_a_look = settings.look_every.unwrap_or(round.clamp(20, 200));
        let position = task.position;
        Ok(Run { settings, task, workers, net, optimizer, sampler, course, position, steps_a_look, rate: 0.0 })
    }

    /// Learns until the next look at the selection set; the score of what was seen.
    fn until_look(&mut self, observe: &mut Observer<'_>) -> Result<Score, TrainError> {
        let mut seen = Score::default();
        loop {
            seen.add(self.step()?);
            let steps = self.position.steps;
            if steps.is_multiple_of(self.steps_a_look) || self.course.done() >= 1.0 {
                break;
            }
            if !observe(&self.report(seen, None)) {
                return Err(TrainError::Stopped);
            }
        }
        // Through the form that a checkpoint has, so that a training that was interrupted here goes on to the same bits.
        let (classes, weights) = (self.task.learn.classes, self.net.to_weights());
        if !self.workers.peers.is_alone() {
            self.workers.peers.agree("weights", &digest_of(&weights))?;
        }
        self.net = set_learning(Net::from_weights(&weights, classes, &self.workers.device)?, self.settings);
        Ok(seen)
    }

    fn step(&mut self) -> Result<Score, TrainError> {
        let &StageTwo { accumulate, ref schedule, distill, .. } = self.settings;
        let images = self.settings.step_images();
        let drawn = (0..accumulate).flat_map(|_| self.sampler.next_batch());
        let tickets: Vec<(u64, usize)> = ((self.position.steps * images) as u64..).zip(drawn).collect();
        let rate = schedule.rate(self.position.steps, self.course.done());
        let (task, workers) = (self.task, self.workers);
        let together = together(task.learn.preprocess.tensor_len());
        let hardness = Hardness::default();
        let learn = |net: &Net, part: &[(u64, usize)]| {
            let (batch, targets) = task.learn.batch(part)?;
            let map = net.trunk.forward_in(workers.precision(), &batch, &workers.device);
            let outputs = net.head.forward(map.clone());
            if task.boost > 0.0 {
                let losses = losses(&numbers(outputs.logits.clone()), &targets, task.learn.classes);
                hardness.note(part.iter().map(|(_, index)| *index), losses);
            }
            let (loss, score) = task.loss.of(outputs, &targets, images as f32, &workers.device);
            let Some(teacher) = task.teacher else { return Ok((loss, score)) };
            let taught = teacher.clone().fork(&workers.device).no_grad().forward(&batch, &workers.device).detach();
            let share = part.len() as f32 / images as f32;
            Ok((loss + distance(map, taught) * (distill * share), score))
        };
        let step = workers.step(self.net.clone(), &mut self.optimizer, rate, (&tickets, together), learn);
        let at = || format!("step {} of all layers", self.position.steps + 1);
        let (net, score) = step.map_err(|error| error.at(at))?;
        (self.net, self.rate) = (net, rate);
        if task.boost > 0.0 {
            hardness.tell(&workers.peers, &mut self.sampler)?;
        }
        self.course.advance();
        self.course.agree(&workers.peers)?;
        self.position.steps += 1;
        Ok(score)
    }

    fn report(&self, seen: Score, selection: Option<Score>) -> Progress {
        Progress {
            stage: Stage::All,
            epoch: 1
                + (self.position.steps * self.settings.step_images()).saturating_sub(1) / self.task.learn.samples.len(),
            step: self.position.steps,
            images: self.position.steps * self.settings.step_images(),
            rate: Some(self.rate),
            done: self.course.done(),
            loss: seen.mean_loss(),
            accuracy: seen.accuracy(),
            selection,
            eta: self.course.eta(),
        }
    }
}

/// How far feature maps have moved from those of the teacher: the squared difference as a share of the teacher's square, both
/// over the whole batch. Source of holding features so: Li and Hoiem, "Learning without Forgetting", ECCV 2016, and Romero
/// et al., "FitNets", ICLR 2015.
pub fn distance(map: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
    let size = teacher.clone().powf_scalar(2.0).sum().detach() + f32::MIN_POSITIVE;
    (map - teacher).powf_scalar(2.0).sum() / size
}

/// The network of which only those layers learn that should.
fn set_learning(net: Net, settings: &StageTwo) -> Net {
    let Net { trunk, head } = net;
    Net {
        trunk: match settings.last_layers {
            Some(count) => trunk.learning_last(count),
            None => trunk,
        },
        head,
    }
}

/// Images per thread and pass: as many as keep the activations of one pass near the size of the cache.
pub(crate) fn together(tensor_len: usize) -> usize {
    (TOGETHER * 3 * 256 * 256 / tensor_len).clamp(1, TOGETHER)
}

/// The network's score on samples as they are.
///
/// # Errors
/// When a sample cannot be loaded, or the loss is no number.
pub fn measure(net: &Net, prepare: &Prepare<'_>, workers: &Workers) -> Result<Score, TrainError> {
    let tickets: Vec<(u64, usize)> = (0..prepare.samples.len()).map(|index| (0, index)).collect();
    let still = net.clone().no_grad();
    let together = together(prepare.preprocess.tensor_len());
    let parts = workers.map_among("selection scores", (&tickets, together), |part| {
        let (batch, targets) = prepare.batch(part)?;
        let outputs = still.clone().fork(&workers.device).no_grad().forward(&batch, &workers.device);
        Ok(score(&numbers(outputs.logits), &targets, prepare.classes))
    })?;
    Score::sum(parts).finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_follows_the_images() {
        let mut settings = StageTwo::default();
        assert_eq!([24, 1279, 4000].map(|samples| settings.steps(samples)), [1000; 3]);
        assert_eq!(settings.steps(60_000), 15_000, "eight rounds");
        settings.accumulate = 2;
        settings.length = Length::Rounds(3);
        assert_eq!(settings.steps(100), 5, "300 images, 64 a step");
        settings.length = Length::Auto;
        settings.schedule = Schedule::original();
        assert_eq!(settings.steps(100), 4000);
    }

    #[test]
    fn only_a_new_low_ends_the_wait() {
        let mut position = Position::default();
        let waits: Vec<usize> = [0.9, 0.5, 0.6, 0.5, 0.4, 0.4]
            .map(|loss| {
                position.look(Score { loss, weight: 1.0, right: 1, count: 1 });
                position.waited
            })
            .into();
        assert_eq!(waits, [0, 0, 1, 2, 0, 1]);
    }
}
