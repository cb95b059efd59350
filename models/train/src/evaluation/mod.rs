//! Measures a model on labelled images, with the program that runs on the line: what is measured is what runs.
//!
//! [`score_all`] runs it; [`Report`] counts. One file a thing: [`intervals`], [`curve`] (good against bad), [`calibration`],
//! [`thresholds`] and [`operating_point`] (what is made of scores), [`latency`], [`html`] (a
//! page to hand on).

pub mod calibration;
pub mod curve;
mod detail;
pub mod html;
pub mod intervals;
pub mod latency;
pub mod operating_point;
mod report;
mod text;
pub mod thresholds;
pub mod truth;

use models::heads::prototypes::Likeness;
use models::prediction::Model;
use models::ruling::Beside;
use rayon::prelude::*;

use crate::error::TrainError;
use crate::samples::Samples;

pub use detail::{AreaRecall, Detail, Point};
pub use report::{ClassReport, Confusion, Mistake, Report, Settings, Verdicts};
pub use truth::TrueClass;

/// What a model says of a labelled image.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// One probability per label of the model.
    pub scores: Vec<f32>,
    /// The image's true classes, at least one.
    pub labels: Vec<usize>,
    /// How much the image counts.
    pub weight: f32,
    /// Share of the image that is defective, 0 to 1, where it is known.
    pub area: Option<f64>,
    /// Whether the model's memory of good parts calls it anomalous, where it has one.
    pub anomalous: Option<bool>,
    /// Which kind of picture it looks like, where the model knows such.
    pub likeness: Option<Likeness>,
}

impl Scored {
    /// What the heads beside the classifier say.
    pub fn beside(&self) -> Beside<'_> {
        Beside { anomalous: self.anomalous, likeness: self.likeness.as_ref() }
    }
}

/// Runs the model on every sample, on `threads` threads (`None`: one per core). `classes` is the number of classes that the
/// samples' labels count; `seen` is told of each sample that is done.
///
/// # Errors
/// When there is no sample, one cannot be loaded, its label is not below `classes`, or the model does not run.
pub fn score_all(
    model: &dyn Model,
    samples: &dyn Samples,
    classes: usize,
    threads: Option<usize>,
    seen: &(dyn Fn() + Sync),
) -> Result<Vec<Scored>, TrainError> {
    if samples.is_empty() {
        return Err(TrainError::Data("there is no image to measure on".into()));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
    let pool = pool.map_err(|error| TrainError::Settings(format!("evaluation threads: {error}")))?;
    let score = |tensor: &mut Vec<f32>, index: usize| {
        let sample = samples.load(index)?;
        if let Some(label) = sample.labels.iter().find(|label| **label >= classes) {
            let reason = format!("`{}` has label number {label} of {classes}", samples.name(index));
            return Err(TrainError::Data(reason));
        }
        tensor.resize(model.tensor_len(), 0.0);
        model.manifest().fill(sample.image.view(), tensor);
        let said = model.predict(tensor)?;
        seen();
        Ok(Scored {
            anomalous: said.beside().anomalous,
            scores: said.scores,
            labels: sample.labels,
            weight: sample.weight,
            area: sample.mask.as_deref().map(defective_share),
            likeness: said.prototypes,
        })
    };
    pool.install(|| (0..samples.len()).into_par_iter().map_init(Vec::new, score).collect())
}

fn defective_share(mask: &[u8]) -> f64 {
    mask.iter().filter(|&&label| label != 0).count() as f64 / mask.len().max(1) as f64
}

/// Measures the model on samples that are labelled in its own words.
///
/// # Errors
/// As [`score_all`].
pub fn evaluate(model: &dyn Model, samples: &dyn Samples, threads: Option<usize>) -> Result<Report, TrainError> {
    let labels = &model.manifest().labels;
    let scored = score_all(model, samples, labels.len(), threads, &|| ())?;
    let settings = Settings::of(model.manifest());
    Ok(Report::new(&scored, &truth::same_labels(labels), &settings, |index| samples.name(index)))
}
