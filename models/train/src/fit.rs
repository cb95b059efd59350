//! One step of learning: a batch is shared out over threads, each with its own copy of the weights; the gradients are added
//! up and the optimiser moves the weights once.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use crate::error::TrainError;
use crate::loss::Score;

/// The threads that learn, and where.
pub struct Workers {
    pool: rayon::ThreadPool,
    threads: usize,
    /// The device of all tensors, its operations recorded.
    pub device: Device,
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
        Ok(Workers { pool, threads, device: device() })
    }

    /// Runs `f` on parts of `items` of at most `largest` each, on all threads; the results come in order.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn map<I: Sync, O: Send>(
        &self,
        items: &[I],
        largest: usize,
        f: impl Fn(&[I]) -> Result<O, TrainError> + Sync + Send,
    ) -> Result<Vec<O>, TrainError> {
        let part = items.len().div_ceil(self.threads).clamp(1, largest);
        self.pool.install(|| items.par_chunks(part).map(f).collect())
    }

    /// One step. `f` gives the loss of a part of the batch, already divided by the whole batch's weight, and its score.
    ///
    /// # Errors
    /// The first error of `f`; [`TrainError::Diverged`] when a loss is not finite.
    pub fn step<M, I>(
        &self,
        model: M,
        optimizer: &mut ModuleOptimizer,
        rate: f64,
        (items, largest): (&[I], usize),
        f: impl Fn(&M, &[I]) -> Result<(Tensor<1>, Score), TrainError> + Sync + Send,
    ) -> Result<(M, Score), TrainError>
    where
        M: Module + Sync,
        I: Sync,
    {
        let parts = self.map(items, largest, |part| {
            // A fork has leaves of its own, so that threads record on separate tapes.
            let own = model.clone().fork(&self.device);
            let (loss, score) = f(&own, part)?;
            if !score.loss.is_finite() {
                return Err(TrainError::Diverged(score.loss));
            }
            Ok((GradientsParams::from_grads(loss.backward(), &own), score))
        })?;
        let mut total = Score::default();
        let mut sum = GradientsAccumulator::new();
        for (gradients, score) in parts {
            sum.accumulate(&model, gradients);
            total.add(score);
        }
        Ok((optimizer.step(rate, model, sum.grads()), total))
    }
}

/// Where training runs: the processor, or the first GPU of a build with CUDA.
fn device() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0).autodiff();
    #[cfg(not(feature = "cuda"))]
    Device::flex().autodiff()
}

/// The learning rate at a point of training (0 to 1): a short rise, then half a cosine down to a hundredth.
/// Source: Loshchilov and Hutter, "SGDR", ICLR 2017.
pub fn rate_at(progress: f64, peak: f64) -> f64 {
    const RISE: f64 = 0.04;
    if progress < RISE {
        return peak * (0.05 + 0.95 * progress / RISE);
    }
    let fall = (progress.min(1.0) - RISE) / (1.0 - RISE);
    peak * (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * fall).cos()))
}
