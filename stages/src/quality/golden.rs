//! How a picture was taken against the recipe's golden one: exposure, focus, and how the light lies over the frame. A lamp that ages, a lens
//! that was touched, a shade on the part: all of them change what a model sees, long before anything is blank or white.

use std::path::{Path, PathBuf};

use models::image::{self, ImageView};
use serde::{Deserialize, Serialize};

use super::{Refusal, health_of};
use crate::verdict::Cause;

/// The light is compared on so many fields across and down.
const FIELDS: usize = 8;
/// Pixels that are looked at along each side of a field.
const SAMPLES: usize = 24;
/// Share of the fields whose change counts; the rest may be a defect, and is the model's business.
const COUNTED: f32 = 0.9;

/// The golden picture, and how far others may be from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenConfig {
    /// A picture of a good part, well taken; relative to the recipe's file.
    pub picture: PathBuf,
    /// Share by which the mean brightness may differ; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_exposure: Option<f32>,
    /// Share of the golden picture's sharpness that a picture must have; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_focus: Option<f32>,
    /// Share by which the light may lie otherwise, brightness apart: of the eight by eight fields of the frame nine in ten must stay
    /// within it. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_light: Option<f32>,
}

impl GoldenConfig {
    /// To compare with, not to refuse anything.
    pub fn without_limits(picture: &Path) -> GoldenConfig {
        GoldenConfig { picture: picture.to_owned(), max_exposure: None, min_focus: None, max_light: None }
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        let limits =
            [("max_exposure", self.max_exposure), ("min_focus", self.min_focus), ("max_light", self.max_light)];
        let wrong = limits.into_iter().filter_map(|(key, value)| {
            let value = value?;
            let sound = value.is_finite() && (0.0..=10.0).contains(&value) && value > 0.0;
            (!sound).then(|| format!("`quality.golden.{key}` is {value}: give a share above 0, such as 0.2"))
        });
        let mut problems: Vec<String> = wrong.collect();
        if limits.iter().all(|(_, value)| value.is_none()) {
            problems.push(
                "`quality.golden` has no limit: give `max_exposure`, `min_focus` or `max_light`, or leave it out"
                    .to_owned(),
            );
        }
        problems
    }
}

/// How a picture differs from the golden one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Mean brightness over the golden picture's: 1 is the same.
    pub exposure: f32,
    /// Sharpness over the golden picture's; `None` where it was not measured.
    pub focus: Option<f32>,
    /// How otherwise the light lies, as a share.
    pub light: f32,
}

/// The golden picture's figures, ready.
#[derive(Debug, Clone)]
pub struct Golden {
    config: GoldenConfig,
    size: [u32; 2],
    brightness: f32,
    sharpness: f32,
    fields: [f32; FIELDS * FIELDS],
}

impl Golden {
    /// Reads the golden picture.
    ///
    /// # Errors
    /// In words: it cannot be read, or is no picture to compare with.
    pub fn load(config: &GoldenConfig) -> Result<Golden, String> {
        let words = |reason: String| format!("`quality.golden.picture`: `{}` {reason}", config.picture.display());
        let bytes = std::fs::read(&config.picture)
            .map_err(|error| words(format!("cannot be read: {error}; check the path")))?;
        let picture = image::decode(&bytes).map_err(|error| words(format!("is no picture: {error}")))?;
        Golden::of(picture.view(), config.clone())
            .ok_or_else(|| words("is black or has no detail: take one of a good part with the light on".to_owned()))
    }

    /// The figures of a picture; `None` where it shows nothing to compare with.
    pub fn of(view: ImageView<'_>, config: GoldenConfig) -> Option<Golden> {
        let health = health_of(view);
        let sharpness = health.sharpness.filter(|&sharpness| sharpness > 0.0)?;
        let fields = fields(view);
        let lit = health.brightness >= 1.0 && fields.iter().all(|&field| field > 0.0);
        let size = [view.width, view.height];
        lit.then_some(Golden { config, size, brightness: health.brightness, sharpness, fields })
    }

    /// Whether sharpness has to be measured on every picture.
    pub(super) fn asks_focus(&self) -> bool {
        self.config.min_focus.is_some()
    }

    /// How a picture differs, of which brightness and sharpness are known.
    pub fn change(&self, view: ImageView<'_>, brightness: f32, sharpness: Option<f32>) -> Change {
        let exposure = brightness / self.brightness;
        let now = fields(view);
        let mut changes: Vec<f32> = now
            .iter()
            .zip(&self.fields)
            .map(|(now, then)| (now / then / exposure.max(f32::EPSILON) - 1.0).abs())
            .collect();
        changes.sort_by(f32::total_cmp);
        let light = changes[((changes.len() - 1) as f32 * COUNTED) as usize];
        Change { exposure, focus: sharpness.map(|sharpness| sharpness / self.sharpness), light }
    }

    /// The first limit that a picture breaks.
    pub(super) fn check(&self, view: ImageView<'_>, brightness: f32, sharpness: Option<f32>) -> Result<(), Refusal> {
        if self.size != [view.width, view.height] {
            let ([width, height], [wide, high]) = ([view.width, view.height], self.size);
            let detail = format!("picture is {width} x {height}, the recipe's golden one {wide} x {high}");
            return Err((Cause::WrongSize, detail));
        }
        let Change { exposure, focus, light } = self.change(view, brightness, sharpness);
        let percent = |share: f32| (share * 100.0).round();
        let GoldenConfig { max_exposure, min_focus, max_light, .. } = self.config;
        if let Some(most) = max_exposure
            && (exposure - 1.0).abs() > most
        {
            let way = if exposure > 1.0 { "brighter" } else { "darker" };
            let detail = format!(
                "picture is {} % {way} than the golden one, the recipe allows {} %: check lamp, exposure and aperture",
                percent((exposure - 1.0).abs()),
                percent(most)
            );
            return Err((Cause::LightChanged, detail));
        }
        if let (Some(least), Some(focus)) = (min_focus, focus)
            && focus < least
        {
            let (focus, least) = (percent(focus), percent(least));
            let detail = format!(
                "picture has {focus} % of the golden one's sharpness, the recipe asks for {least} %: check focus and lens"
            );
            return Err((Cause::OutOfFocus, detail));
        }
        if let Some(most) = max_light
            && light > most
        {
            let (light, most) = (percent(light), percent(most));
            let detail = format!(
                "light lies otherwise than in the golden picture, by {light} %, the recipe allows {most} %: check lamps, shades and reflections"
            );
            return Err((Cause::LightChanged, detail));
        }
        Ok(())
    }
}

/// Mean level of each field, on a grid of samples.
fn fields(view: ImageView<'_>) -> [f32; FIELDS * FIELDS] {
    let (channels, width) = (view.format.channels(), view.width as usize);
    let at = |field: usize, sample: usize, side: u32| (field * SAMPLES + sample) * side as usize / (FIELDS * SAMPLES);
    std::array::from_fn(|place| {
        let (column, row) = (place % FIELDS, place / FIELDS);
        let mut sum = 0_u64;
        for y in (0..SAMPLES).map(|sample| at(row, sample, view.height)) {
            for x in (0..SAMPLES).map(|sample| at(column, sample, view.width)) {
                let from = (y * width + x) * channels;
                sum += view.data[from..from + channels].iter().map(|&level| u64::from(level)).sum::<u64>();
            }
        }
        sum as f32 / (SAMPLES * SAMPLES * channels) as f32
    })
}

/// The file becomes relative to a folder.
pub(crate) fn relative_to(golden: &mut Option<GoldenConfig>, folder: &Path) {
    if let Some(golden) = golden {
        golden.picture = folder.join(&golden.picture);
    }
}

/// How a picture differs from the golden one, outside any line: for a person who sets a camera up.
pub fn change_of(view: ImageView<'_>, golden: &Golden) -> Change {
    let health = health_of(view);
    golden.change(view, health.brightness, health.sharpness)
}

#[cfg(test)]
mod tests {
    use models::image::{Image, PixelFormat};

    use super::*;

    const ALL: &str = "picture = 'x.png'\nmax_exposure = 0.15\nmin_focus = 0.5\nmax_light = 0.1";

    /// A textured picture whose level at a place is `light` times 120.
    fn picture(light: impl Fn(f32, f32) -> f32) -> Image {
        let (width, height) = (320, 240);
        let level = |at: u32| {
            let (x, y) = (at % width, at / width);
            let grain = f32::from(((u64::from(at) * 7919) % 41) as u8) - 20.0;
            ((120.0 + grain) * light(x as f32 / width as f32, y as f32 / height as f32)).clamp(0.0, 255.0) as u8
        };
        Image { width, height, format: PixelFormat::Mono8, data: (0..width * height).map(level).collect() }
    }

    fn checked(light: impl Fn(f32, f32) -> f32) -> Result<(), Refusal> {
        let golden =
            Golden::of(picture(|_, _| 1.0).view(), toml::from_str(ALL).expect("sound")).expect("a golden picture");
        let seen = picture(light);
        let health = health_of(seen.view());
        golden.check(seen.view(), health.brightness, health.sharpness)
    }

    #[test]
    fn exposure_light_and_focus_are_told_apart_and_a_defect_is_none_of_them() {
        assert_eq!(checked(|_, _| 1.0), Ok(()));
        assert_eq!(checked(|_, _| 1.1), Ok(()), "within the limit");
        for (lamp, words) in [(1.25, "25 % brighter"), (0.75, "25 % darker")] {
            let (cause, detail) = checked(|_, _| lamp).expect_err("refused");
            assert_eq!(cause, Cause::LightChanged);
            assert!(detail.contains(words), "{detail}");
        }
        let (cause, detail) = checked(|x, _| 0.8 + 0.4 * x).expect_err("one of two lamps is weaker");
        assert!(cause == Cause::LightChanged && detail.contains("light lies otherwise"), "{detail}");
        // A dark stain on a twentieth of the part is the model's business.
        assert_eq!(checked(|x, y| if x < 0.2 && y < 0.25 { 0.4 } else { 1.0 }), Ok(()));
        let soft = {
            let mut soft = picture(|_, _| 1.0);
            let sharp = soft.data.clone();
            for at in 2..sharp.len() - 2 {
                soft.data[at] = (sharp[at - 2..=at + 2].iter().map(|&level| u32::from(level)).sum::<u32>() / 5) as u8;
            }
            soft
        };
        let golden = Golden::of(picture(|_, _| 1.0).view(), toml::from_str(ALL).expect("sound")).expect("golden");
        let health = health_of(soft.view());
        let (cause, detail) = golden.check(soft.view(), health.brightness, health.sharpness).expect_err("blurred");
        assert!(cause == Cause::OutOfFocus && detail.contains("of the golden one's sharpness"), "{detail}");
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let golden = Golden::of(picture(|_, _| 1.0).view(), toml::from_str(ALL).expect("sound")).expect("golden");
        for (width, height) in [(1, 1), (320, 239), (7, 300)] {
            let other =
                Image { width, height, format: PixelFormat::Rgb8, data: vec![9; (3 * width * height) as usize] };
            assert_eq!(golden.check(other.view(), 9.0, None).expect_err("another size").0, Cause::WrongSize);
            fields(other.view());
        }
        let black = Image { width: 8, height: 8, format: PixelFormat::Mono8, data: vec![0; 64] };
        assert!(Golden::of(black.view(), toml::from_str(ALL).expect("sound")).is_none());
        let missing: GoldenConfig = toml::from_str("picture = '/nowhere/x.png'\nmax_light = 0.2").expect("sound");
        assert!(Golden::load(&missing).expect_err("no file").contains("cannot be read"));
        for (text, words) in [
            ("picture = 'a'", "has no limit"),
            ("picture = 'a'\nmax_light = -1.0", "`quality.golden.max_light` is -1"),
            ("picture = 'a'\nmin_focus = nan", "`quality.golden.min_focus` is NaN"),
        ] {
            let config: GoldenConfig = toml::from_str(text).expect("readable");
            assert!(config.problems().join("\n").contains(words), "{words}");
        }
    }
}
