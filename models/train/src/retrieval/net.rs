//! The towers as they learn.

use burn::module::{Module, Param};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Tensor, TensorData};
use models::retrieval::{DIMENSIONS, HIDDEN, PART, Retriever, WORDS};
use models::weights::{Tensor as Values, Weights};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Batch;
use crate::fit::device;
use crate::net::numbers;

/// Where the scale of the likenesses begins, and where it ends at the latest: CLIP's.
const SCALE: f32 = 14.3;
const HIGHEST_SCALE: f32 = 100.0;
/// Squares of a length below this count as this: a division by nothing.
const NOTHING: f32 = 1e-12;
/// Keeps weights small that nothing speaks for.
const DECAY: f32 = 0.02;

#[derive(Module, Debug)]
struct Tower {
    hidden: Param<Tensor<2>>,
    bias: Param<Tensor<2>>,
    out: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct Both {
    part: Tower,
    words: Tower,
    /// The logarithm of what likenesses are multiplied by.
    scale: Param<Tensor<1>>,
}

pub(super) struct Towers {
    both: Both,
    optimizer: ModuleOptimizer,
    device: Device,
}

impl Tower {
    fn vectors(&self, numbers: Tensor<2>) -> Tensor<2> {
        let hidden = relu(numbers.matmul(self.hidden.val()) + self.bias.val());
        let vectors = hidden.matmul(self.out.val());
        let length = (vectors.clone().powf_scalar(2.0).sum_dim(1) + NOTHING).sqrt();
        vectors / length
    }
}

impl Towers {
    pub(super) fn begin(seed: u64) -> Towers {
        let device = device();
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x7465_7874);
        let mut layers = Retriever::layers().into_iter();
        let mut next = || {
            let (name, shape) = layers.next().expect("two towers have six tensors");
            let rows = shape[0];
            let shape = if let [columns] = shape[..] { [1, columns] } else { [rows, shape[1]] };
            let reach = if name.ends_with(".bias") { 0.0 } else { (6.0 / shape[0] as f32).sqrt() };
            let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| reach * random.random_range(-1.0..1.0)).collect();
            Param::from_tensor(Tensor::<2>::from_data(TensorData::new(values, shape), &device))
        };
        let mut tower = || Tower { hidden: next(), bias: next(), out: next() };
        let (part, words) = (tower(), tower());
        let scale = Param::from_tensor(Tensor::<1>::from_data(TensorData::new(vec![SCALE.ln()], [1]), &device));
        let optimizer = ModuleOptimizer::from(AdamWConfig::new().with_weight_decay(DECAY).build());
        Towers { both: Both { part, words, scale }, optimizer, device }
    }

    /// One step; its loss.
    pub(super) fn step(&mut self, batch: &Batch, rate: f64) -> f32 {
        let matrix = |values: &[f32]| {
            let shape = [batch.size, values.len() / batch.size];
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &self.device)
        };
        let fits = matrix(&batch.fits);
        let both = &self.both;
        let (parts, words) = (both.part.vectors(matrix(&batch.parts)), both.words.vectors(matrix(&batch.words)));
        let scale = both.scale.val().clamp(0.0, HIGHEST_SCALE.ln()).exp().reshape([1, 1]);
        let likeness = words.matmul(parts.transpose()) * scale;
        // Each caption is true of its own part at least, and each part has its own caption: no row and no column is empty.
        let one_way = |likeness: Tensor<2>, fits: Tensor<2>| {
            let target = fits.clone() / fits.sum_dim(1);
            (log_softmax(likeness, 1) * target).sum().neg() / batch.size as f32
        };
        let loss = (one_way(likeness.clone(), fits.clone()) + one_way(likeness.transpose(), fits.transpose())) / 2.0;
        let value = numbers(loss.clone().detach())[0];
        let gradients = GradientsParams::from_grads(loss.backward(), &self.both);
        self.both = self.optimizer.step(rate, self.both.clone(), gradients);
        value
    }

    pub(super) fn to_weights(&self) -> Weights {
        let mut weights = Weights::default();
        let towers = [(PART, &self.both.part), (WORDS, &self.both.words)];
        let tensors = towers.iter().flat_map(|(_, tower)| [&tower.hidden, &tower.bias, &tower.out]);
        for ((name, shape), tensor) in Retriever::layers().into_iter().zip(tensors) {
            weights.insert(name, Values { shape, data: numbers(tensor.val().detach()) });
        }
        weights
    }
}

const _: () = assert!(DIMENSIONS < HIDDEN, "the space is narrower than what leads to it");
