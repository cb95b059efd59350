//! What a trunk is worth before anything is taught to it: how well labels can be told by its features as they are. Held against the
//! trunk that a pretraining started from, this says whether it helped.

use burn::module::{Module, Param};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use models::preprocess::Preprocess;
use models::weights::Weights;
use models::zoo::mobilenet_v3_small::{FEATURES, checked_size};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::batch::Prepare;
use crate::error::TrainError;
use crate::fit::Workers;
use crate::net::{Trunk, numbers};
use crate::samples::{Class, Samples};
use crate::stage_one::{Resting, Still};
use crate::stage_two::together;

/// Steps of the linear probe, each over all images, and its learning rate: plain gradient descent, on features whose variances add up to 1,
/// for which this rate cannot diverge. What it has not reached after these steps is what separates few images by chance.
const STEPS: usize = 1000;
const RATE: f64 = 2.0;

/// How a trunk is measured.
#[derive(Clone, Copy)]
pub struct Probe<'a> {
    /// To learn from.
    pub learn: &'a dyn Samples,
    /// To measure on.
    pub test: &'a dyn Samples,
    /// The labels.
    pub classes: &'a [Class],
    /// The input.
    pub preprocess: &'a Preprocess,
    /// Images of each label that a few-shot draw sees.
    pub shots: usize,
    /// Draws: which images these are, and which half of the learning images the linear probe sees.
    pub draws: usize,
    /// Decides them.
    pub seed: u64,
}

/// A mean over draws with its 95 % interval (Student's t).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Balanced accuracies of each draw (the mean over labels of the share that is right, so that a label of many images weighs no more), 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Probed {
    /// By the nearest mean of a few images' features.
    pub few_shot: Vec<f64>,
    /// By a linear classifier on half of the learning images.
    pub linear: Vec<f64>,
}

/// Measures a trunk.
///
/// # Errors
/// When a label has too few images, or one cannot be read; fewer than two draws, or an input that the trunk does not take.
pub fn probe(trunk: &Weights, probe: &Probe<'_>, workers: &Workers) -> Result<Probed, TrainError> {
    let Preprocess { width, height, .. } = probe.preprocess;
    checked_size([*height as usize, *width as usize])?;
    if probe.draws < 2 {
        return Err(TrainError::Settings("an interval needs two draws at least".into()));
    }
    let resting = Resting::of(&Trunk::load(trunk, &workers.device)?);
    let (learn, test) = (look(&resting, probe.learn, probe, workers)?, look(&resting, probe.test, probe, workers)?);
    let classes = probe.classes.len();
    let mut probed = Probed { few_shot: Vec::new(), linear: Vec::new() };
    for draw in 0..probe.draws {
        let (few, half) = draw_of(&learn.labels, probe, draw as u64)?;
        probed.few_shot.push(balanced(&nearest(&learn, &few, &test, classes), &test.labels, classes));
        let says = linear_says(&learn.only(&half), &test, classes, &workers.device);
        probed.linear.push(balanced(&says, &test.labels, classes));
    }
    Ok(probed)
}

/// Features of images, and their labels.
struct Looked {
    features: Vec<Vec<f32>>,
    labels: Vec<usize>,
}

impl Looked {
    fn only(&self, indices: &[usize]) -> Looked {
        let features = indices.iter().map(|&index| self.features[index].clone()).collect();
        Looked { features, labels: indices.iter().map(|&index| self.labels[index]).collect() }
    }
}

/// Each image's last feature map, averaged over its cells, at length 1.
fn look(resting: &Resting, samples: &dyn Samples, probe: &Probe<'_>, workers: &Workers) -> Result<Looked, TrainError> {
    let prepare =
        Prepare { samples, classes: probe.classes.len(), preprocess: probe.preprocess, augment: None, seed: 0 };
    let tickets: Vec<(u64, usize)> = (0..samples.len()).map(|index| (0, index)).collect();
    let cells: usize = prepare.cells().iter().product();
    let maps = workers.map(&tickets, together(probe.preprocess.tensor_len()), |part| {
        let (maps, _) = resting.look(&prepare, part, &workers.device)?;
        Ok(maps.chunks_exact(cells * FEATURES).map(average).collect::<Vec<_>>())
    })?;
    Ok(Looked { features: maps.concat(), labels: (0..samples.len()).map(|index| samples.label(index)).collect() })
}

fn average(map: &[f32]) -> Vec<f32> {
    let mut sum = vec![0.0; FEATURES];
    map.chunks_exact(FEATURES).for_each(|cell| add(&mut sum, cell));
    to_length_one(&mut sum);
    sum
}

fn add(sum: &mut [f32], values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

fn to_length_one(values: &mut [f32]) {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    values.iter_mut().for_each(|value| *value /= length);
}

/// The few images of each label, and half of all.
fn draw_of(labels: &[usize], probe: &Probe<'_>, draw: u64) -> Result<(Vec<usize>, Vec<usize>), TrainError> {
    let mut random = ChaCha8Rng::seed_from_u64(probe.seed);
    random.set_stream(draw);
    let (mut few, mut half) = (Vec::new(), Vec::new());
    for (class, named) in probe.classes.iter().enumerate() {
        let mut of: Vec<usize> = (0..labels.len()).filter(|&index| labels[index] == class).collect();
        if of.len() < probe.shots.max(2) {
            let (wanted, found, label) = (probe.shots.max(2), of.len(), &named.name);
            return Err(TrainError::Data(format!(
                "the probe needs {wanted} images of each label to learn from, `{label}` has {found}"
            )));
        }
        of.shuffle(&mut random);
        few.extend_from_slice(&of[..probe.shots]);
        half.extend_from_slice(&of[..of.len().div_ceil(2)]);
    }
    Ok((few, half))
}

/// The label whose images' mean is most like each test image.
fn nearest(learn: &Looked, few: &[usize], test: &Looked, classes: usize) -> Vec<usize> {
    let mut means = vec![vec![0.0; FEATURES]; classes];
    few.iter().for_each(|&index| add(&mut means[learn.labels[index]], &learn.features[index]));
    means.iter_mut().for_each(|mean| to_length_one(mean));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    test.features.iter().map(|features| most(means.iter().map(|mean| dot(mean, features)))).collect()
}

fn most(values: impl Iterator<Item = f32>) -> usize {
    values.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(at, _)| at)
}

/// A linear classifier on features that stand still.
#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<2>>,
}

impl Linear {
    fn logits(&self, features: Tensor<2>) -> Tensor<2> {
        features.matmul(self.weight.val()) + self.bias.val()
    }
}

/// What a linear classifier that learned from some images says of others. Every label weighs the same.
fn linear_says(learn: &Looked, test: &Looked, classes: usize, device: &Device) -> Vec<usize> {
    let (centre, spread) = spread(&learn.features);
    let matrix = |looked: &Looked| {
        let centred = looked
            .features
            .iter()
            .flat_map(|features| features.iter().zip(&centre).map(|(value, centre)| (value - centre) / spread));
        let shape = [looked.labels.len(), FEATURES];
        Tensor::<2>::from_data(TensorData::new(centred.collect::<Vec<f32>>(), shape), device)
    };
    let mut counts = vec![0.0_f32; classes];
    learn.labels.iter().for_each(|&label| counts[label] += 1.0);
    let mut target = vec![0.0_f32; learn.labels.len() * classes];
    for (row, &label) in learn.labels.iter().enumerate() {
        target[row * classes + label] = 1.0 / (counts[label] * classes as f32);
    }
    let target = Tensor::<2>::from_data(TensorData::new(target, [learn.labels.len(), classes]), device);
    let zeros = |shape: [usize; 2]| Param::from_tensor(Tensor::<2>::zeros(shape, device));
    let mut linear = Linear { weight: zeros([FEATURES, classes]), bias: zeros([1, classes]) };
    let mut optimizer = ModuleOptimizer::from(SgdConfig::new().build());
    let features = matrix(learn);
    for _ in 0..STEPS {
        let loss = (log_softmax(linear.logits(features.clone()), 1) * target.clone()).sum().neg();
        let gradients = GradientsParams::from_grads(loss.backward(), &linear);
        linear = optimizer.step(RATE, linear, gradients);
    }
    let logits = numbers(linear.no_grad().logits(matrix(test)).detach());
    logits.chunks_exact(classes).map(|row| most(row.iter().copied())).collect()
}

/// Mean of each feature, and the square root of the sum of their variances.
fn spread(features: &[Vec<f32>]) -> (Vec<f32>, f32) {
    let count = features.len() as f32;
    let mut centre = vec![0.0; FEATURES];
    features.iter().for_each(|row| add(&mut centre, row));
    centre.iter_mut().for_each(|value| *value /= count);
    let squares = |row: &Vec<f32>| row.iter().zip(&centre).map(|(value, centre)| (value - centre).powi(2)).sum::<f32>();
    let variance = features.iter().map(squares).sum::<f32>() / count;
    (centre, variance.sqrt().max(f32::MIN_POSITIVE))
}

/// The mean over labels of the share that is right.
fn balanced(says: &[usize], labels: &[usize], classes: usize) -> f64 {
    let mut right = vec![(0.0, 0.0); classes];
    for (says, &label) in says.iter().zip(labels) {
        right[label].0 += f64::from(u8::from(*says == label));
        right[label].1 += 1.0;
    }
    let shares: Vec<f64> = right.iter().filter(|(_, all)| *all > 0.0).map(|(right, all)| right / all).collect();
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}

/// The mean of some draws.
pub fn interval(values: &[f64]) -> Interval {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let half = StudentsT::new(0.0, 1.0, (count - 1.0).max(1.0)).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
        * (variance / count).sqrt();
    Interval { mean, low: mean - half, high: mean + half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_students() {
        // By hand: mean 3, standard deviation 1.5811, t(4, 0.975) = 2.7764.
        let Interval { mean, low, high } = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(
            (mean - 3.0).abs() < 1e-12 && (low - 1.0368).abs() < 1e-4 && (high - 4.9632).abs() < 1e-4,
            "{low} {high}"
        );
    }

    #[test]
    fn a_rare_label_weighs_as_much_as_a_frequent_one() {
        let labels = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        assert_eq!(balanced(&[0; 10], &labels, 2), 0.5, "who always says the frequent one");
        assert_eq!(balanced(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1], &labels, 2), 0.75);
    }

    #[test]
    fn a_line_between_two_clouds_is_found_and_so_is_the_nearer_mean() {
        // Labels by the sign of one feature among much of no meaning.
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut cloud = |count: usize| {
            use rand::Rng;
            let labels: Vec<usize> = (0..count).map(|index| index % 2).collect();
            let row = |&label: &usize| {
                let mut row: Vec<f32> = (0..FEATURES).map(|_| random.random_range(-0.1..0.1)).collect();
                row[17] = if label == 1 { 1.0 } else { -1.0 };
                to_length_one(&mut row);
                row
            };
            Looked { features: labels.iter().map(row).collect(), labels }
        };
        let (learn, test) = (cloud(40), cloud(60));
        let says = linear_says(&learn, &test, 2, &Device::flex().autodiff());
        assert_eq!(balanced(&says, &test.labels, 2), 1.0);
        let few: Vec<usize> = (0..10).collect();
        assert_eq!(balanced(&nearest(&learn, &few, &test, 2), &test.labels, 2), 1.0);
    }
}
