//! Measures a model on labelled images, with the program that runs on the line: what is measured is what runs.

use models::prediction::Model;
use rayon::prelude::*;

use crate::error::TrainError;
use crate::report::Report;
use crate::samples::Samples;
use crate::thresholds::Scored;

/// Runs the model on every sample, on `threads` threads (`None`: one per core).
///
/// # Errors
/// When there is no sample, one cannot be loaded, its label is none of the model's, or the model does not run.
pub fn score_all(model: &dyn Model, samples: &dyn Samples, threads: Option<usize>) -> Result<Vec<Scored>, TrainError> {
    if samples.is_empty() {
        return Err(TrainError::Data("there is no image to measure on".into()));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
    let pool = pool.map_err(|error| TrainError::Settings(format!("evaluation threads: {error}")))?;
    let labels = model.manifest().labels.len();
    let preprocess = model.preprocess();
    let score = |tensor: &mut Vec<f32>, index: usize| {
        let sample = samples.load(index)?;
        if let Some(label) = sample.labels.iter().find(|label| **label >= labels) {
            let reason = format!("`{}` has label number {label}, the model has {labels}", samples.name(index));
            return Err(TrainError::Data(reason));
        }
        tensor.resize(preprocess.tensor_len(), 0.0);
        preprocess.fill(sample.image.view(), tensor);
        let scores = model.predict(tensor)?.scores;
        Ok(Scored { scores, labels: sample.labels, weight: sample.weight })
    };
    pool.install(|| (0..samples.len()).into_par_iter().map_init(Vec::new, score).collect())
}

/// Measures the model on every sample.
///
/// # Errors
/// As [`score_all`].
pub fn evaluate(model: &dyn Model, samples: &dyn Samples, threads: Option<usize>) -> Result<Report, TrainError> {
    let scored = score_all(model, samples, threads)?;
    Ok(Report::new(&scored, &model.manifest().labels, |index| samples.name(index)))
}
