//! Weights of classes in the loss, for batches that are drawn as the data are.

use crate::error::TrainError;
use crate::samples::{Sample, Samples};

/// The weight of each class from its number of samples: `(1 - beta) / (1 - beta^n)`, scaled so that they add up to the number
/// of classes. `beta` in `[0, 1)`: 0 weighs all alike, towards 1 a class weighs one over its size.
/// Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019.
///
/// # Errors
/// When `beta` is not in its range.
pub fn effective_number_weights(counts: &[usize], beta: f64) -> Result<Vec<f32>, TrainError> {
    if !(0.0..1.0).contains(&beta) {
        return Err(TrainError::Settings(format!("class weights: beta {beta} must lie in [0, 1); 0.999 is usual")));
    }
    // A class without samples never comes up; its weight must not be infinite.
    let raw: Vec<f64> = counts.iter().map(|&count| (1.0 - beta) / (1.0 - beta.powf(count.max(1) as f64))).collect();
    let sum: f64 = raw.iter().sum();
    Ok(raw.iter().map(|weight| (weight * counts.len() as f64 / sum) as f32).collect())
}

/// Samples whose loss counts by their label as well.
pub struct Reweighted<'a> {
    /// The samples.
    pub of: &'a dyn Samples,
    /// The weight of each label.
    pub weights: Vec<f32>,
}

impl Samples for Reweighted<'_> {
    fn len(&self) -> usize {
        self.of.len()
    }

    fn label(&self, index: usize) -> usize {
        self.of.label(index)
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let mut sample = self.of.load(index)?;
        sample.weight *= self.weights[self.label(index)];
        Ok(sample)
    }

    fn name(&self, index: usize) -> String {
        self.of.name(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_classes_weigh_more_up_to_one_over_their_size() {
        let close = |found: &[f32], wanted: &[f32]| {
            found.iter().zip(wanted).for_each(|(a, b)| assert!((a - b).abs() < 1e-3, "{found:?}, not {wanted:?}"));
        };
        let weights = |beta| effective_number_weights(&[1000, 100, 10], beta).unwrap();
        close(&weights(0.0), &[1.0; 3]);
        // By hand: 0.001 / (1 - 0.999^n) for n = 1000, 100, 10 is 0.0015816, 0.010504, 0.100452.
        close(&weights(0.999), &[0.0421, 0.2800, 2.6779]);
        // One over the size, adding up to three.
        close(&weights(1.0 - 1e-9), &[0.0270, 0.2703, 2.7027]);
        assert!(effective_number_weights(&[1], 1.0).unwrap_err().to_string().contains("0.999"));
    }
}
