//! A video file or a GStreamer pipeline, through OpenCV.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use models::image::PixelFormat;
use opencv::core::Mat;
use opencv::imgproc;
use opencv::prelude::*;
use opencv::videoio::{self, VideoCapture};
use serde::{Deserialize, Serialize};

use super::{Event, Fault, Pace, Pacer, Source, SourceError, Trigger, rate_problem};
use crate::frame::{Content, Frame, FrameBuffer, FramePool};
use crate::verdict::Cause;

/// Pictures that may be in memory at once.
const POOL_FRAMES: usize = 64;

/// Which stream, and how fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoConfig {
    /// A video file. Either this or `pipeline`.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// A GStreamer pipeline that ends in `appsink`, e.g. `rtspsrc location=... ! decodebin ! videoconvert ! appsink`.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// Parts per second; absent: as fast as the line takes them (a live pipeline sets its own pace).
    #[serde(default)]
    pub rate: Option<f64>,
    /// Every n-th picture is a part.
    #[serde(default = "one")]
    pub every_nth: u32,
}

fn one() -> u32 {
    1
}

impl VideoConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = rate_problem(self.rate).into_iter().collect();
        if self.path.is_some() == self.pipeline.is_some() {
            problems.push("`source`: give either `path` (a video file) or `pipeline` (GStreamer)".to_owned());
        }
        if self.every_nth == 0 {
            problems.push("`source.every_nth` is 0: 1 takes every picture".to_owned());
        }
        problems
    }
}

/// See [`VideoConfig`].
pub struct Video {
    config: VideoConfig,
    label: String,
    capture: VideoCapture,
    picture: Mat,
    pool: Option<FramePool>,
    sequence: u64,
    pacer: Pacer,
}

impl Video {
    /// Opens the stream.
    pub fn open(config: VideoConfig) -> Result<Video, SourceError> {
        let (label, opened) = match (&config.path, &config.pipeline) {
            (Some(path), None) => {
                let name = path.to_string_lossy().into_owned();
                let opened = VideoCapture::from_file(&name, videoio::CAP_ANY);
                (name, opened)
            }
            (None, Some(pipeline)) => (pipeline.clone(), VideoCapture::from_file(pipeline, videoio::CAP_GSTREAMER)),
            _ => return Err(SourceError("video: give either `path` or `pipeline`".to_owned())),
        };
        let refused = |why: &str| {
            SourceError(format!("video `{label}`: cannot be opened ({why}): is it there, and is its codec installed?"))
        };
        let capture = opened.map_err(|error| refused(&error.message))?;
        if !capture.is_opened().unwrap_or(false) {
            return Err(refused("no reader accepts it"));
        }
        let pacer = Pacer::new(config.rate);
        Ok(Video { config, label, capture, picture: Mat::default(), pool: None, sequence: 0, pacer })
    }

    /// Reads on to the next picture that is a part; false at the end of the stream.
    fn advance(&mut self) -> Result<bool, SourceError> {
        let failed = |error: opencv::Error| SourceError(format!("video `{}`: {}", self.label, error.message));
        loop {
            if !self.capture.read(&mut self.picture).map_err(failed)? || self.picture.empty() {
                return Ok(false);
            }
            self.sequence += 1;
            if (self.sequence - 1).is_multiple_of(u64::from(self.config.every_nth.max(1))) {
                return Ok(true);
            }
        }
    }

    fn frame(&self, buffer: FrameBuffer) -> Result<Frame, Fault> {
        let name: Arc<str> = format!("{}#{}", self.label, self.sequence - 1).into();
        to_pixels(&self.picture, buffer, self.sequence - 1, name).map_err(|error| Fault {
            cause: Cause::Unreadable,
            detail: format!("video `{}`, picture {}: {}", self.label, self.sequence - 1, error.message),
        })
    }
}

/// OpenCV's blue-green-red (or grey) picture as a frame in red-green-blue (or grey).
fn to_pixels(picture: &Mat, mut buffer: FrameBuffer, sequence: u64, name: Arc<str>) -> opencv::Result<Frame> {
    let (width, height) = (picture.cols(), picture.rows());
    let format = if picture.channels() == 1 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
    buffer.resize(width as usize * height as usize * format.channels(), 0);
    match format {
        PixelFormat::Mono8 => buffer.copy_from_slice(picture.data_bytes()?),
        PixelFormat::Rgb8 => {
            let mut flat = Mat::new_rows_cols_with_data_mut(height, width * 3, &mut buffer[..])?;
            let mut out = flat.reshape_mut(3, height)?;
            imgproc::cvt_color_def(picture, &mut out, imgproc::COLOR_BGR2RGB)?;
        }
    }
    let content = Content::Pixels { width: width as u32, height: height as u32, format };
    Ok(buffer.into_frame(content, sequence, Some(name)))
}

impl Source for Video {
    fn name(&self) -> &str {
        "video"
    }

    fn pace(&self) -> Pace {
        if self.config.rate.is_some() || self.config.pipeline.is_some() { Pace::Triggered } else { Pace::OnDemand }
    }

    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        let until = Instant::now() + wait;
        if !self.pacer.wait(until) {
            return Ok(Event::Idle);
        }
        // A file waits until a buffer is free; a live stream does not.
        let waits = self.pace() == Pace::OnDemand;
        let mut buffer = self.pool.as_ref().and_then(|pool| {
            pool.take(if waits { until.saturating_duration_since(Instant::now()) } else { Duration::ZERO })
        });
        if waits && self.pool.is_some() && buffer.is_none() {
            return Ok(Event::Idle);
        }
        if !self.advance()? {
            return Ok(Event::End);
        }
        self.pacer.delivered();
        if self.pool.is_none() {
            let bytes = self.picture.total() * self.picture.channels() as usize;
            buffer = self.pool.insert(FramePool::new(POOL_FRAMES, bytes)).try_take();
        }
        let frame = match buffer {
            Some(buffer) => self.frame(buffer),
            None => Err(Fault { cause: Cause::Overload, detail: "no free frame buffer".to_owned() }),
        };
        Ok(Event::Trigger(Trigger { at: Instant::now(), serial: None, frame, truth: None, call: None }))
    }
}
