//! Random changes that leave the label true: rotation, zoom, translation, flips, contrast, brightness. On pixels, before
//! [`models::preprocess`], so that what the network sees has gone through the same code as on the line.

use models::image::Image;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::samples::Sample;

/// How far the random changes may go. Zero (or `false`) switches a change off.
#[derive(Debug, Clone, PartialEq)]
pub struct Augment {
    /// Largest rotation either way, degrees.
    pub rotation_deg: f32,
    /// Largest zoom either way, as a share: 0.15 gives 1/1.15 to 1.15.
    pub zoom: f32,
    /// Largest shift either way, as a share of the side.
    pub translation: f32,
    /// Largest change of contrast either way, as a share.
    pub contrast: f32,
    /// Largest change of brightness either way, as a share of the range.
    pub brightness: f32,
    /// Mirror left and right.
    pub flip_horizontal: bool,
    /// Mirror top and bottom.
    pub flip_vertical: bool,
}

impl Default for Augment {
    fn default() -> Self {
        Augment {
            rotation_deg: 15.0,
            zoom: 0.15,
            translation: 0.08,
            contrast: 0.2,
            brightness: 0.08,
            flip_horizontal: true,
            flip_vertical: true,
        }
    }
}

impl Augment {
    /// Flips alone: for drawn samples, which already vary in all else.
    pub fn flips() -> Augment {
        let (flip_horizontal, flip_vertical) = (true, true);
        Augment {
            rotation_deg: 0.0,
            zoom: 0.0,
            translation: 0.0,
            contrast: 0.0,
            brightness: 0.0,
            flip_horizontal,
            flip_vertical,
        }
    }

    /// Changes a sample, its mask along with its pixels. Pixels from beyond the border are mirrored in.
    pub fn apply(&self, sample: &mut Sample, random: &mut ChaCha8Rng) {
        let map = self.draw_map(&sample.image, random);
        if map != Map::IDENTITY {
            let (width, height) = (sample.image.width as usize, sample.image.height as usize);
            if let Some(mask) = &mut sample.mask {
                *mask = map.nearest(mask, width, height);
            }
            sample.image.data = map.bilinear(&sample.image);
        }
        let contrast = 1.0 + signed(random) * self.contrast;
        let brightness = 255.0 * signed(random) * self.brightness;
        if contrast != 1.0 || brightness != 0.0 {
            tone(&mut sample.image.data, contrast, brightness);
        }
    }

    /// Where each pixel of the result comes from.
    fn draw_map(&self, image: &Image, random: &mut ChaCha8Rng) -> Map {
        let (width, height) = (image.width as f32, image.height as f32);
        let angle = (signed(random) * self.rotation_deg).to_radians();
        let zoom = (signed(random) * (1.0 + self.zoom).ln()).exp();
        let shift = [signed(random) * self.translation * width, signed(random) * self.translation * height];
        // Both are drawn whether used or not, so that switching one off leaves the other changes as they were.
        let mirror = [random.random_bool(0.5), random.random_bool(0.5)];
        let sign = |mirrored: bool| if mirrored { -1.0 } else { 1.0 };
        let (sx, sy) = (sign(mirror[0] && self.flip_horizontal), sign(mirror[1] && self.flip_vertical));
        let (sin, cos) = angle.sin_cos();
        let centre = [(width - 1.0) / 2.0, (height - 1.0) / 2.0];
        let rows = [[sx * cos / zoom, -sx * sin / zoom], [sy * sin / zoom, sy * cos / zoom]];
        let offset = [0, 1].map(|i| centre[i] + shift[i] - rows[i][0] * centre[0] - rows[i][1] * centre[1]);
        Map { rows, offset }
    }
}

/// A number in -1..1.
fn signed(random: &mut ChaCha8Rng) -> f32 {
    random.random_range(-1.0..=1.0)
}

/// Contrast around the mean of the picture, then brightness, through a table.
fn tone(data: &mut [u8], contrast: f32, brightness: f32) {
    let sum: u64 = data.iter().map(|&byte| u64::from(byte)).sum();
    let mean = sum as f32 / data.len().max(1) as f32;
    let table: [u8; 256] = std::array::from_fn(|byte| {
        ((byte as f32 - mean) * contrast + mean + brightness).round().clamp(0.0, 255.0) as u8
    });
    data.iter_mut().for_each(|byte| *byte = table[usize::from(*byte)]);
}

/// An affine map from a result's pixel to the source's.
#[derive(Debug, Clone, PartialEq)]
struct Map {
    rows: [[f32; 2]; 2],
    offset: [f32; 2],
}

impl Map {
    const IDENTITY: Map = Map { rows: [[1.0, 0.0], [0.0, 1.0]], offset: [0.0, 0.0] };

    fn at(&self, x: usize, y: usize) -> [f32; 2] {
        [0, 1].map(|i| self.rows[i][0] * x as f32 + self.rows[i][1] * y as f32 + self.offset[i])
    }

    fn bilinear(&self, image: &Image) -> Vec<u8> {
        match image.format.channels() {
            1 => self.bilinear_of::<1>(image),
            _ => self.bilinear_of::<3>(image),
        }
    }

    fn bilinear_of<const CHANNELS: usize>(&self, image: &Image) -> Vec<u8> {
        let (width, height) = (image.width as usize, image.height as usize);
        let pixels = image.data.as_chunks::<CHANNELS>().0;
        let mut out = Vec::with_capacity(image.data.len());
        for y in 0..height {
            for x in 0..width {
                let [sx, sy] = self.at(x, y);
                let (fx, fy) = (sx - sx.floor(), sy - sy.floor());
                let (x0, y0) = (sx.floor() as isize, sy.floor() as isize);
                let (left, right) = (mirrored(x0, width), mirrored(x0 + 1, width));
                let (top, bottom) = (mirrored(y0, height) * width, mirrored(y0 + 1, height) * width);
                let corners = [pixels[top + left], pixels[top + right], pixels[bottom + left], pixels[bottom + right]];
                let shares = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
                let pixel: [u8; CHANNELS] = std::array::from_fn(|channel| {
                    let sum: f32 = (0..4).map(|i| f32::from(corners[i][channel]) * shares[i]).sum();
                    (sum + 0.5) as u8
                });
                out.extend_from_slice(&pixel);
            }
        }
        out
    }

    fn nearest(&self, mask: &[u8], width: usize, height: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(mask.len());
        for y in 0..height {
            for x in 0..width {
                let [sx, sy] = self.at(x, y);
                let (x, y) = (mirrored(sx.round() as isize, width), mirrored(sy.round() as isize, height));
                out.push(mask[y * width + x]);
            }
        }
        out
    }
}

/// A position beyond the border, mirrored back inside.
fn mirrored(at: isize, size: usize) -> usize {
    let last = size as isize - 1;
    if last == 0 {
        return 0;
    }
    let folded = at.rem_euclid(2 * last);
    folded.min(2 * last - folded) as usize
}

#[cfg(test)]
mod tests {
    use models::image::PixelFormat;
    use rand::SeedableRng;

    use super::*;

    /// A grey ramp with one bright square, and the square's mask.
    fn sample() -> Sample {
        let (width, height) = (40, 32);
        let inside = |x: usize, y: usize| (8..16).contains(&x) && (10..18).contains(&y);
        let pixels = || (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let data = pixels().map(|(x, y)| if inside(x, y) { 250 } else { (x + y) as u8 }).collect();
        let mask = pixels().map(|(x, y)| u8::from(inside(x, y))).collect();
        let image = Image { width: width as u32, height: height as u32, format: PixelFormat::Mono8, data };
        Sample { image, labels: vec![1], weight: 1.0, mask: Some(mask) }
    }

    #[test]
    fn the_mask_moves_with_the_pixels() {
        let geometry = Augment { contrast: 0.0, brightness: 0.0, ..Augment::default() };
        for seed in 0..20 {
            let mut changed = sample();
            geometry.apply(&mut changed, &mut ChaCha8Rng::seed_from_u64(seed));
            let mask = changed.mask.unwrap();
            let agree = changed.image.data.iter().zip(&mask).filter(|(p, m)| (**p > 150) == (**m == 1)).count();
            // Bilinear and nearest differ by less than a pixel along the square's rim of 32 pixels.
            assert!(agree >= mask.len() - 32, "seed {seed}: {agree} of {}", mask.len());
            assert!(mask.contains(&1), "seed {seed}: the square stays in the picture");
        }
    }

    #[test]
    fn flips_alone_move_pixels_and_invent_none() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..32 {
            let mut changed = sample();
            Augment::flips().apply(&mut changed, &mut ChaCha8Rng::seed_from_u64(seed));
            let sorted = |data: &[u8]| {
                let mut data = data.to_vec();
                data.sort_unstable();
                data
            };
            assert_eq!(sorted(&changed.image.data), sorted(&sample().image.data));
            seen.insert(changed.image.data);
        }
        assert_eq!(seen.len(), 4, "as it was, mirrored, upside down, both");
    }

    #[test]
    fn the_seed_decides_and_nothing_means_nothing() {
        let apply = |augment: &Augment, seed| {
            let mut changed = sample();
            augment.apply(&mut changed, &mut ChaCha8Rng::seed_from_u64(seed));
            changed
        };
        assert_eq!(apply(&Augment::default(), 3), apply(&Augment::default(), 3));
        assert_ne!(apply(&Augment::default(), 3), apply(&Augment::default(), 4));
        let none = Augment { flip_horizontal: false, flip_vertical: false, ..Augment::flips() };
        assert_eq!(apply(&none, 3), sample());
    }
}
