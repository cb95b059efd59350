//! The tensors of a network as its source names and counts them, and random ones that other programs can make as well.

use super::family::Family;
use crate::weights::{Tensor, Weights, WeightsError};

/// Whose definition of a network is followed, in every detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// PyTorch's torchvision.
    Torchvision,
    /// `keras.applications`.
    Keras,
    /// The PyPI package efficientnet_lite_pytorch, which mirrors TensorFlow's EfficientNet-Lite.
    EfficientNetLite,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Source::Torchvision => "torchvision",
            Source::Keras => "keras",
            Source::EfficientNetLite => "efficientnet_lite_pytorch",
        })
    }
}

/// What a tensor is in its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weight of a convolution (`out x in/groups x height x width`) or of a dense layer (`out x in`). Keras keeps both with
    /// the outputs last.
    Kernel,
    /// Added to each output.
    Bias,
    /// Scale of a norm.
    Gamma,
    /// Shift of a norm.
    Beta,
    /// Running mean of a batch norm.
    Mean,
    /// Running variance of a batch norm.
    Variance,
    /// Added to tokens, or a token itself.
    Embedding,
}

/// A tensor that a network takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its name in the source.
    pub name: String,
    /// Its sizes, in this program's order.
    pub shape: Vec<usize>,
    /// What it is.
    pub role: Role,
}

impl Spec {
    /// How many values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Source {
    /// The source's name of a layer's tensor.
    pub fn tensor(self, layer: &str, role: Role) -> String {
        let keras = self == Source::Keras;
        let part = match role {
            Role::Kernel if keras => "kernel",
            Role::Kernel => "weight",
            Role::Gamma if keras => "gamma",
            Role::Gamma => "weight",
            Role::Beta if keras => "beta",
            Role::Bias | Role::Beta => "bias",
            Role::Mean if keras => "moving_mean",
            Role::Mean => "running_mean",
            Role::Variance if keras => "moving_variance",
            Role::Variance => "running_var",
            Role::Embedding => return layer.into(),
        };
        format!("{layer}{}{part}", if keras { '/' } else { '.' })
    }

    /// Whether the source counts such a tensor among the parameters: Keras' total holds the running statistics, PyTorch calls them buffers.
    pub fn counts(self, role: Role) -> bool {
        self == Source::Keras || !matches!(role, Role::Mean | Role::Variance)
    }
}

/// Where the values come from.
pub trait Tensors {
    /// Says whose tensors will be asked for, before the first one.
    ///
    /// # Errors
    /// When they are known to be another network's.
    fn begin(&mut self, _family: &Family) -> Result<(), WeightsError> {
        Ok(())
    }

    /// The tensor of this name and shape.
    ///
    /// # Errors
    /// When there is none such.
    fn tensor(&mut self, spec: &Spec) -> Result<Tensor, WeightsError>;
}

impl Tensors for Weights {
    fn tensor(&mut self, spec: &Spec) -> Result<Tensor, WeightsError> {
        self.expect(&spec.name, &spec.shape).cloned()
    }
}

/// Random values that depend on the seed and the tensor's name alone, in ranges that keep the activations of deep networks
/// moderate: for measuring, and for comparing with the source.
///
/// Source of the generator: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014 (SplitMix64).
#[derive(Debug, Clone, Copy)]
pub struct Random(pub u64);

impl Random {
    /// `count` values from -1 up to 1, each a multiple of 2^-23, so that every program gets the same bits.
    pub fn uniform(self, name: &str, count: usize) -> impl Iterator<Item = f32> {
        let mut state =
            name.bytes().fold(FNV_OFFSET ^ self.0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        (0..count).map(move |_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
    }
}

/// Of the FNV-1a hash in 64 bits, by which a name becomes a seed.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

impl Tensors for Random {
    fn tensor(&mut self, spec: &Spec) -> Result<Tensor, WeightsError> {
        // Behind a rectifier a variance of 1.5 / inputs loses a quarter a layer, which the sums of residual networks make up for.
        let inputs: usize = spec.shape.iter().skip(1).product();
        let [middle, spread] = match spec.role {
            Role::Kernel => [0.0, (4.5 / inputs as f32).sqrt()],
            Role::Bias | Role::Beta | Role::Mean => [0.0, 0.1],
            Role::Gamma => [1.0, 0.2],
            Role::Variance => [1.0, 0.5],
            Role::Embedding => [0.0, 0.5],
        };
        let data = self.uniform(&spec.name, spec.len()).map(|value| middle + spread * value).collect();
        Ok(Tensor { shape: spec.shape.clone(), data })
    }
}
