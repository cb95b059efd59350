//! Everything about a model but its weights.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{BundleError, Heads};
use crate::graph::ModelProto;
use crate::precision::{self, Precision};
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
    /// SHA-256 of what was done to the pictures' geometry first, as a recipe's `[align]`, `[[mask]]` and `calibration` ask for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub preparation: String,
    /// How the scores were made to mean what they say; `None` where they are as the network gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// How the network was chosen, in words, where not as the best by the selection set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network: String,
    /// How the thresholds were chosen, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub thresholds: String,
    /// What the thresholds were chosen by, where a person asked for something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_point: Option<OperatingPoint>,
}

/// The temperature that the graph divides the logits by before the softmax (here for people), and what it did on the images
/// that it was fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Above 1 scores are softer than the network's own, below 1 bolder. It changes no order.
    pub temperature: f64,
    /// Images that it was fitted on.
    pub images: usize,
    /// Expected calibration error on them before.
    pub ece_before: f64,
    /// And after.
    pub ece_after: f64,
}

/// Thresholds that were asked for in words ("at most 0.5 % escapes with 95 % confidence"), with the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// Largest share of bad parts that may pass.
    pub escapes_at_most: f64,
    /// How sure that is.
    pub confidence: f64,
    /// A part passes where one minus its best passing score is below this.
    pub threshold: f64,
    /// Bad parts that it was chosen on.
    pub bad: usize,
    /// Of these: passed.
    pub escapes: usize,
    /// The share of escapes that the truth exceeds with no more than `1 - confidence` probability.
    pub escape_bound: f64,
    /// Good parts that it was chosen on.
    pub good: usize,
    /// Of these: failed, or sent to review.
    pub held_good: usize,
    /// SHA-256 of the data that it was chosen on.
    pub data_digest: String,
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
    /// What stands on the trunk beside the classifier.
    #[serde(default, skip_serializing_if = "Heads::is_empty")]
    pub heads: Heads,
    /// The number format of the graph's convolutions.
    #[serde(default, skip_serializing_if = "Precision::is_fp32")]
    pub precision: Precision,
    /// SHA-256 of the graph.
    pub graph_sha256: String,
    /// SHA-256 of every other file in the bundle, by name.
    pub files_sha256: BTreeMap<String, String>,
    /// Bound of the replay.
    pub tolerance: Tolerance,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// The largest replay bound that a manifest may ask for; more would be no check.
const MAX_TOLERANCE: f32 = 0.1;
const MAX_LABELS: usize = 1000;
const MAX_NAME_CHARS: usize = 200;
const MAX_SIDE: u32 = 4096;

/// What the graph gives.
pub(super) struct OutputShape {
    /// Number of labels.
    pub(super) labels: usize,
    /// Cells of the heat map.
    cells: usize,
    /// Names and numbers of values of the heads' outputs, in order of names.
    pub(super) named: BTreeMap<String, usize>,
}

impl OutputShape {
    /// Number of cell-wise logits.
    pub(super) fn heat_len(&self) -> usize {
        self.labels * self.cells
    }

    /// Number of all values of one run.
    pub(super) fn values(&self) -> usize {
        self.labels + self.heat_len() + self.named.values().sum::<usize>()
    }
}

impl Manifest {
    /// Position of the label of this name.
    pub fn label_index(&self, name: &str) -> Option<usize> {
        self.labels.iter().position(|label| label.name == name)
    }

    /// Reads and checks a manifest. A newer format is told apart first, since it may hold keys unknown here.
    pub(super) fn from_json(json: &[u8]) -> Result<Manifest, BundleError> {
        #[derive(Deserialize)]
        struct Version {
            format: u64,
        }
        let refuse = |error: serde_json::Error| BundleError::Manifest(error.to_string());
        let Version { format } = serde_json::from_slice(json).map_err(refuse)?;
        if format > u64::from(FORMAT) {
            return Err(BundleError::NewerFormat { found: format, known: FORMAT });
        }
        let mut reader = serde_json::Deserializer::from_slice(json);
        let manifest: Manifest = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| BundleError::Manifest(format!("at `{}`: {}", error.path(), error.inner())))?;
        reader.end().map_err(refuse)?;
        manifest.check()?;
        Ok(manifest)
    }

    pub(super) fn to_json(&self) -> Result<String, BundleError> {
        serde_json::to_string_pretty(self).map_err(|error| BundleError::Manifest(error.to_string()))
    }

    /// Refuses values that make no sense together.
    pub(super) fn check(&self) -> Result<(), BundleError> {
        let refuse = |reason: String| Err(BundleError::Manifest(reason));
        if self.format != FORMAT {
            return refuse(format!("format {} is unknown, this inspectd writes {FORMAT}", self.format));
        }
        check_name("name", &self.name)?;
        self.check_labels()?;
        self.check_preprocess()?;
        self.heads.check(&self.scores, &self.heat, &self.labels)?;
        self.heads.fusion.iter().try_for_each(|fusion| fusion.check(&self.input))?;
        if let Pooling::LogMeanExp(sharpness) = self.pooling
            && !(sharpness.is_finite() && sharpness > 0.0)
        {
            return refuse(format!("pooling sharpness {sharpness} is not a positive number"));
        }
        if let Some(Calibration { temperature, .. }) = self.provenance.calibration
            && !(temperature.is_finite() && temperature > 0.0)
        {
            return refuse(format!("temperature {temperature} is not a positive number"));
        }
        let Tolerance { fp32, fp16 } = self.tolerance;
        for (name, value) in [("fp32", fp32), ("fp16", fp16)] {
            if !(value > 0.0 && value <= MAX_TOLERANCE) {
                return refuse(format!("tolerance.{name} = {value} is not between 0 and {MAX_TOLERANCE}"));
            }
        }
        Ok(())
    }

    fn check_labels(&self) -> Result<(), BundleError> {
        if !(1..=MAX_LABELS).contains(&self.labels.len()) {
            let found = self.labels.len();
            return Err(BundleError::Manifest(format!("{found} labels, needed are 1 to {MAX_LABELS}")));
        }
        let mut seen = BTreeSet::new();
        for Label { name, threshold, .. } in &self.labels {
            check_name("a label", name)?;
            if !seen.insert(name) {
                return Err(BundleError::Manifest(format!("label `{name}` stands twice")));
            }
            if !(0.0..=1.0).contains(threshold) {
                return Err(BundleError::Manifest(format!(
                    "label `{name}`: threshold {threshold} is not between 0 and 1"
                )));
            }
        }
        Ok(())
    }

    fn check_preprocess(&self) -> Result<(), BundleError> {
        let Preprocess { width, height, mean, std } = &self.preprocess;
        if ![width, height].iter().all(|side| (1..=MAX_SIDE).contains(*side)) {
            return Err(BundleError::Manifest(format!(
                "input of {width} x {height} pixels: each side must be 1 to {MAX_SIDE}"
            )));
        }
        let fits = mean.iter().all(|mean| mean.is_finite()) && std.iter().all(|std| std.is_finite() && *std > 0.0);
        match fits {
            true => Ok(()),
            false => Err(BundleError::Manifest(format!(
                "preprocess: mean {mean:?} must be finite, std {std:?} finite and positive"
            ))),
        }
    }

    /// Refuses a graph whose inputs and outputs are not those that the manifest names.
    pub(super) fn check_graph(&self, model: &ModelProto) -> Result<OutputShape, BundleError> {
        precision::check(model, self.precision).map_err(BundleError::Manifest)?;
        let graph = model.graph();
        let labels = self.labels.len();
        let wanted = self.inputs();
        let found = graph.input.iter().map(|value| Some((value.name.clone(), value.static_shape()?)));
        if !found.eq(wanted.iter().cloned().map(Some)) {
            let found: Vec<_> = graph.input.iter().map(|value| (&value.name, value.static_shape())).collect();
            let wanted: Vec<_> = wanted.iter().map(|(name, shape)| format!("`{name}` of shape {shape:?}")).collect();
            let wanted = wanted.join(", ");
            return Err(BundleError::Manifest(format!("the graph's inputs are {found:?}, wanted is only {wanted}")));
        }
        let output = |name: &String| {
            let value = graph.output.iter().find(|value| value.name == *name);
            value.and_then(|value| value.static_shape()).ok_or_else(|| {
                BundleError::Manifest(format!("the graph has no output `{name}`, which the manifest names"))
            })
        };
        let (scores, heat) = (output(&self.scores)?, output(&self.heat)?);
        let mut named = BTreeMap::new();
        for head in self.heads.outputs() {
            let values = head.values(&output(&head.name)?).map_err(|words| {
                BundleError::Manifest(format!("the graph does not fit the manifest's heads: {words}"))
            })?;
            named.insert(head.name, values);
        }
        match (scores.as_slice(), heat.as_slice()) {
            ([1, k], [1, maps, height, width]) if *k == labels && *maps == labels => {
                let cells = height.checked_mul(*width).filter(|&cells| cells <= (MAX_SIDE as usize).pow(2));
                let cells = cells.ok_or_else(|| BundleError::Manifest("the heat map is absurdly large".into()))?;
                Ok(OutputShape { labels, cells, named })
            }
            _ => Err(BundleError::Manifest(format!(
                "the graph's outputs are {scores:?} and {heat:?}; {labels} labels need [1, {labels}] and [1, {labels}, height, width]"
            ))),
        }
    }
}

pub(super) fn check_name(what: &str, name: &str) -> Result<(), BundleError> {
    let fits = !name.trim().is_empty() && name.chars().count() <= MAX_NAME_CHARS && !name.chars().any(char::is_control);
    match fits {
        true => Ok(()),
        false => Err(BundleError::Manifest(format!(
            "{what} is {:?}: it must be 1 to {MAX_NAME_CHARS} printable characters",
            name.chars().take(MAX_NAME_CHARS).collect::<String>()
        ))),
    }
}
