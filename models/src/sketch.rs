//! What a picture looks like, in 64 bytes: small enough to keep of every part, good enough to find what looks alike.

use serde::{Deserialize, Serialize};

use crate::scatter::scatter;

/// Numbers of a sketch.
pub const LEN: usize = 64;

/// An embedding, cast down to [`LEN`] numbers of one byte.
///
/// Each number is the embedding's product with a row of random signs, the same on every machine (Achlioptas, "Database-friendly random
/// projections", 2003), scaled so that the largest is 127. Angles stay what they were, give or take a tenth; lengths are lost.
/// Sketches of two models must not be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<i8>", into = "Vec<i8>")]
pub struct Sketch([i8; LEN]);

impl Sketch {
    /// Of an embedding of any length; `None` where it is empty, all zero or no number.
    pub fn of(embedding: &[f32]) -> Option<Sketch> {
        let mut rows = [0.0_f32; LEN];
        for (at, &value) in embedding.iter().enumerate() {
            let signs = scatter((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            for (row, sum) in rows.iter_mut().enumerate() {
                *sum += if signs >> row & 1 == 1 { value } else { -value };
            }
        }
        let largest = rows.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        (largest.is_finite() && largest > 0.0)
            .then(|| Sketch(rows.map(|value| (127.0 * value / largest).round() as i8)))
    }

    /// How unlike two sketches of one model are: 1 minus the cosine between them, 0 to 2.
    pub fn distance(&self, other: &Sketch) -> f32 {
        let dot =
            |a: &Sketch, b: &Sketch| -> i32 { a.0.iter().zip(&b.0).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum() };
        let lengths = f64::from(dot(self, self)) * f64::from(dot(other, other));
        if lengths == 0.0 {
            return 1.0;
        }
        (1.0 - f64::from(dot(self, other)) / lengths.sqrt()).max(0.0) as f32
    }

    /// Its bytes.
    pub fn values(&self) -> &[i8; LEN] {
        &self.0
    }
}

/// What was kept by another version and has another length counts as no sketch: zeros, unlike everything.
impl From<Vec<i8>> for Sketch {
    fn from(values: Vec<i8>) -> Sketch {
        Sketch(values.try_into().unwrap_or([0; LEN]))
    }
}

impl From<Sketch> for Vec<i8> {
    fn from(sketch: Sketch) -> Vec<i8> {
        sketch.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    proptest! {
        #[test]
        fn angles_stay_nearly_what_they_were(
            a in prop::collection::vec(-1.0_f32..1.0, 576),
            noise in prop::collection::vec(-1.0_f32..1.0, 576),
            share in 0.0_f32..1.0,
        ) {
            let b: Vec<f32> = a.iter().zip(&noise).map(|(a, n)| (1.0 - share) * a + share * n).collect();
            let [a_sketch, b_sketch] = [&a, &b].map(|of| Sketch::of(of).expect("numbers"));
            let off = (1.0 - a_sketch.distance(&b_sketch)) - cosine(&a, &b);
            // 64 random signs: a standard deviation of at most 1/8; five of them do not come up.
            prop_assert!(off.abs() < 0.625, "{off}");
            prop_assert!(a_sketch.distance(&a_sketch) < 1e-6);
        }

        #[test]
        fn anything_is_sketched_or_refused(values in prop::collection::vec(any::<f32>(), 0..600)) {
            if let Some(sketch) = Sketch::of(&values) {
                prop_assert!(sketch.values().iter().any(|value| value.unsigned_abs() == 127));
            }
        }
    }

    #[test]
    fn a_sketch_is_the_same_for_ever() {
        // What is on record was made by these very signs.
        let sketch = Sketch::of(&[1.0, 2.0, 3.0]).expect("numbers");
        assert_eq!(sketch.values()[..8], [42, 42, 127, 42, -42, 0, 85, 0]);
        assert_eq!(Sketch::from(vec![1; 3]).distance(&sketch), 1.0, "of another version: unlike everything");
    }
}
