//! From samples to what one step of learning needs: input tensors and targets.

use models::preprocess::Preprocess;
use models::zoo::mobilenet_v3_small::STRIDE;

use crate::augment::Augment;
use crate::error::TrainError;
use crate::input::Batch;
use crate::mask::UNKNOWN;
use crate::samples::{Sample, Samples};

/// Pixels of a label that make a cell (of 32 x 32) an example of it. A cell with fewer is no example of anything.
const ENOUGH_PIXELS: u32 = 48;

/// Targets of a batch.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Share of each label: `images x labels`.
    pub images: Vec<f32>,
    /// Weight of each image.
    pub weights: Vec<f32>,
    /// The label of each cell (`images x cells x labels`, one-hot) and the weight of each cell; the weights of an image's cells
    /// add up to the image's, or to zero where its pixels' labels are not known.
    pub cells: Vec<f32>,
    /// See `cells`.
    pub cell_weights: Vec<f32>,
    /// The labels of each image, to count what is right.
    pub labels: Vec<Vec<usize>>,
}

impl Targets {
    /// Adds a sample that will be seen on `rows x columns` cells.
    pub fn push(&mut self, sample: &Sample, classes: usize, [rows, columns]: [usize; 2]) {
        let share = 1.0 / sample.labels.len() as f32;
        let mut target = vec![0.0; classes];
        sample.labels.iter().for_each(|&label| target[label] = share);
        self.images.extend(target);
        self.weights.push(sample.weight);
        self.labels.push(sample.labels.clone());
        let cells = match &sample.mask {
            Some(mask) => cell_labels(mask, sample.image.width as usize, [rows, columns]),
            None => vec![None; rows * columns],
        };
        let weights = cell_weights(&cells, sample.weight);
        for label in &cells {
            let start = self.cells.len();
            self.cells.resize(start + classes, 0.0);
            if let Some(label) = label {
                self.cells[start + label] = 1.0;
            }
        }
        self.cell_weights.extend(weights);
    }

    /// The targets of each image by itself.
    pub fn split(&self, classes: usize, cells: usize) -> Vec<Targets> {
        let one = |image: usize| Targets {
            images: self.images[image * classes..][..classes].to_vec(),
            weights: vec![self.weights[image]],
            cells: self.cells[image * cells * classes..][..cells * classes].to_vec(),
            cell_weights: self.cell_weights[image * cells..][..cells].to_vec(),
            labels: vec![self.labels[image].clone()],
        };
        (0..self.weights.len()).map(one).collect()
    }

    /// Adds the images of another.
    pub fn extend(&mut self, other: &Targets) {
        self.images.extend_from_slice(&other.images);
        self.weights.extend_from_slice(&other.weights);
        self.cells.extend_from_slice(&other.cells);
        self.cell_weights.extend_from_slice(&other.cell_weights);
        self.labels.extend_from_slice(&other.labels);
    }
}

/// The label of each cell; `None` where the cell is a poor example: too few pixels of a defect in it, mostly pixels of which
/// nothing is known, or beside a defect, whose traces reach into the cell's view.
fn cell_labels(mask: &[u8], width: usize, [rows, columns]: [usize; 2]) -> Vec<Option<usize>> {
    let height = mask.len() / width;
    let mut counts = vec![std::collections::BTreeMap::<u8, u32>::new(); rows * columns];
    let (mut known, mut unknown) = (vec![0_u32; rows * columns], vec![0_u32; rows * columns]);
    for (y, line) in mask.chunks_exact(width).enumerate() {
        for (x, &label) in line.iter().enumerate() {
            let cell = y * rows / height * columns + x * columns / width;
            match label {
                0 => known[cell] += 1,
                UNKNOWN => unknown[cell] += 1,
                label => *counts[cell].entry(label).or_default() += 1,
            }
        }
    }
    // Sizes are of the mask; a cell counts pixels of the network's input.
    let scale = (rows * columns * STRIDE * STRIDE) as f32 / mask.len() as f32;
    let enough = (ENOUGH_PIXELS as f32 / scale).ceil() as u32;
    let near_defect = |cell: usize| {
        let (row, column) = (cell / columns, cell % columns);
        let (top, left) = (row.saturating_sub(1), column.saturating_sub(1));
        (top..rows.min(row + 2)).any(|y| (left..columns.min(column + 2)).any(|x| !counts[y * columns + x].is_empty()))
    };
    let label = |cell: usize| match counts[cell].iter().max_by_key(|(_, count)| **count) {
        Some((&label, &count)) => (count >= enough).then_some(usize::from(label)),
        None => (!near_defect(cell) && known[cell] >= unknown[cell]).then_some(0),
    };
    (0..rows * columns).map(label).collect()
}

/// Half of an image's weight to its defective cells, half to the others, so that one cell of a scratch counts as much as
/// hundreds without.
fn cell_weights(cells: &[Option<usize>], weight: f32) -> Vec<f32> {
    let count = |defective: bool| cells.iter().flatten().filter(|&&label| (label != 0) == defective).count();
    let (defective, clean) = (count(true), count(false));
    let sides = [defective, clean].iter().filter(|&&side| side > 0).count();
    cells
        .iter()
        .map(|cell| match cell {
            None => 0.0,
            Some(0) => weight / (sides * clean) as f32,
            Some(_) => weight / (sides * defective) as f32,
        })
        .collect()
}

/// How a sample becomes an input.
#[derive(Clone, Copy)]
pub struct Prepare<'a> {
    /// Where the samples are.
    pub samples: &'a dyn Samples,
    /// Number of labels.
    pub classes: usize,
    /// The tensor recipe.
    pub preprocess: &'a Preprocess,
    /// Random changes; `None` to see the samples as they are.
    pub augment: Option<&'a Augment>,
    /// Decides the random changes, together with each sample's ticket.
    pub seed: u64,
}

impl Prepare<'_> {
    /// Loads samples. Each comes as `(ticket, index)`; the ticket (its place in the order of all training) decides its random
    /// changes, so that they do not depend on the number of threads.
    ///
    /// # Errors
    /// When a sample cannot be loaded.
    pub fn batch(&self, tickets: &[(u64, usize)]) -> Result<(Batch, Targets), TrainError> {
        let mut batch = Batch::new(self.preprocess.height as usize, self.preprocess.width as usize);
        let targets = self.each(tickets, |tensor| {
            batch.push(tensor);
            Ok(())
        })?;
        Ok((batch, targets))
    }

    /// Cells of the last feature map, down and across.
    pub fn cells(&self) -> [usize; 2] {
        [self.preprocess.height as usize / STRIDE, self.preprocess.width as usize / STRIDE]
    }

    /// As [`batch`](Self::batch), each input tensor (`3 x height x width`) by itself.
    ///
    /// # Errors
    /// When a sample cannot be loaded; what `see` says.
    pub fn each(
        &self,
        tickets: &[(u64, usize)],
        mut see: impl FnMut(&[f32]) -> Result<(), TrainError>,
    ) -> Result<Targets, TrainError> {
        let mut targets = Targets::default();
        let mut tensor = vec![0.0; self.preprocess.tensor_len()];
        for &(ticket, index) in tickets {
            let mut sample = self.samples.load(index)?;
            if let Some(augment) = self.augment {
                augment.apply_at(&mut sample, self.seed, ticket);
            }
            self.preprocess.fill(sample.image.view(), &mut tensor);
            see(&tensor)?;
            targets.push(&sample, self.classes, self.cells());
        }
        Ok(targets)
    }
}

#[cfg(test)]
mod tests {
    use models::image::{Image, PixelFormat};

    use super::*;

    /// A picture of 4 x 4 cells with a defect of label 2 in cell (1, 1) and 10 pixels of it in cell (1, 2).
    fn sample(weight: f32) -> Sample {
        let side = 4 * STRIDE;
        let mut mask = vec![0; side * side];
        for y in 40..60 {
            mask[y * side + 40..y * side + 60].fill(2);
        }
        for y in 50..55 {
            mask[y * side + 64..y * side + 66].fill(2);
        }
        let image =
            Image { width: side as u32, height: side as u32, format: PixelFormat::Mono8, data: vec![0; side * side] };
        Sample { image, labels: vec![2], weight, mask: Some(mask) }
    }

    #[test]
    fn cells_take_the_labels_of_their_pixels() {
        let mask = sample(1.0).mask.unwrap();
        let labels = cell_labels(&mask, 4 * STRIDE, [4, 4]);
        assert_eq!(labels[5], Some(2), "the defect");
        assert_eq!(labels[6], None, "too little of it to be an example");
        for beside in [0, 1, 2, 3, 4, 7, 8, 9, 10, 11] {
            assert_eq!(labels[beside], None, "cell {beside} is beside the defect");
        }
        assert!((12..16).all(|cell| labels[cell] == Some(0)), "far from the defect");
    }

    #[test]
    fn cells_of_which_nothing_is_known_teach_nothing() {
        let side = 4 * STRIDE;
        let mut mask = vec![UNKNOWN; side * side];
        for y in 0..64 {
            mask[y * side..y * side + 70].fill(0);
        }
        let labels = cell_labels(&mask, side, [4, 4]);
        let known: Vec<usize> = (0..16).filter(|&cell| labels[cell] == Some(0)).collect();
        assert_eq!(known, [0, 1, 4, 5], "whole cells of label 0; the strip of six columns is too little");
        assert!(labels.iter().all(|label| matches!(label, None | Some(0))));
    }

    #[test]
    fn an_images_cells_weigh_as_much_as_the_image() {
        let mut targets = Targets::default();
        targets.push(&sample(0.6), 3, [4, 4]);
        let defective: f32 = targets.cell_weights[5];
        let clean: f32 = targets.cell_weights[12..].iter().sum();
        assert!((defective - 0.3).abs() < 1e-6 && (clean - 0.3).abs() < 1e-6, "half and half");
        assert_eq!(&targets.cells[5 * 3..6 * 3], &[0.0, 0.0, 1.0]);
        let unknown = Sample { mask: None, ..sample(1.0) };
        targets.push(&unknown, 3, [4, 4]);
        assert!(targets.cell_weights[16..].iter().all(|&weight| weight == 0.0));

        // Splitting and joining loses nothing.
        let mut joined = Targets::default();
        targets.split(3, 16).iter().for_each(|one| joined.extend(one));
        assert_eq!((joined.cells, joined.images, joined.labels), (targets.cells, targets.images, targets.labels));
    }
}
