//! From a cell's features to those that are compared: a random projection, centred and scaled.

use models::weights::Tensor;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ops::gemm::{Matrix, multiply_add};

/// An affine map of features.
#[derive(Debug, Clone)]
pub(super) struct Projection {
    channels: usize,
    /// `dimensions x channels`.
    weight: Vec<f32>,
    offset: Vec<f32>,
}

impl Projection {
    /// Takes `rows x channels` to `dimensions` by a random orthonormal matrix, which keeps distances up to a common factor on
    /// average (Johnson and Lindenstrauss, 1984), whatever the data: unlike principal components it does not drop the directions
    /// in which good parts hardly vary, and defects may. Nothing is projected where there are no more channels than that.
    pub(super) fn fit(rows: &[f32], channels: usize, dimensions: Option<usize>, seed: u64) -> Projection {
        let weight = match dimensions.filter(|&dimensions| dimensions < channels) {
            Some(dimensions) => orthonormal(dimensions, channels, seed),
            None => (0..channels * channels).map(|at| f32::from(u8::from(at / channels == at % channels))).collect(),
        };
        let count = (rows.len() / channels).max(1) as f64;
        let mean: Vec<f64> = (0..channels)
            .map(|channel| {
                rows.iter().skip(channel).step_by(channels).map(|&value| f64::from(value)).sum::<f64>() / count
            })
            .collect();
        let centre = |row: &[f32]| -row.iter().zip(&mean).map(|(&w, m)| f64::from(w) * m).sum::<f64>() as f32;
        let offset = weight.chunks_exact(channels).map(centre).collect();
        Projection { channels, weight, offset }
    }

    pub(super) fn dimensions(&self) -> usize {
        self.offset.len()
    }

    /// `n x channels` to `n x dimensions`.
    pub(super) fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let (count, dimensions) = (rows.len() / self.channels, self.dimensions());
        let mut out = self.offset.repeat(count);
        let weight = Matrix::new(&self.weight, dimensions, self.channels);
        multiply_add(Matrix::new(rows, count, self.channels), weight.transposed(), &mut out);
        out
    }

    /// Makes all distances `factor` times as long.
    pub(super) fn scale(&mut self, factor: f32) {
        self.weight.iter_mut().chain(&mut self.offset).for_each(|value| *value *= factor);
    }

    /// As the graph wants it: weight and offset.
    pub(super) fn tensors(&self) -> [Tensor; 2] {
        let dimensions = self.dimensions();
        [
            Tensor { shape: vec![dimensions, self.channels, 1, 1], data: self.weight.clone() },
            Tensor { shape: vec![dimensions], data: self.offset.clone() },
        ]
    }
}

/// `rows` orthonormal vectors of `columns` values, at random directions: Gram and Schmidt on normal numbers.
pub(super) fn orthonormal(rows: usize, columns: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(rows);
    while basis.len() < rows.min(columns) {
        let mut vector: Vec<f64> = (0..columns).map(|_| normal(&mut random)).collect();
        for other in &basis {
            let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
            vector.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
        }
        let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        // A draw that lies in the span of the others is no new direction.
        if length > 1e-6 {
            basis.push(vector.iter().map(|value| value / length).collect());
        }
    }
    basis.into_iter().flatten().map(|value| value as f32).collect()
}

/// A standard normal number (Box and Muller, 1958).
pub(super) fn normal(random: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projected_features_are_centred_and_keep_their_distances_on_average() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let (count, channels) = (400, 64);
        let rows: Vec<f32> = (0..count * channels).map(|_| (5.0 + normal(&mut random)) as f32).collect();
        let projection = Projection::fit(&rows, channels, Some(16), 1);
        let projected = projection.apply(&rows);
        let mean = projected.iter().sum::<f32>() / projected.len() as f32;
        assert!(mean.abs() < 1e-3, "{mean}");
        let far = |rows: &[f32], size: usize| {
            let square =
                |pair: &[f32]| pair[..size].iter().zip(&pair[size..]).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
            rows.chunks_exact(2 * size).map(square).sum::<f32>()
        };
        let kept = far(&projected, 16) / far(&rows, channels) * 64.0 / 16.0;
        assert!((0.9..1.1).contains(&kept), "{kept} of the squared distances");
    }

    #[test]
    fn without_a_projection_distances_are_exact() {
        let rows = [1.0, 2.0, 3.0, 5.0];
        let mut projection = Projection::fit(&rows, 2, None, 1);
        projection.scale(2.0);
        assert_eq!(projection.apply(&rows), [-2.0, -3.0, 2.0, 3.0]);
    }
}
