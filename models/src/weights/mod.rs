//! Named tensors: what a trainer hands to the graph builder, and what is read from other programs' files.

mod checkpoint;
mod init;
mod keras;
mod load;
mod onnx;
mod pickle;
mod safetensors;
mod strided;
mod torch;
mod torch_file;
mod torch_plain;
mod trunk_file;

use std::collections::BTreeMap;
use std::path::PathBuf;

use thiserror::Error;

use crate::bundle::BundleError;
use crate::graph::{GraphBuilder, GraphError};

pub use checkpoint::Checkpoint;
pub use init::kaiming;
pub use load::{load_trunk, trunk_from_bytes};
pub(crate) use safetensors::tensor as safetensor;
pub use trunk_file::TrunkFile;

/// A dense tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Sizes, outermost first. A convolution's weight is `out x in/groups x height x width`, a bias is `out`. Layers that
    /// act on each cell alone (squeeze and excitation, attention, classifier) are 1x1 convolutions: `out x in x 1 x 1`.
    pub shape: Vec<usize>,
    /// The values, as many as the product of the sizes.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor of one value, shape `1`.
    pub fn scalar(value: f32) -> Tensor {
        Tensor { shape: vec![1], data: vec![value] }
    }

    /// A tensor of zeros.
    pub fn zeros(shape: &[usize]) -> Tensor {
        Tensor { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }
}

/// Tensors by name. Convolutions carry no batch norm: it is folded into `.weight` and `.bias`.
///
/// Trunk: `stem`, `blocks.{i}.{expand,depthwise,se.reduce,se.expand,project}`, `last`; head: `attention.{reduce,expand}`,
/// `classifier`, each with `.weight` and `.bias`; `pool.sharpness` (one value). The zoo and the heads list names and
/// shapes as data ([`crate::zoo::mobilenet_v3_small::layers`], [`crate::heads::attention::layers`]).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights(pub BTreeMap<String, Tensor>);

/// Why weights cannot be used or read.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// A tensor that the network needs is not there.
    #[error("the weights hold no tensor `{0}`: they belong to another network, or only to a part of this one")]
    Missing(String),
    /// A tensor of another shape.
    #[error("tensor `{name}` is {found:?}, the network needs {wanted:?}: the weights belong to another network")]
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the network needs.
        wanted: Vec<usize>,
    },
    /// A tensor holds a value that is not a finite number.
    #[error("tensor `{0}` holds a value that is not finite: the training diverged or the file is damaged")]
    NotFinite(String),
    /// A network cannot be built like this, whatever the weights.
    #[error("{0}")]
    Invalid(String),
    /// The file could not be read.
    #[error("weights `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is of none of the known kinds.
    #[error(
        "not a bundle, an ONNX model, a safetensors file, a PyTorch file saved by `torch.save`, or weights of Keras (.h5, .keras)"
    )]
    UnknownKind,
    /// An ONNX model that could not be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A bundle that was refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A PyTorch file that could not be read.
    #[error("PyTorch file: {0}")]
    Torch(String),
    /// A safetensors file that could not be read.
    #[error("safetensors file: {0}")]
    Safetensors(String),
    /// A file of Keras' that could not be read.
    #[error("Keras file: {0}")]
    Keras(String),
    /// A readable file whose network is not the one that is wanted.
    #[error("this is not a MobileNetV3-Small trunk: {0}")]
    OtherNetwork(String),
}

impl Weights {
    /// The tensor of this name, checked: there, of this shape, all values finite.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<&Tensor, WeightsError> {
        let tensor = self.0.get(name).ok_or_else(|| WeightsError::Missing(name.into()))?;
        if tensor.shape != shape || tensor.data.len() != shape.iter().product::<usize>() {
            let (found, wanted) = (tensor.shape.clone(), shape.to_vec());
            return Err(WeightsError::Shape { name: name.into(), found, wanted });
        }
        match tensor.data.iter().all(|value| value.is_finite()) {
            true => Ok(tensor),
            false => Err(WeightsError::NotFinite(name.into())),
        }
    }

    /// Adds a tensor, or replaces the one of this name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.0.insert(name.into(), tensor);
    }

    /// Adds all tensors of `other`; those of the same name are replaced.
    pub fn merge(&mut self, other: Weights) {
        self.0.extend(other.0);
    }

    /// The tensors of these layers alone, checked.
    pub fn only(&self, layers: &[Layer]) -> Result<Weights, WeightsError> {
        let mut some = Weights::default();
        for layer in layers {
            for (name, shape) in layer.tensors() {
                let tensor = self.expect(&name, &shape)?.clone();
                some.insert(name, tensor);
            }
        }
        Ok(some)
    }
}

/// One convolution with bias of a network: its name, size and geometry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Name of the layer: its tensors are `{name}.weight` and `{name}.bias`.
    pub name: String,
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Kernel, stride and groups.
    pub conv: crate::graph::Conv,
}

impl Layer {
    /// A layer that acts on each cell alone: a 1x1 convolution.
    pub fn pointwise(name: impl Into<String>, inputs: usize, outputs: usize) -> Layer {
        Layer { name: name.into(), inputs, outputs, conv: crate::graph::Conv { kernel: 1, stride: 1, groups: 1 } }
    }

    /// Shape of the weight: `out x in/groups x kernel x kernel`.
    pub fn weight_shape(&self) -> Vec<usize> {
        vec![self.outputs, self.inputs / self.conv.groups, self.conv.kernel, self.conv.kernel]
    }

    /// Names and shapes of the weight and the bias.
    pub fn tensors(&self) -> [(String, Vec<usize>); 2] {
        [(format!("{}.weight", self.name), self.weight_shape()), (format!("{}.bias", self.name), vec![self.outputs])]
    }

    /// Adds the layer's constants and its convolution of `x`; returns the output's name, which is the layer's.
    pub fn build(&self, graph: &mut GraphBuilder, weights: &Weights, x: &str) -> Result<String, WeightsError> {
        for (name, shape) in self.tensors() {
            graph.initializer(&name, weights.expect(&name, &shape)?);
        }
        Ok(graph.conv(x, self.conv, &self.name))
    }
}
