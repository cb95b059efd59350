//! Reads a trunk from whatever file a user has.

use std::path::Path;

use super::torch_file::TorchFile;
use super::{Weights, WeightsError, onnx, torch};
use crate::bundle::{Bundle, looks_like_bundle};
use crate::zoo::mobilenet_v3_small as trunk;

/// Larger files are refused unread: the trunk is 4 MB, with a classifier 10 MB.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Reads the weights of a MobileNetV3-Small trunk, whatever the file's name: a bundle of this program, an ONNX model (batch
/// norm folded; ours, or another exporter's with its convolutions in order) or torchvision's `.pth`.
pub fn load_trunk(path: &Path) -> Result<Weights, WeightsError> {
    let io = |source| WeightsError::Io { path: path.into(), source };
    let bytes = std::fs::metadata(path).map(|meta| meta.len()).map_err(io)?;
    if bytes > MAX_FILE_BYTES {
        return Err(WeightsError::Invalid(format!(
            "weights `{}`: {bytes} bytes are too many for a trunk (limit {MAX_FILE_BYTES})",
            path.display()
        )));
    }
    trunk_from_bytes(&std::fs::read(path).map_err(io)?)
}

/// The same from a file's bytes.
pub fn trunk_from_bytes(bytes: &[u8]) -> Result<Weights, WeightsError> {
    let layers = trunk::layers();
    if looks_like_bundle(bytes) {
        return onnx::trunk(&Bundle::from_bytes(bytes)?.graph, &layers);
    }
    if TorchFile::looks_like(bytes) {
        return torch::trunk(bytes);
    }
    match onnx::trunk(bytes, &layers) {
        Err(WeightsError::Graph(crate::graph::GraphError::Malformed(_))) => Err(WeightsError::UnknownKind),
        trunk => trunk,
    }
}
