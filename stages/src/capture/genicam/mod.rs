//! GigE Vision and USB3 Vision cameras (GenICam): settings, pixel formats and the driver. They are looked after as every live source is
//! ([`live`](super::live)).

pub mod aravis;
mod config;
pub mod driver;
pub mod feature;
mod pixels;

use std::sync::Arc;
use std::time::Duration;

pub use self::config::{GenicamConfig, Interface, PacketSize, Region, Triggering};
pub use self::pixels::RawImage;

use self::driver::{Bound, Driver};
use super::live::{Camera, Pull, Terms};
use super::statistics::Gauge;
use super::{Event, Pace, Source, SourceError};

/// More than the stall's limit for the first picture after a start.
const FIRST_PICTURE: Duration = Duration::from_secs(1);

/// See [`GenicamConfig`].
pub struct Genicam(Camera);

impl Genicam {
    /// Opens the camera through Aravis.
    ///
    /// # Errors
    /// It is not there, somebody else has it, or it refuses a setting.
    pub fn open(config: GenicamConfig) -> Result<Genicam, SourceError> {
        Genicam::open_with(config, Arc::new(aravis::Aravis::default()))
    }

    /// Opens the camera through a driver of the caller's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(config: GenicamConfig, driver: Arc<dyn Driver>) -> Result<Genicam, SourceError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(SourceError(problems.join("; ")));
        }
        let terms = terms(&config);
        Camera::open(terms, Arc::new(Bound { driver, config })).map(Genicam)
    }
}

fn terms(config: &GenicamConfig) -> Terms {
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    Terms {
        label: config.label(),
        wanted: config.wanted(),
        pull: match config.trigger {
            Triggering::Free { .. } => Pull::Free,
            Triggering::Software { rate } => Pull::Software(rate),
            Triggering::Hardware { .. } => Pull::Hardware,
        },
        stall: ms(config.stall_ms),
        first_picture: FIRST_PICTURE,
        answer: ms(config.answer_ms),
        picture_timeout: ms(config.picture_timeout_ms),
        frozen_after: config.frozen_after,
        answers: true,
        newest: None,
    }
}

impl Source for Genicam {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn pace(&self) -> Pace {
        self.0.pace()
    }

    fn gauge(&self) -> Option<Gauge> {
        self.0.gauge()
    }

    fn expose(&mut self) -> Result<(), SourceError> {
        self.0.expose()
    }

    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        self.0.next(wait)
    }
}
