//! One step of learning: a batch is shared out over threads, each with its own copy of the weights; the gradients are added
//! up and the optimiser moves the weights once. Where several processes learn together, each takes its share of the parts, and the
//! gradients are added up over all of them ([`Peers`]).
//!
//! How work is cut into parts, and the order in which their results are added, follow from the data and never from the number of
//! threads: floating-point sums depend on their order, and the same seed shall give the same weights on every number of threads. The
//! order of the last sums is another on several processes, so these are made in 64 bits ([`gradients`]).

use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use crate::error::TrainError;
use crate::loss::Score;
use crate::mixed::{Factor, Precision};
use crate::peers::gradients::{self, Sum};
use crate::peers::wire::Wire;
use crate::peers::{Peers, wire};

/// Parts of a step whose gradients are held at once.
const WAVE: usize = 16;

/// The threads that learn, and where.
pub struct Workers {
    pool: rayon::ThreadPool,
    /// The device of all tensors, its operations recorded.
    pub device: Device,
    /// On the loss, in mixed precision.
    factor: Option<Mutex<Factor>>,
    /// The processes that share the work of a step.
    pub peers: Peers,
}

impl Workers {
    /// `threads` of them, or one per core.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn new(threads: Option<usize>) -> Result<Workers, TrainError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or(cores).max(1);
        let name = |index| format!("train-{index}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
        let pool = pool.map_err(|error| TrainError::Settings(format!("{threads} training threads: {error}")))?;
        Ok(Workers { pool, device: device(), factor: None, peers: Peers::default() })
    }

    /// The same, with steps in this precision.
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Workers {
        Workers { factor: (precision == Precision::Mixed).then(Mutex::default), ..self }
    }

    /// In which floats a step's trunk computes.
    pub fn precision(&self) -> Precision {
        if self.factor.is_some() { Precision::Mixed } else { Precision::Full }
    }

    /// The same threads, at work with other processes.
    #[must_use]
    pub fn among(self, peers: Peers) -> Workers {
        Workers { peers, ..self }
    }

    /// Runs `f` on parts of `items` of `size` each (the last may be smaller), on all threads; the results come in order.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn map<I: Sync, O: Send>(
        &self,
        items: &[I],
        size: usize,
        f: impl Fn(&[I]) -> Result<O, TrainError> + Sync + Send,
    ) -> Result<Vec<O>, TrainError> {
        self.pool.install(|| items.par_chunks(size.max(1)).map(f).collect())
    }

    /// The same, shared out over the processes that learn together: each does its share of the parts, and all have all results. `doing`
    /// names it for them.
    ///
    /// # Errors
    /// The first error of `f` here, another process's, or that one is lost.
    pub(crate) fn map_among<I: Sync, O: Send + Wire>(
        &self,
        doing: &str,
        (items, size): (&[I], usize),
        f: impl Fn(&[I]) -> Result<O, TrainError> + Sync + Send,
    ) -> Result<Vec<O>, TrainError> {
        let mine = self.map(self.peers.share(items, size), size, f);
        if self.peers.is_alone() {
            return mine;
        }
        let mut all = Vec::new();
        for (rank, bytes) in self.peers.gather(doing, mine.map(|mine| wire::bytes(&mine)))?.iter().enumerate() {
            let theirs: Option<Vec<O>> = wire::value(bytes);
            all.extend(theirs.ok_or_else(|| TrainError::Apart { rank, words: format!("its {doing} cannot be read") })?);
        }
        Ok(all)
    }

    /// Runs `f` on these threads; what it shares out by rayon is shared among them.
    pub(crate) fn install<O: Send>(&self, f: impl FnOnce() -> O + Send) -> O {
        self.pool.install(f)
    }

    /// One step. In mixed precision one whose gradients overflow leaves the model as it is. `f` gives the loss of a part (`size` items) of
    /// the batch, already divided by the whole batch's weight, and its score.
    ///
    /// # Errors
    /// The first error of `f`; [`TrainError::Diverged`] when a loss is not finite; another process's error, or that one is lost.
    pub fn step<M, I>(
        &self,
        model: M,
        optimizer: &mut ModuleOptimizer,
        rate: f64,
        (items, size): (&[I], usize),
        f: impl Fn(&M, &[I]) -> Result<(Tensor<1>, Score), TrainError> + Sync + Send,
    ) -> Result<(M, Score), TrainError>
    where
        M: Module + Sync,
        I: Sync,
    {
        let mut factor = self.factor.as_ref().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
        let times = factor.as_ref().map(|it| it.now());
        let learn = |part: &[I]| {
            // A fork has leaves of its own, so that threads record on separate tapes.
            let own = model.clone().fork(&self.device);
            let (loss, score) = f(&own, part)?;
            if !score.loss.is_finite() {
                return Err(TrainError::Diverged(score.loss));
            }
            let loss = match times {
                Some(factor) => loss * factor,
                None => loss,
            };
            Ok((GradientsParams::from_grads(loss.backward(), &own), score))
        };
        let add_up = |share: &[I]| {
            let mut total = Score::default();
            let mut sum = Sum::of(&model);
            for wave in share.chunks(size.max(1) * WAVE) {
                for (gradients, score) in self.map(wave, size, learn)? {
                    sum.add(&model, gradients);
                    total.add(score);
                }
            }
            Ok((sum, total))
        };
        let mine = add_up(self.peers.share(items, size));
        let (mut gradients, total) = gradients::sum(&self.peers, &model, mine)?;
        if let Some(factor) = &mut factor {
            match factor.take_out(&model, gradients)? {
                Some(sound) => gradients = sound,
                None => return Ok((model, total)),
            }
        }
        Ok((optimizer.step(rate, model, gradients), total))
    }
}

/// Whether training runs on a GPU: in a build with CUDA (the feature `cuda`).
pub const ON_GPU: bool = cfg!(feature = "cuda");

/// Where training runs: the processor, or the first GPU of a build with CUDA.
pub(crate) fn device() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0).autodiff();
    #[cfg(not(feature = "cuda"))]
    Device::flex().autodiff()
}
