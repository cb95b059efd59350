//! `[source] kind = "genicam"`: which camera, how it is set, and how long it may be silent.

use serde::{Deserialize, Serialize};

use super::feature::{FeatureName, FeatureValue};

/// A GigE Vision or USB3 Vision camera. What is left out stays as it is in the camera.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenicamConfig {
    /// The name in records and messages; absent: serial number, id or address, whichever is given.
    #[serde(default)]
    pub name: Option<String>,
    /// Serial number: the best choice, because the camera is found again under another address.
    #[serde(default)]
    pub serial: Option<String>,
    /// The id that `inspectd cameras list` shows, the serial number or the MAC address.
    #[serde(default)]
    pub id: Option<String>,
    /// IP address; a camera behind a router is found by it alone.
    #[serde(default)]
    pub address: Option<String>,
    /// Where the camera is looked for; absent: on the network and on USB.
    #[serde(default)]
    pub interface: Option<Interface>,
    /// Exposure time; switches automatic exposure off.
    #[serde(default)]
    pub exposure_us: Option<f64>,
    /// Gain, in the camera's own unit (mostly dB); switches automatic gain off.
    #[serde(default)]
    pub gain: Option<f64>,
    /// Part of the sensor that is read out.
    #[serde(default)]
    pub region: Option<Region>,
    /// Pixel format by its name in the camera: Mono8, Mono12, BayerRG8, ...
    #[serde(default)]
    pub pixel_format: Option<String>,
    /// What makes the camera take a picture.
    #[serde(default)]
    pub trigger: Triggering,
    /// Any other feature by its SFNC name. `"Gain[GainSelector=DigitalAll]"` sets the selector first.
    #[serde(default)]
    pub features: std::collections::BTreeMap<FeatureName, FeatureValue>,
    /// Bytes of a GigE Vision packet.
    #[serde(default)]
    pub packet_size: PacketSize,
    /// Whether lost packets are asked for again.
    #[serde(default = "yes")]
    pub resend: bool,
    /// How long an incomplete picture is kept in the hope of its packets; absent: 100 ms.
    #[serde(default)]
    pub retention_ms: Option<u32>,
    /// Size of the socket's buffer, which `net.core.rmem_max` must allow; absent: one picture.
    #[serde(default)]
    pub socket_buffer: Option<u32>,
    /// Pictures that the driver may be filling or holding.
    #[serde(default = "eight")]
    pub buffers: u32,
    /// How long after a software trigger its picture may take.
    #[serde(default = "half_a_second")]
    pub picture_timeout_ms: u32,
    /// Free running: without a picture for so long the camera has stalled; at least three periods of its frame rate. Under another
    /// trigger silence means nothing, except that three software triggers without a picture are a stall.
    #[serde(default = "eight_hundred")]
    pub stall_ms: u32,
    /// How long the camera may take to answer; one lost packet costs 500.
    #[serde(default = "seven_hundred")]
    pub answer_ms: u32,
    /// A picture equal bit for bit to the one before is not from a live sensor: from this many in a row they count as frozen.
    /// 0: never (test patterns).
    #[serde(default = "two")]
    pub frozen_after: u32,
}

/// Where cameras are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// GigE Vision.
    Gige,
    /// USB3 Vision.
    Usb3,
    /// A camera made up by Aravis, inside this process: for tests and dry runs. Its id is `Fake_1`.
    Fake,
}

/// Part of the sensor, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// From the left.
    #[serde(default)]
    pub x: u32,
    /// From the top.
    #[serde(default)]
    pub y: u32,
    /// Across.
    pub width: u32,
    /// Down.
    pub height: u32,
}

/// What makes the camera take a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Triggering {
    /// The camera sets the pace itself; `rate` asks it for so many pictures per second.
    Free {
        /// Pictures per second; absent: as the camera is set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
    },
    /// A command, for each part that somebody announces; with `rate`, so many times a second.
    Software {
        /// Pictures per second; absent: only when asked from outside.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
    },
    /// An input of the camera: a light barrier, an encoder, the PLC.
    Hardware {
        /// The input by its SFNC name: Line0, Line1, ...
        line: String,
        /// RisingEdge, FallingEdge, AnyEdge, LevelHigh, LevelLow.
        #[serde(default = "rising")]
        activation: String,
    },
}

impl Default for Triggering {
    fn default() -> Triggering {
        Triggering::Free { rate: None }
    }
}

/// Bytes of a GigE Vision packet, with its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PacketSize {
    /// The largest that passes the network, found by trying.
    #[default]
    #[serde(with = "auto")]
    Auto,
    /// So many.
    Bytes(u32),
}

mod auto {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("auto")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "auto" => Ok(()),
            other => Err(D::Error::custom(format!("`{other}` is no packet size: \"auto\" or a number of bytes"))),
        }
    }
}

fn yes() -> bool {
    true
}
fn two() -> u32 {
    2
}
fn eight() -> u32 {
    8
}
fn half_a_second() -> u32 {
    500
}
fn seven_hundred() -> u32 {
    700
}
fn eight_hundred() -> u32 {
    800
}
fn rising() -> String {
    "RisingEdge".to_owned()
}

impl GenicamConfig {
    /// A configuration with all defaults, for the camera that a person names by serial number, id or address: the first that fits.
    pub fn for_camera(interface: Option<Interface>) -> GenicamConfig {
        let mut config: GenicamConfig = toml::from_str("").expect("every setting has a default");
        config.interface = interface;
        config
    }

    /// What the camera is called.
    pub fn label(&self) -> String {
        let given = self.name.as_ref().or(self.serial.as_ref()).or(self.id.as_ref()).or(self.address.as_ref());
        given.map_or_else(|| "genicam".to_owned(), String::clone)
    }

    /// How it is looked for, in words.
    pub(super) fn wanted(&self) -> String {
        let by = [("serial number", &self.serial), ("id", &self.id), ("address", &self.address)];
        let words: Vec<String> =
            by.into_iter().filter_map(|(what, value)| Some(format!("{what} `{}`", value.as_ref()?))).collect();
        if words.is_empty() { "any camera".to_owned() } else { words.join(", ") }
    }

    /// Everything wrong with the settings themselves.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, value) in [("exposure_us", self.exposure_us), ("gain", self.gain)] {
            if let Some(value) = value
                && !value.is_finite()
            {
                problems.push(format!("`source.{key}` is {value}: give a number"));
            }
        }
        if self.exposure_us.is_some_and(|value| value <= 0.0) {
            problems.push("`source.exposure_us` must be above 0".to_owned());
        }
        for (key, text) in
            [("serial", &self.serial), ("id", &self.id), ("address", &self.address), ("name", &self.name)]
        {
            if let Some(text) = text
                && (text.trim().is_empty() || text.chars().any(char::is_control))
            {
                problems.push(format!(
                    "`source.{key}` is empty or has control characters: `inspectd cameras list` shows what to give"
                ));
            }
        }
        if let Some(region) = self.region
            && (region.width == 0
                || region.height == 0
                || [region.x, region.y, region.width, region.height].iter().any(|&side| side > 1 << 20))
        {
            problems.push("`source.region` needs a width and a height of 1 to 1048576 pixels".to_owned());
        }
        let rate = match &self.trigger {
            Triggering::Free { rate } | Triggering::Software { rate } => *rate,
            Triggering::Hardware { line, activation } => {
                for (key, text) in [("line", line), ("activation", activation)] {
                    if text.parse::<FeatureName>().is_err() {
                        problems.push(format!(
                            "`source.trigger.{key}` is `{text}`: give an SFNC name, e.g. Line0, RisingEdge"
                        ));
                    }
                }
                None
            }
        };
        if let Some(problem) = super::super::rate_problem(rate) {
            problems.push(problem.replace("source.rate", "source.trigger.rate"));
        }
        let bounded: [(&str, u32, u32, u32); 5] = [
            ("buffers", self.buffers, 2, 256),
            ("picture_timeout_ms", self.picture_timeout_ms, 10, 60_000),
            ("stall_ms", self.stall_ms, 50, 600_000),
            ("answer_ms", self.answer_ms, 100, 60_000),
            ("frozen_after", self.frozen_after, 0, 10_000),
        ];
        for (key, value, least, most) in bounded {
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
        if let PacketSize::Bytes(bytes) = self.packet_size
            && !(220..=65_535).contains(&bytes)
        {
            problems.push(format!("`source.packet_size` is {bytes}: give \"auto\", or 220 to 65535 (1500 is usual, 9000 with jumbo frames)"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_configuration_is_read_and_written_back() {
        let text = r#"
            serial = "GV01"
            exposure_us = 1200.5
            pixel_format = "BayerRG8"
            region = { x = 64, width = 1920, height = 1200 }
            trigger = { mode = "hardware", line = "Line0" }
            packet_size = 9000
            [features]
            GammaEnable = true
            "Gain[GainSelector=DigitalAll]" = 4
            BalanceWhiteAuto = "Off"
        "#;
        let config: GenicamConfig = toml::from_str(text).expect("sound");
        assert_eq!(config.problems(), Vec::<String>::new());
        assert_eq!(config.trigger, Triggering::Hardware { line: "Line0".into(), activation: "RisingEdge".into() });
        assert_eq!((config.packet_size, config.features.len()), (PacketSize::Bytes(9000), 3));
        let again: GenicamConfig = toml::from_str(&toml::to_string(&config).expect("written")).expect("read");
        assert_eq!(again, config);
    }

    #[test]
    fn what_no_camera_can_do_is_named() {
        for (text, words) in [
            ("exposure_us = -1.0", "exposure_us"),
            ("gain = nan", "gain"),
            ("serial = ''", "serial"),
            ("region = { width = 0, height = 4 }", "region"),
            ("trigger = { mode = 'hardware', line = 'a b' }", "trigger.line"),
            ("trigger = { mode = 'software', rate = 0.0 }", "trigger.rate"),
            ("buffers = 1", "buffers"),
            ("frozen_after = 1", "frozen_after"),
            ("packet_size = 12", "packet_size"),
        ] {
            let config: GenicamConfig = toml::from_str(text).expect("readable");
            let problems = config.problems().join("\n");
            assert!(problems.contains(words), "{text}: {problems}");
        }
        for text in ["packet_size = 'big'", "trigger = { mode = 'magic' }", "nonsense = 1", "features = { 'a b' = 1 }"]
        {
            assert!(toml::from_str::<GenicamConfig>(text).is_err(), "{text}");
        }
    }
}
