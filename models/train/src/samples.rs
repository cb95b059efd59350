//! What the trainer learns from: labelled images by index, from wherever they come.

use models::bundle::Disposition;
use models::image::Image;

use crate::error::TrainError;

/// A labelled image.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The pixels.
    pub image: Image,
    /// Indices of its labels, at least one. A part with two defects has two; they share the target.
    pub labels: Vec<usize>,
    /// How much its loss counts; 1 for an ordinary image.
    pub weight: f32,
    /// For each pixel the index of its label, [`crate::mask::UNKNOWN`] where nobody knows it: `image.width * image.height` values.
    /// `None` where nothing is known of places.
    pub mask: Option<Vec<u8>>,
}

/// Labelled images. Shared between threads; the same index always gives the same sample.
pub trait Samples: Sync {
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The (first) label of a sample, without loading it.
    fn label(&self, index: usize) -> usize;
    /// Loads or draws a sample.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    fn load(&self, index: usize) -> Result<Sample, TrainError>;
    /// Name of a sample, for reports: its path.
    fn name(&self, index: usize) -> String;
}

/// One class that a network shall tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// What it means for the part.
    pub verdict: Disposition,
}

/// Names that mean "nothing wrong with this part"; all other classes fail it unless the caller says otherwise.
const GOOD: &[&str] = &["good", "ok", "normal", "pass", "none", "no_defect"];

impl Class {
    /// A class by its name alone: `good`, `ok` and the like pass the part, all others fail it.
    pub fn named(name: &str) -> Class {
        let passes = GOOD.contains(&name.to_lowercase().as_str());
        Class { name: name.into(), verdict: if passes { Disposition::Pass } else { Disposition::Fail } }
    }
}

/// Some of the samples of another set.
pub struct Subset<'a> {
    /// The other set.
    pub of: &'a dyn Samples,
    /// Indices into it.
    pub indices: Vec<usize>,
}

impl Samples for Subset<'_> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn label(&self, index: usize) -> usize {
        self.of.label(self.indices[index])
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        self.of.load(self.indices[index])
    }

    fn name(&self, index: usize) -> String {
        self.of.name(self.indices[index])
    }
}
