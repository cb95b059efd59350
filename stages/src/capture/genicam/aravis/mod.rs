//! Cameras through Aravis. The only folder that names the library.

mod claim;
mod discover;
mod ffi;
mod nodes;
mod played;
mod settings;
mod stream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aravis::glib::prelude::*;
use aravis::prelude::*;
use aravis::{AccessCheckPolicy, Camera, GvDevice, RangeCheckPolicy};

pub use self::discover::{Found, State, discover};
pub use self::played::Played;

use self::claim::Claim;
use super::config::{GenicamConfig, Interface};
use super::driver::{Connection, Driver, Facts};
use super::feature::{Feature, FeatureName, FeatureValue};
use crate::capture::SourceError;

/// The driver. A new connection takes over the claim of one that has not ended yet.
#[derive(Default)]
pub struct Aravis {
    claims: Mutex<HashMap<String, Weak<Claim>>>,
}

/// An open camera that we control.
struct Opened {
    camera: Camera,
    facts: Facts,
    fake: bool,
    _claim: Option<Arc<Claim>>,
}

impl Driver for Aravis {
    fn connect(&self, config: &GenicamConfig, serial: Option<&str>) -> Result<Connection, SourceError> {
        let mut opened = self.open(config, serial)?;
        opened.facts.notes = settings::apply(&opened.camera, config)?;
        stream::connect(opened, config)
    }
}

impl Aravis {
    /// Finds the camera and opens it.
    fn open(&self, config: &GenicamConfig, serial: Option<&str>) -> Result<Opened, SourceError> {
        let (id, address) = discover::find(config, serial)?;
        let fake = config.interface == Some(Interface::Fake);
        let claim = if fake { None } else { Some(self.claim(&id)?) };
        let camera = Camera::new(Some(&id)).map_err(|error| {
            SourceError(format!("camera `{id}` was found but cannot be opened: {}; is it in this machine's subnet, or does somebody else hold it?", error.message()))
        })?;
        if let Some(gige) = gige_device(&camera)
            && !gige.is_controller()
        {
            return Err(SourceError(format!(
                "camera `{id}` is controlled by another program or machine: end that, or wait until the camera's heartbeat gives it up (some seconds)"
            )));
        }
        // Aravis checks neither ranges nor access unless it is told to.
        camera.set_range_check_policy(RangeCheckPolicy::Enable);
        camera.set_access_check_policy(AccessCheckPolicy::Enable);
        let text =
            |value: Result<aravis::glib::GString, aravis::glib::Error>| value.map(String::from).unwrap_or_default();
        let facts = Facts {
            vendor: text(camera.vendor_name()),
            model: text(camera.model_name()),
            serial: text(camera.device_serial_number()),
            address: address.unwrap_or_default(),
            rate: None,
            notes: Vec::new(),
        };
        Ok(Opened { camera, facts, fake, _claim: claim })
    }

    fn claim(&self, id: &str) -> Result<Arc<Claim>, SourceError> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claim) = claims.get(id).and_then(Weak::upgrade) {
            return Ok(claim);
        }
        let claim = Arc::new(Claim::take(id)?);
        claims.insert(id.to_owned(), Arc::downgrade(&claim));
        Ok(claim)
    }
}

fn gige_device(camera: &Camera) -> Option<GvDevice> {
    camera.device()?.downcast::<GvDevice>().ok()
}

/// A camera on the bench: its features are looked at and set, no line runs. Calls may block for seconds.
pub struct Bench {
    opened: Opened,
}

impl Bench {
    /// Opens the camera that the configuration names; no setting is made.
    ///
    /// # Errors
    /// It is not there, or somebody else has it.
    pub fn open(config: &GenicamConfig) -> Result<Bench, SourceError> {
        Ok(Bench { opened: Aravis::default().open(config, None)? })
    }

    /// What it is.
    pub fn facts(&self) -> &Facts {
        &self.opened.facts
    }

    /// Every feature that the camera has now, in its own order.
    pub fn features(&self) -> Vec<Feature> {
        nodes::all(&self.opened.camera)
    }

    /// Sets a feature and reads it back: what the camera has made of it.
    ///
    /// # Errors
    /// There is no such feature, or the camera refuses the value: feature, value, range and way out.
    pub fn set(&self, name: &FeatureName, value: &FeatureValue) -> Result<String, SourceError> {
        nodes::set(&self.opened.camera, name, value).map(|set| set.got)
    }
}
