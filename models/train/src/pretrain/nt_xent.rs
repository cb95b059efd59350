//! The loss of SimCLR: each view shall be more like the other view of its picture than like any other view of the batch.
//!
//! Normalised temperature-scaled cross entropy. Source: Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning of
//! Visual Representations", ICML 2020, equation 1. Its gradient is written out here, because it is taken at the projections of the whole
//! batch, which no tape ever holds at once (see the module above).

use rayon::prelude::*;

/// What a batch of views gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Contrast {
    /// Mean loss of a view. What a guess has: [`chance`].
    pub loss: f32,
    /// Views that are most like the other view of their picture.
    pub right: usize,
    /// The loss's gradient at each value of the projections.
    pub gradient: Vec<f32>,
}

/// The loss of `projections`: one row of so many dimensions and length 1 for each view; rows `2k` and `2k + 1` are views of the same
/// picture. The result does not depend on the number of threads.
///
/// # Panics
/// When there are not two rows of each picture: a defect in the caller.
pub fn nt_xent(projections: &[f32], dimensions: usize, temperature: f32) -> Contrast {
    let rows: Vec<&[f32]> = projections.chunks_exact(dimensions).collect();
    let views = rows.len();
    assert!(
        views >= 2 && views.is_multiple_of(2) && views * dimensions == projections.len(),
        "two views of each picture"
    );
    let sharpness = 1.0 / f64::from(temperature);
    // Less 1, the most that it can be, so that no exponential overflows.
    let alike = |a: usize, b: usize| (dot(rows[a], rows[b]) - 1.0) * sharpness;

    let each: Vec<(f64, f64, bool)> = (0..views)
        .into_par_iter()
        .map(|view| {
            let pair = alike(view, view ^ 1);
            let (mut sum, mut right) = (0.0, true);
            for other in (0..views).filter(|&other| other != view) {
                let alike = alike(view, other);
                sum += alike.exp();
                right &= other == view ^ 1 || alike < pair;
            }
            (sum.ln() - pair, sum, right)
        })
        .collect();

    let scale = sharpness / views as f64;
    let gradient: Vec<f32> = (0..views)
        .into_par_iter()
        .flat_map_iter(|view| {
            let mut at = vec![0.0_f64; dimensions];
            for other in (0..views).filter(|&other| other != view) {
                // A pair is pulled together from both sides; every other view is pushed away as far as either takes it for the pair.
                let taken = alike(view, other).exp() * (1.0 / each[view].1 + 1.0 / each[other].1);
                let pull = if other == view ^ 1 { 2.0 } else { 0.0 };
                let weight = scale * (taken - pull);
                at.iter_mut().zip(rows[other]).for_each(|(at, &value)| *at += weight * f64::from(value));
            }
            at.into_iter().map(|value| value as f32)
        })
        .collect();

    let loss = each.iter().map(|(loss, ..)| loss).sum::<f64>() / views as f64;
    Contrast { loss: loss as f32, right: each.iter().filter(|(.., right)| *right).count(), gradient }
}

/// The loss of projections that say nothing: every other view is as likely.
pub fn chance(views: usize) -> f32 {
    (views.saturating_sub(1) as f32).ln()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    // Eight sums side by side, which the compiler makes one vector of.
    let mut sums = [0.0_f32; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        (0..8).for_each(|lane| sums[lane] += a[lane] * b[lane]);
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    f64::from(sums.iter().sum::<f32>() + rest)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::net::numbers;

    /// Rows of length 1.
    fn rows(views: usize, dimensions: usize, seed: u64) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut values: Vec<f32> = (0..views * dimensions).map(|_| random.random_range(-1.0..1.0)).collect();
        for row in values.chunks_exact_mut(dimensions) {
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            row.iter_mut().for_each(|value| *value /= length);
        }
        values
    }

    #[test]
    fn it_is_the_papers_and_its_gradient_is_that_of_a_tape() {
        let device = Device::flex().autodiff();
        for (views, dimensions, temperature) in [(2, 3, 0.5), (8, 5, 0.1), (12, 19, 1.0)] {
            let values = rows(views, dimensions, views as u64);
            let ours = nt_xent(&values, dimensions, temperature);
            // Equation 1 by the letter: softmax over all but itself, cross entropy with the pair.
            let z = Tensor::<2>::from_data(TensorData::new(values, [views, dimensions]), &device).require_grad();
            let mine = Tensor::<2>::from_data(TensorData::new(square(views, |a, b| a == b), [views, views]), &device);
            let pairs =
                Tensor::<2>::from_data(TensorData::new(square(views, |a, b| a ^ 1 == b), [views, views]), &device);
            let alike = z.clone().matmul(z.clone().transpose()).div_scalar(temperature) - mine.mul_scalar(1e4);
            let log = burn::tensor::activation::log_softmax(alike, 1);
            let loss = (log * pairs).sum().neg().div_scalar(views as f32);
            let expected = numbers(loss.clone())[0];
            let gradient = numbers(z.grad(&loss.backward()).expect("it is on the tape"));
            assert!((ours.loss - expected).abs() < 1e-5, "{} {expected}", ours.loss);
            for (ours, expected) in ours.gradient.iter().zip(gradient) {
                assert!((ours - expected).abs() < 1e-5, "{ours} {expected}");
            }
        }
    }

    fn square(side: usize, one: impl Fn(usize, usize) -> bool) -> Vec<f32> {
        (0..side * side).map(|at| f32::from(u8::from(one(at / side, at % side)))).collect()
    }

    #[test]
    fn views_that_all_look_alike_have_the_loss_of_a_guess_and_none_is_right() {
        let same: Vec<f32> = (0..10).flat_map(|_| [0.6, 0.8]).collect();
        let contrast = nt_xent(&same, 2, 0.2);
        assert!((contrast.loss - chance(10)).abs() < 1e-5);
        assert_eq!(contrast.right, 0, "a tie is no answer");
    }

    #[test]
    fn pairs_that_stand_alone_have_hardly_any_loss_whatever_the_temperature() {
        let apart = [1.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0];
        let contrast = nt_xent(&apart, 2, 0.01);
        assert!(contrast.loss < 1e-6 && contrast.right == 4, "{contrast:?}");
        assert!(contrast.gradient.iter().all(|value| value.is_finite()));
    }
}
