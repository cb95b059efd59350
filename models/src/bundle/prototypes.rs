//! What the manifest says of the few-shot head: which kinds it knows, and from which numbers it concludes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::manifest::check_name;
use super::{BundleError, Disposition, HeadOutput, Label};

/// Most kinds of one head.
const MAX_KINDS: usize = 1000;

/// How far apart two pictures are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// By the spread within a kind (Mahalanobis), its covariance shrunk: linear discriminant analysis.
    #[default]
    Lda,
    /// Plain squared distance. Source: Snell et al., "Prototypical Networks", NeurIPS 2017.
    L2,
}

/// What a picture that is unlike every kind means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// Nothing: the scores decide.
    #[default]
    Keep,
    /// A person should look, unless the part fails anyway.
    Review,
}

/// One kind of picture that the head knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Its name: a label of the model, or a new one.
    pub name: String,
    /// What it means for the part.
    pub verdict: Disposition,
    /// Number of pictures that it was learned from.
    pub shots: usize,
    /// Registered later from a few pictures; else one of the model's own labels.
    pub registered: bool,
}

/// The few-shot head. Each kind has a centre; a picture belongs to the nearest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrototypeSpec {
    /// Name of the graph's output of squared distances, `1 x kinds`; 1 is what is to be expected of a picture of the kind.
    pub output: String,
    /// How distances are measured.
    pub metric: Metric,
    /// The kinds, in the order of the distances.
    pub kinds: Vec<Kind>,
    /// Variance, in every direction, of pictures of one kind around their centre beyond the directions that the graph holds.
    pub spread: f32,
    /// Pictures that the spread was measured on.
    pub background_images: usize,
    /// `radius` of the model as trained.
    pub reach: f32,
    /// Divides the distances before the softmax.
    pub temperature: f32,
    /// Squared distance to the nearest centre from which a picture is unlike every kind.
    pub radius: f32,
    /// Share of held-out pictures within the radius.
    pub quantile: f32,
    /// Probability from which a registered kind counts, 0 to 1.
    pub sure: f32,
    /// What a picture beyond the radius means.
    pub unknown: Unknown,
}

impl PrototypeSpec {
    /// The output that the head reads.
    pub fn outputs(&self) -> impl Iterator<Item = HeadOutput> {
        std::iter::once(HeadOutput { name: self.output.clone(), shape: vec![Some(1), Some(self.kinds.len())] })
    }

    /// The kinds that were registered, with their places.
    pub fn registered(&self) -> impl Iterator<Item = (usize, &Kind)> {
        self.kinds.iter().enumerate().filter(|(_, kind)| kind.registered)
    }

    /// Refuses values that make no sense together, or with the model's labels.
    pub(super) fn check(&self, labels: &[Label]) -> Result<(), BundleError> {
        let refuse = |reason: String| Err(BundleError::Manifest(format!("heads.prototypes: {reason}")));
        if !(1..=MAX_KINDS).contains(&self.kinds.len()) {
            return refuse(format!("{} kinds, needed are 1 to {MAX_KINDS}", self.kinds.len()));
        }
        let mut seen = BTreeSet::new();
        for Kind { name, registered, shots, .. } in &self.kinds {
            check_name("heads.prototypes: a kind", name)?;
            let is_label = labels.iter().any(|label| label.name == *name);
            if !seen.insert(name) || is_label == *registered {
                return refuse(format!(
                    "kind `{name}` stands twice, or a kind of the model's own is none of its labels"
                ));
            }
            if *shots == 0 {
                return refuse(format!("kind `{name}` was learned from no picture"));
            }
        }
        let Self { spread, reach, temperature, radius, quantile, sure, .. } = *self;
        let numbers = [("spread", spread), ("reach", reach), ("temperature", temperature), ("radius", radius)];
        if let Some((name, value)) = numbers.iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            return refuse(format!("{name} {value} is not a positive number"));
        }
        for (name, value) in [("quantile", quantile), ("sure", sure)] {
            if !(0.0..=1.0).contains(&value) {
                return refuse(format!("{name} {value} is not between 0 and 1"));
            }
        }
        Ok(())
    }
}
