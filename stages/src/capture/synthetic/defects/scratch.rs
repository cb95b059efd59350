//! A scratch: something hard slid over the part. One smooth line, thin at its ends, with a raised lip on one side.

use std::f32::consts::PI;

use super::{Site, direction};
use crate::capture::synthetic::bands::Sizes;
use crate::capture::synthetic::random::Dice;
use crate::capture::synthetic::stamp::{BESIDE, Stamp};

const PIECES: usize = 20;

pub(super) fn draw(site: &Site<'_>, sizes: Sizes, dice: &mut Dice, stamp: &mut Stamp) {
    let angle = angle_across_grain(site.grain, dice);
    let (along, across) = (direction(angle), direction(angle + PI / 2.0));
    let half = site.extent / 2.0;
    let bend = dice.range(-0.09, 0.09) * site.extent;
    let radius = dice.within(sizes.width) / 2.0;
    let sign = site.bright_or_dark(0.55, dice);
    stamp.open_around(site.centre, half + 8.0, site.frame);

    let point = |t: f32, aside: f32| {
        let s = aside + bend * (1.0 - t * t);
        [site.centre[0] + half * t * along[0] + s * across[0], site.centre[1] + half * t * along[1] + s * across[1]]
    };
    // Pressure comes and goes: the line is full in the middle and runs out at both ends.
    let radius_at = |t: f32| radius * (0.45 + 0.55 * (1.0 - t.abs().powi(3)));
    let lip_side = dice.sign() * (radius + 1.2);
    for (aside, cover, value) in [(lip_side, BESIDE, -0.45 * sign), (0.0, 1.0, sign)] {
        for k in 0..PIECES {
            let t = [k, k + 1].map(|k| 2.0 * k as f32 / PIECES as f32 - 1.0);
            let radii = t.map(|t| if aside == 0.0 { radius_at(t) } else { 0.7 * radius_at(t) });
            stamp.line([point(t[0], aside), point(t[1], aside)], radii, cover, site.grey(value));
        }
    }
}

/// Any direction, but at least 20 degrees off a surface's own lines: along them nobody could tell a scratch from the finish.
fn angle_across_grain(grain: Option<f32>, dice: &mut Dice) -> f32 {
    match grain {
        Some(grain) => grain + dice.range(PI / 9.0, PI * 8.0 / 9.0),
        None => dice.angle(),
    }
}
