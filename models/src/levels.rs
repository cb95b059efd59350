//! Grey levels of a picture: whether there is something on it at all. The line's `quality` stage asks it, and so does every program that
//! judges pictures without a line.

use crate::image::ImageView;

/// Grey levels of standard deviation below which a picture is blank, where nobody asks for another limit.
pub const MIN_DEVIATION: f32 = 2.0;
/// Share of pixels at 0 or 255 from which a picture is saturated, where nobody asks for another limit.
pub const MAX_SATURATED: f32 = 0.5;

/// Levels are counted on about this many pixels of a picture, spread evenly.
const SAMPLED_PIXELS: usize = 1 << 16;

/// What the grey levels of a picture say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// Mean, grey levels.
    pub mean: f32,
    /// Standard deviation, grey levels.
    pub deviation: f32,
    /// Share of pixels at 0 or 255 in every channel, 0 to 1.
    pub saturated: f32,
}

impl Levels {
    /// Counts them.
    pub fn of(view: ImageView<'_>) -> Levels {
        let channels = view.format.channels();
        let pixels = view.width as usize * view.height as usize;
        // Odd, so that the samples do not stand in columns of a picture whose width is a power of two.
        let step = (pixels / SAMPLED_PIXELS) | 1;
        let (mut count, mut saturated, mut sum, mut squares) = (0_u64, 0_u64, 0_u64, 0_u64);
        for pixel in view.data.chunks_exact(channels).step_by(step) {
            let level = pixel.iter().map(|&value| u64::from(value)).sum::<u64>();
            count += 1;
            saturated += u64::from(level == 0 || level == 255 * channels as u64);
            sum += level;
            squares += level * level;
        }
        let n = count.max(1) as f64;
        let mean = sum as f64 / n;
        let variance = (squares as f64 / n - mean * mean).max(0.0);
        let [mean, deviation] = [mean, variance.sqrt()].map(|levels| (levels / channels as f64) as f32);
        Levels { mean, deviation, saturated: (saturated as f64 / n) as f32 }
    }
}
