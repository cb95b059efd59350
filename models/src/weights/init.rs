//! Starting values.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Layer, Tensor, Weights};

/// Random weights for these layers, from a seed; the biases are zero. Uniform in `±sqrt(6 / fan_in)`, so that the variance
/// survives a rectifier. Source: He et al., "Delving Deep into Rectifiers", ICCV 2015 (Kaiming initialisation).
///
/// Each layer draws from its own stream, so that adding a layer changes no other.
pub fn kaiming(layers: &[Layer], seed: u64) -> Weights {
    let mut weights = Weights::default();
    for (stream, layer) in layers.iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream as u64);
        let [(weight, shape), (bias, bias_shape)] = layer.tensors();
        let fan_in: usize = shape[1..].iter().product();
        let bound = (6.0 / fan_in as f32).sqrt();
        let data = (0..shape.iter().product()).map(|_| random.random_range(-bound..=bound)).collect();
        weights.insert(weight, Tensor { shape, data });
        weights.insert(bias, Tensor::zeros(&bias_shape));
    }
    weights
}
