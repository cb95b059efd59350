//! A dent: a smooth hollow. Material and colour are untouched; only the slopes catch the light: dark towards the lamp, bright
//! away from it (the derivative of a Gaussian along the light).

use super::{Site, direction, dot};
use crate::capture::synthetic::random::Dice;
use crate::capture::synthetic::stamp::Stamp;

pub(super) fn draw(site: &Site<'_>, dice: &mut Dice, stamp: &mut Stamp) {
    let reach = site.extent / 2.0;
    stamp.open_around(site.centre, reach, site.frame);
    let deviation = reach / 2.3;
    let (long, squeeze) = (direction(dice.angle()), dice.range(1.0, 1.5));
    // The far slope mirrors the lamp in one spot.
    let glint = site.light_from.map(|c| -0.8 * deviation * c);
    stamp.paint(site.around([0.0; 2], reach), |x, y| {
        let p = [x - site.centre[0], y - site.centre[1]];
        let (along, across) = (dot(p, long), p[0] * long[1] - p[1] * long[0]);
        let distance = along.hypot(across * squeeze) / deviation;
        // A bell that has run out at the border of the box.
        let end = (1.0 - dot(p, p) / (reach * reach)).max(0.0);
        let bell = (-0.5 * distance * distance).exp() * end.sqrt();
        // e^(1/2) brings the steepest slope, at one deviation, to 1.
        let slope = -1.65 * dot(p, site.light_from) / deviation * bell;
        let shine =
            0.3 * (-((p[0] - glint[0]).powi(2) + (p[1] - glint[1]).powi(2)) / (0.18 * deviation * deviation)).exp();
        let cover = (-distance * distance / 2.4).exp();
        (end > 0.0).then(|| (cover, site.grey(slope + shine * end)))
    });
}
