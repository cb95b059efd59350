//! What the source asks of a GenICam library. Aravis is behind it in earnest, a double in tests.

use std::sync::Arc;

use super::config::GenicamConfig;
use crate::capture::SourceError;
use crate::capture::live::driver as live;

pub use crate::capture::live::driver::{Connection, Control, Convert, Facts, Pictures, Raw};

/// Finds and opens cameras. Every call may block for seconds; they are made on threads that the source can do without.
pub trait Driver: Send + Sync + 'static {
    /// Finds the camera, opens it, makes its settings and reads them back. Nothing is acquired yet.
    ///
    /// `serial` is what this camera said of itself the last time: it is found by it under another address too.
    ///
    /// # Errors
    /// It is not there, somebody else has it, or it refuses a setting: the thing, the reason and the way out.
    fn connect(&self, config: &GenicamConfig, serial: Option<&str>) -> Result<Connection, SourceError>;
}

/// A driver with the camera that it is to open.
pub(super) struct Bound {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) config: GenicamConfig,
}

impl live::Driver for Bound {
    fn connect(&self, serial: Option<&str>) -> Result<Connection, SourceError> {
        self.driver.connect(&self.config, serial)
    }
}
