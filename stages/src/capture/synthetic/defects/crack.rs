//! A crack: the material has parted. A dark line that kinks at every grain, tapers and branches.

use super::{Site, direction};
use crate::capture::synthetic::bands::Sizes;
use crate::capture::synthetic::random::Dice;
use crate::capture::synthetic::stamp::Stamp;

/// Longest path: extent over the shortest step, with room.
const MAX_NODES: usize = 48;

/// A branch in the making.
#[derive(Clone, Copy)]
struct Start {
    at: [f32; 2],
    heading: f32,
    length: f32,
    radius: f32,
}

/// Corner points of a path and the heading at each.
struct Path {
    nodes: [([f32; 2], f32); MAX_NODES],
    len: usize,
}

pub(super) fn draw(site: &Site<'_>, sizes: Sizes, dice: &mut Dice, stamp: &mut Stamp) {
    let heading = dice.angle();
    let ahead = direction(heading);
    let half = site.extent / 2.0;
    stamp.open_around(site.centre, half + 24.0, site.frame);
    let radius = dice.within(sizes.width) / 2.0;
    let at = [site.centre[0] - half * ahead[0], site.centre[1] - half * ahead[1]];
    let trunk = walk(site, Start { at, heading, length: site.extent, radius }, dice, stamp);
    let mut side = dice.sign();
    for _ in 0..dice.count(sizes.count) {
        let (at, heading) = trunk.nodes[(dice.range(0.12, 0.8) * trunk.len as f32) as usize];
        side = -side;
        let branch = Start {
            at,
            heading: heading + side * dice.range(0.5, 1.1),
            length: site.extent * dice.range(0.18, 0.42),
            radius: 0.75 * radius,
        };
        walk(site, branch, dice, stamp);
    }
}

fn walk(site: &Site<'_>, start: Start, dice: &mut Dice, stamp: &mut Stamp) -> Path {
    let mut path = Path { nodes: [(start.at, start.heading); MAX_NODES], len: 1 };
    let (mut at, mut gone, mut kink) = (start.at, 0.0, dice.sign());
    while gone < start.length && path.len < MAX_NODES {
        // Kinks alternate more often than not: a crack zigzags around its course.
        kink = if dice.chance(0.75) { -kink } else { kink };
        let heading = start.heading + kink * dice.range(0.25, 0.95);
        let step = dice.range(5.0, 12.0);
        let ahead = direction(heading);
        let next = [at[0] + step * ahead[0], at[1] + step * ahead[1]];
        let thin = |gone: f32| start.radius * (1.0 - 0.55 * (gone / start.length).min(1.0));
        let radii = [thin(gone), thin(gone + step)];
        stamp.line([at, next], radii, 1.0, site.grey(-dice.range(0.8, 1.1)));
        (at, gone) = (next, gone + step);
        path.nodes[path.len] = (at, start.heading);
        path.len += 1;
    }
    path
}
