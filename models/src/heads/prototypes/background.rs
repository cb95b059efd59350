//! How pictures of one kind differ from each other, as far as a training can know it: the few-shot head falls back on this where
//! the shots are too few to tell.

use crate::heads::appearance::mean;

use super::linear::dot;

/// Directions that are kept; beyond them the spread is taken as the same in every direction.
const DIRECTIONS: usize = 32;
/// Rounds of the subspace iteration. The spectrum falls fast, and any orthogonal set of directions gives a valid metric.
const ROUNDS: usize = 6;

/// A covariance within kinds: some directions, and the same variance in all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    /// Orthogonal directions, each as long as the root of its variance beyond `spread`.
    pub directions: Vec<Vec<f32>>,
    /// Variance in every direction beyond that.
    pub spread: f32,
    /// Number of pictures that it was measured on.
    pub images: usize,
}

impl Background {
    /// Measures it on pictures of known kinds: of each picture its kind and the appearances of its views. `None` where no
    /// kind has two pictures, or they are all the same.
    pub fn measure(pictures: &[(usize, Vec<Vec<f32>>)]) -> Option<Background> {
        let kinds = pictures.iter().map(|(kind, _)| kind + 1).max()?;
        let mut off = Vec::new();
        let mut images = 0;
        for kind in 0..kinds {
            let own: Vec<&Vec<Vec<f32>>> =
                pictures.iter().filter(|(k, _)| *k == kind).map(|(_, views)| views).collect();
            if own.len() < 2 {
                continue;
            }
            images += own.len();
            let rows: Vec<Vec<f32>> = own.into_iter().flatten().cloned().collect();
            let centre = mean(&rows);
            off.extend(rows.iter().map(|row| difference(row, &centre)));
        }
        let count = off.len() as f32;
        let total = off.iter().map(|row| dot(row, row)).sum::<f32>() / count;
        let dimensions = off.first()?.len();
        if total.is_nan() || total <= 0.0 {
            return None;
        }
        let wanted = DIRECTIONS.min(images / 2).min(dimensions / 2).max(1);
        let (axes, variances) = principal(&off, wanted);
        let spread = (total - variances.iter().sum::<f32>()).max(1e-3 * total) / (dimensions - axes.len()) as f32;
        let beyond = |variance: f32| (variance - spread).max(0.0).sqrt();
        let directions = axes.iter().zip(variances).map(|(axis, variance)| scaled(axis, beyond(variance))).collect();
        Some(Background { directions, spread, images })
    }

    /// Variance over all directions together.
    pub fn total(&self, dimensions: usize) -> f32 {
        dimensions as f32 * self.spread + self.directions.iter().map(|row| dot(row, row)).sum::<f32>()
    }
}

/// Directions of the largest variance of centred rows, with their variances. Subspace iteration (Halko et al., SIAM Review 2011,
/// section 4.5), started from rows themselves, spread over all of them.
fn principal(rows: &[Vec<f32>], wanted: usize) -> (Vec<Vec<f32>>, Vec<f32>) {
    let step = (rows.len() / wanted).max(1);
    let mut axes = orthonormal(rows.iter().step_by(step).take(wanted).cloned().collect());
    let project = |axes: &[Vec<f32>]| -> Vec<Vec<f32>> {
        rows.iter().map(|row| axes.iter().map(|axis| dot(row, axis)).collect()).collect()
    };
    for _ in 0..ROUNDS {
        let places = project(&axes);
        let mut next = vec![vec![0.0; rows[0].len()]; axes.len()];
        for (row, place) in rows.iter().zip(&places) {
            for (axis, &weight) in next.iter_mut().zip(place) {
                axis.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        axes = orthonormal(next);
    }
    let places = project(&axes);
    let variance = |at: usize| places.iter().map(|place| place[at] * place[at]).sum::<f32>() / rows.len() as f32;
    let variances = (0..axes.len()).map(variance).collect();
    (axes, variances)
}

/// Gram and Schmidt, twice (once is not enough in single precision); what depends on the others is left out.
fn orthonormal(rows: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let mut axes: Vec<Vec<f32>> = Vec::new();
    for mut row in rows {
        let before = dot(&row, &row);
        for axis in axes.iter().chain(&axes) {
            let along = dot(&row, axis);
            row.iter_mut().zip(axis).for_each(|(value, axis)| *value -= along * axis);
        }
        let after = dot(&row, &row);
        if after > 1e-8 * before && after > 0.0 {
            axes.push(scaled(&row, 1.0 / after.sqrt()));
        }
    }
    axes
}

pub(super) fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn scaled(row: &[f32], by: f32) -> Vec<f32> {
    row.iter().map(|value| by * value).collect()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_directions_of_the_spread_are_found() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut draw = |deviation: f32| {
            // A sum of twelve uniform numbers is nearly normal.
            deviation * ((0..12).map(|_| random.random_range(0.0_f32..1.0)).sum::<f32>() - 6.0)
        };
        // Forty dimensions, two kinds far apart; within each, much along the first, less along the second, little elsewhere.
        let pictures: Vec<(usize, Vec<Vec<f32>>)> = (0..400)
            .map(|index| {
                let mut row: Vec<f32> = (0..40).map(|_| draw(0.1)).collect();
                row[0] += draw(3.0);
                row[1] += draw(1.0);
                row[2] += 50.0 * (index % 2) as f32;
                (index % 2, vec![row])
            })
            .collect();
        let found = Background::measure(&pictures).unwrap();
        assert_eq!(found.images, 400);
        let along = |at: usize| found.directions.iter().map(|row| row[at] * row[at]).sum::<f32>();
        assert!((6.0..12.0).contains(&along(0)), "{}", along(0));
        assert!((0.7..1.4).contains(&along(1)), "{}", along(1));
        assert!(along(2) < 0.1, "what tells kinds apart is no spread: {}", along(2));
        assert!((9.0..12.0).contains(&found.total(40)), "{}", found.total(40));
    }

    #[test]
    fn nothing_to_measure_on_is_said() {
        assert_eq!(Background::measure(&[]), None);
        assert_eq!(Background::measure(&[(0, vec![vec![1.0, 2.0]]), (1, vec![vec![1.0, 3.0]])]), None);
        let same = vec![(0, vec![vec![1.0, 2.0]]); 3];
        assert_eq!(Background::measure(&same), None);
    }
}
