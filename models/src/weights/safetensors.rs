//! `.safetensors`, by the format's own crate.

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::{Tensor, WeightsError};

/// Whether the bytes begin as the format does: the length of a header, and a JSON object.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{') && bytes.get(7) == Some(&0)
}

pub(super) fn open(bytes: &[u8]) -> Result<SafeTensors<'_>, WeightsError> {
    SafeTensors::deserialize(bytes).map_err(|error| WeightsError::Safetensors(error.to_string()))
}

/// The values of a tensor of this shape.
pub(crate) fn tensor(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
    let view = file.tensor(name).map_err(|_| WeightsError::Missing(name.into()))?;
    if view.shape() != shape {
        return Err(WeightsError::Shape { name: name.into(), found: view.shape().to_vec(), wanted: shape.to_vec() });
    }
    let bytes = view.data();
    let data = match view.dtype() {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => {
            return Err(WeightsError::Safetensors(format!("tensor `{name}` is of type {other}, not F32, F16 or BF16")));
        }
    };
    Ok(Tensor { shape: shape.to_vec(), data })
}
