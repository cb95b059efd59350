//! A model on disk, one file (`*.bundle`, a zip): graph, manifest, calibration images and their expected scores.

use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::image::Image;
use crate::preprocess::Preprocess;

/// Version of the manifest's format.
pub const FORMAT: u32 = 1;

/// What a label means for the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// The part is good.
    Pass,
    /// A person should look.
    Review,
    /// The part is bad.
    Fail,
}

/// One class that the model tells apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// What it means for the part.
    pub verdict: Disposition,
    /// The score from which the label counts as present, 0 to 1.
    pub threshold: f32,
}

/// How the cell-wise logits become one logit per label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pooling {
    /// Plain mean: the original's; it dilutes a one-cell defect.
    Mean,
    /// Log-mean-exp with this sharpness `r`: `log(mean(exp(r * x))) / r`. Source: Pinheiro and Collobert, CVPR 2015.
    LogMeanExp(f32),
}

/// Where a bundle comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The command that made it.
    pub command: String,
    /// SHA-256 over the training data (paths, labels, bytes), or the synthetic line's parameters.
    pub data_digest: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// Version of inspectd that made it.
    pub version: String,
    /// Where the trunk's starting weights come from.
    pub trunk: String,
    /// Licence notices that travel with the weights.
    pub licences: Vec<String>,
}

/// Largest difference from the expected values that this machine may show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Of a probability or a heat map's probability, in full precision.
    pub fp32: f32,
    /// The same in half precision.
    pub fp16: f32,
}

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format of this manifest: [`FORMAT`].
    pub format: u32,
    /// The model's name.
    pub name: String,
    /// Labels, in the order of the scores.
    pub labels: Vec<Label>,
    /// How an image becomes the input.
    pub preprocess: Preprocess,
    /// How cells become scores (also written into the graph; here for people).
    pub pooling: Pooling,
    /// Name of the graph's input.
    pub input: String,
    /// Name of the graph's output of probabilities, `1 x labels`.
    pub scores: String,
    /// Name of the graph's output of cell-wise logits, `1 x labels x height x width`.
    pub heat: String,
    /// SHA-256 of the graph.
    pub graph_sha256: String,
    /// SHA-256 of every other file in the bundle, by name.
    pub files_sha256: std::collections::BTreeMap<String, String>,
    /// Bound of the replay.
    pub tolerance: Tolerance,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// A calibration image with what the model said of it when it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The image, stored losslessly.
    pub image: Image,
    /// Expected probabilities, one per label.
    pub scores: Vec<f32>,
    /// Expected cell-wise logits, `labels * height * width`.
    pub heat: Vec<f32>,
}

/// A bundle in memory, its digests verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// Everything but the weights.
    pub manifest: Manifest,
    /// The ONNX graph.
    pub graph: Vec<u8>,
    /// Calibration images and expected values.
    pub expectations: Vec<Expectation>,
}

/// Why a bundle was refused.
#[derive(Debug, Error)]
pub enum BundleError {
    /// To be filled in.
    #[error("{0}")]
    Refused(String),
}

impl Bundle {
    /// Reads and verifies a bundle: structure, digests, no escaping paths, no external data. Does not run it.
    pub fn open(_path: &Path) -> Result<Bundle, BundleError> {
        todo!()
    }

    /// The same from bytes.
    pub fn from_bytes(_bytes: &[u8]) -> Result<Bundle, BundleError> {
        todo!()
    }

    /// Writes the bundle, atomically (temporary file, then rename). Digests in the manifest are computed here.
    pub fn save(&mut self, _path: &Path) -> Result<(), BundleError> {
        todo!()
    }
}
