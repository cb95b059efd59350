//! What a bundle says of its own making: the graph compared with what it was made from.

use serde::{Deserialize, Serialize};

use super::BundleError;
use crate::certify::Agreement;
use crate::precision::Precision;
use crate::runtime::{self, Provider};

/// What the graph was compared with, where, and how far it differed.
///
/// It is the maker's word: whoever deploys a bundle can have `inspectd models certify` measure again, and a signature says whose
/// word it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// What the graph was made from.
    pub compared_with: Compared,
    /// How far the two agree.
    pub agreement: Agreement,
    /// What the graph ran on.
    pub provider: Provider,
    /// Where.
    pub machine: Machine,
    /// For a graph that was converted to another number format: how, and what it costs and gains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<Export>,
}

/// What a graph was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Compared {
    /// The network as it was trained, in the trainer's own arithmetic, on images that it did not learn from.
    TrainedNetwork,
    /// Another graph.
    Original {
        /// Its SHA-256.
        graph_sha256: String,
        /// Its number format.
        precision: Precision,
    },
}

/// A conversion to another number format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// How it was made, in words.
    pub method: String,
    /// The share of flipped verdicts up to which it was allowed.
    pub most_flips: f64,
    /// SHA-256 of the data that it was calibrated and measured with; empty where only the bundle's own images served.
    pub data_digest: String,
    /// The original beside it, in the same run.
    pub original: Figures,
    /// The converted model.
    pub converted: Figures,
}

/// What a model measures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Share of the images whose highest score is (one of) their label; absent where no labels are known.
    pub accuracy: Option<f64>,
    /// Median time of one run on one thread.
    pub latency_ms: f64,
    /// Size of the graph.
    pub graph_bytes: u64,
}

/// A kind of machine: results are the same on machines of one kind, not only on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The processor, as it names itself.
    pub processor: String,
    /// Operating system and architecture, as `linux x86_64`.
    pub system: String,
    /// Version of inspectd.
    pub inspectd: String,
    /// Version of ONNX Runtime.
    pub onnxruntime: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Machine {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        // Arm names no model there; what it is built by and as stands in other lines.
        let line = |key: &str| cpuinfo.lines().find(|line| line.starts_with(key));
        let named = line("model name").or_else(|| line("CPU part")).and_then(|line| line.split(':').nth(1));
        Machine {
            processor: named.map_or("unknown", str::trim).to_owned(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            inspectd: env!("CARGO_PKG_VERSION").to_owned(),
            onnxruntime: runtime::version().unwrap_or_else(|| "not loaded".to_owned()),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Machine { processor, system, inspectd, onnxruntime } = self;
        write!(f, "{processor}, {system}, inspectd {inspectd}, ONNX Runtime {onnxruntime}")
    }
}

impl Certificate {
    pub(super) fn from_json(json: &[u8]) -> Result<Certificate, BundleError> {
        serde_json::from_slice(json).map_err(|error| refused(&error))
    }

    pub(super) fn to_json(&self) -> Result<String, BundleError> {
        serde_json::to_string_pretty(self).map_err(|error| refused(&error))
    }
}

fn refused(error: &serde_json::Error) -> BundleError {
    BundleError::File { name: super::CERTIFICATE.into(), reason: error.to_string() }
}
