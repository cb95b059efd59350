//! Uneven light: a gradient, a vignette, a lamp that drifts, streaks along brushed lines.

use super::random::Dice;

/// Pixels between two nodes of the light field; light changes slowly, so that it is drawn coarse and interpolated.
const PITCH: usize = 32;

/// Side of the field of view that the lamp is set up for. A smaller frame is a window of it, at the same scale; for a larger one the lamp
/// stands further away.
const VIEW: f32 = 512.0;

/// The lamp over one part.
pub(super) struct Light {
    /// Side of the field of view, pixels.
    view: f32,
    /// Where the frame's upper left corner lies in the field of view.
    origin: [f32; 2],
    slope: [f32; 2],
    vignette: f32,
    lamp: [f32; 2],
    lamp_gain: f32,
    lamp_width: f32,
    /// Position across the lines, width, gain.
    streaks: [[f32; 3]; 3],
    streak_normal: [f32; 2],
    /// Where the light comes from: a unit vector in the frame, for dents, rims and shadows.
    pub(super) from: [f32; 2],
}

impl Light {
    /// `streak_normal` is the direction across a surface's lines, where it has streaks.
    pub(super) fn draw(dice: &mut Dice, width: usize, height: usize, streak_normal: Option<[f32; 2]>) -> Self {
        let view = VIEW.max(width.max(height) as f32);
        let room = |pixels: usize| (view - pixels as f32).max(0.0);
        let angle = dice.angle();
        let steepness = dice.range(0.02, 0.30);
        let streak = |dice: &mut Dice| {
            let gain = if streak_normal.is_some() && dice.chance(0.6) { dice.range(-0.06, 0.13) } else { 0.0 };
            [dice.range(0.0, view), dice.range(26.0, 90.0), gain]
        };
        // The lamp stands up and to the left, within 25 degrees.
        let azimuth = dice.range(-0.44, 0.44) + std::f32::consts::FRAC_PI_4;
        Light {
            view,
            origin: [dice.unit() * room(width), dice.unit() * room(height)],
            slope: [steepness * angle.cos(), steepness * angle.sin()],
            vignette: dice.range(0.0, 0.22),
            lamp: [dice.range(0.2, 0.8) * view, dice.range(0.2, 0.8) * view],
            lamp_gain: dice.range(-0.05, 0.18),
            lamp_width: dice.range(0.25, 0.6) * view,
            streaks: [streak(dice), streak(dice), streak(dice)],
            streak_normal: streak_normal.unwrap_or([0.0, 1.0]),
            from: [-azimuth.cos(), -azimuth.sin()],
        }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x + self.origin[0], y + self.origin[1]);
        let (u, v) = (x / self.view - 0.5, y / self.view - 0.5);
        let gradient = 1.0 + self.slope[0] * u + self.slope[1] * v;
        let vignette = 1.0 - self.vignette * 2.0 * (u * u + v * v);
        let away = ((x - self.lamp[0]).powi(2) + (y - self.lamp[1]).powi(2)) / (2.0 * self.lamp_width.powi(2));
        let mut light = gradient * vignette * (1.0 + self.lamp_gain * (-away).exp());
        for [place, width, gain] in self.streaks {
            let across = (x * self.streak_normal[0] + y * self.streak_normal[1]).abs() - place;
            light *= 1.0 + gain * (-(across / width).powi(2)).exp();
        }
        light
    }

    /// Fills the coarse field for a frame; `nodes` is reused.
    pub(super) fn nodes(&self, width: usize, height: usize, nodes: &mut Vec<f32>) {
        let (across, down) = (width.div_ceil(PITCH) + 1, height.div_ceil(PITCH) + 1);
        nodes.clear();
        nodes.extend((0..across * down).map(|k| self.at((k % across * PITCH) as f32, (k / across * PITCH) as f32)));
    }
}

/// One row of the field, linear between nodes.
pub(super) fn row(nodes: &[f32], width: usize, y: usize, row: &mut [f32]) {
    let across = width.div_ceil(PITCH) + 1;
    let (upper, part) = (y / PITCH, (y % PITCH) as f32 / PITCH as f32);
    let at = |k: usize| {
        let above = nodes[upper * across + k];
        above + part * (nodes[(upper + 1) * across + k] - above)
    };
    for (k, cells) in row[..width].chunks_mut(PITCH).enumerate() {
        let (left, right) = (at(k), at(k + 1));
        let step = (right - left) / PITCH as f32;
        for (i, cell) in cells.iter_mut().enumerate() {
            *cell = left + step * i as f32;
        }
    }
}
