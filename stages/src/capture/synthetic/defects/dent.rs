//! A dent: a smooth hollow. Material and colour are untouched; only the slopes catch the light: dark towards the lamp, bright
//! away from it (the derivative of a Gaussian along the light).

use super::{Site, direction, dot};
use crate::capture::synthetic::random::Dice;
use crate::capture::synthetic::stamp::Stamp;

pub(super) fn draw(site: &Site<'_>, dice: &mut Dice, stamp: &mut Stamp) {
    let reach = site.extent / 2.0;
    stamp.open_around(site.centre, reach, site.frame);
    let deviation = reach / 2.1;
    let (long, squeeze) = (direction(dice.angle()), dice.range(1.0, 1.5));
    let glint_place = direction(dice.angle()).map(|c| c * 0.15 * deviation);
    stamp.paint(site.around([0.0; 2], reach), |x, y| {
        let p = [x - site.centre[0], y - site.centre[1]];
        let (along, across) = (dot(p, long), p[0] * long[1] - p[1] * long[0]);
        let distance = along.hypot(across * squeeze) / deviation;
        let bell = (-0.5 * distance * distance).exp();
        // e^(1/2) brings the steepest slope, at one deviation, to 1.
        let away_from_lamp = -dot(p, site.light_from) / deviation;
        let slope = 1.65 * away_from_lamp * bell;
        let glint = [
            p[0] + glint_place[0] + 0.8 * deviation * site.light_from[0],
            p[1] + glint_place[1] + 0.8 * deviation * site.light_from[1],
        ];
        let shine = 0.35 * (-(glint[0].powi(2) + glint[1].powi(2)) / (0.18 * deviation * deviation)).exp();
        let cover = (-distance * distance / 3.2).exp();
        (cover > 0.02).then(|| (cover, site.grey(slope + shine)))
    });
}
