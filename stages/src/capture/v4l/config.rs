//! `[source] kind = "v4l"`: which camera, how it is set, and how long it may be silent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A V4L2 camera. What is left out stays as it is in the camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V4lConfig {
    /// The name in records and messages; absent: bus id or path.
    #[serde(default)]
    pub name: Option<String>,
    /// Its place on the bus, as `inspectd cameras list` shows it: it is found again under another number.
    #[serde(default)]
    pub bus: Option<String>,
    /// `/dev/video0`, or a link below `/dev/v4l/by-id`.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// How pictures come over the bus.
    #[serde(default)]
    pub format: Option<Format>,
    /// Pixels across and down.
    #[serde(default)]
    pub size: Option<[u32; 2]>,
    /// Pictures per second.
    #[serde(default)]
    pub rate: Option<f64>,
    /// Controls by their name, as the driver has it in small letters: `exposure_time_absolute`, `gain`.
    #[serde(default)]
    pub controls: BTreeMap<String, ControlValue>,
    /// Pictures that the driver may be filling.
    #[serde(default = "four")]
    pub buffers: u32,
    /// Without a picture for so long the camera has stalled; at least three periods of its rate.
    #[serde(default = "eight_hundred")]
    pub stall_ms: u32,
    /// How long the driver may take to answer.
    #[serde(default = "seven_hundred")]
    pub answer_ms: u32,
    /// Pictures equal bit for bit to the one before: from this many in a row they count as frozen. 0: never.
    #[serde(default = "two")]
    pub frozen_after: u32,
}

fn four() -> u32 {
    4
}
fn eight_hundred() -> u32 {
    800
}
fn seven_hundred() -> u32 {
    700
}
fn two() -> u32 {
    2
}

/// How pictures come over the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JPEG, a picture each: the only way to high rates over USB 2. Small defects may drown in its losses.
    Mjpeg,
    /// Brightness for each pixel, colour for each two.
    Yuyv,
    /// Grey.
    Grey,
}

impl Format {
    /// The kernel's name for it.
    pub fn fourcc(self) -> [u8; 4] {
        *match self {
            Format::Mjpeg => b"MJPG",
            Format::Yuyv => b"YUYV",
            Format::Grey => b"GREY",
        }
    }

    /// Every one.
    pub const ALL: [Format; 3] = [Format::Mjpeg, Format::Yuyv, Format::Grey];
}

/// A control's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ControlValue {
    /// A switch.
    Switch(bool),
    /// A number, or the number of a menu's entry.
    Number(i64),
}

impl V4lConfig {
    /// What the camera is called.
    pub fn label(&self) -> String {
        let path = self.path.as_ref().map(|path| path.display().to_string());
        self.name.clone().or_else(|| self.bus.clone()).or(path).unwrap_or_else(|| "v4l".to_owned())
    }

    /// How it is looked for, in words.
    pub(super) fn wanted(&self) -> String {
        match (&self.bus, &self.path) {
            (Some(bus), _) => format!("V4L2 camera at `{bus}`"),
            (None, Some(path)) => format!("V4L2 camera `{}`", path.display()),
            (None, None) => "any V4L2 camera".to_owned(),
        }
    }

    /// Everything wrong with the settings themselves.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.bus.is_some() && self.path.is_some() {
            problems.push("`source`: give either `bus` or `path`".to_owned());
        }
        for (key, text) in [("bus", &self.bus), ("name", &self.name)] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.chars().any(char::is_control)) {
                problems.push(format!(
                    "`source.{key}` is empty or has control characters: `inspectd cameras list` shows what to give"
                ));
            }
        }
        if self.size.is_some_and(|sides| sides.iter().any(|&side| side == 0 || side > 1 << 16)) {
            problems.push("`source.size` needs 1 to 65536 pixels across and down".to_owned());
        }
        problems.extend(super::super::rate_problem(self.rate));
        for (key, value, least, most) in [
            ("buffers", self.buffers, 2, 32),
            ("stall_ms", self.stall_ms, 50, 600_000),
            ("answer_ms", self.answer_ms, 100, 60_000),
            ("frozen_after", self.frozen_after, 0, 10_000),
        ] {
            if !(least..=most).contains(&value) {
                problems.push(format!("`source.{key}` is {value}: give {least} to {most}"));
            }
        }
        if self.frozen_after == 1 {
            problems.push(
                "`source.frozen_after` is 1: every picture would be frozen; 2 is the strictest, 0 switches it off"
                    .to_owned(),
            );
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_what_cannot_be_is_named() {
        let text = "bus = 'usb-0000:00:14.0-1'\nformat = 'yuyv'\nsize = [1920, 1080]\nrate = 30.0\n[controls]\ngain = 4\nauto_exposure = 1\nbacklight = true";
        let config: V4lConfig = toml::from_str(text).expect("sound");
        assert_eq!(config.problems(), Vec::<String>::new());
        assert_eq!(config.controls["backlight"], ControlValue::Switch(true));
        for (text, words) in [
            ("bus = 'a'\npath = '/dev/video0'", "either"),
            ("size = [0, 10]", "source.size"),
            ("rate = 0.0", "source.rate"),
            ("buffers = 1", "source.buffers"),
            ("frozen_after = 1", "source.frozen_after"),
            ("bus = ''", "source.bus"),
        ] {
            let config: V4lConfig = toml::from_str(text).expect("readable");
            let problems = config.problems().join("\n");
            assert!(problems.contains(words), "{text}: {problems}");
        }
        assert!(toml::from_str::<V4lConfig>("format = 'h264'").is_err());
    }
}
