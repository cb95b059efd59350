//! Pins on a plain belt, lying at any angle: a head, a shank, a point. For what has to do with where parts lie; the line's own parts
//! (`renderer`) always lie the same way.

use models::image::{Image, PixelFormat};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Pixels each way of a picture.
pub const SIDE: u32 = 320;
/// Standard deviation of the sensor's noise, grey levels.
pub const NOISE: f64 = 6.0;
/// Grey levels of belt and pin: the pin's contrast is nine times the noise.
const BELT: f64 = 84.0;
const METAL: f64 = 140.0;
/// The pin's measures, in pixels along its axis from the middle of its length, and across.
const HEAD: [f64; 2] = [-86.0, -62.0];
const HEAD_HALF: f64 = 27.0;
const SHANK_END: f64 = 62.0;
const SHANK_HALF: f64 = 12.0;
const POINT_END: f64 = 88.0;

/// Where a pin lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lie {
    /// The middle of its length, pixels from the picture's corner.
    pub at: [f64; 2],
    /// Where its head points, radians; 0 to the right, clockwise on a screen.
    pub angle: f64,
}

impl Lie {
    /// Anywhere, as long as the whole pin is in the picture.
    fn anywhere(random: &mut ChaCha8Rng) -> Lie {
        let middle = f64::from(SIDE) / 2.0;
        let mut off = || random.random_range(-45.0..45.0);
        Lie {
            at: [middle + off(), middle + off()],
            angle: random.random_range(-std::f64::consts::PI..std::f64::consts::PI),
        }
    }

    /// A place of the picture on the pin: along its axis, the head's end first, and across.
    fn on_pin(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let (sin, cos) = self.angle.sin_cos();
        let (x, y) = (x - self.at[0], y - self.at[1]);
        [-(cos * x + sin * y), cos * y - sin * x]
    }
}

/// A spot on a pin.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spot {
    /// On the pin.
    at: [f64; 2],
    radius: f64,
    /// Added to the grey levels.
    contrast: f64,
}

/// A pin, with a defect of this contrast-to-noise ratio where one is asked for. The same seed and number give the same picture.
pub fn draw(seed: u64, number: u64, cnr: Option<f64>) -> Image {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    let lie = Lie::anywhere(&mut random);
    draw_at(&mut random, lie, cnr)
}

/// The same pin at a place of one's own choice, without a defect.
pub fn draw_lying(seed: u64, lie: Lie) -> Image {
    draw_at(&mut ChaCha8Rng::seed_from_u64(seed), lie, None)
}

fn draw_at(random: &mut ChaCha8Rng, lie: Lie, cnr: Option<f64>) -> Image {
    let spot = cnr.map(|cnr| {
        let radius = random.random_range(3.5..6.0);
        let along = random.random_range(HEAD[0] + 6.0..SHANK_END);
        let half = half_width(along) - radius - 1.0;
        let sign = if random.random_bool(0.5) { 1.0 } else { -1.0 };
        let at = [along, random.random_range(-1.0..1.0) * half.max(0.0)];
        Spot { at, radius, contrast: sign * cnr * NOISE }
    });
    let light = random.random_range(0.96..1.04);
    let tilt = [random.random_range(-6.0..6.0), random.random_range(-6.0..6.0)];
    let side = f64::from(SIDE);
    let mut data = Vec::with_capacity((SIDE * SIDE) as usize);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let at = [f64::from(column) + 0.5, f64::from(row) + 0.5];
            let [along, across] = lie.on_pin(at);
            let cover = (0.5 - outside(along, across)).clamp(0.0, 1.0);
            let half = half_width(along).max(1.0);
            // A round rod: brightest along a line a little off its middle.
            let shade = 1.0 - 0.35 * ((across / half - 0.2).powi(2)).min(1.0);
            let mut metal =
                METAL * shade + if (HEAD[1]..SHANK_END).contains(&along) { 5.0 * (along * 0.9).sin() } else { 0.0 };
            if let Some(Spot { at, radius, contrast }) = spot {
                let off = (along - at[0]).hypot(across - at[1]);
                metal += contrast * (radius - off + 0.5).clamp(0.0, 1.0);
            }
            let level = BELT + tilt[0] * (at[0] / side - 0.5) + tilt[1] * (at[1] / side - 0.5);
            let level = light * (level * (1.0 - cover) + metal * cover) + NOISE * normal(random);
            data.push(level.round().clamp(0.0, 255.0) as u8);
        }
    }
    Image { width: SIDE, height: SIDE, format: PixelFormat::Mono8, data }
}

/// Half of the pin's width at a place of its axis; below 0 beyond its ends.
fn half_width(along: f64) -> f64 {
    match along {
        it if it < HEAD[0] => -1.0,
        it if it < HEAD[1] => HEAD_HALF,
        it if it < SHANK_END => SHANK_HALF,
        it if it < POINT_END => SHANK_HALF * (POINT_END - it) / (POINT_END - SHANK_END),
        _ => -1.0,
    }
}

/// About how far outside of the pin a place lies, pixels; below 0 inside.
fn outside(along: f64, across: f64) -> f64 {
    let block = |from: f64, to: f64, half: f64| (from - along).max(along - to).max(across.abs() - half);
    let point = (SHANK_END - along).max((across.abs() - half_width(along)) * 0.9).max(along - POINT_END);
    block(HEAD[0], HEAD[1], HEAD_HALF).min(block(HEAD[1], SHANK_END, SHANK_HALF)).min(point)
}

/// A normal number (Box and Muller).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(1e-12..1.0), random.random_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
