//! Contamination: something that does not belong to the part lies on it and throws a shadow: a curly fibre, dust, droplets.

use super::blob::Blob;
use super::{Site, direction, dot};
use crate::capture::synthetic::bands::Sizes;
use crate::capture::synthetic::random::Dice;
use crate::capture::synthetic::stamp::{BESIDE, Stamp, smoothstep};

/// Pixels between corner points of a fibre.
const STEP: f32 = 4.0;

pub(super) fn draw(site: &Site<'_>, sizes: Sizes, dice: &mut Dice, stamp: &mut Stamp) {
    stamp.open_around(site.centre, site.extent / 2.0 + 12.0, site.frame);
    match dice.below(3) {
        0 => fibre(site, sizes, dice, stamp),
        1 => dust(site, sizes, dice, stamp),
        _ => droplets(site, dice, stamp),
    }
}

fn shadow_offset(site: &Site<'_>, pixels: f32) -> [f32; 2] {
    site.light_from.map(|c| -c * pixels)
}

/// A thread that curls: its curvature, not its heading, wanders.
fn fibre(site: &Site<'_>, sizes: Sizes, dice: &mut Dice, stamp: &mut Stamp) {
    let radius = dice.within(sizes.width) / 2.0;
    let sign = site.bright_or_dark(0.5, dice);
    let lint = [dice.range(0.7, 1.2), 1.0, dice.range(0.7, 1.3)];
    let thread: [f32; 3] = std::array::from_fn(|c| sign * site.grey(1.0)[c] * lint[c]);
    let shadow = shadow_offset(site, dice.range(3.0, 4.5));
    let reach = site.extent / 2.0;
    let (mut heading, mut curl) = (dice.angle(), dice.sign() * dice.range(0.12, 0.3));
    let start = direction(heading).map(|c| -0.5 * reach * c);
    let mut at = [site.centre[0] + start[0], site.centre[1] + start[1]];
    let pieces = (1.9 * site.extent / STEP) as usize;
    for _ in 0..pieces {
        curl = (curl + 0.09 * dice.normal()).clamp(-0.42, 0.42);
        heading += curl;
        let from_centre = [at[0] - site.centre[0], at[1] - site.centre[1]];
        if dot(from_centre, direction(heading)) > 0.0 && from_centre[0].hypot(from_centre[1]) > 0.7 * reach {
            // Turn back towards the middle rather than leave the box.
            heading += 0.35 * curl.signum();
        }
        let ahead = direction(heading);
        let next = [at[0] + STEP * ahead[0], at[1] + STEP * ahead[1]];
        let moved = |p: [f32; 2]| [p[0] + shadow[0], p[1] + shadow[1]];
        stamp.line([moved(at), moved(next)], [radius; 2], BESIDE, site.grey(-0.5));
        stamp.line([at, next], [radius; 2], 1.0, thread);
        at = next;
    }
}

/// Bright crumbs of no particular shape, each with its shadow.
fn dust(site: &Site<'_>, sizes: Sizes, dice: &mut Dice, stamp: &mut Stamp) {
    let reach = (site.extent / 2.0).min(36.0);
    for _ in 0..dice.count(sizes.count) {
        let offset = direction(dice.angle()).map(|c| c * reach * dice.unit().sqrt());
        let radius = dice.within(sizes.width);
        let crumb = Blob::draw(dice, radius, [2, 5], 0.16);
        let centre = [site.centre[0] + offset[0], site.centre[1] + offset[1]];
        let shadow = shadow_offset(site, radius + 0.8);
        let bright = dice.range(0.8, 1.2);
        stamp.paint(site.around(offset, 2.0 * radius + 4.0), |x, y| {
            let inside = |dx: f32, dy: f32| ((1.0 - crumb.share(dx, dy)) * radius + 0.5).clamp(0.0, 1.0);
            let (dx, dy) = (x - centre[0], y - centre[1]);
            let cover = inside(dx, dy);
            if cover > BESIDE {
                return Some((cover, site.grey(bright * cover)));
            }
            let dark = inside(dx - shadow[0], dy - shadow[1]);
            (dark > 0.0).then(|| (BESIDE * dark, site.grey(-0.55 * dark)))
        });
    }
}

/// Lenses of liquid: a dark rim, a bright crescent where the light gathers, a glint where it comes in.
fn droplets(site: &Site<'_>, dice: &mut Dice, stamp: &mut Stamp) {
    let reach = site.extent / 2.0;
    for k in 0..1 + dice.below(3) {
        let radius = dice.range(0.20, 0.38) * site.extent.min(60.0);
        let away = if k == 0 { 0.0 } else { (reach - radius).max(0.0) * dice.range(0.5, 1.0) };
        let offset = direction(dice.angle()).map(|c| c * away);
        let outline = Blob::draw(dice, radius, [2, 3], 0.06);
        let centre = [site.centre[0] + offset[0], site.centre[1] + offset[1]];
        stamp.paint(site.around(offset, 1.3 * radius + 4.0), |x, y| {
            let p = [x - centre[0], y - centre[1]];
            let share = outline.share(p[0], p[1]);
            let cover = ((1.0 - share) * radius + 0.5).clamp(0.0, 1.0);
            let from_lamp = -dot(p, site.light_from) / radius;
            if cover <= 0.0 {
                let shadow = smoothstep(1.0 + 4.0 / radius, 1.0, share) * from_lamp.max(0.0);
                return (shadow > 0.02).then(|| (BESIDE * shadow, site.grey(-0.6 * shadow)));
            }
            let rim = -0.9 * smoothstep(0.72, 0.95, share);
            let gathered = 0.9 * smoothstep(0.35, 0.8, from_lamp) * smoothstep(0.98, 0.8, share);
            let glint_at = [p[0] - 0.45 * radius * site.light_from[0], p[1] - 0.45 * radius * site.light_from[1]];
            let glint = 1.5 * smoothstep(0.26 * radius, 0.14 * radius, glint_at[0].hypot(glint_at[1]));
            Some((cover, site.grey((rim + gathered + glint - 0.22) * cover)))
        });
    }
}
