//! Changes of the pixels where they are.

use models::image::Image;
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;

use super::geometry::mirrored;
use crate::mask::UNKNOWN;
use crate::samples::Sample;

/// A weaker blur than this changes no byte worth the time.
const LEAST_BLUR_PX: f32 = 0.25;
/// Places that are tried for a hole before there is none.
const TRIES: usize = 8;

/// Contrast around the mean of the picture, then brightness, through a table.
pub(super) fn tone(data: &mut [u8], contrast: f32, brightness: f32) {
    let sum: u64 = data.iter().map(|&byte| u64::from(byte)).sum();
    let mean = sum as f32 / data.len().max(1) as f32;
    let table: [u8; 256] = std::array::from_fn(|byte| {
        ((byte as f32 - mean) * contrast + mean + brightness).round().clamp(0.0, 255.0) as u8
    });
    data.iter_mut().for_each(|byte| *byte = table[usize::from(*byte)]);
}

/// Gaussian blur, rows and then columns, mirrored at the borders.
pub(super) fn blur(image: &mut Image, sigma: f32) {
    if sigma < LEAST_BLUR_PX {
        return;
    }
    let weights = weights(sigma);
    let (width, height, channels) = (image.width as usize, image.height as usize, image.format.channels());
    let radius = weights.len() / 2;
    let sources = |size: usize| -> Vec<usize> {
        (0..size + 2 * radius).map(|at| mirrored(at as isize - radius as isize, size)).collect()
    };
    let (columns, rows) = (sources(width), sources(height));
    let mut padded = vec![0_u8; columns.len() * channels];
    for row in image.data.chunks_exact_mut(width * channels) {
        for (pixel, &from) in padded.chunks_exact_mut(channels).zip(&columns) {
            pixel.copy_from_slice(&row[from * channels..][..channels]);
        }
        let mut sums = vec![0_u32; row.len()];
        for (tap, &weight) in weights.iter().enumerate() {
            add(&mut sums, &padded[tap * channels..][..row.len()], weight);
        }
        finish(&sums, row);
    }
    let source = image.data.clone();
    let mut sums = vec![0_u32; width * channels];
    for (y, row) in image.data.chunks_exact_mut(width * channels).enumerate() {
        sums.fill(0);
        for (tap, &weight) in weights.iter().enumerate() {
            add(&mut sums, &source[rows[y + tap] * width * channels..][..width * channels], weight);
        }
        finish(&sums, row);
    }
}

/// A Gaussian in fixed point: adds up to 65,536.
fn weights(sigma: f32) -> Vec<u32> {
    let radius = (2.5 * sigma).ceil() as i32;
    let raw: Vec<f32> = (-radius..=radius).map(|at| (-0.5 * (at as f32 / sigma).powi(2)).exp()).collect();
    let sum: f32 = raw.iter().sum();
    let mut weights: Vec<u32> = raw.iter().map(|value| (value / sum * 65_536.0) as u32).collect();
    // Rounding down left a little over: an even picture must stay as it is.
    weights[radius as usize] += 65_536 - weights.iter().sum::<u32>();
    weights
}

fn add(sums: &mut [u32], bytes: &[u8], weight: u32) {
    sums.iter_mut().zip(bytes).for_each(|(sum, &byte)| *sum += u32::from(byte) * weight);
}

fn finish(sums: &[u32], row: &mut [u8]) {
    row.iter_mut().zip(sums).for_each(|(byte, &sum)| *byte = ((sum + 32_768) >> 16) as u8);
}

/// Adds noise that is close to Gaussian: a sum of four even bytes, whose standard deviation is 147.8.
pub(super) fn noise(data: &mut [u8], sigma: f32, random: &mut ChaCha8Rng) {
    if sigma < 0.25 {
        return;
    }
    let scale = sigma / 147.8;
    for byte in data {
        let sum: u32 = random.next_u32().to_le_bytes().iter().map(|&part| u32::from(part)).sum();
        *byte = (f32::from(*byte) + (sum as f32 - 510.0) * scale).round().clamp(0.0, 255.0) as u8;
    }
}

/// Fills a random rectangle with the picture's mean, unless a known defect would be under it. Source: DeVries and Taylor, "Improved
/// Regularization of Convolutional Neural Networks with Cutout", 2017.
pub(super) fn cut_out(sample: &mut Sample, most: f32, random: &mut ChaCha8Rng) {
    if most <= 0.0 {
        return;
    }
    let (width, height) = (sample.image.width as usize, sample.image.height as usize);
    let channels = sample.image.format.channels();
    let side = |random: &mut ChaCha8Rng, size: usize| (random.random_range(0.0..=most) * size as f32) as usize;
    for _ in 0..TRIES {
        let (wide, high) = (side(random, width), side(random, height));
        let (left, top) = (random.random_range(0..=width - wide), random.random_range(0..=height - high));
        let rows = top..top + high;
        let covers = sample.mask.as_ref().is_some_and(|mask| {
            let defect = |&label: &u8| label != 0 && label != UNKNOWN;
            rows.clone().any(|y| mask[y * width + left..][..wide].iter().any(defect))
        });
        if !covers {
            let mean = means(&sample.image.data, channels);
            for y in rows {
                let row = &mut sample.image.data[(y * width + left) * channels..][..wide * channels];
                row.chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(&mean));
            }
            return;
        }
    }
}

fn means(data: &[u8], channels: usize) -> Vec<u8> {
    let pixels = (data.len() / channels).max(1) as u64;
    let sum = |channel: usize| data.iter().skip(channel).step_by(channels).map(|&byte| u64::from(byte)).sum::<u64>();
    (0..channels).map(|channel| (sum(channel) / pixels) as u8).collect()
}
