//! The nine classes of defects, one file each. A class draws into a [`Stamp`]; how strong it comes out is decided by the
//! contrast-to-noise ratio that was asked for, not by the class.

mod blob;
mod contamination;
mod crack;
mod dent;
mod discolouration;
pub(super) mod edge_chip;
mod inclusion;
mod pit;
mod scratch;
mod stain;

use serde::{Deserialize, Serialize};

use super::bands::Sizes;
use super::edge::Edge;
use super::random::Dice;
use super::stamp::Stamp;

/// A class of defects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// A long thin line, bright or dark, with a raised lip.
    Scratch,
    /// Small round dark craters, often several.
    Pit,
    /// A jagged dark line that branches.
    Crack,
    /// An irregular dark blotch with a soft outline.
    Stain,
    /// An angular speck of another material with sharp facets.
    Inclusion,
    /// A smooth hollow: one side dark, one side bright.
    Dent,
    /// Material missing at the part's outline.
    EdgeChip,
    /// A region of another hue, as heat leaves it; as bright as its surroundings.
    Discolouration,
    /// Something that lies on the part: a fibre, dust, droplets.
    Contamination,
}

impl Defect {
    /// All of them, in the order of the labels.
    pub const ALL: [Defect; 9] = [
        Defect::Scratch,
        Defect::Pit,
        Defect::Crack,
        Defect::Stain,
        Defect::Inclusion,
        Defect::Dent,
        Defect::EdgeChip,
        Defect::Discolouration,
        Defect::Contamination,
    ];

    /// Index of its label in [`LABELS`](super::LABELS); 0 is `good`.
    pub fn label_index(self) -> usize {
        self as usize + 1
    }

    /// Its label.
    pub fn label(self) -> &'static str {
        super::LABELS[self.label_index()]
    }

    /// Draws the shape. The stamp is opened here.
    pub(super) fn draw(self, site: &Site<'_>, sizes: Sizes, dice: &mut Dice, stamp: &mut Stamp) {
        match self {
            Defect::Scratch => scratch::draw(site, sizes, dice, stamp),
            Defect::Pit => pit::draw(site, sizes, dice, stamp),
            Defect::Crack => crack::draw(site, sizes, dice, stamp),
            Defect::Stain => stain::draw(site, dice, stamp),
            Defect::Inclusion => inclusion::draw(site, dice, stamp),
            Defect::Dent => dent::draw(site, dice, stamp),
            Defect::EdgeChip => edge_chip::draw(site, dice, stamp),
            Defect::Discolouration => discolouration::draw(site, dice, stamp),
            Defect::Contamination => contamination::draw(site, sizes, dice, stamp),
        }
    }
}

/// Where a defect is drawn, and on what.
pub(super) struct Site<'a> {
    /// Its middle, pixels.
    pub(super) centre: [f32; 2],
    /// Longest way across, pixels.
    pub(super) extent: f32,
    /// Frame size, pixels.
    pub(super) frame: [usize; 2],
    /// Colour of the part: a grey level of difference is drawn in it.
    pub(super) tint: [f32; 3],
    /// Unit vector towards the lamp.
    pub(super) light_from: [f32; 2],
    /// Direction of the surface's lines, radians, where it has any.
    pub(super) grain: Option<f32>,
    /// The part's outline, where it shows.
    pub(super) edge: Option<&'a Edge>,
    /// The clean part, one grey level a pixel, `frame[0]` a row.
    pub(super) luma: &'a [f32],
}

impl Site<'_> {
    /// A grey difference in the part's own colour.
    fn grey(&self, value: f32) -> [f32; 3] {
        self.tint.map(|t| t * value)
    }

    /// 1 for brighter than the part, -1 for darker. Where the part itself is bright there is no room above it, and below a dark one none.
    fn bright_or_dark(&self, bright: f32, dice: &mut Dice) -> f32 {
        let [x, y] = self.centre.map(|c| c as usize);
        let luma = self.luma[y.min(self.frame[1] - 1) * self.frame[0] + x.min(self.frame[0] - 1)];
        let wants_bright = dice.chance(bright);
        if (wants_bright && luma < 165.0) || luma < 70.0 { 1.0 } else { -1.0 }
    }

    fn around(&self, offset: [f32; 2], reach: f32) -> [f32; 4] {
        let (x, y) = (self.centre[0] + offset[0], self.centre[1] + offset[1]);
        [x - reach, y - reach, x + reach, y + reach]
    }
}

fn dot(a: [f32; 2], b: [f32; 2]) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

fn direction(angle: f32) -> [f32; 2] {
    [angle.cos(), angle.sin()]
}
