//! Small drawn images that tests learn from, and the trunk that they start from.

use models::image::{Image, PixelFormat};
use models_train::TrainError;
use models_train::samples::{Sample, Samples};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A trunk that has learned to see.
pub(crate) const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../weights/default.bundle");

/// Grey noise of any brightness; the second class has a thin line across it. Mean and spread say nothing of the class.
pub(crate) struct Lines {
    pub(crate) len: usize,
    pub(crate) seed: u64,
}

/// Pixels of their sides.
pub(crate) const SIDE: usize = 64;

impl Samples for Lines {
    fn len(&self) -> usize {
        self.len
    }

    fn label(&self, index: usize) -> usize {
        index % 2
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        let level = random.random_range(60..160_u8);
        let mut data: Vec<u8> = (0..SIDE * SIDE).map(|_| level + random.random_range(0..30)).collect();
        if self.label(index) == 1 {
            let (from, slope) = (random.random_range(10.0..50.0_f32), random.random_range(-0.4..0.4_f32));
            for x in 0..SIDE {
                let y = (from + slope * x as f32).clamp(0.0, SIDE as f32 - 2.0) as usize;
                (0..2).for_each(|thick| data[(y + thick) * SIDE + x] = level.saturating_sub(40));
            }
        }
        let image = Image { width: SIDE as u32, height: SIDE as u32, format: PixelFormat::Mono8, data };
        Ok(Sample { image, labels: vec![self.label(index)], weight: 1.0, mask: None })
    }

    fn name(&self, index: usize) -> String {
        format!("line {index}")
    }
}
