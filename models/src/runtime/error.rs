//! Why a network did not run.

use std::path::PathBuf;

use thiserror::Error;

use super::Provider;
use super::library::VARIABLE;

/// Why a network did not run.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum RuntimeError {
    /// The shared library was not found.
    #[error(
        "ONNX Runtime's library is missing; looked at {}; run `make setup`, or name the file in {}",
        list(looked),
        VARIABLE
    )]
    LibraryMissing {
        /// Every place looked at, in order.
        looked: Vec<PathBuf>,
    },
    /// The shared library was found and does not work.
    #[error("ONNX Runtime's library {} does not load: {reason}", path.display())]
    LibraryBroken {
        /// The file.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// A provider that was asked for does not work on this machine.
    #[error("{provider} is not available: {reason}")]
    ProviderUnavailable {
        /// The provider.
        provider: Provider,
        /// What it says.
        reason: String,
    },
    /// No provider of the ladder works.
    #[error("no execution provider works ({}); add `cpu` to the ladder", reasons(tried))]
    NoProvider {
        /// Each provider tried, with its reason.
        tried: Vec<(Provider, String)>,
    },
    /// The graph is not what its manifest says, or not a graph that runs.
    #[error("the model's graph is refused: {0}")]
    GraphRefused(String),
    /// The calibration images give other values here than where the bundle was made.
    #[error(
        "{provider} does not reproduce the bundle: calibration image {image}, {what}: expected {expected}, got {got}, \
         differs by {difference:.6} of at most {tolerance}; use another provider, or rebuild the bundle"
    )]
    Mismatch {
        /// The active provider.
        provider: Provider,
        /// Index of the calibration image.
        image: usize,
        /// Which value.
        what: String,
        /// From the bundle.
        expected: f32,
        /// From this machine.
        got: f32,
        /// Their distance.
        difference: f32,
        /// The bundle's bound for this provider's precision.
        tolerance: f32,
    },
    /// The caller's tensor has another length than the model's input.
    #[error("an input of {got} values, where the model takes {expected}")]
    Input {
        /// Values that the model takes.
        expected: usize,
        /// Values given.
        got: usize,
    },
    /// The network's answer holds infinities or values that are no numbers.
    #[error("the model's {0} are not finite numbers")]
    NotFinite(&'static str),
    /// ONNX Runtime failed while it ran the graph.
    #[error("inference failed on {provider}: {reason}")]
    Run {
        /// The active provider.
        provider: Provider,
        /// What ONNX Runtime says.
        reason: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

fn reasons(tried: &[(Provider, String)]) -> String {
    if tried.is_empty() {
        return "the ladder is empty".to_owned();
    }
    tried.iter().map(|(provider, reason)| format!("{provider}: {reason}")).collect::<Vec<_>>().join("; ")
}
