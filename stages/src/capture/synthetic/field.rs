//! Periodic random fields: what surface tiles are made of.

use super::random::Dice;

/// A square field that repeats in both directions.
pub(super) struct Field {
    pub(super) side: usize,
    pub(super) values: Vec<f32>,
}

impl Field {
    /// Independent normal values.
    pub(super) fn white(side: usize, dice: &mut Dice) -> Self {
        Field { side, values: (0..side * side).map(|_| dice.normal()).collect() }
    }

    /// A value for each pixel.
    pub(super) fn from_fn(side: usize, mut value: impl FnMut(usize, usize) -> f32) -> Self {
        let values = (0..side * side).map(|at| value(at % side, at / side)).collect();
        Field { side, values }
    }

    /// Smooths with box filters of the given radii, three times each: close to a Gaussian of deviation `sqrt(r (r + 1))`.
    pub(super) fn smooth(mut self, radius_x: usize, radius_y: usize) -> Self {
        let mut from = vec![0.0; self.values.len()];
        for _ in 0..3 {
            if radius_x > 0 {
                std::mem::swap(&mut from, &mut self.values);
                box_rows(&from, &mut self.values, self.side, radius_x);
            }
            if radius_y > 0 {
                std::mem::swap(&mut from, &mut self.values);
                box_columns(&from, &mut self.values, self.side, radius_y);
            }
        }
        self
    }

    /// Light from the upper left over the field taken as a height: the difference across the diagonal.
    pub(super) fn relief(&self) -> Self {
        let (side, wrap) = (self.side, self.side - 1);
        Field::from_fn(side, |x, y| {
            let (left, up) = ((x + wrap) % side, (y + wrap) % side);
            let (right, down) = ((x + 1) % side, (y + 1) % side);
            self.values[up * side + left] - self.values[down * side + right]
        })
    }

    /// Mean 0, deviation 1.
    pub(super) fn normalised(mut self) -> Self {
        let n = self.values.len() as f32;
        let mean = self.values.iter().sum::<f32>() / n;
        let deviation = (self.values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt().max(1e-9);
        for v in &mut self.values {
            *v = (*v - mean) / deviation;
        }
        self
    }

    /// Adds another field, weighted.
    pub(super) fn plus(mut self, weight: f32, other: &Field) -> Self {
        for (v, o) in self.values.iter_mut().zip(&other.values) {
            *v += weight * o;
        }
        self
    }

    /// Applies a function to each value.
    pub(super) fn map(mut self, f: impl Fn(f32) -> f32) -> Self {
        for v in &mut self.values {
            *v = f(*v);
        }
        self
    }
}

fn box_rows(from: &[f32], to: &mut [f32], side: usize, radius: usize) {
    let scale = 1.0 / (2 * radius + 1) as f32;
    // The row with its own ends around it: a division for each pixel would cost more than the filter.
    let mut around = Vec::with_capacity(side + 2 * radius + 1);
    for (source, target) in from.chunks_exact(side).zip(to.chunks_exact_mut(side)) {
        around.clear();
        around.extend_from_slice(&source[side - radius..]);
        around.extend_from_slice(source);
        around.extend_from_slice(&source[..radius + 1]);
        // In f64, so that a running sum over a thousand pixels does not drift.
        let mut sum: f64 = around[..2 * radius + 1].iter().map(|&v| f64::from(v)).sum();
        for (x, value) in target.iter_mut().enumerate() {
            *value = sum as f32 * scale;
            sum += f64::from(around[x + 2 * radius + 1]) - f64::from(around[x]);
        }
    }
}

fn box_columns(from: &[f32], to: &mut [f32], side: usize, radius: usize) {
    let scale = 1.0 / (2 * radius + 1) as f32;
    let row = |y: usize| &from[(y % side) * side..(y % side + 1) * side];
    let mut sums = vec![0.0_f64; side];
    for k in 0..=2 * radius {
        sums.iter_mut().zip(row(side + k - radius)).for_each(|(sum, &v)| *sum += f64::from(v));
    }
    for (y, target) in to.chunks_exact_mut(side).enumerate() {
        let (enter, leave) = (row(y + radius + 1), row(y + side - radius));
        for x in 0..side {
            target[x] = sums[x] as f32 * scale;
            sums[x] += f64::from(enter[x]) - f64::from(leave[x]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_spreads_a_point_around_the_border_and_keeps_its_sum() {
        let point = Field::from_fn(32, |x, y| if x == 0 && y == 0 { 1.0 } else { 0.0 });
        let smooth = point.smooth(2, 3);
        let sum: f32 = smooth.values.iter().sum();
        assert!((sum - 1.0).abs() < 1e-4, "sum {sum}");
        assert!(smooth.values[31] > 0.0 && (smooth.values[31] - smooth.values[1]).abs() < 1e-6, "periodic and even");
        let at = |x: usize, y: usize| smooth.values[y * 32 + x];
        assert!(at(0, 9) > 0.0 && at(0, 10).abs() < 1e-6 && at(6, 0) > 0.0 && at(7, 0).abs() < 1e-6, "reach 3 r");
    }
}
