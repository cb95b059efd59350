//! What learning minimises: softmax cross entropy on the image's pooled logits, and on the cells where the pixels' labels
//! are known.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use crate::batch::Targets;
use crate::error::TrainError;
use crate::net::{Outputs, numbers};

/// How the loss is made up.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    /// Share of the target that is spread over all labels. Source: Szegedy et al., CVPR 2016 (label smoothing).
    pub smoothing: f32,
    /// Weight of the cells' loss beside the image's.
    pub cell_weight: f32,
    /// How much less an example counts the surer it is: each label's part of the cross entropy times `(1 - p)^focus`; 0 for the
    /// plain cross entropy. Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017 (2 is usual).
    pub focus: f32,
}

impl Default for Loss {
    fn default() -> Self {
        Loss { smoothing: 0.05, cell_weight: 1.0, focus: 0.0 }
    }
}

/// Loss and count of what is right.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Score {
    /// Sum of the images' losses, each times its weight.
    pub loss: f32,
    /// Sum of the images' weights.
    pub weight: f32,
    /// Images whose highest score is one of their labels.
    pub right: usize,
    /// Images.
    pub count: usize,
}

impl Score {
    /// Adds another's.
    pub fn add(&mut self, other: Score) {
        self.loss += other.loss;
        self.weight += other.weight;
        self.right += other.right;
        self.count += other.count;
    }

    /// The score of all together.
    pub fn sum(parts: impl IntoIterator<Item = Score>) -> Score {
        parts.into_iter().fold(Score::default(), |mut total, part| {
            total.add(part);
            total
        })
    }

    /// Mean loss of an image.
    pub fn mean_loss(&self) -> f32 {
        self.loss / self.weight.max(f32::MIN_POSITIVE)
    }

    /// Share of images that are right.
    pub fn accuracy(&self) -> f32 {
        self.right as f32 / self.count.max(1) as f32
    }

    /// Whether this is a better result than `other`: more right, and with as many right, more certain. Not by loss alone: on some
    /// dozen images one image that is wrong and sure of it outweighs all others (docs/TRAINING.md has the trial).
    pub fn beats(&self, other: &Score) -> bool {
        self.right > other.right || (self.right == other.right && self.mean_loss() < other.mean_loss())
    }

    /// Refuses a network that is no better than one that finds all labels alike likely: showing it as trained would be a lie.
    ///
    /// # Errors
    /// [`TrainError::NothingLearned`].
    pub(crate) fn better_than_a_guess(&self, classes: usize) -> Result<(), TrainError> {
        let (loss, guess) = (self.mean_loss(), (classes as f32).ln());
        if loss < guess { Ok(()) } else { Err(TrainError::NothingLearned { loss, guess }) }
    }

    /// The score itself, unless its loss is no number.
    ///
    /// # Errors
    /// [`TrainError::Diverged`].
    pub(crate) fn finite(self) -> Result<Score, TrainError> {
        if self.loss.is_finite() { Ok(self) } else { Err(TrainError::Diverged(self.loss)) }
    }
}

impl Loss {
    /// The loss of a batch as one differentiable number, divided by `total_weight` (the whole batch's, of which this may be a
    /// part), and the score without smoothing and cells.
    pub fn of(&self, outputs: Outputs, targets: &Targets, total_weight: f32, device: &Device) -> (Tensor<1>, Score) {
        let [images, classes] = outputs.logits.dims();
        let score = score(&numbers(outputs.logits.clone()), targets, classes);
        let smoothed =
            targets.images.iter().map(|share| share * (1.0 - self.smoothing) + self.smoothing / classes as f32);
        let image_targets = Tensor::<2>::from_data(TensorData::new(smoothed.collect(), [images, classes]), device);
        let weights = Tensor::<2>::from_data(TensorData::new(targets.weights.clone(), [images, 1]), device);
        let mut sum = (self.log_scores(outputs.logits) * image_targets * weights).sum();
        if self.cell_weight > 0.0 && targets.cell_weights.iter().any(|&weight| weight > 0.0) {
            let [_, cells, _] = outputs.cells.dims();
            let weights = targets.cells.chunks_exact(classes).zip(&targets.cell_weights);
            let weighted = weights.flat_map(|(cell, weight)| cell.iter().map(move |share| share * weight)).collect();
            let weighted = Tensor::<3>::from_data(TensorData::new(weighted, [images, cells, classes]), device);
            sum = sum + (self.log_scores(outputs.cells) * weighted).sum() * self.cell_weight;
        }
        (-sum / total_weight, score)
    }

    /// The logarithms of the softmax over the last dimension, each times its focal factor.
    fn log_scores<const D: usize>(&self, logits: Tensor<D>) -> Tensor<D> {
        let log_scores = log_softmax(logits, D - 1);
        if self.focus == 0.0 {
            return log_scores;
        }
        // Kept above zero: the gradient of a power below one has a pole there.
        let unsure = (log_scores.clone().exp().neg() + 1.0).clamp_min(1e-6);
        unsure.powf_scalar(self.focus) * log_scores
    }
}

/// The cross entropy of each image by itself, whatever its weight, without smoothing and cells: how hard it is.
pub fn losses(logits: &[f32], targets: &Targets, classes: usize) -> Vec<f32> {
    let rows = logits.chunks_exact(classes).zip(targets.images.chunks_exact(classes));
    let loss = |(row, target): (&[f32], &[f32])| {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|logit| (logit - top).exp()).sum();
        row.iter().zip(target).map(|(logit, share)| -share * (logit - top - sum.ln())).sum()
    };
    rows.map(loss).collect()
}

/// Scores logits (`images x classes`) against their targets.
pub fn score(logits: &[f32], targets: &Targets, classes: usize) -> Score {
    let mut total = Score::default();
    let losses = losses(logits, targets, classes);
    for ((image, row), loss) in logits.chunks_exact(classes).enumerate().zip(losses) {
        let best = (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
        let weight = targets.weights[image];
        let right = usize::from(targets.labels[image].contains(&best));
        total.add(Score { loss: loss * weight, weight, right, count: 1 });
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loss of one image with these logits whose label is 0.
    fn loss_of(loss: Loss, logits: [f32; 2]) -> f32 {
        let device = Device::flex().autodiff();
        let tensor = |shape: [usize; 2]| Tensor::<2>::from_data(TensorData::new(logits.to_vec(), shape), &device);
        let outputs = Outputs { logits: tensor([1, 2]), cells: tensor([1, 2]).reshape([1, 1, 2]) };
        let targets = Targets {
            images: vec![1.0, 0.0],
            weights: vec![1.0],
            cells: vec![0.0, 1.0],
            cell_weights: vec![0.0],
            labels: vec![vec![0]],
        };
        numbers(loss.of(outputs, &targets, 1.0, &device).0)[0]
    }

    #[test]
    fn the_focal_factor_makes_sure_examples_count_less() {
        let plain = Loss { smoothing: 0.0, ..Loss::default() };
        let focal = Loss { focus: 2.0, ..plain };
        for logits in [[3.0_f32, 0.0], [0.0, 0.0], [-2.0, 1.0]] {
            let p = 1.0 / (1.0 + (logits[1] - logits[0]).exp());
            assert!((loss_of(plain, logits) + p.ln()).abs() < 1e-5);
            let wanted = -(1.0 - p).powi(2) * p.ln();
            assert!((loss_of(focal, logits) - wanted).abs() < 1e-5, "{logits:?}: {wanted}");
        }
    }
}
