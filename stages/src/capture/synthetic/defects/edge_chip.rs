//! A chip: a piece has broken off the outline. The belt shows through, with a facet of fresh fracture along the bite.
//!
//! A strong chip goes right through; a weak one is shallow and only darkens towards the belt.

use super::Site;
use super::blob::Blob;
use crate::capture::synthetic::random::Dice;
use crate::capture::synthetic::stamp::{Stamp, smoothstep};

/// Strength at which the piece is wholly gone.
pub(in crate::capture::synthetic) const GONE: f32 = 100.0;

pub(super) fn draw(site: &Site<'_>, dice: &mut Dice, stamp: &mut Stamp) {
    let outline = Blob::draw(dice, site.extent / 2.0, [2, 11], 0.10);
    let reach = outline.reach() + 3.0;
    stamp.open_around(site.centre, reach, site.frame);
    let Some(edge) = site.edge else { return };
    let facet_share = dice.range(0.70, 0.84);
    let facet_gain = if dice.chance(0.6) { dice.range(1.1, 1.3) } else { dice.range(0.55, 0.75) };
    let belt = edge.belt_in_shadow();
    stamp.paint(site.around([0.0; 2], reach), |x, y| {
        let share = outline.share(x - site.centre[0], y - site.centre[1]);
        let cover = ((1.0 - share) * site.extent / 2.0 + 0.5).clamp(0.0, 1.0);
        if cover <= 0.0 {
            return None;
        }
        let luma = site.luma[y as usize * site.frame[0] + x as usize];
        let facet = smoothstep(facet_share - 0.03, facet_share + 0.03, share);
        let target = belt + facet * (luma * facet_gain - belt);
        Some((cover, site.grey((target - luma) * cover / GONE)))
    });
}
