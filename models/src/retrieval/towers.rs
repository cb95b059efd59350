//! The two towers: a hidden layer each, and a vector of length 1 in one space. They are small enough to be computed as they stand.

use crate::weights::{Tensor, Weights, WeightsError};

/// Numbers of a vector.
pub const DIMENSIONS: usize = 64;
/// Numbers of the hidden layer.
pub const HIDDEN: usize = 128;

/// A part or a question in the space where like lies by like: a direction, one byte a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vector(pub [i8; DIMENSIONS]);

impl Vector {
    /// Of what says nothing. It is as far from anything as from anything else.
    pub const NOTHING: Vector = Vector([0; DIMENSIONS]);

    /// A direction, rounded: the largest of its numbers is no larger than 127 at length 1 times [`Vector::SCALE`].
    fn of(direction: &[f32]) -> Vector {
        let length = direction.iter().map(|value| value * value).sum::<f32>().sqrt();
        if !(length.is_finite() && length > 0.0) {
            return Vector::NOTHING;
        }
        let mut bytes = [0; DIMENSIONS];
        for (byte, value) in bytes.iter_mut().zip(direction) {
            // `as` ends at the type's ends; single numbers beyond half the length are rare and cut.
            *byte = (Vector::SCALE * value / length).round().clamp(-127.0, 127.0) as i8;
        }
        Vector(bytes)
    }

    /// What a length of 1 is in bytes.
    pub const SCALE: f32 = 254.0;

    /// How alike two are: the cosine between them, times [`Vector::SCALE`] squared, as whole numbers compare fast.
    pub fn dot(&self, other: &Vector) -> i32 {
        self.0.iter().zip(&other.0).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
    }

    /// The same with many, which lie in `bytes` as [`Vector::bytes`], one every `stride` bytes. Here, where it is always optimised: a question
    /// asks millions.
    pub fn dots(&self, bytes: &[u8], stride: usize, into: &mut Vec<i32>) {
        into.clear();
        into.extend(bytes.chunks_exact(stride).map(|row| {
            let row: &[u8; DIMENSIONS] = row.first_chunk().unwrap_or(&[0; DIMENSIONS]);
            self.0.iter().zip(row).map(|(&a, &b)| i32::from(a) * i32::from(b as i8)).sum::<i32>()
        }));
    }

    /// As it is kept.
    pub fn bytes(&self) -> [u8; DIMENSIONS] {
        self.0.map(|value| value as u8)
    }

    /// [`Vector::dot`] as a cosine, -1 to 1.
    pub fn likeness(dot: i32) -> f32 {
        (dot as f32 / (Vector::SCALE * Vector::SCALE)).clamp(-1.0, 1.0)
    }
}

/// A hidden layer with a ramp, and a projection.
#[derive(Debug, Clone)]
pub(super) struct Tower {
    inputs: usize,
    /// `inputs x HIDDEN`, then `HIDDEN` biases.
    hidden: Vec<f32>,
    hidden_bias: Vec<f32>,
    out: Vec<f32>,
}

impl Tower {
    /// The tower called `name`, with so many inputs.
    pub(super) fn load(name: &str, inputs: usize, weights: &Weights) -> Result<Tower, WeightsError> {
        let [hidden, bias, out] = shapes(name, inputs);
        let values = |(name, shape): (String, Vec<usize>)| {
            weights.expect(&name, &shape).map(|tensor: &Tensor| tensor.data.clone())
        };
        Ok(Tower { inputs, hidden: values(hidden)?, hidden_bias: values(bias)?, out: values(out)? })
    }

    /// The vector of `inputs` numbers.
    pub(super) fn vector(&self, numbers: &[f32]) -> Vector {
        debug_assert_eq!(numbers.len(), self.inputs);
        let mut hidden = self.hidden_bias.clone();
        // Most numbers are zero: names that were not said, fields where nothing is lit.
        for (row, &number) in self.hidden.chunks_exact(HIDDEN).zip(numbers).filter(|(_, number)| **number != 0.0) {
            hidden.iter_mut().zip(row).for_each(|(sum, weight)| *sum += number * weight);
        }
        let mut out = [0.0_f32; DIMENSIONS];
        for (row, &value) in self.out.chunks_exact(DIMENSIONS).zip(&hidden).filter(|(_, value)| **value > 0.0) {
            out.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
        }
        Vector::of(&out)
    }
}

/// Names and shapes of a tower's tensors: the hidden layer, its bias, the projection.
pub(super) fn shapes(name: &str, inputs: usize) -> [(String, Vec<usize>); 3] {
    [
        (format!("{name}.hidden.weight"), vec![inputs, HIDDEN]),
        (format!("{name}.hidden.bias"), vec![HIDDEN]),
        (format!("{name}.out.weight"), vec![HIDDEN, DIMENSIONS]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_cosines_however_they_are_computed() {
        let direction = |seed: u64| -> Vec<f32> {
            (0..DIMENSIONS as u64).map(|at| (crate::scatter::scatter(seed * 1000 + at) as i32 as f32) / 2e9).collect()
        };
        let (a, b) = (direction(1), direction(2));
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let cosine = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        let [va, vb] = [Vector::of(&a), Vector::of(&b)];
        assert!((Vector::likeness(va.dot(&vb)) - cosine).abs() < 0.01);
        assert!((Vector::likeness(va.dot(&va)) - 1.0).abs() < 0.01);
        let rows = [&vb.bytes()[..], &[7; 4], &va.bytes()[..], &[9; 4]].concat();
        let mut dots = Vec::new();
        va.dots(&rows, DIMENSIONS + 4, &mut dots);
        assert_eq!(dots, [va.dot(&vb), va.dot(&va)]);
        assert_eq!(Vector::of(&[0.0; DIMENSIONS]), Vector::NOTHING);
        assert_eq!(Vector::of(&[f32::NAN; DIMENSIONS]), Vector::NOTHING);
    }
}
