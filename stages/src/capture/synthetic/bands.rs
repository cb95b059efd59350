//! Severity bands and sizes, fixed in `bands.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::defects::Defect;
use super::random::Dice;

/// The file beside this one, compiled in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bands {
    /// Mildest first.
    #[serde(rename = "band")]
    bands: Vec<Band>,
    size: BTreeMap<Defect, Sizes>,
}

/// A range of severities.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// As reports print it.
    pub name: String,
    /// Contrast-to-noise ratio: from, to.
    pub cnr: [f32; 2],
    /// Weight among the bands.
    pub share: f32,
}

/// How large defects of one class are, in pixels.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sizes {
    /// Longest way across.
    pub(super) extent: [f32; 2],
    /// Thickness of a line, radius of a pit or speck.
    pub(super) width: [f32; 2],
    /// How many pits, specks, branches.
    pub(super) count: [u32; 2],
}

static BANDS: LazyLock<Bands> =
    LazyLock::new(|| toml::from_str(include_str!("bands.toml")).expect("bands.toml is compiled in and read by a test"));

impl Bands {
    /// The bands that this program was built with.
    pub fn get() -> &'static Bands {
        &BANDS
    }

    /// Mildest first.
    pub fn all(&self) -> &[Band] {
        &self.bands
    }

    /// The band that a severity belongs to: the last whose lower end it reaches, so that none is ever left out.
    pub fn of(&self, cnr: f32) -> &Band {
        self.bands.iter().rev().find(|band| cnr >= band.cnr[0]).unwrap_or(&self.bands[0])
    }

    pub(super) fn draw(&self, dice: &mut Dice) -> f32 {
        let total: f32 = self.bands.iter().map(|band| band.share).sum();
        let mut left = dice.unit() * total;
        let band = self.bands.iter().find(|band| {
            left -= band.share;
            left < 0.0
        });
        dice.within(band.unwrap_or(&self.bands[0]).cnr)
    }

    pub(super) fn sizes(&self, defect: Defect) -> Sizes {
        self.size[&defect]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_covers_every_defect_with_bands_in_order() {
        let bands = Bands::get();
        for defect in Defect::ALL {
            let sizes = bands.sizes(defect);
            assert!(sizes.extent[0] > 0.0 && sizes.extent[0] <= sizes.extent[1], "{defect:?}");
            assert!(sizes.width[0] <= sizes.width[1] && sizes.count[0] <= sizes.count[1], "{defect:?}");
        }
        for pair in bands.all().windows(2) {
            assert_eq!(pair[0].cnr[1], pair[1].cnr[0], "no gap between bands");
        }
        assert!(bands.all().iter().any(|band| band.cnr[0] == 3.0), "acceptance splits at CNR 3");
    }

    #[test]
    fn every_severity_has_a_band() {
        let bands = Bands::get();
        for (cnr, name) in [(0.2, "1.5-2"), (1.5, "1.5-2"), (2.0, "2-3"), (3.0, "3-5"), (7.99, "5-8"), (40.0, "8+")] {
            assert_eq!(bands.of(cnr).name, name, "CNR {cnr}");
        }
    }
}
