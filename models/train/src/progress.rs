//! How far a training is: by steps, and by the clock where it has a time limit.

use std::time::{Duration, Instant};

use crate::error::TrainError;
use crate::loss::Score;
use crate::peers::{Peers, wire};

/// The parts of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The frozen trunk's feature maps are computed.
    Features,
    /// The head learns on them.
    Head,
    /// All layers learn.
    All,
}

/// What an observer is told, several times a second at most.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// What is going on.
    pub stage: Stage,
    /// Epoch, from 1.
    pub epoch: usize,
    /// Steps of this stage that are done, those before an interruption included.
    #[serde(default)]
    pub step: usize,
    /// Images that they learned from.
    #[serde(default)]
    pub images: usize,
    /// The learning rate of the last of them.
    #[serde(default)]
    pub rate: Option<f64>,
    /// Share of this stage that is done, 0 to 1.
    pub done: f64,
    /// Mean loss since the last report.
    pub loss: f32,
    /// Share of images right since the last report, random changes included.
    pub accuracy: f32,
    /// The selection set's score, where it has just been taken.
    pub selection: Option<Score>,
    /// Time that this stage still needs.
    pub eta: Duration,
}

impl Progress {
    /// Of work that teaches nothing: the share that is done, and the time that the rest may take.
    pub fn share(stage: Stage, done: f64, eta: Duration) -> Progress {
        let (step, images, rate) = (0, 0, None);
        Progress { stage, epoch: 1, step, images, rate, done, loss: 0.0, accuracy: 0.0, selection: None, eta }
    }
}

/// Told of progress; gives `false` to stop the training.
pub type Observer<'a> = dyn FnMut(&Progress) -> bool + 'a;

/// Steps and clock of one stage.
pub struct Course {
    start: Instant,
    steps: usize,
    limit: Option<Duration>,
    step: usize,
    /// The share of the time that is over by the clock of the first of several processes; `None`: this one's own clock counts.
    told: Option<f64>,
}

impl Course {
    /// A course of `steps` steps that ends early when `limit` is over. `step` of them are done already.
    pub fn new(steps: usize, limit: Option<Duration>, step: usize) -> Course {
        Course { start: Instant::now(), steps: steps.max(1), limit, step, told: None }
    }

    /// Share done, 0 to 1: of the steps or of the time, whichever is further.
    pub fn done(&self) -> f64 {
        let by_steps = self.step as f64 / self.steps as f64;
        by_steps.max(self.told.unwrap_or_else(|| self.by_time())).min(1.0)
    }

    fn by_time(&self) -> f64 {
        self.limit.map_or(0.0, |limit| self.start.elapsed().as_secs_f64() / limit.as_secs_f64().max(1e-3))
    }

    /// Has one clock count for all processes that learn together, until it is asked for again: no two may see the end, or a learning rate,
    /// at different steps.
    ///
    /// # Errors
    /// Another process's error, or that one is lost.
    pub(crate) fn agree(&mut self, peers: &Peers) -> Result<(), TrainError> {
        if peers.is_alone() || self.limit.is_none() {
            return Ok(());
        }
        let told = peers.first_says("clock", || Ok(wire::bytes(&self.by_time())))?;
        self.told = wire::value(&told);
        Ok(())
    }

    /// Counts a step.
    pub fn advance(&mut self) {
        self.step += 1;
    }

    /// Sets how many steps are done.
    pub fn reach(&mut self, step: usize) {
        self.step = step;
    }

    /// Steps done.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Time left at the present pace.
    pub fn eta(&self) -> Duration {
        let (elapsed, done) = (self.start.elapsed(), self.done());
        if done <= 0.0 { Duration::ZERO } else { elapsed.mul_f64((1.0 - done) / done) }
    }
}
