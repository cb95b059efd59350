//! ONNX Runtime. The only file that names `ort`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An execution provider, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// NVIDIA TensorRT, half precision.
    Tensorrt,
    /// NVIDIA CUDA, full precision.
    Cuda,
    /// The processor, full precision.
    Cpu,
}

/// How sessions are made.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Providers to try, in order.
    pub ladder: Vec<Provider>,
    /// Refuse to run on any provider but this.
    pub require: Option<Provider>,
    /// Threads inside one session; lines run several one-thread sessions.
    pub threads: usize,
    /// Where engine and timing caches are kept.
    pub cache_dir: Option<PathBuf>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions {
            ladder: vec![Provider::Tensorrt, Provider::Cuda, Provider::Cpu],
            require: None,
            threads: 1,
            cache_dir: None,
        }
    }
}

/// Why a network did not run.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// To be filled in.
    #[error("{0}")]
    Failed(String),
}

/// Loads the shared library once per process; later calls are free. Looks, in order, at `library`, `ORT_DYLIB_PATH`,
/// `lib/` beside the program, `/usr/lib/inspectd`, and `.setup/onnxruntime` in any folder above the program.
pub fn init(_library: Option<&Path>) -> Result<(), RuntimeError> {
    todo!()
}
