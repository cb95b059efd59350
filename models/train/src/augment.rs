//! Random changes that leave the label true. On pixels, before [`models::preprocess`], so that what the network sees has gone through
//! the same code as on the line.
//!
//! Which changes leave a label true depends on the product, so they are data: a preset ([`Augment::preset`]) or a file
//! ([`Augment::from_toml`]). A part that always lies the same way must not be mirrored if a mirrored part is a wrong part.

mod geometry;
mod pixels;

use models::image::Image;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use self::geometry::Map;
use crate::error::TrainError;
use crate::samples::Sample;

/// How far the random changes may go. Zero (or `false`) switches a change off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Largest rotation either way, degrees; 180 for any angle.
    pub rotation_deg: f32,
    /// Largest zoom either way, as a share: 0.15 gives 1/1.15 to 1.15.
    pub zoom: f32,
    /// Largest shift either way, as a share of the side.
    pub translation: f32,
    /// Largest tilt of the camera either way: by how much, as a share, one edge may come out larger than the opposite one.
    pub perspective: f32,
    /// Largest change of contrast either way, as a share.
    pub contrast: f32,
    /// Largest change of brightness either way, as a share of the range.
    pub brightness: f32,
    /// Largest blur: standard deviation of the Gaussian, in pixels of the network's input.
    pub blur_px: f32,
    /// Largest noise: standard deviation, as a share of the range.
    pub noise: f32,
    /// Largest side of a hole filled with the picture's mean, as a share of the picture's side. A hole never covers a defect whose
    /// place is known; where it is not known a hole may, so that this is off unless asked for.
    pub cutout: f32,
    /// Mirror left and right.
    pub flip_horizontal: bool,
    /// Mirror top and bottom.
    pub flip_vertical: bool,
}

/// The presets, with what each means.
pub const PRESETS: [(&str, &str); 5] = [
    ("standard", "turned a little, mirrored, a little nearer or brighter: a part that may lie either way round"),
    ("any-orientation", "turned by any angle and mirrored as well"),
    ("fixed-pose", "always lies the same way and has a left and a right: moved by a few pixels, never mirrored"),
    (
        "views",
        "changed so much that two of a picture are told to be the same by what matters: for learning without labels",
    ),
    ("none", "pictures as they are"),
];

impl Default for Augment {
    fn default() -> Self {
        Augment {
            rotation_deg: 15.0,
            zoom: 0.15,
            translation: 0.08,
            contrast: 0.2,
            brightness: 0.08,
            flip_horizontal: true,
            flip_vertical: true,
            ..Augment::none()
        }
    }
}

impl Augment {
    /// No change at all.
    pub fn none() -> Augment {
        Augment {
            rotation_deg: 0.0,
            zoom: 0.0,
            translation: 0.0,
            perspective: 0.0,
            contrast: 0.0,
            brightness: 0.0,
            blur_px: 0.0,
            noise: 0.0,
            cutout: 0.0,
            flip_horizontal: false,
            flip_vertical: false,
        }
    }

    /// Flips alone: for drawn samples, which already vary in all else.
    pub fn flips() -> Augment {
        Augment { flip_horizontal: true, flip_vertical: true, ..Augment::none() }
    }

    /// Two views of a picture that shall be known as the same (see [`crate::pretrain`]): nearer or farther, turned, brighter, in parts hidden. Less
    /// than SimCLR does to photographs: a scratch must survive it.
    pub fn views() -> Augment {
        Augment {
            rotation_deg: 180.0,
            zoom: 0.5,
            translation: 0.15,
            contrast: 0.4,
            brightness: 0.15,
            blur_px: 1.0,
            noise: 0.02,
            cutout: 0.25,
            ..Augment::default()
        }
    }

    /// The same so many times as strong, as far as a picture survives it. Whether it is mirrored is a matter of the product and stays.
    pub fn times(&self, strength: f32) -> Augment {
        let strength = strength.max(0.0);
        Augment {
            rotation_deg: (strength * self.rotation_deg).min(180.0),
            zoom: (strength * self.zoom).min(1.0),
            translation: (strength * self.translation).min(0.5),
            perspective: (strength * self.perspective).min(0.8),
            contrast: (strength * self.contrast).min(0.9),
            brightness: (strength * self.brightness).min(0.5),
            blur_px: (strength * self.blur_px).min(8.0),
            noise: (strength * self.noise).min(0.3),
            cutout: (strength * self.cutout).min(0.5),
            ..*self
        }
    }

    /// One of [`PRESETS`] by its name.
    pub fn preset(name: &str) -> Option<Augment> {
        match name {
            "standard" => Some(Augment::default()),
            "any-orientation" => Some(Augment { rotation_deg: 180.0, ..Augment::default() }),
            "fixed-pose" => Some(Augment {
                rotation_deg: 3.0,
                zoom: 0.05,
                translation: 0.03,
                flip_horizontal: false,
                flip_vertical: false,
                ..Augment::default()
            }),
            "views" => Some(Augment::views()),
            "none" => Some(Augment::none()),
            _ => None,
        }
    }

    /// Reads a file's text: any of the fields, over the preset that `preset = "..."` names (`none` without).
    ///
    /// # Errors
    /// When it is not TOML, names an unknown key or preset, or a value is out of its range.
    pub fn from_toml(text: &str) -> Result<Augment, TrainError> {
        let refuse = |reason: String| TrainError::Settings(format!("augmentation: {reason}"));
        let mut given: toml::Table = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let base = match given.remove("preset") {
            None => Augment::none(),
            Some(toml::Value::String(name)) => Augment::preset(&name).ok_or_else(|| refuse(unknown(&name)))?,
            Some(other) => return Err(refuse(format!("`preset` is {other}, not a name"))),
        };
        let mut all = toml::Table::try_from(base).map_err(|error| refuse(error.to_string()))?;
        all.extend(given);
        let augment: Augment = all.try_into().map_err(|error| refuse(format!("{error}")))?;
        augment.check()?;
        Ok(augment)
    }

    /// Refuses values that no picture survives.
    ///
    /// # Errors
    /// With the field and its range.
    pub fn check(&self) -> Result<(), TrainError> {
        for (name, value, most) in [
            ("rotation_deg", self.rotation_deg, 180.0),
            ("zoom", self.zoom, 1.0),
            ("translation", self.translation, 0.5),
            ("perspective", self.perspective, 0.8),
            ("contrast", self.contrast, 0.9),
            ("brightness", self.brightness, 0.5),
            ("blur_px", self.blur_px, 8.0),
            ("noise", self.noise, 0.3),
            ("cutout", self.cutout, 0.5),
        ] {
            if !(0.0..=most).contains(&value) {
                let reason = format!("augmentation: `{name}` is {value}; it goes from 0 (off) to {most}");
                return Err(TrainError::Settings(reason));
            }
        }
        Ok(())
    }

    /// Changes a sample by what a seed and its place in the order of all training (its ticket) decide.
    pub fn apply_at(&self, sample: &mut Sample, seed: u64, ticket: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(ticket);
        self.apply(sample, &mut random);
    }

    /// Changes a sample, its mask along with its pixels. Pixels from beyond the border are mirrored in.
    pub fn apply(&self, sample: &mut Sample, random: &mut ChaCha8Rng) {
        let map = self.draw_map(&sample.image, random);
        if !map.is_identity() {
            let (width, height) = (sample.image.width as usize, sample.image.height as usize);
            if let Some(mask) = &mut sample.mask {
                *mask = map.nearest(mask, width, height);
            }
            sample.image.data = map.bilinear(&sample.image);
        }
        let contrast = 1.0 + signed(random) * self.contrast;
        let brightness = 255.0 * signed(random) * self.brightness;
        if contrast != 1.0 || brightness != 0.0 {
            pixels::tone(&mut sample.image.data, contrast, brightness);
        }
        let [blur, noise] = [self.blur_px, self.noise].map(|most| most * random.random_range(0.0..=1.0_f32));
        pixels::blur(&mut sample.image, blur);
        pixels::cut_out(sample, self.cutout, random);
        // Last: a camera adds its noise to whatever it sees.
        pixels::noise(&mut sample.image.data, 255.0 * noise, random);
    }

    /// Where each pixel of the result comes from. All is drawn whether used or not, so that switching one change off leaves
    /// the others as they were.
    fn draw_map(&self, image: &Image, random: &mut ChaCha8Rng) -> Map {
        let (width, height) = (image.width as f32, image.height as f32);
        let angle = (signed(random) * self.rotation_deg).to_radians();
        let zoom = (signed(random) * (1.0 + self.zoom).ln()).exp();
        let shift = [signed(random) * self.translation * width, signed(random) * self.translation * height];
        let mirror = [random.random_bool(0.5), random.random_bool(0.5)];
        let tilt = [signed(random) * self.perspective / width, signed(random) * self.perspective / height];
        let sign = |mirrored: bool| if mirrored { -1.0 } else { 1.0 };
        let (sx, sy) = (sign(mirror[0] && self.flip_horizontal), sign(mirror[1] && self.flip_vertical));
        let (sin, cos) = angle.sin_cos();
        Map {
            centre: [(width - 1.0) / 2.0, (height - 1.0) / 2.0],
            rows: [[sx * cos / zoom, -sx * sin / zoom], [sy * sin / zoom, sy * cos / zoom]],
            tilt,
            shift,
        }
    }
}

fn unknown(name: &str) -> String {
    let known = PRESETS.map(|(name, _)| name).join(", ");
    format!("no preset is called `{name}`; there are {known}")
}

/// A number in -1..1.
fn signed(random: &mut ChaCha8Rng) -> f32 {
    random.random_range(-1.0..=1.0)
}

#[cfg(test)]
mod tests;
