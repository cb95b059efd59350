//! What learning minimises: softmax cross entropy on the image's pooled logits, and on the cells where the pixels' labels
//! are known.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use crate::batch::Targets;
use crate::net::{Outputs, numbers};

/// How the loss is made up.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    /// Share of the target that is spread over all labels. Source: Szegedy et al., CVPR 2016 (label smoothing).
    pub smoothing: f32,
    /// Weight of the cells' loss beside the image's.
    pub cell_weight: f32,
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

    /// Mean loss of an image.
    pub fn mean_loss(&self) -> f32 {
        self.loss / self.weight.max(f32::MIN_POSITIVE)
    }

    /// Share of images that are right.
    pub fn accuracy(&self) -> f32 {
        self.right as f32 / self.count.max(1) as f32
    }

    /// Whether this is a better result than `other`: more right, and with as many right, more certain.
    pub fn beats(&self, other: &Score) -> bool {
        self.right > other.right || (self.right == other.right && self.mean_loss() < other.mean_loss())
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
        let mut sum = (log_softmax(outputs.logits, 1) * image_targets * weights).sum();
        if self.cell_weight > 0.0 && targets.cell_weights.iter().any(|&weight| weight > 0.0) {
            let [_, cells, _] = outputs.cells.dims();
            let weights = targets.cells.chunks_exact(classes).zip(&targets.cell_weights);
            let weighted = weights.flat_map(|(cell, weight)| cell.iter().map(move |share| share * weight)).collect();
            let weighted = Tensor::<3>::from_data(TensorData::new(weighted, [images, cells, classes]), device);
            sum = sum + (log_softmax(outputs.cells, 2) * weighted).sum() * self.cell_weight;
        }
        (-sum / total_weight, score)
    }
}

/// Scores logits (`images x classes`) against their targets.
pub fn score(logits: &[f32], targets: &Targets, classes: usize) -> Score {
    let mut total = Score::default();
    for (image, row) in logits.chunks_exact(classes).enumerate() {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = row.iter().map(|logit| (logit - top).exp()).sum();
        let target = &targets.images[image * classes..][..classes];
        let loss: f32 = row.iter().zip(target).map(|(logit, share)| -share * (logit - top - sum.ln())).sum();
        let best = (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
        let weight = targets.weights[image];
        let right = usize::from(targets.labels[image].contains(&best));
        total.add(Score { loss: loss * weight, weight, right, count: 1 });
    }
    total
}
