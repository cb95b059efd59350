//! How large the values inside a network get, and where 8 bits cut them off.

use serde::{Deserialize, Serialize};

/// Bins of a [`Spread`]: exponent and five bits of mantissa of a 32-bit float, so each is 3 % wide.
const BINS: usize = 1 << 13;
const SHIFT: u32 = 18;

/// Where a range of values is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// Nowhere: the largest magnitude seen is the end of the range.
    Largest,
    /// Above this share of the magnitudes seen. Source: Wu et al., "Integer Quantization for Deep Learning Inference", 2020,
    /// section 3.3 (percentile calibration).
    Share(f64),
}

impl std::fmt::Display for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Clip::Largest => write!(f, "largest magnitude"),
            Clip::Share(share) => write!(f, "{} % of the magnitudes", 100.0 * share),
        }
    }
}

/// Magnitudes counted on a logarithmic scale: one pass, whatever their range.
pub(super) struct Spread {
    counts: Vec<u64>,
    largest: f32,
}

impl Spread {
    pub(super) fn new() -> Spread {
        Spread { counts: vec![0; BINS], largest: 0.0 }
    }

    pub(super) fn add(&mut self, values: &[f32]) {
        for value in values {
            let magnitude = value.abs();
            self.largest = self.largest.max(magnitude);
            // The sign bit of a magnitude is 0, so the shifted bits stay below 2^13.
            self.counts[(magnitude.to_bits() >> SHIFT) as usize] += 1;
        }
    }

    /// End of the range.
    pub(super) fn end(&self, clip: Clip) -> f32 {
        let Clip::Share(share) = clip else { return self.largest };
        let total: u64 = self.counts.iter().sum();
        let above = ((1.0 - share) * total as f64) as u64;
        let mut seen = 0;
        for (bin, count) in self.counts.iter().enumerate().rev() {
            seen += count;
            if seen > above {
                return f32::from_bits(((bin + 1) << SHIFT) as u32).min(self.largest);
            }
        }
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_leaves_out_the_rare_and_the_largest_nothing() {
        let mut spread = Spread::new();
        let values: Vec<f32> = (0..10_000).map(|at| at as f32 / 1000.0 - 5.0).chain([400.0]).collect();
        spread.add(&values);
        assert_eq!(spread.end(Clip::Largest), 400.0);
        let most = spread.end(Clip::Share(0.999));
        assert!((4.9..5.3).contains(&most), "{most}");
        let half = spread.end(Clip::Share(0.5));
        assert!((2.4..2.7).contains(&half), "{half}");
        assert_eq!(Spread::new().end(Clip::Share(0.5)), 0.0, "nothing seen, nothing cut");
    }
}
