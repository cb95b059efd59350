//! Anomalies pasted onto good parts, so that settings can be chosen without a picture of a defect.
//!
//! Nobody knows the defects to come; these stand for the ways in which a place can differ: a piece that belongs elsewhere, a line, a
//! patch of other material, a smear. Sources: Li et al., "CutPaste", CVPR 2021 (cut, scar); Zavrtanik et al., "DRAEM", ICCV 2021
//! (noise). They are drawn faint as well as strong: what every setting finds tells none apart.

use models::image::Image;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Kinds of pasted anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A rectangle from elsewhere on the part, turned, its brightness changed.
    Cut,
    /// A thin line of another brightness.
    Scar,
    /// A cloud of another colour, as Perlin noise shapes it.
    Noise,
    /// A place whose pixels are drawn out in one direction.
    Smear,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Cut, Kind::Scar, Kind::Noise, Kind::Smear];
}

/// Mean change of the changed pixels, grey levels, below which a paste is drawn anew: nobody could see it.
const VISIBLE: f32 = 6.0;
/// Attempts before a faint one is taken after all.
const ATTEMPTS: u64 = 12;

/// Pastes one anomaly of this kind. The same seed gives the same picture.
pub(super) fn paste(image: &Image, kind: Kind, seed: u64) -> Image {
    let mut faint = None;
    for attempt in 0..ATTEMPTS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(kind as u64 * ATTEMPTS + attempt);
        let (pasted, change) = draw(image, kind, &mut random);
        if change >= VISIBLE {
            return pasted;
        }
        faint = faint.or(Some(pasted));
    }
    faint.unwrap_or_else(|| image.clone())
}

/// Draws one; gives the mean change of the pixels under it too.
fn draw(image: &Image, kind: Kind, random: &mut ChaCha8Rng) -> (Image, f32) {
    let side = image.width.min(image.height) as f32;
    let canvas = Canvas { image, centre: centre(image, random), angle: random.random_range(0.0..std::f32::consts::PI) };
    let sign = if random.random::<bool>() { 1.0 } else { -1.0 };
    match kind {
        Kind::Cut => {
            // Between a thousandth and a hundredth of the picture, as often small as large.
            let area = side * side * 10.0_f32.powf(random.random_range(-3.0..-2.0));
            let aspect = 3.0_f32.powf(random.random_range(-1.0..1.0));
            let half = [(area * aspect).sqrt() / 2.0, (area / aspect).sqrt() / 2.0];
            let from = [random.random::<f32>(), random.random::<f32>()];
            let turn = random.random_range(0.0..std::f32::consts::TAU);
            let light = sign * random.random_range(0.0..20.0);
            canvas.change(half, |u, v, _| {
                let inside = (half[0] - u.abs()).min(half[1] - v.abs()).clamp(0.0, 1.0);
                let [x, y] = rotate([u, v], turn);
                let at = |share: f32, along: f32, size: u32| (share * size as f32 + along).rem_euclid(size as f32);
                let source = pixel(image, at(from[0], x, image.width) as usize, at(from[1], y, image.height) as usize);
                (inside, source.map(|value| value + light))
            })
        }
        Kind::Scar => {
            let half = [side * random.random_range(0.03..0.10), side * random.random_range(0.002..0.008)];
            let light = sign * random.random_range(12.0..60.0);
            let bend = random.random_range(-0.3..0.3);
            canvas.change([half[0], half[1] + half[0] * 0.3], |u, v, own| {
                let off = (v - bend * u * u / half[0]).abs();
                let inside = (half[0] - u.abs()).min(half[1] - off + 0.5).clamp(0.0, 1.0);
                (inside, own.map(|value| value + light))
            })
        }
        Kind::Noise => {
            let half = side * random.random_range(0.03..0.10);
            let cell = half * random.random_range(0.35..0.8);
            let lattice: u64 = random.random();
            let opacity = random.random_range(0.15..0.7);
            let colour: [f32; 3] = match image.format.channels() {
                1 => [random.random_range(0.0..255.0); 3],
                _ => std::array::from_fn(|_| random.random_range(0.0..255.0)),
            };
            canvas.change([half, half], |u, v, _| {
                let fall = (1.0 - (u * u + v * v) / (half * half)).max(0.0);
                let cloud = perlin([u / cell, v / cell], lattice);
                ((4.0 * (cloud + fall - 0.6)).clamp(0.0, 1.0) * fall.sqrt().min(1.0) * opacity, colour)
            })
        }
        Kind::Smear => {
            let half = [side * random.random_range(0.03..0.09), side * random.random_range(0.02..0.05)];
            let reach = half[0] * random.random_range(0.6..1.5);
            let light = sign * random.random_range(0.0..12.0);
            canvas.change(half, |u, v, _| {
                let round = 1.0 - (u / half[0]).powi(2) - (v / half[1]).powi(2);
                let mut sum = [0.0; 3];
                for step in -4..=4 {
                    let drawn = canvas.at([u + reach * step as f32 / 4.0, v]);
                    sum.iter_mut().zip(drawn).for_each(|(sum, value)| *sum += value / 9.0);
                }
                ((2.0 * round).clamp(0.0, 1.0), sum.map(|value| value + light))
            })
        }
    }
}

/// A picture with a place on it, and a direction.
struct Canvas<'a> {
    image: &'a Image,
    centre: [f32; 2],
    angle: f32,
}

impl Canvas<'_> {
    /// The pixel at `u` along the direction and `v` across it.
    fn at(&self, place: [f32; 2]) -> [f32; 3] {
        let [x, y] = rotate(place, self.angle);
        let clamp = |value: f32, size: u32| value.round().clamp(0.0, size as f32 - 1.0) as usize;
        pixel(self.image, clamp(self.centre[0] + x, self.image.width), clamp(self.centre[1] + y, self.image.height))
    }

    /// Blends a colour over each pixel within `half` of the place; `colour` gives opacity and colour from the place and the
    /// pixel's own. Gives the mean change of the pixels whose opacity is above a tenth.
    fn change(&self, half: [f32; 2], colour: impl Fn(f32, f32, [f32; 3]) -> (f32, [f32; 3])) -> (Image, f32) {
        let mut out = self.image.clone();
        let channels = out.format.channels();
        let reach = half[0].hypot(half[1]).ceil() + 1.0;
        let range = |centre: f32, size: u32| {
            (centre - reach).max(0.0) as usize..((centre + reach).max(0.0) as usize + 1).min(size as usize)
        };
        let (mut sum, mut count) = (0.0, 0.0_f32);
        for y in range(self.centre[1], out.height) {
            for x in range(self.centre[0], out.width) {
                let [u, v] = rotate([x as f32 - self.centre[0], y as f32 - self.centre[1]], -self.angle);
                if u.abs() > half[0] || v.abs() > half[1] {
                    continue;
                }
                let own = pixel(self.image, x, y);
                let (opacity, new) = colour(u, v, own);
                let at = (y * out.width as usize + x) * channels;
                for channel in 0..channels {
                    let mixed = own[channel] + opacity * (new[channel].clamp(0.0, 255.0) - own[channel]);
                    out.data[at + channel] = mixed.round().clamp(0.0, 255.0) as u8;
                    if opacity > 0.1 {
                        sum += (f32::from(out.data[at + channel]) - own[channel]).abs() / channels as f32;
                    }
                }
                count += f32::from(u8::from(opacity > 0.1));
            }
        }
        (out, sum / count.max(1.0))
    }
}

/// A pixel as three numbers.
fn pixel(image: &Image, x: usize, y: usize) -> [f32; 3] {
    let channels = image.format.channels();
    let at = (y * image.width as usize + x) * channels;
    std::array::from_fn(|channel| f32::from(image.data[at + channel.min(channels - 1)]))
}

fn rotate([x, y]: [f32; 2], angle: f32) -> [f32; 2] {
    let (sin, cos) = angle.sin_cos();
    [x * cos - y * sin, x * sin + y * cos]
}

/// A place on the part: where the picture differs from the colour of its border, if that tells part and background apart.
fn centre(image: &Image, random: &mut ChaCha8Rng) -> [f32; 2] {
    let (width, height) = (image.width as usize, image.height as usize);
    let border = border_colour(image);
    let differs = |x: usize, y: usize| {
        pixel(image, x, y).iter().zip(border).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) > 24.0
    };
    let mut draw = || [random.random_range(0..width), random.random_range(0..height)];
    let first = draw();
    // A surface that fills the picture differs from its own border nowhere, or everywhere: then any place is as good.
    let place = std::iter::repeat_with(&mut draw).take(400).find(|&[x, y]| differs(x, y)).unwrap_or(first);
    place.map(|at| at as f32)
}

/// The median of each channel along the picture's border.
fn border_colour(image: &Image) -> [f32; 3] {
    let (width, height) = (image.width as usize, image.height as usize);
    let across = (0..width).flat_map(|x| [(x, 0), (x, height - 1)]);
    let border: Vec<[f32; 3]> =
        across.chain((0..height).flat_map(|y| [(0, y), (width - 1, y)])).map(|(x, y)| pixel(image, x, y)).collect();
    std::array::from_fn(|channel| {
        let mut values: Vec<f32> = border.iter().map(|pixel| pixel[channel]).collect();
        values.sort_by(f32::total_cmp);
        values[values.len() / 2]
    })
}

/// Gradient noise between about -0.7 and 0.7 (Perlin, "Improving Noise", SIGGRAPH 2002), its gradients scattered by a seed.
fn perlin([x, y]: [f32; 2], seed: u64) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let gradient = |column: f32, row: f32| {
        let mixed =
            seed ^ (column as i64 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (row as i64 as u64).rotate_left(32);
        let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let angle = (mixed >> 40) as f32 / (1 << 24) as f32 * std::f32::consts::TAU;
        angle.cos() * (x - column) + angle.sin() * (y - row)
    };
    let fade = |t: f32| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let mix = |a: f32, b: f32, t: f32| a + t * (b - a);
    let (u, v) = (fade(x - left), fade(y - top));
    let upper = mix(gradient(left, top), gradient(left + 1.0, top), u);
    mix(upper, mix(gradient(left, top + 1.0), gradient(left + 1.0, top + 1.0), u), v)
}

#[cfg(test)]
mod tests {
    use models::image::PixelFormat;

    use super::*;

    fn textured(format: PixelFormat) -> Image {
        let pixel = |at: usize| (90 + at * 7919 % 41 + 20 * (at / 640 % 3)) as u8;
        let data = (0..96 * 64 * format.channels()).map(pixel).collect();
        Image { width: 96, height: 64, format, data }
    }

    #[test]
    fn every_kind_changes_a_small_visible_place_and_is_the_same_each_time() {
        for format in [PixelFormat::Mono8, PixelFormat::Rgb8] {
            let image = textured(format);
            for kind in Kind::ALL {
                for seed in 0..20 {
                    let pasted = paste(&image, kind, seed);
                    assert_eq!(pasted, paste(&image, kind, seed));
                    assert_ne!(pasted, paste(&image, kind, seed + 1), "{kind:?} {seed}");
                    let changed = pasted.data.iter().zip(&image.data).filter(|(a, b)| a != b).count();
                    let share = changed as f32 / image.data.len() as f32;
                    assert!(share > 0.0 && share < 0.15, "{kind:?} {seed}: {share}");
                }
            }
        }
    }

    #[test]
    fn anomalies_lie_on_the_part_where_there_is_a_background() {
        let mut image = Image { width: 80, height: 80, format: PixelFormat::Mono8, data: vec![230; 80 * 80] };
        for (y, row) in image.data.chunks_exact_mut(80).enumerate().skip(30).take(20) {
            row[30..50].iter_mut().enumerate().for_each(|(x, value)| *value = (60 + 5 * x + y) as u8);
        }
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let [x, y] = centre(&image, &mut random);
            assert!((30.0..50.0).contains(&x) && (30.0..50.0).contains(&y), "{x} {y}");
        }
    }
}
