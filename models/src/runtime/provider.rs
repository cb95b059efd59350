//! Execution providers, and how sessions are made on them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::precision::Precision;

/// An execution provider, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// NVIDIA TensorRT, half precision.
    Tensorrt,
    /// NVIDIA CUDA, full precision.
    Cuda,
    /// The processor, full precision.
    Cpu,
}

impl Provider {
    /// All of them, best first.
    pub const ALL: [Provider; 3] = [Provider::Tensorrt, Provider::Cuda, Provider::Cpu];

    /// What it computes graphs in 32-bit floats with.
    pub const fn precision(self) -> Precision {
        match self {
            Provider::Tensorrt => Precision::Fp16,
            Provider::Cuda | Provider::Cpu => Precision::Fp32,
        }
    }
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Provider::Tensorrt => "TensorRT",
            Provider::Cuda => "CUDA",
            Provider::Cpu => "CPU",
        })
    }
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
    /// Where engine and timing caches are kept. Without it TensorRT builds its engine anew at every start (minutes).
    pub cache_dir: Option<PathBuf>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions { ladder: Provider::ALL.to_vec(), require: None, threads: 1, cache_dir: None }
    }
}
