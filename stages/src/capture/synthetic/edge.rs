//! The part's outline, where the frame shows it: one straight side or a rounded corner, over a dark belt.

use super::random::Dice;

/// The line `normal . p + offset = 0`; the part lies where it is positive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub(super) normal: [f32; 2],
    pub(super) offset: f32,
}

impl Side {
    pub(super) fn distance(&self, x: f32, y: f32) -> f32 {
        self.normal[0] * x + self.normal[1] * y + self.offset
    }
}

/// The outline of a part within the frame.
pub(super) struct Edge {
    pub(super) side: Side,
    /// The neighbouring side, where a corner shows.
    pub(super) other: Option<Side>,
    corner_radius: f32,
    bevel_width: f32,
    bevel_gain: f32,
    /// Grey level of the belt below.
    pub(super) belt: f32,
}

impl Edge {
    pub(super) fn draw(dice: &mut Dice, width: usize, height: usize) -> Self {
        let which = dice.below(4);
        // The part turns as a whole: both sides share the angle.
        let turn = dice.range(-0.07, 0.07);
        let mut side = |which: usize| {
            let angle = which as f32 * std::f32::consts::FRAC_PI_2 + turn;
            let normal = [angle.cos(), angle.sin()];
            let (half_w, half_h) = (width as f32 / 2.0, height as f32 / 2.0);
            let reach = if which.is_multiple_of(2) { half_w } else { half_h };
            let inset = dice.range(0.06, 0.22) * 2.0 * reach;
            let centre = normal[0] * half_w + normal[1] * half_h;
            Side { normal, offset: reach - inset - centre }
        };
        let first = side(which);
        let second = side((which + 1) % 4);
        Edge {
            side: first,
            other: dice.chance(0.4).then_some(second),
            corner_radius: dice.range(5.0, 40.0),
            bevel_width: dice.range(2.0, 7.0),
            bevel_gain: dice.range(-0.25, 0.40),
            belt: dice.range(14.0, 40.0),
        }
    }

    /// Pixels from the outline, positive on the part.
    pub(super) fn distance(&self, x: f32, y: f32) -> f32 {
        let first = self.side.distance(x, y);
        let Some(other) = &self.other else { return first };
        let (second, r) = (other.distance(x, y), self.corner_radius);
        if first < r && second < r {
            r - ((r - first).powi(2) + (r - second).powi(2)).sqrt()
        } else {
            first.min(second)
        }
    }

    /// Draws belt, shadow and bevel over one row of the part. `light` and `texture` (deviations) are the row's own.
    pub(super) fn apply(&self, y: usize, light: &[f32], texture: &[f32], luma: &mut [f32]) {
        let y = y as f32;
        // Distance to a convex outline is smallest at a row's ends: most rows need no work.
        let nearest = self.distance(0.0, y).min(self.distance(luma.len() as f32 - 1.0, y));
        if nearest > self.bevel_width + 1.0 {
            return;
        }
        for (x, value) in luma.iter_mut().enumerate() {
            let d = self.distance(x as f32, y);
            if d > self.bevel_width {
                continue;
            }
            let bevel = self.bevel_gain * (1.0 - d.max(0.0) / self.bevel_width);
            let shadow = 0.55 + 0.45 * (-d / 16.0).clamp(0.0, 1.0);
            let belt = light[x] * (self.belt * shadow + 1.6 * texture[x]);
            let cover = (d + 0.5).clamp(0.0, 1.0);
            *value = belt + cover * (*value * (1.0 + bevel) - belt);
        }
    }

    /// The belt's grey level near the outline, under even light.
    pub(super) fn belt_in_shadow(&self) -> f32 {
        0.6 * self.belt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::synthetic::random::{Purpose, Stream};

    #[test]
    fn the_middle_of_the_frame_is_always_on_the_part() {
        for index in 0..200 {
            let mut dice = Dice::new(Stream::Line, 3, Purpose::Scene, index);
            let edge = Edge::draw(&mut dice, 512, 512);
            let d = edge.distance(256.0, 256.0);
            assert!(d > 512.0 * 0.25, "outline {d} px from the middle");
            assert!(edge.distance(256.0, 256.0) <= 256.0 * 0.9, "and the frame shows the belt");
        }
    }
}
