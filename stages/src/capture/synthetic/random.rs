//! Chance that can be repeated: every draw follows from (stream, seed, purpose, index) and from nothing else.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Two worlds that never share a random number. The stream is part of the cipher's key, so that no choice of seeds can
/// make a part of the line equal to a part that a model was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Parts that pass the simulated camera.
    Line,
    /// Parts that a model learns from.
    Training,
}

/// What a sequence of draws is for. Each purpose has its own sequence: drawing one number more for the light does not move a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Surface tiles; the index counts tiles.
    Tile,
    /// The sensor's noise.
    Sensor,
    /// Which parts are bad, and how.
    Mix,
    /// Surface, light and pose of a part.
    Scene,
    /// Shapes and places of its defects.
    Defects,
    /// How a frame is spoilt.
    Spoil,
    /// Jitter of the trigger.
    Conveyor,
}

/// One sequence of draws.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(stream: Stream, seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&index.to_le_bytes());
        key[16] = stream as u8;
        key[17] = purpose as u8;
        Dice(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in 0..1.
    pub(super) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform between two bounds.
    pub(super) fn range(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.unit()
    }

    /// Uniform between the two bounds of a pair.
    pub(super) fn within(&mut self, bounds: [f32; 2]) -> f32 {
        self.range(bounds[0], bounds[1])
    }

    /// Uniform among `0..n`; `n` is at least 1.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// Uniform among `from..=to`.
    pub(super) fn count(&mut self, bounds: [u32; 2]) -> usize {
        bounds[0] as usize + self.below((bounds[1].max(bounds[0]) - bounds[0] + 1) as usize)
    }

    /// True with a probability.
    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// -1 or 1.
    pub(super) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// An angle, radians.
    pub(super) fn angle(&mut self) -> f32 {
        self.range(0.0, std::f32::consts::TAU)
    }

    /// Roughly normal (sum of eight bytes), mean 0, deviation 1.
    pub(super) fn normal(&mut self) -> f32 {
        let bytes = self.0.next_u64().to_le_bytes();
        let sum: u32 = bytes.iter().map(|&b| u32::from(b)).sum();
        // A byte has mean 127.5 and variance (256^2 - 1) / 12; eight of them deviate by 209.0.
        (sum as f32 - 1020.0) / 209.01
    }

    /// A raw number.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_differ_in_every_coordinate_of_their_key() {
        let first = |stream, seed, purpose, index| Dice::new(stream, seed, purpose, index).bits();
        let base = first(Stream::Line, 1, Purpose::Scene, 2);
        assert_eq!(base, first(Stream::Line, 1, Purpose::Scene, 2));
        assert_ne!(base, first(Stream::Training, 1, Purpose::Scene, 2));
        assert_ne!(base, first(Stream::Line, 2, Purpose::Scene, 2));
        assert_ne!(base, first(Stream::Line, 1, Purpose::Mix, 2));
        assert_ne!(base, first(Stream::Line, 1, Purpose::Scene, 3));
    }

    #[test]
    fn normal_has_mean_zero_and_deviation_one() {
        let mut dice = Dice::new(Stream::Line, 5, Purpose::Sensor, 0);
        let draws: Vec<f32> = (0..20_000).map(|_| dice.normal()).collect();
        let mean = draws.iter().sum::<f32>() / draws.len() as f32;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f32>() / draws.len() as f32;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "mean {mean}, variance {variance}");
    }
}
