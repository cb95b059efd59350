//! What a network says about one image.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bundle::{Heads, Manifest, MemorySpec, PrototypeSpec, Reference};
use crate::heads::memory::STEEPNESS;
use crate::heads::prototypes::Likeness;
use crate::preprocess::Preprocess;
use crate::ruling::Beside;
use crate::runtime::{NamedOutput, Outputs, Provider, RuntimeError};

/// Scores and heat map of one image, with what produced them.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// One probability per label, in the manifest's order; they sum to 1.
    pub scores: Vec<f32>,
    /// Cell-wise logits, from the same forward pass.
    pub heat: HeatMap,
    /// The trunk's last feature map averaged over all cells, where the bundle gives it: what the picture looks like, as numbers.
    pub embedding: Option<Vec<f32>>,
    /// What each view weighed, in the manifest's order, where the bundle sees several: they add up to 1, and one that was not there has 0.
    pub views: Option<Vec<f32>>,
    /// How unlike good parts it is, where the bundle has a memory of them.
    pub anomaly: Option<Anomaly>,
    /// Which kind of picture it looks like, where the bundle knows such.
    pub prototypes: Option<Likeness>,
    /// The execution provider that computed it.
    pub provider: Provider,
    /// SHA-256 of the bundle's graph, hexadecimal.
    pub model_digest: Arc<str>,
}

impl Prediction {
    /// What one run gives, read as the manifest's heads say. The outputs' shapes were checked when the graph was loaded.
    pub fn new(outputs: Outputs, heads: &Heads, provider: Provider, model_digest: Arc<str>) -> Prediction {
        let Outputs { scores, heat, heat_size: [height, width], mut named } = outputs;
        let heat = HeatMap { labels: scores.len(), height, width, logits: heat };
        let embedding = heads.embedding.as_ref().and_then(|name| named.remove(name)).map(|output| output.data);
        let views = heads.fusion.as_ref().and_then(|fusion| named.remove(&fusion.weights)).map(|output| output.data);
        let likeness = |spec: &PrototypeSpec| Some(Likeness::new(spec, named.remove(&spec.output)?.data));
        let prototypes = heads.prototypes.as_ref().and_then(likeness);
        let anomaly = heads.memory.as_ref().and_then(|memory| Anomaly::read(memory, &mut named));
        Prediction { scores, heat, embedding, views, prototypes, anomaly, provider, model_digest }
    }

    /// What the heads beside the classifier say.
    pub fn beside(&self) -> Beside<'_> {
        Beside { anomalous: self.anomaly.as_ref().map(Anomaly::is_anomalous), likeness: self.prototypes.as_ref() }
    }
}

/// Cell-wise logits, `labels x height x width`, row-major. A cell covers `input size / map size` input pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// Number of labels.
    pub labels: usize,
    /// Cells down.
    pub height: usize,
    /// Cells across.
    pub width: usize,
    /// The logits, `labels * height * width` of them.
    pub logits: Vec<f32>,
}

impl HeatMap {
    /// The logits of one label, `height * width` of them.
    pub fn of(&self, label: usize) -> &[f32] {
        let cells = self.height * self.width;
        &self.logits[label * cells..(label + 1) * cells]
    }

    /// The softmax over the labels, cell by cell: `labels x height x width`, row-major.
    pub fn probabilities(&self) -> Vec<f32> {
        let cells = self.height * self.width;
        let mut probabilities = self.logits.clone();
        for cell in 0..cells {
            let at = |label: usize| label * cells + cell;
            // Without the maximum in front of it the exponential overflows from 89 on.
            let top = (0..self.labels).map(|label| self.logits[at(label)]).fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = (0..self.labels).map(|label| (self.logits[at(label)] - top).exp()).sum();
            for label in 0..self.labels {
                probabilities[at(label)] = (self.logits[at(label)] - top).exp() / sum;
            }
        }
        probabilities
    }

    /// For every cell, the softmax probability of `label` at that cell, 0 to 255: what a screen overlays.
    pub fn probability_u8(&self, label: usize) -> Vec<u8> {
        let cells = self.height * self.width;
        let probabilities = self.probabilities();
        probabilities[label * cells..(label + 1) * cells].iter().map(|p| (p * 255.0).round() as u8).collect()
    }
}

/// How unlike good parts an image is. All values are shares of their threshold: from 1 on anomalous.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// Of the whole image.
    pub share: f32,
    /// Cells down.
    pub height: usize,
    /// Cells across.
    pub width: usize,
    /// Of each cell, `height * width` of them, row-major.
    pub cells: Vec<f32>,
}

impl Anomaly {
    /// What the memory's outputs say.
    fn read(memory: &MemorySpec, named: &mut BTreeMap<String, NamedOutput>) -> Option<Anomaly> {
        let share = *named.remove(&memory.anomaly)?.data.first()?;
        let NamedOutput { shape, data } = named.remove(&memory.distances)?;
        let [.., height, width] = *shape.as_slice() else { return None };
        Some(Anomaly { share, height, width, cells: data })
    }

    /// Whether the part is anomalous.
    pub fn is_anomalous(&self) -> bool {
        self.share >= 1.0
    }

    /// The cells as a screen overlays them: 0 to 255, the threshold in the middle.
    pub fn cells_u8(&self) -> Vec<u8> {
        let middle = |share: f32| 1.0 / (1.0 + (STEEPNESS * (1.0 - share)).exp());
        self.cells.iter().map(|&share| (middle(share) * 255.0).round() as u8).collect()
    }
}

/// A model ready to run. The line speaks to this trait, so that its tests can run models that hang, fail or panic.
pub trait Model: Send + Sync {
    /// Labels, thresholds, provenance.
    fn manifest(&self) -> &Manifest;
    /// SHA-256 of the bundle's graph, hexadecimal.
    fn digest(&self) -> &Arc<str>;
    /// The provider that is active, which may be a fallback of the one wished for.
    fn provider(&self) -> Provider;
    /// The provider that was given up since the model was loaded, and why: the processor computes in its place.
    fn lost(&self) -> Option<(Provider, String)> {
        None
    }
    /// How an image becomes this model's input.
    fn preprocess(&self) -> &Preprocess {
        &self.manifest().preprocess
    }
    /// What it learned from, where its maker says so.
    fn reference(&self) -> Option<&Reference> {
        None
    }
    /// Number of values of its input: a picture's, or those of all views ([`Manifest::tensor_len`]).
    fn tensor_len(&self) -> usize {
        self.manifest().tensor_len()
    }
    /// Runs one input tensor (`tensor_len()` values). May be called from several threads at once.
    fn predict(&self, tensor: &[f32]) -> Result<Prediction, RuntimeError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_softmax_over_labels() {
        // Two labels, three cells: equal, one larger by ln 3, and values that overflow a plain exponential.
        let heat = HeatMap { labels: 2, height: 1, width: 3, logits: vec![0.0, 0.0, 300.0, 0.0, 3f32.ln(), 100.0] };
        let expected = [0.5, 0.25, 1.0, 0.5, 0.75, 0.0];
        for (got, expected) in heat.probabilities().iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{got} instead of {expected}");
        }
        assert_eq!(heat.of(1), [0.0, 3f32.ln(), 100.0]);
        assert_eq!(heat.probability_u8(0), [128, 64, 255]);
    }
}
