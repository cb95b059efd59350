//! Makes the settings of a configuration, each verified by reading it back.

use std::fmt::Display;

use aravis::glib::Error;
use aravis::prelude::*;
use aravis::{Auto, Camera, GvPacketSizeAdjustment};

use super::nodes;
use crate::capture::SourceError;
use crate::capture::genicam::config::{GenicamConfig, PacketSize, Triggering};
use crate::capture::genicam::feature::{FeatureName, FeatureValue, Kind};
use crate::capture::genicam::pixels;

/// The way out in messages about features that a camera may lack.
const SHOWN: &str = "`inspectd cameras show` lists what it has";

/// Sets the camera; notes are values that it has taken otherwise than asked.
pub(super) fn apply(camera: &Camera, config: &GenicamConfig) -> Result<Vec<String>, SourceError> {
    let mut notes = Vec::new();
    // Pixel format and region first: exposure and rate may depend on them.
    pixel_format(camera, config)?;
    region(camera, config, &mut notes)?;
    if let Some(exposure) = config.exposure_us {
        if camera.is_exposure_auto_available().unwrap_or(false) {
            camera.set_exposure_time_auto(Auto::Off).map_err(failed("ExposureAuto", "Off"))?;
        }
        number(
            "exposure_us",
            exposure,
            camera.exposure_time_bounds(),
            || camera.set_exposure_time(exposure),
            || camera.exposure_time(),
            &mut notes,
        )?;
    }
    if let Some(gain) = config.gain {
        if camera.is_gain_auto_available().unwrap_or(false) {
            camera.set_gain_auto(Auto::Off).map_err(failed("GainAuto", "Off"))?;
        }
        number("gain", gain, camera.gain_bounds(), || camera.set_gain(gain), || camera.gain(), &mut notes)?;
    }
    for (name, value) in &config.features {
        notes.extend(nodes::set(camera, name, value)?.note);
    }
    trigger(camera, &config.trigger, &mut notes)?;
    if camera.is_gv_device() {
        packet_size(camera, config, &mut notes)?;
    }
    Ok(notes)
}

fn failed<'a>(feature: &'a str, value: impl Display + 'a) -> impl FnOnce(Error) -> SourceError + 'a {
    move |error| SourceError(format!("the camera refuses `{value}` for {feature}: {}; {SHOWN}", error.message()))
}

/// A number with bounds: out of them it is refused here, in words; rounding is noted.
fn number(
    key: &str,
    asked: f64,
    bounds: Result<(f64, f64), Error>,
    set: impl FnOnce() -> Result<(), Error>,
    get: impl FnOnce() -> Result<f64, Error>,
    notes: &mut Vec<String>,
) -> Result<(), SourceError> {
    let (least, most) = bounds.map_err(failed(key, asked))?;
    if !(least..=most).contains(&asked) {
        return Err(SourceError(format!("`{key}` = {asked} is out of the camera's range: give {least} to {most}")));
    }
    set().map_err(failed(key, asked))?;
    let got = get().map_err(failed(key, asked))?;
    notes.extend(nodes::compare(key, &FeatureValue::Float(asked), got.to_string(), Kind::Float)?.note);
    Ok(())
}

fn pixel_format(camera: &Camera, config: &GenicamConfig) -> Result<(), SourceError> {
    let has: Vec<String> = camera
        .dup_available_pixel_formats_as_strings()
        .map(|names| names.into_iter().map(String::from).collect())
        .unwrap_or_default();
    let both: Vec<&str> = has.iter().map(String::as_str).filter(|name| pixels::is_readable(name)).collect();
    let choose = if both.is_empty() {
        format!(
            "this program reads {}, of which the camera has none",
            pixels::readable().collect::<Vec<_>>().join(", ")
        )
    } else {
        format!("choose one of {}", both.join(", "))
    };
    if let Some(name) = &config.pixel_format {
        if !both.contains(&name.as_str()) {
            return Err(SourceError(format!("`pixel_format` = {name} is not possible: {choose}")));
        }
        camera.set_pixel_format_from_string(name).map_err(failed("PixelFormat", name))?;
    }
    let now = camera.pixel_format_as_string().map(String::from).map_err(|error| {
        SourceError(format!("the camera's PixelFormat cannot be read: {}; {SHOWN}", error.message()))
    })?;
    match &config.pixel_format {
        Some(asked) if *asked != now => Err(SourceError(format!(
            "the camera has taken `pixel_format` = {asked} without a word, and says {now}: {choose}"
        ))),
        None if !pixels::is_readable(&now) => {
            Err(SourceError(format!("the camera sends {now}, which cannot be read: set `pixel_format`; {choose}")))
        }
        _ => Ok(()),
    }
}

fn region(camera: &Camera, config: &GenicamConfig, notes: &mut Vec<String>) -> Result<(), SourceError> {
    let Some(asked) = config.region else { return Ok(()) };
    let shown = format!("{} x {} at {}, {}", asked.width, asked.height, asked.x, asked.y);
    let (sensor_width, sensor_height) = camera.sensor_size().map_err(failed("the region", &shown))?;
    let beyond = |from: u32, length: u32, sensor: i32| i64::from(from) + i64::from(length) > i64::from(sensor);
    if beyond(asked.x, asked.width, sensor_width) || beyond(asked.y, asked.height, sensor_height) {
        return Err(SourceError(format!(
            "`region` = {shown} is larger than the sensor: it has {sensor_width} x {sensor_height} pixels"
        )));
    }
    let [x, y, width, height] = [asked.x, asked.y, asked.width, asked.height].map(|side| side as i32);
    camera.set_region(x, y, width, height).map_err(|error| {
        let steps = [
            ("width", camera.width_increment()),
            ("height", camera.height_increment()),
            ("x", camera.x_offset_increment()),
            ("y", camera.y_offset_increment()),
        ];
        let steps: Vec<String> =
            steps.into_iter().filter_map(|(side, step)| step.ok().map(|step| format!("{side} {step}"))).collect();
        SourceError(format!(
            "the camera refuses `region` = {shown}: {}; its steps are {}",
            error.message(),
            steps.join(", ")
        ))
    })?;
    let got = camera.region().map_err(failed("the region", &shown))?;
    if got != (x, y, width, height) {
        notes.push(format!("the camera has made {} x {} at {}, {} of `region` = {shown}", got.2, got.3, got.0, got.1));
    }
    Ok(())
}

fn trigger(camera: &Camera, trigger: &Triggering, notes: &mut Vec<String>) -> Result<(), SourceError> {
    match trigger {
        Triggering::Free { rate } => {
            camera.clear_triggers().map_err(failed("TriggerMode", "Off"))?;
            if let Some(rate) = *rate {
                number(
                    "trigger.rate",
                    rate,
                    camera.frame_rate_bounds(),
                    || camera.set_frame_rate(rate),
                    || camera.frame_rate(),
                    notes,
                )?;
            }
        }
        Triggering::Software { .. } => with_source(camera, "Software")?,
        Triggering::Hardware { line, activation } => {
            with_source(camera, line)?;
            let name = FeatureName { name: "TriggerActivation".to_owned(), selectors: Vec::new() };
            notes.extend(nodes::set(camera, &name, &FeatureValue::Text(activation.clone()))?.note);
        }
    }
    Ok(())
}

/// Aravis knows which of a camera's triggers stands for a picture, and switches the others off.
fn with_source(camera: &Camera, source: &str) -> Result<(), SourceError> {
    let has = camera.dup_available_trigger_sources().map_err(failed("TriggerSource", source))?;
    if !has.iter().any(|name| name == source) {
        let has: Vec<&str> = has.iter().map(|name| name.as_str()).collect();
        return Err(SourceError(format!(
            "the camera has no trigger source `{source}`: choose one of {}",
            has.join(", ")
        )));
    }
    camera.set_trigger(source).map_err(failed("TriggerSource", source))?;
    let now = camera.trigger_source().map_err(failed("TriggerSource", source))?;
    let mode = camera.string("TriggerMode").map_err(failed("TriggerMode", "On"))?;
    if now != source || mode != "On" {
        return Err(SourceError(format!(
            "the camera has not taken trigger source `{source}`: it says {now}, trigger mode {mode}"
        )));
    }
    Ok(())
}

fn packet_size(camera: &Camera, config: &GenicamConfig, notes: &mut Vec<String>) -> Result<(), SourceError> {
    match config.packet_size {
        // A failure is no reason to give up: the camera keeps the size that it has.
        PacketSize::Auto => {
            if let Err(error) = camera.gv_auto_packet_size() {
                let now = camera.gv_get_packet_size().unwrap_or(0);
                notes.push(format!(
                    "no packet size could be found by trying ({}); the camera keeps {now}",
                    error.message()
                ));
            }
        }
        PacketSize::Bytes(asked) => {
            camera.gv_set_packet_size_adjustment(GvPacketSizeAdjustment::Never);
            camera.gv_set_packet_size(asked as i32).map_err(failed("GevSCPSPacketSize", asked))?;
            let got = camera.gv_get_packet_size().map_err(failed("GevSCPSPacketSize", asked))?;
            if got != asked {
                notes.push(format!("the camera has made {got} of `packet_size` = {asked}"));
            }
        }
    }
    Ok(())
}
