//! Sources of frames, one file each. A new source is a file, a `mod` line and a variant of [`SourceConfig`].

pub mod called;
pub mod folder;
pub mod genicam;
pub mod live;
pub mod statistics;
pub mod stream;
pub mod synthetic;
pub mod v4l;
pub mod video;
pub mod views;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::frame::Frame;
use crate::inspection::Truth;
use crate::verdict::Cause;

/// Who sets the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Parts come when they come: a full line costs a part (`NoDecision`, overload).
    Triggered,
    /// The source waits until the line has room: a folder read once, a simulation at full speed.
    OnDemand,
}

/// What a source has to say.
pub enum Event {
    /// A part was triggered.
    Trigger(Trigger),
    /// Nothing within the time given.
    Idle,
    /// No more parts will ever come.
    End,
}

/// One trigger.
pub struct Trigger {
    /// When it came.
    pub at: Instant,
    /// Serial number, where one is known.
    pub serial: Option<Arc<str>>,
    /// Its picture, or why there is none: the part then gets `NoDecision` with that cause.
    pub frame: Result<Frame, Fault>,
    /// What the part really is, when simulated.
    pub truth: Option<Truth>,
    /// The call that it answers, where parts are called for ([`called`]).
    pub call: Option<u32>,
}

/// Why a trigger came without a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `NoFrame` (nothing came), `Overload` (no free buffer), `Unreadable`, ...
    pub cause: Cause,
    /// In words.
    pub detail: String,
}

/// Why a source stopped delivering. The capture stage reports it, counts it and opens the source anew.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// A camera, or something that stands in for one. Runs on the capture thread.
pub trait Source: Send {
    /// The camera's name, for records and messages.
    fn name(&self) -> &str;
    /// Who sets the pace.
    fn pace(&self) -> Pace;
    /// Asks for one picture now, as a software trigger does; it comes with [`next`](Self::next). Without effect where pictures come by
    /// themselves.
    fn expose(&mut self) -> Result<(), SourceError> {
        Ok(())
    }
    /// How long after a failure it is asked again.
    fn retry_after(&self) -> Duration {
        Duration::from_secs(1)
    }
    /// Where it counts what came and what was lost; none where there is nothing to count. A source around another passes that one's on.
    fn gauge(&self) -> Option<statistics::Gauge> {
        None
    }
    /// Waits at most `wait` for the next event.
    fn next(&mut self, wait: Duration) -> Result<Event, SourceError>;
}

/// The `[source]` section of a configuration: which source, and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceConfig {
    /// A folder of image files.
    Folder(folder::FolderConfig),
    /// A video file or GStreamer pipeline.
    Video(video::VideoConfig),
    /// A simulated line.
    Synthetic(synthetic::SyntheticConfig),
    /// A GigE Vision or USB3 Vision camera.
    Genicam(Box<genicam::GenicamConfig>),
    /// A V4L2 camera.
    V4l(v4l::V4lConfig),
    /// A live stream: RTSP, MJPEG over HTTP, a GStreamer pipeline.
    Stream(stream::StreamConfig),
    /// Several cameras for one part.
    Views(views::ViewsConfig),
}

impl SourceConfig {
    /// `kind` as written in the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            SourceConfig::Folder(_) => "folder",
            SourceConfig::Video(_) => "video",
            SourceConfig::Synthetic(_) => "synthetic",
            SourceConfig::Genicam(_) => "genicam",
            SourceConfig::V4l(_) => "v4l",
            SourceConfig::Stream(_) => "stream",
            SourceConfig::Views(_) => "views",
        }
    }

    /// Everything wrong with the settings themselves, without touching a file or a device.
    pub fn problems(&self) -> Vec<String> {
        match self {
            SourceConfig::Folder(config) => config.problems(),
            SourceConfig::Video(config) => config.problems(),
            SourceConfig::Synthetic(config) => config.problems(),
            SourceConfig::Genicam(config) => config.problems(),
            SourceConfig::V4l(config) => config.problems(),
            SourceConfig::Stream(config) => config.problems(),
            SourceConfig::Views(config) => config.problems(),
        }
    }

    /// Makes relative paths relative to this folder: that of the file in which they stand.
    pub fn relative_to(&mut self, folder: &Path) {
        match self {
            SourceConfig::Folder(config) => config.path = folder.join(&config.path),
            SourceConfig::Video(config) => config.path = config.path.take().map(|path| folder.join(path)),
            SourceConfig::Synthetic(_) | SourceConfig::Genicam(_) | SourceConfig::V4l(_) | SourceConfig::Stream(_) => {}
            SourceConfig::Views(config) => config.relative_to(folder),
        }
    }

    /// Opens the source, or says why it cannot be.
    pub fn open(&self) -> Result<Box<dyn Source>, SourceError> {
        Ok(match self.clone() {
            SourceConfig::Folder(config) => Box::new(folder::Folder::open(config)?),
            SourceConfig::Video(config) => Box::new(video::Video::open(config)?),
            SourceConfig::Synthetic(config) => Box::new(synthetic::Synthetic::open(config)?),
            SourceConfig::Genicam(config) => Box::new(genicam::Genicam::open(*config)?),
            SourceConfig::V4l(config) => v4l::open(&config)?,
            SourceConfig::Stream(config) => stream::open(config)?,
            SourceConfig::Views(config) => Box::new(views::Views::open(&config)?),
        })
    }
}

/// Holds a source to a number of parts per second. After a pause it catches up at most one second.
struct Pacer {
    interval: Option<Duration>,
    next_at: Instant,
}

impl Pacer {
    /// No rate: always due.
    fn new(rate: Option<f64>) -> Pacer {
        Pacer { interval: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)), next_at: Instant::now() }
    }

    /// Sleeps until the next part is due, or until `until`; true if it is due.
    fn wait(&self, until: Instant) -> bool {
        let due = self.due(until);
        let wake = if due { self.next_at } else { until };
        std::thread::sleep(wake.saturating_duration_since(Instant::now()));
        due
    }

    /// Whether a part is due, without waiting.
    fn due(&self, now: Instant) -> bool {
        self.interval.is_none() || self.next_at <= now
    }

    /// There was nothing to deliver: that time is not caught up.
    fn nothing_there(&mut self) {
        self.next_at = self.next_at.max(Instant::now());
    }

    /// A part was delivered.
    fn delivered(&mut self) {
        if let Some(interval) = self.interval {
            let oldest = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or(self.next_at);
            self.next_at = self.next_at.max(oldest) + interval;
        }
    }
}

/// What is wrong with a rate, if anything.
fn rate_problem(rate: Option<f64>) -> Option<String> {
    let rate = rate?;
    let sane = rate.is_finite() && (0.001..=10_000.0).contains(&rate);
    (!sane).then(|| format!("`source.rate` is {rate}: give parts per second between 0.001 and 10000, or leave it out"))
}
