//! Pits: small round craters, alone or in a group. The wall towards the lamp lies in shadow, the far rim shines.

use super::blob::Blob;
use super::{Site, direction, dot};
use crate::capture::synthetic::bands::Sizes;
use crate::capture::synthetic::random::Dice;
use crate::capture::synthetic::stamp::{BESIDE, Stamp};

pub(super) fn draw(site: &Site<'_>, sizes: Sizes, dice: &mut Dice, stamp: &mut Stamp) {
    let spread = (site.extent / 2.0 - sizes.width[1]).max(0.0);
    stamp.open_around(site.centre, spread + sizes.width[1] + 6.0, site.frame);
    for k in 0..dice.count(sizes.count) {
        // The first lies in the middle, so that the group is where it was placed.
        let away = if k == 0 { 0.0 } else { spread * dice.unit().sqrt() };
        let offset = direction(dice.angle()).map(|c| c * away);
        let radius = dice.within(sizes.width);
        crater(site, offset, radius, dice, stamp);
    }
}

fn crater(site: &Site<'_>, offset: [f32; 2], radius: f32, dice: &mut Dice, stamp: &mut Stamp) {
    let outline = Blob::draw(dice, radius, [2, 4], 0.06);
    let centre = [site.centre[0] + offset[0], site.centre[1] + offset[1]];
    stamp.paint(site.around(offset, 1.3 * radius + 3.0), |x, y| {
        let p = [x - centre[0], y - centre[1]];
        let share = outline.share(p[0], p[1]);
        let towards_lamp = dot(p, site.light_from) / radius;
        let inside = ((1.0 - share) * radius + 0.5).clamp(0.0, 1.0);
        if inside > 0.0 {
            let depth = 0.85 + 0.35 * towards_lamp.clamp(-1.0, 1.0);
            Some((inside.max(0.01), site.grey(-depth * inside)))
        } else if share < 1.0 + 2.4 / radius {
            Some((BESIDE, site.grey(0.7 * (-towards_lamp).max(0.0))))
        } else {
            None
        }
    });
}
