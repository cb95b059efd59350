//! What the manifest says of a memory of good parts, and how its word joins the classifier's.

use serde::{Deserialize, Serialize};

use super::{BundleError, HeadOutput};
use crate::heads::memory::{Features, Scorer};

/// A memory of good parts in the graph: its outputs, and for people how it came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemorySpec {
    /// Name of the graph's output of the part's anomaly score, a share of its threshold: `1 x 1`. From 1 on the part is anomalous.
    pub anomaly: String,
    /// Name of the graph's output of the cells' distances, shares of their threshold: `1 x 1 x height x width`.
    pub distances: String,
    /// How good parts are kept.
    pub method: Method,
    /// What is looked at.
    pub features: Features,
    /// Values per cell that are compared.
    pub dimensions: usize,
    /// How cells become a score.
    pub scorer: Scorer,
    /// Where the threshold comes from.
    pub threshold: ThresholdNote,
}

/// How good parts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Feature vectors, compared by the nearest (PatchCore).
    Memory,
    /// A Gaussian at each position (PaDiM).
    Gaussian,
}

/// Where an anomaly threshold comes from: good parts that the memory which scored them had not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdNote {
    /// Share of good parts that the threshold was asked to reject.
    pub asked_overkill: f64,
    /// Held-out good parts.
    pub held_out: usize,
    /// Of these: at or above the threshold.
    pub above: usize,
    /// Bounds of the share of good parts above it, 95 % (Clopper and Pearson, Biometrika 1934).
    pub overkill_ci: [f64; 2],
}

impl MemorySpec {
    /// The outputs that it reads.
    pub(super) fn outputs(&self) -> [HeadOutput; 2] {
        let one = Some(1);
        [
            HeadOutput { name: self.anomaly.clone(), shape: vec![one, one] },
            HeadOutput { name: self.distances.clone(), shape: vec![one, one, None, None] },
        ]
    }
}

/// One rule of how the memory's word joins the classifier's. The first rule that fits a part counts; where none fits the
/// classifier's word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the classifier alone says of the part; absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<Saying>,
    /// Whether the memory calls the part anomalous; absent: either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomalous: Option<bool>,
    /// What follows.
    pub then: Outcome,
}

/// What the classifier alone says of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Saying {
    /// A label that fails the part is over its threshold.
    Fail,
    /// A label that wants a person to look is over its threshold, and none that fails the part.
    Review,
    /// No defect is over its threshold and the passing label is over its own.
    Pass,
    /// No label is over its threshold.
    Unsure,
}

/// What a rule makes of a part. There is no `pass`: a rule can only make the classifier's word stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The classifier's word stands.
    Keep,
    /// A person should look.
    Review,
    /// The part is bad.
    Fail,
}

impl Rule {
    /// The rules that a memory brings along unless the manifest says otherwise: what the classifier found stands; what it
    /// takes for good although it is unlike every good part, a person should see.
    pub fn defaults() -> Vec<Rule> {
        let rule = |classifier, anomalous, then| Rule { classifier: Some(classifier), anomalous, then };
        vec![
            rule(Saying::Fail, None, Outcome::Keep),
            rule(Saying::Review, None, Outcome::Keep),
            rule(Saying::Pass, Some(true), Outcome::Review),
            rule(Saying::Unsure, Some(true), Outcome::Review),
        ]
    }

    /// Whether this rule speaks of such a part.
    pub fn fits(&self, classifier: Saying, anomalous: bool) -> bool {
        self.classifier.is_none_or(|it| it == classifier) && self.anomalous.is_none_or(|it| it == anomalous)
    }
}

/// Refuses rules that speak of a memory where there is none.
pub(super) fn check_rules(rules: &[Rule], memory: Option<&MemorySpec>) -> Result<(), BundleError> {
    match rules.is_empty() || memory.is_some() {
        true => Ok(()),
        false => Err(BundleError::Manifest(
            "`heads.rules` says how a memory's word joins the classifier's, but `heads.memory` is absent".into(),
        )),
    }
}
