//! An inclusion: a grain of another material in the surface. Angular, flat facets, sharp edges, a dark gap on one side.

use std::f32::consts::TAU;

use super::{Site, direction, dot};
use crate::capture::synthetic::random::Dice;
use crate::capture::synthetic::stamp::{BESIDE, Stamp};

const MAX_CORNERS: usize = 7;

pub(super) fn draw(site: &Site<'_>, dice: &mut Dice, stamp: &mut Stamp) {
    let radius = site.extent / 2.0;
    stamp.open_around(site.centre, radius + 4.0, site.frame);
    let corners = 4 + dice.below(MAX_CORNERS - 3);
    let (turn, stretch, stretch_along) = (dice.angle(), dice.range(0.6, 1.0), direction(dice.angle()));
    let sign = site.bright_or_dark(0.6, dice);
    let mut angles = [0.0; MAX_CORNERS];
    let mut points = [[0.0; 2]; MAX_CORNERS];
    let mut facets = [0.0; MAX_CORNERS];
    for k in 0..corners {
        angles[k] = (k as f32 + dice.range(-0.3, 0.3)) * TAU / corners as f32;
        let corner = direction(angles[k] + turn).map(|c| c * radius * dice.range(0.72, 1.0));
        // Flattened across one direction: grains are seldom as wide as long.
        let squeeze = (1.0 - stretch) * dot(corner, stretch_along);
        points[k] = [corner[0] - squeeze * stretch_along[0], corner[1] - squeeze * stretch_along[1]];
        facets[k] = sign * dice.range(0.72, 1.1);
    }
    let points = &points[..corners];
    stamp.paint(site.around([0.0; 2], radius + 3.0), |x, y| {
        let p = [x - site.centre[0], y - site.centre[1]];
        let (facet, inside) = nearest_side(points, p);
        let cover = (inside + 0.5).clamp(0.0, 1.0);
        if cover > 0.0 {
            Some((cover, site.grey(facets[facet] * cover)))
        } else if inside > -2.0 && dot(p, site.light_from) < 0.0 {
            Some((BESIDE, site.grey(-0.6)))
        } else {
            None
        }
    });
}

/// The side of the polygon in the direction of `p`, and how far inside of it `p` lies. Corners go round the origin.
fn nearest_side(points: &[[f32; 2]], p: [f32; 2]) -> (usize, f32) {
    let cross = |a: [f32; 2], b: [f32; 2]| a[0] * b[1] - a[1] * b[0];
    for (k, &a) in points.iter().enumerate() {
        let b = points[(k + 1) % points.len()];
        if cross(a, p) >= 0.0 && cross(p, b) >= 0.0 && cross(a, b) > 0.0 {
            let side = [b[0] - a[0], b[1] - a[1]];
            return (k, cross(side, [p[0] - a[0], p[1] - a[1]]) / side[0].hypot(side[1]).max(1e-6));
        }
    }
    (0, f32::NEG_INFINITY)
}
