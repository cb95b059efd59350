//! Distances from the kinds' centres: Mahalanobis by a covariance that is one variance in every direction plus a few directions.
//!
//! The covariance within kinds is shrunk towards the background (as a Bayesian would: so many shots against so many pictures
//! that the background is worth) and a little towards the unit matrix. Centres of few shots are uncertain themselves: the
//! distance is divided by `1 + 1/n`, the spread of a new picture around the mean of `n`.
//!
//! The inverse is Woodbury's: with `M = v I + A^T A` and `L L^T = I + A A^T / v`, `d^T M^-1 d = (|d|^2 - |L^-1 A d|^2 / v) / v`.

use super::background::{Background, difference};
use super::linear::{Matrix, dot};
use super::{Group, Metric};
use crate::heads::appearance::mean;

/// Shots beyond the first of each kind that the background is worth. Chosen on synthetic parts.
const BACKGROUND_SHOTS: f64 = 20.0;
/// Share of the mean variance that is added in every direction: no direction is trusted to hold still.
const RIDGE: f64 = 0.1;

/// The distances' parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Distance {
    /// Rows that the directions are made of: the background's, then all shots.
    pub(super) base: Vec<Vec<f32>>,
    /// `L^-1 A / sqrt(v)` in terms of the base: directions x base rows. Without rows for plain distances.
    pub(super) whiten: Matrix,
    /// `v` times the distance that is to be expected by the background: divides, so that 1 is what is to be expected.
    pub(super) variance: f32,
    /// Centres of the kinds.
    pub(super) centres: Vec<Vec<f32>>,
    /// `1 / (1 + 1/n)` of each kind.
    pub(super) certainty: Vec<f32>,
    /// How much the square of a shot's deviation from its centre counts in the covariance, in the units of the distance.
    scatter_weight: f64,
}

/// A difference between a picture and a centre, with its places along the directions.
pub(super) struct Off<'a> {
    off: &'a [f32],
    places: Vec<f64>,
}

impl Distance {
    /// Fits the metric to the background and the shots of these kinds.
    pub(super) fn fit(background: &Background, groups: &[Group], metric: Metric) -> Distance {
        let centres: Vec<Vec<f32>> = groups.iter().map(|group| mean(&group.rows)).collect();
        let dimensions = centres[0].len();
        let freedom: usize = groups.iter().map(|group| group.rows.len() - 1).sum();
        let scatter: f64 = groups
            .iter()
            .zip(&centres)
            .flat_map(|(group, centre)| group.rows.iter().map(|row| difference(row, centre)))
            .map(|off| f64::from(dot(&off, &off)))
            .sum();
        let total = f64::from(background.total(dimensions));
        // The shots say how much pictures differ here, the background along which directions.
        let scale = if freedom > 0 && scatter > 0.0 { scatter / freedom as f64 / total } else { 1.0 };
        let trust = freedom as f64 / (freedom as f64 + BACKGROUND_SHOTS);
        let even = RIDGE * scale * total / dimensions as f64;
        let (variance, mix) = match metric {
            Metric::L2 => (scale * total / dimensions as f64, Matrix::zeros(0, 0)),
            Metric::Lda => (
                (1.0 - trust) * scale * f64::from(background.spread) + even,
                mixture(background, groups, (1.0 - trust) * scale, trust / (freedom as f64).max(1.0)),
            ),
        };
        let shots = groups.iter().flat_map(|group| &group.rows);
        let base: Vec<Vec<f32>> = match metric {
            Metric::L2 => Vec::new(),
            Metric::Lda => background.directions.iter().chain(shots).cloned().collect(),
        };
        let whiten = whiten(&base, &mix, variance);
        let certainty = groups.iter().map(|group| 1.0 / (1.0 + 1.0 / group.kind.shots as f32)).collect();
        let mut distance =
            Distance { base, whiten, variance: variance as f32, centres, certainty, scatter_weight: 0.0 };
        let expected = distance.expectation(background, scale as f32, dimensions);
        distance.variance *= expected;
        if metric == Metric::Lda && freedom > 0 {
            distance.scatter_weight = f64::from(expected) * trust / freedom as f64;
        }
        distance
    }

    /// Squared distance of a picture from each kind.
    pub(super) fn of(&self, appearance: &[f32]) -> Vec<f32> {
        let centres = self.centres.iter().zip(&self.certainty);
        centres.map(|(centre, certainty)| certainty * self.along(&difference(appearance, centre))).collect()
    }

    /// `d^T M^-1 d`, in units of what is to be expected.
    pub(super) fn along(&self, off: &[f32]) -> f32 {
        let off = self.place(off);
        self.product(&off, &off) as f32
    }

    /// The same with a covariance in which this shot of a kind of `n` took no part: `shot` is its deviation from the kind's centre.
    /// What was fitted to a picture makes it look near. Sherman and Morrison's formula, Annals of Mathematical Statistics 21, 1950:
    /// without one of `n` the scatter is less by `n / (n - 1)` times the square of its deviation.
    pub(super) fn along_without(&self, off: &[f32], shot: &[f32], n: f32) -> f32 {
        let (off, shot) = (self.place(off), self.place(shot));
        let weight = self.scatter_weight * f64::from(n / (n - 1.0));
        let left = (1.0 - weight * self.product(&shot, &shot)).max(1e-6);
        (self.product(&off, &off) + weight * self.product(&off, &shot).powi(2) / left) as f32
    }

    fn place<'a>(&self, off: &'a [f32]) -> Off<'a> {
        let places: Vec<f64> = self.base.iter().map(|row| f64::from(dot(row, off))).collect();
        let rows = self.whiten.data.chunks_exact(self.whiten.columns.max(1));
        Off { off, places: rows.map(|row| row.iter().zip(&places).map(|(a, b)| a * b).sum()).collect() }
    }

    /// `a^T M^-1 b`, in units of what is to be expected.
    fn product(&self, a: &Off<'_>, b: &Off<'_>) -> f64 {
        let within: f64 = a.places.iter().zip(&b.places).map(|(a, b)| a * b).sum();
        (f64::from(dot(a.off, b.off)) - within) / f64::from(self.variance)
    }

    /// `trace(M^-1 B)` with the background `B` at this scale: the mean of the distances if pictures differ as it says.
    fn expectation(&self, background: &Background, scale: f32, dimensions: usize) -> f32 {
        let directions: f32 = background.directions.iter().map(|row| self.along(row)).sum();
        // Of a unit matrix the trace is `dimensions / v` less the squared lengths of the whitened directions.
        let mut gram = Matrix::zeros(self.base.len(), self.base.len());
        fill_gram(&mut gram, &self.base);
        let length = self.whiten.times_transposed(&gram);
        let removed: f64 = length.data.iter().zip(&self.whiten.data).map(|(a, b)| a * b).sum();
        let even = (dimensions as f64 - removed) / f64::from(self.variance);
        scale * (directions + background.spread * even as f32)
    }
}

/// `A` in terms of the base: the background's directions, and each shot's deviation from its kind's centre.
fn mixture(background: &Background, groups: &[Group], of_background: f64, of_scatter: f64) -> Matrix {
    let (known, shots) = (background.directions.len(), groups.iter().map(|group| group.rows.len()).sum::<usize>());
    let mut mix = Matrix::zeros(known + shots, known + shots);
    for at in 0..known {
        mix.set(at, at, of_background.sqrt());
    }
    let mut first = known;
    for group in groups {
        let n = group.rows.len();
        for (row, column) in (0..n).flat_map(|row| (0..n).map(move |column| (row, column))) {
            let own = f64::from(u8::from(row == column)) - 1.0 / n as f64;
            mix.set(first + row, first + column, of_scatter.sqrt() * own);
        }
        first += n;
    }
    mix
}

fn fill_gram(gram: &mut Matrix, base: &[Vec<f32>]) {
    for i in 0..base.len() {
        for j in 0..=i {
            let value = f64::from(dot(&base[i], &base[j]));
            gram.set(i, j, value);
            gram.set(j, i, value);
        }
    }
}

/// `L^-1 A / sqrt(v)` in terms of the base.
fn whiten(base: &[Vec<f32>], mix: &Matrix, variance: f64) -> Matrix {
    let mut gram = Matrix::zeros(base.len(), base.len());
    fill_gram(&mut gram, base);
    // Both are symmetric or used row by row: (A G) A^T.
    let mut inner = mix.times_transposed(&gram).times_transposed(mix);
    inner.data.iter_mut().for_each(|value| *value /= variance);
    for at in 0..inner.rows {
        inner.set(at, at, 1.0 + inner.at(at, at));
    }
    let mut whiten = inner.cholesky().solve_lower(mix);
    whiten.data.iter_mut().for_each(|value| *value /= variance.sqrt());
    whiten
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::bundle::{Disposition, Kind};

    /// Leaving a shot out by formula is fitting without it, but for the scale, which the other shots have to themselves then.
    #[test]
    fn a_shot_that_is_left_out_has_no_part_in_the_covariance() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut row =
            |deviation: f32| -> Vec<f32> { (0..60).map(|_| random.random_range(-deviation..deviation)).collect() };
        let directions = (0..4).map(|_| row(0.3)).collect();
        let background = Background { directions, spread: 0.05, images: 30 };
        let rows: Vec<Vec<f32>> = (0..6).map(|_| row(1.0)).collect();
        let asked = row(1.0);
        let group = |rows: &[Vec<f32>]| {
            let kind = Kind { name: "k".into(), verdict: Disposition::Fail, shots: rows.len(), registered: true };
            Group { kind, rows: rows.to_vec(), plain: rows.to_vec() }
        };
        let whole = Distance::fit(&background, &[group(&rows)], Metric::Lda);
        let shot = difference(&rows[0], &whole.centres[0]);
        // The covariance by hand: unit matrix times `v`, background, and the scatter of the other five with the weights of all six.
        let scatter: f64 =
            rows.iter().map(|it| difference(it, &whole.centres[0])).map(|d| f64::from(dot(&d, &d))).sum();
        let scale = scatter / 5.0 / f64::from(background.total(60));
        let trust = 5.0 / (5.0 + BACKGROUND_SHOTS);
        let others = mean(&rows[1..]);
        let even = (1.0 - trust) * scale * f64::from(background.spread)
            + RIDGE * scale * f64::from(background.total(60)) / 60.0;
        let mut base = background.directions.clone();
        base.extend(rows[1..].iter().map(|it| difference(it, &others)));
        let mut mix = Matrix::zeros(9, 9);
        (0..4).for_each(|at| mix.set(at, at, ((1.0 - trust) * scale).sqrt()));
        (4..9).for_each(|at| mix.set(at, at, (trust / 5.0).sqrt()));
        let whiten = whiten(&base, &mix, even);
        let by_hand = Distance { variance: whole.variance, base, whiten, ..whole.clone() };
        let (without, wanted) = (whole.along_without(&asked, &shot, 6.0), by_hand.along(&asked));
        assert!((without - wanted).abs() < 1e-3 * wanted, "{without} instead of {wanted}");
        // Of the shot itself it makes a large difference, which is what a radius must not overlook.
        assert!(whole.along_without(&shot, &shot, 6.0) > 1.5 * whole.along(&shot));
    }
}
