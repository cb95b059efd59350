//! The network's layers as differentiable operations, written for training on a processor.
//!
//! Burn records the tape, these files compute. They exist because the general convolutions of burn's CPU backend spend most
//! of a MobileNet's training step in the depthwise weight gradient and in element-wise passes that are not fused. Here
//! the layout is channels-last (`images x height x width x channels`): a 1x1 convolution is then ONE matrix product over all
//! cells, and a depthwise convolution runs along contiguous channels whatever the stride.
//!
//! On another backend (CUDA) and in other floats (mixed precision) each operation falls back to burn's own, which the tests also take as the
//! reference.

mod activation;
mod depthwise;
pub(crate) mod gemm;
mod pointwise;
mod squeeze;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{DType, Tensor, TensorData};

pub use activation::Activation;
pub use depthwise::{Depthwise, depthwise};
pub use pointwise::pointwise;
pub use squeeze::{average, scale};

/// The backend for which the operations are written.
type Recorded = Autodiff<Flex>;
/// A tensor on the tape.
type Node = FloatTensor<Recorded>;

/// The tensor on our backend's tape; `None` when it lives on another backend, or in other floats than 32 bits.
fn node<const D: usize>(tensor: &Tensor<D>) -> Option<Node> {
    if tensor.dtype() != DType::F32 {
        return None;
    }
    tensor.clone().try_into_primitive::<Recorded>().ok()
}

/// Values in row-major order; copied only where a view is strided.
fn values(tensor: &FlexTensor) -> std::borrow::Cow<'_, [f32]> {
    match tensor.as_slice::<f32>() {
        Some(slice) => slice.into(),
        None => {
            let copy = tensor.to_contiguous();
            copy.as_slice::<f32>().expect("a contiguous copy is one slice").to_vec().into()
        }
    }
}

/// A tensor that owns these values.
fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Adds up the rows of a matrix with this many columns.
fn sum_of_rows(matrix: &[f32], columns: usize) -> Vec<f32> {
    let mut sum = vec![0.0; columns];
    pulp::Arch::new().dispatch(|| {
        for row in matrix.chunks_exact(columns) {
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += value;
            }
        }
    });
    sum
}
