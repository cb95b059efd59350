//! V4L2 cameras: webcams and industrial USB cameras with a kernel driver (UVC), frame grabbers, CSI sensors. They are looked after as
//! every live source is ([`live`](super::live)): what the driver's own count leaves out is missing, its monotonic time stamps say when a
//! picture was taken, and what is unplugged, stalls or freezes is opened anew, found by its place on the bus.

mod config;
mod device;
mod pixels;

use std::sync::Arc;
use std::time::Duration;

pub use self::config::{ControlValue, Format, V4lConfig};
pub use self::device::{Found, list};

use super::live::driver::Driver;
use super::live::{Camera, Pull, Terms};
use super::{Source, SourceError};

/// More than the stall's limit for the first picture: cameras on USB take their time to start.
const FIRST_PICTURE: Duration = Duration::from_secs(2);

/// Opens the camera.
///
/// # Errors
/// It is not there, or it refuses a setting: the thing, the reason and the way out.
pub fn open(config: &V4lConfig) -> Result<Box<dyn Source>, SourceError> {
    let driver = Arc::new(device::Kernel { config: config.clone() });
    open_with(config, driver)
}

/// Opens it through a driver of the caller's.
///
/// # Errors
/// As [`open`].
pub fn open_with(config: &V4lConfig, driver: Arc<dyn Driver>) -> Result<Box<dyn Source>, SourceError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(SourceError(problems.join("; ")));
    }
    let ms = |ms: u32| Duration::from_millis(u64::from(ms));
    let terms = Terms {
        label: config.label(),
        wanted: config.wanted(),
        pull: Pull::Free,
        stall: ms(config.stall_ms),
        first_picture: FIRST_PICTURE,
        answer: ms(config.answer_ms),
        picture_timeout: ms(config.stall_ms),
        frozen_after: config.frozen_after,
        answers: true,
        newest: None,
    };
    Ok(Box::new(Camera::open(terms, driver)?))
}
