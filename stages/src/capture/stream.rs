//! Live streams through OpenCV: RTSP, MJPEG over HTTP and whatever else FFmpeg opens by an address, and GStreamer pipelines. They are
//! looked after as cameras are ([`live`](super::live)): a stream that ends, hangs, stalls or freezes is opened anew by itself.
//!
//! Only the newest picture becomes a part, and none that is older than `max_age_ms`: what a network or a slow line held up gets no verdict,
//! and is counted. A stream's pictures carry no number and no time that could be trusted, so the time of a picture is that of
//! its arrival, and pictures that the sender or the network left out are not seen to be missing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use models::image::PixelFormat;
use opencv::core::{Mat, Vector};
use opencv::imgproc;
use opencv::prelude::*;
use opencv::videoio::{self, VideoCapture};
use serde::{Deserialize, Serialize};

use super::live::driver::{Connection, Control, Convert, Driver, Facts, Pictures, Raw, Shape};
use super::live::{Camera, Pull, Terms};
use super::statistics::Packets;
use super::{Source, SourceError};

/// More than the stall's limit for the first picture: FFmpeg looks at a stream before it gives any.
const FIRST_PICTURE: Duration = Duration::from_secs(3);

/// Which stream, and how long it may be silent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// The name in records and messages; absent: `stream`.
    #[serde(default)]
    pub name: Option<String>,
    /// An address: `rtsp://`, `http://`, `https://`, `tcp://`, `udp://`, `rtp://`. Either this or `pipeline`.
    #[serde(default)]
    pub url: Option<String>,
    /// A GStreamer pipeline that ends in `appsink`.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// Without a picture for so long the stream has stalled.
    #[serde(default = "eight_hundred")]
    pub stall_ms: u32,
    /// A picture that waited for longer gets no verdict.
    #[serde(default = "three_hundred")]
    pub max_age_ms: u32,
    /// How long opening may take.
    #[serde(default = "five_thousand")]
    pub open_ms: u32,
    /// Pictures equal bit for bit to the one before: from this many in a row they count as frozen. 0: never (a drawing, a test picture).
    #[serde(default = "five")]
    pub frozen_after: u32,
}

fn eight_hundred() -> u32 {
    800
}
fn three_hundred() -> u32 {
    300
}
fn five_thousand() -> u32 {
    5000
}
fn five() -> u32 {
    5
}

const SCHEMES: [&str; 7] = ["rtsp://", "rtsps://", "http://", "https://", "tcp://", "udp://", "rtp://"];

impl StreamConfig {
    /// Everything wrong with the settings themselves.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.url.is_some() == self.pipeline.is_some() {
            problems.push("`source`: give either `url` or `pipeline` (GStreamer)".to_owned());
        }
        if let Some(url) = &self.url
            && !SCHEMES.iter().any(|scheme| url.starts_with(scheme))
        {
            problems.push(format!(
                "`source.url` begins with none of {}: a file is read by `kind = \"video\"`",
                SCHEMES.join(", ")
            ));
        }
        for (key, text) in [("url", &self.url), ("pipeline", &self.pipeline), ("name", &self.name)] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.chars().any(char::is_control)) {
                problems.push(format!("`source.{key}` is empty or has control characters"));
            }
        }
        for (key, value, least, most) in [
            ("stall_ms", self.stall_ms, 100, 600_000),
            ("max_age_ms", self.max_age_ms, 10, 60_000),
            ("open_ms", self.open_ms, 100, 14_000),
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

    /// The address without a password: it goes into logs and onto screens.
    fn shown(&self) -> String {
        let Some(url) = &self.url else { return self.pipeline.clone().unwrap_or_default() };
        let Some((scheme, rest)) = url.split_once("://") else { return url.clone() };
        let end = rest.find('/').unwrap_or(rest.len());
        match rest[..end].rfind('@') {
            Some(at) => format!("{scheme}://...{}", &rest[at..]),
            None => url.clone(),
        }
    }
}

/// Opens the stream.
///
/// # Errors
/// It cannot be opened now: a line does not start with a stream that is not there.
pub(super) fn open(config: StreamConfig) -> Result<Box<dyn Source>, SourceError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(SourceError(problems.join("; ")));
    }
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    let terms = Terms {
        label: config.name.clone().unwrap_or_else(|| "stream".to_owned()),
        wanted: config.shown(),
        pull: Pull::Free,
        stall: ms(config.stall_ms),
        first_picture: FIRST_PICTURE,
        answer: ms(config.stall_ms),
        picture_timeout: ms(config.stall_ms),
        frozen_after: config.frozen_after,
        answers: false,
        newest: Some(ms(config.max_age_ms)),
    };
    Ok(Box::new(Camera::open(terms, Arc::new(OpenCv { config }))?))
}

struct OpenCv {
    config: StreamConfig,
}

/// What ended the stream, in words; the two halves of a connection share it.
type Ended = Arc<Mutex<Option<String>>>;

impl Driver for OpenCv {
    fn connect(&self, _: Option<&str>) -> Result<Connection, SourceError> {
        let config = &self.config;
        let shown = config.shown();
        let refused = |why: &str| {
            SourceError(format!("stream `{shown}` cannot be opened ({why}): is it there, and is its codec installed?"))
        };
        let opened = match (&config.url, &config.pipeline) {
            (Some(url), _) => {
                let limits = [
                    (videoio::CAP_PROP_OPEN_TIMEOUT_MSEC, config.open_ms),
                    // A read that takes longer than a stall belongs to a connection that was given up.
                    (videoio::CAP_PROP_READ_TIMEOUT_MSEC, 2 * config.stall_ms.max(config.open_ms / 2)),
                ];
                let limits: Vector<i32> = limits
                    .into_iter()
                    .flat_map(|(key, value)| [key, i32::try_from(value).unwrap_or(i32::MAX)])
                    .collect();
                VideoCapture::from_file_with_params(url, videoio::CAP_FFMPEG, &limits)
            }
            (None, Some(pipeline)) => VideoCapture::from_file(pipeline, videoio::CAP_GSTREAMER),
            (None, None) => return Err(refused("neither address nor pipeline")),
        };
        let capture = opened.map_err(|error| refused(&error.message))?;
        if !capture.is_opened().unwrap_or(false) {
            return Err(refused("no reader accepts it"));
        }
        let ended = Ended::default();
        let facts = Facts { vendor: "stream".into(), address: shown, ..Facts::default() };
        Ok(Connection {
            facts,
            control: Box::new(Asked(ended.clone())),
            pictures: Box::new(Frames { capture, picture: Mat::default(), number: 0, ended }),
        })
    }
}

struct Asked(Ended);

impl Control for Asked {
    fn start(&mut self) -> Result<(), String> {
        Ok(())
    }
    fn stop(&mut self) {}
    fn fire(&mut self) -> Result<(), String> {
        Err("a stream takes no trigger".to_owned())
    }
    fn alive(&mut self) -> Result<(), String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}

struct Frames {
    capture: VideoCapture,
    picture: Mat,
    number: u64,
    ended: Ended,
}

impl Pictures for Frames {
    /// Waits for as long as OpenCV does, which is why nobody waits for this thread.
    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(Raw<'_>)) {
        let end = |this: &Frames, why: String| {
            this.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        };
        if self.ended.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return std::thread::sleep(wait);
        }
        match self.capture.read(&mut self.picture) {
            Ok(true) if !self.picture.empty() => {}
            Ok(_) => return end(self, "the stream ended, or sends nothing that can be read".to_owned()),
            Err(error) => return end(self, format!("OpenCV: {}", error.message)),
        }
        self.number += 1;
        let image = Bgr(&self.picture);
        take(Raw { number: self.number, stamp_ns: 0, arrived: Instant::now(), exposure_us: None, image: Ok(&image) });
    }

    fn packets(&self) -> Packets {
        Packets::default()
    }
}

/// OpenCV's blue-green-red (or grey) picture.
struct Bgr<'a>(&'a Mat);

impl Convert for Bgr<'_> {
    fn bytes_after(&self) -> usize {
        self.0.total() * self.0.channels().clamp(1, 3) as usize
    }

    fn convert(&self, out: &mut Vec<u8>) -> Result<Shape, String> {
        let words = |error: opencv::Error| format!("OpenCV: {}", error.message);
        let (width, height) = (self.0.cols(), self.0.rows());
        if width <= 0 || height <= 0 || self.0.depth() != opencv::core::CV_8U || !self.0.is_continuous() {
            return Err(format!("a picture of {width} x {height} pixels that are not of 8 bits"));
        }
        let format = match self.0.channels() {
            1 => PixelFormat::Mono8,
            3 => PixelFormat::Rgb8,
            other => return Err(format!("a picture of {other} channels")),
        };
        out.resize(width as usize * height as usize * format.channels(), 0);
        match format {
            PixelFormat::Mono8 => out.copy_from_slice(self.0.data_bytes().map_err(words)?),
            PixelFormat::Rgb8 => {
                let mut flat = Mat::new_rows_cols_with_data_mut(height, width * 3, &mut out[..]).map_err(words)?;
                let mut to = flat.reshape_mut(3, height).map_err(words)?;
                imgproc::cvt_color_def(self.0, &mut to, imgproc::COLOR_BGR2RGB).map_err(words)?;
            }
        }
        Ok((width as u32, height as u32, format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_and_passwords_stay_out_of_words() {
        let config = |text: &str| toml::from_str::<StreamConfig>(text).expect("readable");
        let sound = config("url = 'rtsp://user:secret@10.0.0.7:554/live?x=@'");
        assert_eq!(sound.problems(), Vec::<String>::new());
        assert_eq!(sound.shown(), "rtsp://...@10.0.0.7:554/live?x=@");
        for (text, words) in [
            ("", "either `url` or `pipeline`"),
            ("url = 'http://a/'\npipeline = 'x ! appsink'", "either"),
            ("url = '/etc/passwd'", "source.url"),
            ("url = 'file:///etc/passwd'", "source.url"),
            ("url = \"http://a/\\n\"", "control characters"),
            ("url = 'http://a/'\nstall_ms = 1", "source.stall_ms"),
            ("url = 'http://a/'\nfrozen_after = 1", "source.frozen_after"),
        ] {
            let problems = config(text).problems().join("\n");
            assert!(problems.contains(words), "{text}: {problems}");
        }
    }
}
