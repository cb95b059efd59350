//! The kernel's side: finds, sets and reads V4L2 devices. The only file that names the crate `v4l`.
//!
//! **Never run on hardware**: there was no camera and no kernel module where this was written. What stands above it was tried with a
//! double.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use v4l::buffer::{Flags as BufferFlags, Type};
use v4l::capability::Flags;
use v4l::control::{Control as Setting, Value};
use v4l::io::mmap::Stream;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, FourCC, Fraction};

use super::config::{ControlValue, Format, V4lConfig};
use super::pixels::Picture;
use crate::capture::SourceError;
use crate::capture::live::driver::{Connection, Control, Convert, Driver, Facts, Pictures, Raw};
use crate::capture::statistics::Packets;

/// A camera that the kernel has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its node.
    pub path: PathBuf,
    /// What it calls itself.
    pub card: String,
    /// Its driver.
    pub driver: String,
    /// Its place on the bus.
    pub bus: String,
}

/// Every V4L2 camera that can be opened. A device that only carries metadata is none.
pub fn list() -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir("/dev") else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("video"))
        .map(|entry| entry.path())
        .collect();
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    paths.into_iter().filter_map(|path| found(&path).ok()).collect()
}

fn found(path: &Path) -> io::Result<Found> {
    let caps = Device::with_path(path)?.query_caps()?;
    if !caps.capabilities.contains(Flags::VIDEO_CAPTURE | Flags::STREAMING) {
        return Err(io::Error::other("it takes no pictures"));
    }
    Ok(Found { path: path.to_owned(), card: caps.card, driver: caps.driver, bus: caps.bus })
}

/// The kernel as a driver.
pub(super) struct Kernel {
    pub(super) config: V4lConfig,
}

impl Driver for Kernel {
    /// `place`: where on the bus the camera was the last time.
    fn connect(&self, place: Option<&str>) -> Result<Connection, SourceError> {
        let config = &self.config;
        let camera = self.find(place)?;
        let path = camera.path.display().to_string();
        let refused =
            |what: &str, error: &dyn std::fmt::Display| SourceError(format!("camera `{path}`: {what}: {error}"));
        let device = Device::with_path(&camera.path).map_err(|error| {
            refused("cannot be opened (may the service's user? does another program hold it?)", &error)
        })?;
        let mut notes = Vec::new();
        let shape = format(&device, config, &mut notes).map_err(|why| refused("its format", &why))?;
        let rate = rate(&device, config, &mut notes).map_err(|why| refused("its rate", &why))?;
        for (name, value) in &config.controls {
            control(&device, name, *value, &mut notes).map_err(|why| refused(&format!("control `{name}`"), &why))?;
        }
        let stream = Stream::with_buffers(&device, Type::VideoCapture, config.buffers)
            .map_err(|error| refused("gives no buffers (does another program take pictures?)", &error))?;
        let device = Arc::new(device);
        let facts =
            Facts { vendor: camera.driver, model: camera.card, serial: camera.bus, address: path.clone(), rate, notes };
        let pictures = Shots { stream: Running::Not(stream), buffers: config.buffers, shape };
        Ok(Connection { facts, control: Box::new(Commands(device)), pictures: Box::new(pictures) })
    }
}

impl Kernel {
    fn find(&self, place: Option<&str>) -> Result<Found, SourceError> {
        let config = &self.config;
        if let (None, Some(path)) = (&config.bus, &config.path) {
            return found(path).map_err(|error| {
                SourceError(format!(
                    "camera `{}`: {error}; `inspectd cameras list` shows those there are",
                    path.display()
                ))
            });
        }
        let all = list();
        let wanted = config.bus.as_deref().or(place);
        let fits = |camera: &&Found| wanted.is_none_or(|bus| camera.bus == bus);
        all.iter().find(fits).cloned().ok_or_else(|| {
            let others: Vec<&str> = all.iter().map(|camera| camera.bus.as_str()).collect();
            let there = if others.is_empty() {
                "there is none".to_owned()
            } else {
                format!("there are: {}", others.join(", "))
            };
            SourceError(format!("{} is not there ({there}): is it plugged in?", config.wanted()))
        })
    }
}

/// How pictures lie in memory.
#[derive(Clone, Copy)]
struct Layout {
    format: Format,
    width: u32,
    height: u32,
    stride: u32,
}

fn format(device: &Device, config: &V4lConfig, notes: &mut Vec<String>) -> Result<Layout, String> {
    let words = |error: io::Error| error.to_string();
    let mut wanted = device.format().map_err(words)?;
    if let Some(format) = config.format {
        wanted.fourcc = FourCC::new(&format.fourcc());
    }
    if let Some([width, height]) = config.size {
        (wanted.width, wanted.height) = (width, height);
    }
    let got = device.set_format(&wanted).map_err(words)?;
    let Some(format) = Format::ALL.into_iter().find(|format| format.fourcc() == got.fourcc.repr) else {
        return Err(format!(
            "it sends {}, which is not read here: set `source.format` to mjpeg, yuyv or grey",
            got.fourcc
        ));
    };
    if config.format.is_some_and(|asked| asked != format) {
        return Err(format!("it does not send {:?} but {}: choose another `source.format`", config.format, got.fourcc));
    }
    if let Some([width, height]) = config.size
        && (got.width, got.height) != (width, height)
    {
        notes.push(format!("size {width} x {height} became {} x {}", got.width, got.height));
    }
    Ok(Layout { format, width: got.width, height: got.height, stride: got.stride })
}

fn rate(device: &Device, config: &V4lConfig, notes: &mut Vec<String>) -> Result<Option<f64>, String> {
    let of = |interval: Fraction| {
        (interval.numerator > 0).then(|| f64::from(interval.denominator) / f64::from(interval.numerator))
    };
    let Some(rate) = config.rate else { return Ok(device.params().ok().and_then(|params| of(params.interval))) };
    let asked = Parameters::new(Fraction::new(1000, (rate * 1000.0).round().clamp(1.0, 4e9) as u32));
    let got = device.set_params(&asked).map_err(|error| error.to_string())?;
    let got = of(got.interval);
    if got.is_none_or(|got| (got - rate).abs() > 0.01 * rate) {
        notes.push(format!("rate {rate} became {}", got.map_or("unknown".to_owned(), |got| format!("{got:.3}"))));
    }
    Ok(got)
}

/// A control's name as tools show it: `Exposure Time, Absolute` is `exposure_time_absolute`.
fn name_of(shown: &str) -> String {
    let words = shown.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_ascii_lowercase()
}

fn control(device: &Device, name: &str, value: ControlValue, notes: &mut Vec<String>) -> Result<(), String> {
    let all = device.query_controls().map_err(|error| error.to_string())?;
    let Some(control) = all.iter().find(|control| name_of(&control.name) == name) else {
        let names: Vec<String> = all.iter().map(|control| name_of(&control.name)).collect();
        return Err(format!("there is none of this name; there are: {}", names.join(", ")));
    };
    let asked = match value {
        ControlValue::Switch(on) => i64::from(on),
        ControlValue::Number(number) => number,
    };
    if !(control.minimum..=control.maximum).contains(&asked) {
        return Err(format!("{asked} is not possible: give {} to {}", control.minimum, control.maximum));
    }
    let set = match value {
        ControlValue::Switch(on) => Value::Boolean(on),
        ControlValue::Number(number) => Value::Integer(number),
    };
    let words = |error: io::Error| format!("{error} (is an automatic on that governs it?)");
    device.set_control(Setting { id: control.id, value: set }).map_err(words)?;
    let got = match device.control(control.id).map_err(words)?.value {
        Value::Integer(number) => number,
        Value::Boolean(on) => i64::from(on),
        _ => return Err("it is of a kind that cannot be read back".to_owned()),
    };
    match control.step {
        _ if got == asked => Ok(()),
        step if step > 1 && got.abs_diff(asked) < step => {
            notes.push(format!("control {name}: {asked} became {got}"));
            Ok(())
        }
        _ => Err(format!("{asked} was set, but it is {got}: is an automatic on that governs it?")),
    }
}

struct Commands(Arc<Device>);

impl Control for Commands {
    fn start(&mut self) -> Result<(), String> {
        Ok(())
    }
    fn stop(&mut self) {}
    fn fire(&mut self) -> Result<(), String> {
        Err("a V4L2 camera takes no trigger here".to_owned())
    }
    fn alive(&mut self) -> Result<(), String> {
        self.0.query_caps().map(drop).map_err(|error| format!("it does not answer ({error}): unplugged?"))
    }
}

/// The stream of buffers. The crate begins it with its first picture, for which it would wait without limit, and queues the buffer shown
/// last when the next is asked for; so it is begun here, and asked only when the kernel says that a picture is there.
enum Running {
    Not(Stream<'static>),
    Yes(Stream<'static>),
    Broken,
}

struct Shots {
    stream: Running,
    buffers: u32,
    shape: Layout,
}

impl Pictures for Shots {
    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(Raw<'_>)) {
        self.stream = match std::mem::replace(&mut self.stream, Running::Broken) {
            Running::Not(stream) => begun(stream, self.buffers).map_or(Running::Broken, Running::Yes),
            other => other,
        };
        let Running::Yes(stream) = &mut self.stream else { return std::thread::sleep(wait) };
        // A device that is gone answers at once, with an error; the link asks whether it is there.
        let ready = stream.handle().poll(POLLIN, i32::try_from(wait.as_millis()).unwrap_or(i32::MAX));
        if !matches!(ready, Ok(count) if count > 0) {
            if ready.is_err() {
                std::thread::sleep(wait);
            }
            return;
        }
        let Ok((bytes, meta)) = stream.next() else {
            self.stream = Running::Broken;
            return std::thread::sleep(wait);
        };
        let Layout { format, width, height, stride } = self.shape;
        let used = bytes.get(..meta.bytesused as usize).unwrap_or(bytes);
        let picture = Picture { width, height, stride, format, bytes: used };
        let whole = !meta.flags.contains(BufferFlags::ERROR);
        let image: Result<&dyn Convert, String> = match whole {
            true => Ok(&picture),
            false => Err("the driver says that the picture is damaged".to_owned()),
        };
        let monotonic = (meta.flags & BufferFlags::TIMESTAMP_MASK) == BufferFlags::TIMESTAMP_MONOTONIC;
        let stamp = Duration::new(
            u64::try_from(meta.timestamp.sec).unwrap_or(0),
            u32::try_from(meta.timestamp.usec).unwrap_or(0).min(999_999) * 1000,
        );
        take(Raw {
            number: u64::from(meta.sequence),
            stamp_ns: if monotonic { u64::try_from(stamp.as_nanos()).unwrap_or(0) } else { 0 },
            arrived: Instant::now(),
            exposure_us: None,
            image,
        });
    }

    fn packets(&self) -> Packets {
        Packets::default()
    }
}

/// `POLLIN` of `poll(2)`.
const POLLIN: i16 = 1;

/// All buffers but the first, which the crate queues itself with the first picture.
fn begun(mut stream: Stream<'static>, buffers: u32) -> io::Result<Stream<'static>> {
    for index in 1..buffers as usize {
        CaptureStream::queue(&mut stream, index)?;
    }
    stream.start()?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_tools_show_them() {
        assert_eq!(name_of("Exposure Time, Absolute"), "exposure_time_absolute");
        assert_eq!(name_of("White Balance Temperature, Auto"), "white_balance_temperature_auto");
    }

    #[test]
    fn a_machine_without_cameras_has_none_and_says_so() {
        if !list().is_empty() {
            return;
        }
        let config: V4lConfig = toml::from_str("bus = 'usb-1'").expect("sound");
        let error = Kernel { config }.connect(None).err().expect("not there").0;
        assert!(error.contains("V4L2 camera at `usb-1` is not there (there is none)"), "{error}");
        let config: V4lConfig = toml::from_str("path = '/dev/video99'").expect("sound");
        let error = Kernel { config }.connect(None).err().expect("not there").0;
        assert!(error.contains("/dev/video99"), "{error}");
    }
}
