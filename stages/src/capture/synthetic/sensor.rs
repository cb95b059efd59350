//! The sensor: light to grey levels, with read noise and shot noise (after the EMVA 1288 model: variance grows
//! linearly with the signal), then rounded and clipped to 8 bits.

use models::scatter::scatter;

use super::random::{Dice, Purpose, Stream};

/// Draws in the noise pool. A row starts anywhere in it; the start is scattered by frame, row and channel.
const POOL: usize = 1 << 16;

/// Widest row that may be read from the pool.
pub(super) const MAX_WIDTH: usize = 4096;

/// Steps per standard deviation in the pool.
const STEPS: f32 = 24.0;

/// Dark noise, grey levels.
const READ_NOISE: f32 = 0.7;

/// Grey levels of variance per grey level of signal.
const SHOT_NOISE: f32 = 0.0065;

/// A sensor with its noise, drawn once.
pub(super) struct Sensor {
    pool: Vec<i8>,
}

/// One row's scratch, reused.
#[derive(Default, Clone)]
pub(super) struct RowScratch {
    deviation: Vec<f32>,
    planes: [Vec<u8>; 3],
}

/// What one row of a frame is exposed with.
#[derive(Clone, Copy)]
pub(super) struct Exposure {
    /// Makes the noise of this frame its own.
    pub(super) salt: u64,
    /// Sensitivity to the part's colour: red, green, blue.
    pub(super) tint: [f32; 3],
}

/// Part of a row, with the light that falls on it.
#[derive(Clone, Copy)]
pub(super) struct Strip<'a> {
    /// Column and row of its first pixel.
    pub(super) at: [usize; 2],
    /// Grey levels.
    pub(super) luma: &'a [f32],
    /// What a defect adds to red, green and blue, and how strong it is.
    pub(super) added: Option<(&'a [[f32; 3]], f32)>,
}

impl Sensor {
    pub(super) fn new(stream: Stream, seed: u64) -> Self {
        let mut dice = Dice::new(stream, seed, Purpose::Sensor, 0);
        let pool = (0..POOL + MAX_WIDTH).map(|_| (dice.normal() * STEPS).round().clamp(-127.0, 127.0) as i8).collect();
        Sensor { pool }
    }

    /// Exposes a strip into `rgb`, three bytes a pixel.
    pub(super) fn expose(&self, exposure: Exposure, strip: Strip<'_>, scratch: &mut RowScratch, rgb: &mut [u8]) {
        let Strip { at: [x, y], luma, added } = strip;
        let n = luma.len();
        scratch.deviation.resize(n.max(scratch.deviation.len()), 0.0);
        let deviation = &mut scratch.deviation[..n];
        for (d, &l) in deviation.iter_mut().zip(luma) {
            *d = (READ_NOISE * READ_NOISE + SHOT_NOISE * l.max(0.0)).sqrt() / STEPS;
        }
        for (channel, plane) in scratch.planes.iter_mut().enumerate() {
            plane.resize(n.max(plane.len()), 0);
            let start = scatter(exposure.salt ^ ((y as u64) << 2 | channel as u64)) as usize % POOL + x;
            let noise = &self.pool[start..start + n];
            let tint = exposure.tint[channel];
            let plane = &mut plane[..n];
            match added {
                None => {
                    for i in 0..n {
                        plane[i] = to_byte(luma[i] * tint + f32::from(noise[i]) * deviation[i]);
                    }
                }
                Some((delta, amplitude)) => {
                    for i in 0..n {
                        let signal = luma[i] * tint + amplitude * delta[i][channel];
                        plane[i] = to_byte(signal + f32::from(noise[i]) * deviation[i]);
                    }
                }
            }
        }
        let [red, green, blue] = &scratch.planes;
        for (pixel, ((&r, &g), &b)) in rgb.chunks_exact_mut(3).zip(red.iter().zip(green).zip(blue)) {
            pixel.copy_from_slice(&[r, g, b]);
        }
    }
}

/// Rounds to 8 bits. Adding 2^23 leaves the rounded number in the lowest bits of the float: the loop above then runs
/// in vector registers, which a saturating cast prevents.
fn to_byte(value: f32) -> u8 {
    (value.clamp(0.0, 255.0) + 8_388_608.0).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_and_clipped() {
        for (value, byte) in [(-3.0, 0), (0.4, 0), (0.6, 1), (127.2, 127), (254.6, 255), (900.0, 255)] {
            assert_eq!(to_byte(value), byte, "{value}");
        }
    }

    #[test]
    fn noise_grows_with_the_square_root_of_the_signal() {
        let sensor = Sensor::new(Stream::Line, 1);
        let deviation = |level: f32| {
            let luma = vec![level; 4000];
            let (mut scratch, mut rgb) = (RowScratch::default(), vec![0; 12_000]);
            let exposure = Exposure { salt: 7, tint: [1.0; 3] };
            let strip = Strip { at: [0, 0], luma: &luma, added: None };
            sensor.expose(exposure, strip, &mut scratch, &mut rgb);
            let mean = rgb.iter().map(|&v| f64::from(v)).sum::<f64>() / rgb.len() as f64;
            (rgb.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / rgb.len() as f64).sqrt()
        };
        let expected = |level: f64| (0.49 + 0.0065 * level + 1.0 / 12.0).sqrt();
        for level in [40.0, 200.0] {
            let measured = deviation(level as f32);
            assert!((measured - expected(level)).abs() < 0.08, "{level}: {measured} for {}", expected(level));
        }
    }
}
