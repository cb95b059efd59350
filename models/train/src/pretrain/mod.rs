//! Learning without labels: a trunk sees the pictures of a line, two random views of each, and learns to tell by what it sees which two
//! belong together. Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning of Visual Representations"
//! (SimCLR), ICML 2020.
//!
//! The loss of a view counts all other views of its batch, so large batches matter, and the activations of a large batch fit into no
//! memory. So each step passes twice (gradient caching: Gao, Zhang, Han and Callan, "Scaling Deep Contrastive Learning Batch Size under
//! Memory Limited Setup", RepL4NLP 2021): all views without a tape, for their projections and the loss's gradient at these
//! ([`nt_xent::nt_xent`]); then part by part with a tape, which carries that gradient on into the weights. The sum is the gradient of the whole
//! batch, and memory that of one part. Several processes share out both passes: each has the projections of all, and so the loss that counts all.

mod net;
pub mod nt_xent;
pub mod probe;

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Tensor, TensorData};
use models::preprocess::Preprocess;
use models::weights::Weights;
use models::zoo::mobilenet_v3_small as zoo;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use self::net::{DIMENSIONS, Learner, model};
use self::nt_xent::{Contrast, chance, nt_xent};
use crate::augment::Augment;
use crate::batch::Prepare;
use crate::checkpoint::{Checkpoint, Saved};
use crate::error::TrainError;
use crate::fit::Workers;
use crate::loss::Score;
use crate::net::numbers;
use crate::optimizer;
use crate::peers::Peers;
use crate::progress::{Course, Observer, Progress, Stage};
use crate::samples::{Sample, Samples};
use crate::schedule::cosine;
use crate::stage_two::together;
use crate::train::{Start, digest_of};

/// Steps between two checkpoints.
const STEPS_A_LOOK: usize = 20;
/// Below this share of a guess's loss something was learned.
const LEARNED: f32 = 0.95;

/// How to learn without labels.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The input.
    pub preprocess: Preprocess,
    /// Decides every random choice.
    pub seed: u64,
    /// Threads; `None`: one per core.
    pub threads: Option<usize>,
    /// The processes that learn together with this one, all with the same settings, start and pictures.
    pub peers: Peers,
    /// Time for everything. The learning rate falls to its end within it.
    pub limit: Option<Duration>,
    /// Pictures of a step; each gives two views.
    pub batch: usize,
    /// Rounds over the pictures.
    pub rounds: usize,
    /// How sharply views are told apart: a small one looks at the most similar others alone.
    pub temperature: f32,
    /// Highest learning rate.
    pub rate: f64,
    /// Weight decay.
    pub decay: f32,
    /// Share of the learning rate that each depth of the trunk has of the one above it.
    pub layer_decay: f64,
    /// How the two views of a picture differ.
    pub augment: Augment,
}

impl Settings {
    /// The usual ones for an input.
    pub fn new(preprocess: Preprocess) -> Settings {
        Settings {
            preprocess,
            seed: 1,
            threads: None,
            peers: Peers::default(),
            limit: None,
            batch: 256,
            rounds: 20,
            temperature: 0.1,
            rate: 1e-3,
            decay: 1e-4,
            layer_decay: 1.0,
            augment: Augment::views(),
        }
    }

    /// Refuses settings that cannot be.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), TrainError> {
        let Preprocess { width, height, .. } = self.preprocess;
        zoo::checked_size([height as usize, width as usize])?;
        self.augment.check()?;
        let refuse = |words: String| Err(TrainError::Settings(words));
        match self {
            Settings { batch: 0 | 1, .. } => refuse("a step tells pictures apart: give a batch of two at least".into()),
            Settings { rounds: 0, .. } => refuse("no rounds: nothing would be learned".into()),
            Settings { temperature, .. } if !(0.01..=2.0).contains(temperature) => {
                refuse(format!("temperature {temperature}: give 0.01 to 2 (0.1 is usual)"))
            }
            Settings { rate, .. } if !(rate.is_finite() && *rate > 0.0) => {
                refuse(format!("learning rate {rate}: give a positive number"))
            }
            Settings { layer_decay, .. } if !(*layer_decay > 0.0 && *layer_decay <= 1.0) => {
                refuse("the layer decay lies above 0 and is at most 1 (1: all layers at the same rate)".into())
            }
            Settings { augment, .. } if *augment == Augment::none() => refuse(
                "without random changes the two views of a picture are the same, and there is nothing to learn".into(),
            ),
            _ => Ok(()),
        }
    }

    /// Pictures of a step, and steps of a round. What is left over of a round comes in another: the order is drawn anew.
    fn steps(&self, pictures: usize) -> (usize, usize) {
        let batch = self.batch.min(pictures);
        (batch, pictures / batch)
    }

    /// What makes two of them the same, as text. The time limit, the threads and the number of rounds may differ.
    fn fingerprint(&self, start: &Start<'_>, samples: &dyn Samples) -> String {
        let Settings { preprocess, seed, batch, temperature, rate, decay, layer_decay, augment, .. } = self;
        format!(
            "pretrain {} {} {} {preprocess:?} {seed} {batch} {temperature} {rate} {decay} {layer_decay} {augment:?}",
            start.data_digest,
            digest_of(start.trunk),
            samples.len()
        )
    }
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    fingerprint: String,
    steps: usize,
    spent: Duration,
    /// Of the last steps.
    last: Score,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Pretrained {
    /// The trunk's weights.
    pub trunk: Weights,
    /// Mean loss of a view in the last steps.
    pub loss: f32,
    /// The loss of a guess.
    pub chance: f32,
    /// Share of the views in the last steps that were most like the other view of their picture.
    pub right: f32,
    /// Steps.
    pub steps: usize,
    /// Pictures of a step.
    pub batch: usize,
    /// Time that it took, with the time before an interruption.
    pub spent: Duration,
}

/// Learns from pictures, whose labels it does not look at.
///
/// # Errors
/// When settings, weights or data do not fit, a picture cannot be loaded, nothing is learned, or the observer stops it.
pub fn run(
    settings: &Settings,
    start: &Start<'_>,
    samples: &dyn Samples,
    observe: &mut Observer<'_>,
) -> Result<Pretrained, TrainError> {
    settings.check()?;
    if samples.len() < 2 {
        return Err(TrainError::Data("there are fewer than two pictures: nothing can be told apart".into()));
    }
    let workers = Workers::new(settings.threads)?.among(settings.peers.clone());
    let fingerprint = settings.fingerprint(start, samples);
    workers.peers.agree_at_start("data and settings", &format!("{fingerprint} {}", settings.rounds))?;
    let hidden = Hidden(samples);
    let mut run = Run::begin(settings, start, &hidden, &workers, fingerprint)?;
    let (batch, _) = settings.steps(samples.len());
    let chance = chance(2 * batch);
    loop {
        run.course.agree(&workers.peers)?;
        if run.course.done() >= 1.0 {
            break;
        }
        let stopped = run.until_look(observe)?;
        let loss = run.state.last.mean_loss();
        // Before it is kept, so that what is refused once is not taken after all where it goes on.
        if run.course.done() >= 1.0 && loss >= LEARNED * chance {
            return Err(TrainError::Data(format!(
                "nothing was learned: the loss of the last steps is {loss:.3}, that of a guess {chance:.3}; give more pictures, more \
                 rounds, or another learning rate"
            )));
        }
        run.keep(start.checkpoint)?;
        if stopped {
            return Err(TrainError::Stopped);
        }
    }
    let (loss, right) = (run.state.last.mean_loss(), run.state.last.accuracy());
    let trunk = run.net.to_weights().only(&zoo::layers())?;
    Ok(Pretrained { trunk, loss, chance, right, steps: run.state.steps, batch, spent: run.spent() })
}

/// Samples whose labels nobody sees.
struct Hidden<'a>(&'a dyn Samples);

impl Samples for Hidden<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn label(&self, _: usize) -> usize {
        0
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        Ok(Sample { labels: vec![0], mask: None, ..self.0.load(index)? })
    }

    fn name(&self, index: usize) -> String {
        self.0.name(index)
    }
}

struct Run<'a> {
    settings: &'a Settings,
    prepare: Prepare<'a>,
    workers: &'a Workers,
    net: Learner,
    optimizer: ModuleOptimizer,
    course: Course,
    state: State,
    clock: Instant,
    rate: f64,
}

/// A view, and where its projection stands in the batch.
struct View {
    place: usize,
    ticket: (u64, usize),
}

impl<'a> Run<'a> {
    fn begin(
        settings: &'a Settings,
        start: &Start<'_>,
        samples: &'a dyn Samples,
        workers: &'a Workers,
        fingerprint: String,
    ) -> Result<Run<'a>, TrainError> {
        let (weights, state, moments) = match Saved::of(start, &workers.peers)? {
            Some(saved) => {
                let (state, [weights, moments, _]) = saved.open(|state: &State| state.fingerprint == fingerprint)?;
                (Weights::from_graph(&weights)?, state, Some(moments).filter(|moments| !moments.is_empty()))
            }
            None => {
                let state = State { fingerprint, steps: 0, spent: Duration::ZERO, last: Score::default() };
                (Learner::begin(start.trunk, settings.seed)?, state, None)
            }
        };
        let net = Learner::load(&weights, &workers.device)?;
        let mut optimizer = optimizer::of_trunk(net.trunk(), settings.decay, settings.layer_decay);
        if let Some(moments) = moments {
            optimizer = optimizer::with_moments(optimizer, moments)?;
        }
        let preprocess = &settings.preprocess;
        let prepare =
            Prepare { samples, classes: 1, preprocess, augment: Some(&settings.augment), seed: settings.seed };
        let (_, a_round) = settings.steps(samples.len());
        let limit = settings.limit.map(|limit| limit.saturating_sub(state.spent));
        let course = Course::new(settings.rounds * a_round, limit, state.steps);
        Ok(Run { settings, prepare, workers, net, optimizer, course, state, clock: Instant::now(), rate: 0.0 })
    }

    fn spent(&self) -> Duration {
        self.state.spent + self.clock.elapsed()
    }

    /// Learns until the next checkpoint is due, or until it shall stop: whether it shall.
    fn until_look(&mut self, observe: &mut Observer<'_>) -> Result<bool, TrainError> {
        let mut seen = Score::default();
        loop {
            seen.add(self.step()?);
            self.state.last = seen;
            let go_on = observe(&self.report(seen));
            let due = self.state.steps.is_multiple_of(STEPS_A_LOOK) || self.course.done() >= 1.0;
            // Of several processes one may be stopped in between: only here are all of them.
            if due && !self.workers.peers.is_alone() {
                self.workers.peers.agree("weights", &digest_of(&self.net.to_weights()))?;
            }
            if due || !go_on {
                return Ok(!go_on);
            }
        }
    }

    fn keep(&mut self, checkpoint: Option<&Checkpoint>) -> Result<(), TrainError> {
        let weights = self.net.to_weights();
        if let Some(checkpoint) = checkpoint {
            let state = State { spent: self.spent(), ..self.state.clone() };
            checkpoint.write(&state, [&model(&weights)?, &optimizer::moments(&self.optimizer)?, &[]])?;
        }
        // Through the form that a checkpoint has, so that what was interrupted here goes on to the same bits.
        self.net = Learner::load(&weights, &self.workers.device)?;
        Ok(())
    }

    /// The pictures of a step, two views of each.
    fn views(&self) -> Vec<View> {
        let pictures = self.prepare.samples.len();
        let (batch, a_round) = self.settings.steps(pictures);
        let (round, at) = (self.state.steps / a_round, self.state.steps % a_round);
        let mut order: Vec<usize> = (0..pictures).collect();
        let mut random = ChaCha8Rng::seed_from_u64(self.settings.seed ^ 0x51_3c1a);
        random.set_stream(round as u64);
        order.shuffle(&mut random);
        let first = (self.state.steps * batch * 2) as u64;
        let views = order[at * batch..][..batch].iter().flat_map(|&index| [index; 2]).enumerate();
        views.map(|(place, index)| View { place, ticket: (first + place as u64, index) }).collect()
    }

    fn step(&mut self) -> Result<Score, TrainError> {
        self.step_in_parts(together(self.settings.preprocess.tensor_len()))
    }

    /// A step whose views pass so many at a time.
    fn step_in_parts(&mut self, together: usize) -> Result<Score, TrainError> {
        let views = self.views();
        let (prepare, workers) = (&self.prepare, self.workers);
        let batch_of = |part: &[View]| {
            let tickets: Vec<(u64, usize)> = part.iter().map(|view| view.ticket).collect();
            Ok::<_, TrainError>(prepare.batch(&tickets)?.0)
        };
        // Off the tape once, as in stage one (`Resting`).
        let still = self.net.clone().no_grad();
        let look = |part: &[View]| {
            let batch = batch_of(part)?;
            Ok(numbers(still.clone().fork(&workers.device).no_grad().project(&batch, &workers.device)))
        };
        let at = || format!("step {}", self.state.steps + 1);
        let projections = workers.map_among("projections", (&views, together), look);
        let projections = projections.map_err(|error| error.at(at))?.concat();
        let temperature = self.settings.temperature;
        let Contrast { loss, right, gradient } = workers.install(|| nt_xent(&projections, DIMENSIONS, temperature));
        if !loss.is_finite() {
            return Err(TrainError::Diverged(loss));
        }
        let learn = |net: &Learner, part: &[View]| {
            let projections = net.project(&batch_of(part)?, &workers.device);
            let from = part[0].place * DIMENSIONS;
            let gradient = gradient[from..from + part.len() * DIMENSIONS].to_vec();
            let gradient = Tensor::<2>::from_data(TensorData::new(gradient, [part.len(), DIMENSIONS]), &workers.device);
            // Its gradient at the projections is the one above.
            Ok(((projections * gradient).sum(), Score::default()))
        };
        let rate = cosine(self.course.done(), self.settings.rate);
        let step = workers.step(self.net.clone(), &mut self.optimizer, rate, (&views, together), learn);
        let (net, _) = step.map_err(|error| error.at(at))?;
        (self.net, self.rate) = (net, rate);
        self.course.advance();
        self.course.agree(&self.workers.peers)?;
        self.state.steps += 1;
        let count = views.len();
        Ok(Score { loss: loss * count as f32, weight: count as f32, right, count })
    }

    fn report(&self, seen: Score) -> Progress {
        let (batch, a_round) = self.settings.steps(self.prepare.samples.len());
        Progress {
            stage: Stage::All,
            epoch: 1 + self.state.steps.saturating_sub(1) / a_round,
            step: self.state.steps,
            images: self.state.steps * batch,
            rate: Some(self.rate),
            done: self.course.done(),
            loss: seen.mean_loss(),
            accuracy: seen.accuracy(),
            selection: None,
            eta: self.course.eta(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::activation::log_softmax;
    use models::image::{Image, PixelFormat};
    use models::weights::load_trunk;
    use rand::Rng;

    use super::*;

    /// Pictures of noise, each its own.
    struct Noise;

    impl Samples for Noise {
        fn len(&self) -> usize {
            6
        }

        fn label(&self, _: usize) -> usize {
            0
        }

        fn load(&self, index: usize) -> Result<Sample, TrainError> {
            let mut random = ChaCha8Rng::seed_from_u64(index as u64);
            let data = (0..64 * 64).map(|_| random.random_range(0..=255)).collect();
            let image = Image { width: 64, height: 64, format: PixelFormat::Mono8, data };
            Ok(Sample { image, labels: vec![0], weight: 1.0, mask: None })
        }

        fn name(&self, index: usize) -> String {
            index.to_string()
        }
    }

    #[test]
    fn a_step_in_parts_moves_the_weights_as_one_tape_over_the_whole_batch_does() {
        let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../weights/default.bundle"));
        let trunk = load_trunk(shipped).expect("it is in the tree");
        let settings = Settings { threads: Some(2), ..Settings::new(Preprocess::imagenet(64)) };
        let start = Start { trunk: &trunk, data_digest: "noise", checkpoint: None, resume: false };
        let workers = Workers::new(settings.threads).expect("threads");
        let begin = || Run::begin(&settings, &start, &Noise, &workers, String::new()).expect("begins");

        let mut whole = begin();
        let views: Vec<(u64, usize)> = whole.views().iter().map(|view| view.ticket).collect();
        let batch = whole.prepare.batch(&views).expect("pictures").0;
        let device = &workers.device;
        let square = |one: fn(usize, usize) -> bool| {
            let values = (0..144).map(|at| f32::from(u8::from(one(at / 12, at % 12)))).collect();
            Tensor::<2>::from_data(TensorData::new(values, [12, 12]), device)
        };
        let (mine, pairs) = (square(|a, b| a == b), square(|a, b| a ^ 1 == b));
        let learn = |net: &Learner, _: &[()]| {
            let z = net.project(&batch, device);
            let alike = z.clone().matmul(z.transpose()).div_scalar(settings.temperature) - mine.clone().mul_scalar(1e4);
            Ok(((log_softmax(alike, 1) * pairs.clone()).sum().neg().div_scalar(12.0), Score::default()))
        };
        let rate = cosine(0.0, settings.rate);
        let (moved, _) =
            workers.step(whole.net.clone(), &mut whole.optimizer, rate, (&[()], 1), learn).expect("a step");
        let expected = moved.to_weights();
        for together in [12, 5, 1] {
            let mut run = begin();
            run.step_in_parts(together).expect("a step");
            let weights = run.net.to_weights();
            let pairs = weights.0.iter().flat_map(|(name, tensor)| tensor.data.iter().zip(&expected.0[name].data));
            let (mut all, mut off) = (0, 0);
            for (ours, expected) in pairs {
                all += 1;
                // The first step of Adam goes as far for a small gradient as for a large one, so a few of nothing may turn.
                off += usize::from((ours - expected).abs() > 0.02 * rate as f32);
            }
            assert!(off * 200 < all, "{together} at a time: {off} of {all} moved otherwise");
        }
        assert_ne!(expected, begin().net.to_weights(), "it moved");
    }

    #[test]
    fn every_picture_comes_once_a_round_and_rounds_differ() {
        let trunk = models::weights::kaiming(&zoo::layers(), 1);
        let settings = Settings { batch: 2, ..Settings::new(Preprocess::imagenet(64)) };
        let start = Start { trunk: &trunk, data_digest: "noise", checkpoint: None, resume: false };
        let workers = Workers::new(Some(1)).expect("threads");
        let mut run = Run::begin(&settings, &start, &Noise, &workers, String::new()).expect("begins");
        let mut rounds = Vec::new();
        let mut tickets = Vec::new();
        for step in 0..12 {
            run.state.steps = step;
            let views = run.views();
            assert!(views.chunks(2).all(|pair| pair[0].ticket.1 == pair[1].ticket.1), "two views of each");
            rounds.extend(views.iter().step_by(2).map(|view| view.ticket.1));
            tickets.extend(views.iter().map(|view| view.ticket.0));
        }
        assert!(tickets.windows(2).all(|pair| pair[0] < pair[1]), "no two views are changed alike");
        for round in rounds.chunks(6) {
            let mut round = round.to_vec();
            round.sort_unstable();
            assert_eq!(round, [0, 1, 2, 3, 4, 5]);
        }
        assert!(rounds.chunks(6).any(|round| round != &rounds[..6]));
    }
}
