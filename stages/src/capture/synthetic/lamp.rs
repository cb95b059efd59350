//! Which light a camera of the simulated line stands under: what one shows another hides.

use serde::{Deserialize, Serialize};

use super::defects::Defect;

/// The light on a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lamp {
    /// From everywhere: every defect shows.
    #[default]
    Diffuse,
    /// Along the camera's axis: the surface is bright, colour and stains show; scratches, pits and dents drown in the glare.
    BrightField,
    /// From the side: the surface is nearly black, whatever has edges or relief glows; stains and hues have neither.
    DarkField,
}

impl Lamp {
    /// All of them.
    pub const ALL: [Lamp; 3] = [Lamp::Diffuse, Lamp::BrightField, Lamp::DarkField];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Lamp::Diffuse => "diffuse",
            Lamp::BrightField => "bright_field",
            Lamp::DarkField => "dark_field",
        }
    }

    /// Whether a class of defects can be seen under it.
    pub fn shows(self, defect: Defect) -> bool {
        match self {
            Lamp::Diffuse => true,
            Lamp::BrightField => !matches!(defect, Defect::Scratch | Defect::Pit | Defect::Dent),
            Lamp::DarkField => !matches!(defect, Defect::Stain | Defect::Discolouration),
        }
    }

    /// How much of the light comes up to the camera, and how strong texture is in it.
    pub(super) fn surface(self) -> [f32; 2] {
        match self {
            Lamp::Diffuse | Lamp::BrightField => [1.0, 1.0],
            // Texture is relief, too: it glimmers.
            Lamp::DarkField => [0.16, 2.5],
        }
    }

    /// Makes each camera's noise its own.
    pub(super) fn salt(self) -> u64 {
        (self as u64) << 40
    }
}
