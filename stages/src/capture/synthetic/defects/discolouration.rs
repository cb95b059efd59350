//! A discolouration: an oxide film or heat has changed the hue. As bright as its surroundings: every colour here has luma 0.

use super::Site;
use super::blob::Blob;
use crate::capture::synthetic::random::Dice;
use crate::capture::synthetic::stamp::{Stamp, smoothstep};

/// Red, green, blue with `0.299 r + 0.587 g + 0.114 b = 0`: straw, brown, purple, blue, as steel runs through them when heated.
const HEAT: [[f32; 3]; 4] = [[0.45, 0.10, -1.70], [0.90, -0.35, -0.56], [0.55, -0.50, 1.13], [-0.80, 0.20, 1.07]];

/// A green film.
const VERDIGRIS: [f32; 3] = [-0.95, 0.45, 0.17];

pub(super) fn draw(site: &Site<'_>, dice: &mut Dice, stamp: &mut Stamp) {
    let outline = Blob::draw(dice, site.extent / 2.2, [2, 5], 0.11);
    let reach = 1.3 * outline.reach();
    stamp.open_around(site.centre, reach, site.frame);
    // One hue throughout, or the rings of a hot spot: blue in the middle, straw outside.
    let rings = dice.chance(0.3);
    let hue = if dice.chance(0.25) { VERDIGRIS } else { HEAT[dice.below(4)] };
    let softness = dice.range(0.4, 0.8);
    stamp.paint(site.around([0.0; 2], reach), |x, y| {
        let share = outline.share(x - site.centre[0], y - site.centre[1]);
        let cover = smoothstep(1.0 + softness / 2.0, 1.0 - softness / 2.0, share);
        let colour = if rings { heat(share) } else { hue };
        (cover > 0.0).then(|| (cover, colour.map(|c| c * cover)))
    });
}

/// Colour of a hot spot at a share of its radius.
fn heat(share: f32) -> [f32; 3] {
    let place = (1.0 - share).clamp(0.0, 1.0) * (HEAT.len() - 1) as f32;
    let (k, part) = ((place as usize).min(HEAT.len() - 2), place.fract());
    std::array::from_fn(|c| HEAT[k][c] + part * (HEAT[k + 1][c] - HEAT[k][c]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_change_the_hue_only() {
        for colour in HEAT.iter().chain([&VERDIGRIS]) {
            let luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2];
            assert!(luma.abs() < 0.01, "{colour:?} has luma {luma}");
        }
    }
}
