//! A stain: a liquid has dried. A dark blotch of irregular outline, cloudy inside, sometimes with a tide mark.

use super::Site;
use super::blob::Blob;
use crate::capture::synthetic::random::Dice;
use crate::capture::synthetic::stamp::{Stamp, smoothstep};

pub(super) fn draw(site: &Site<'_>, dice: &mut Dice, stamp: &mut Stamp) {
    let outline = Blob::draw(dice, site.extent / 2.4, [2, 9], 0.13);
    let reach = 1.35 * outline.reach();
    stamp.open_around(site.centre, reach, site.frame);
    // Oil and coolant take blue first.
    let brown = dice.range(0.0, 0.35);
    let colour = [1.0 - brown, 1.0, 1.0 + brown];
    let softness = dice.range(0.25, 0.5);
    let tide_mark = if dice.chance(0.4) { dice.range(0.3, 0.7) } else { 0.0 };
    let clouds: [[f32; 3]; 3] =
        std::array::from_fn(|_| [dice.range(-0.12, 0.12), dice.range(-0.12, 0.12), dice.angle()]);
    stamp.paint(site.around([0.0; 2], reach), |x, y| {
        let (dx, dy) = (x - site.centre[0], y - site.centre[1]);
        // The outline follows the clouds: drying liquid creeps along the surface.
        let creep: [f32; 2] =
            std::array::from_fn(|k| 4.0 * (clouds[k][0] * dx + clouds[k][1] * dy + clouds[2][2]).sin());
        let share = outline.share(dx + creep[0], dy + creep[1]);
        let cover = smoothstep(1.0 + softness / 2.0, 1.0 - softness, share);
        if cover <= 0.0 {
            return None;
        }
        let cloud: f32 = clouds.iter().map(|[u, v, phase]| (u * dx + v * dy + phase).sin()).sum();
        let rim = tide_mark * (-((share - 0.85) / 0.10).powi(2)).exp();
        let depth = cover * (0.8 + 0.12 * cloud + rim);
        let grey = site.grey(-depth);
        Some((cover, std::array::from_fn(|c| grey[c] * colour[c])))
    });
}
