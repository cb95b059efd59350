//! Finding cameras: all of them for a person, the one that is configured for the line.

use serde::Serialize;

use super::{claim, ffi, gige_device};
use crate::capture::SourceError;
use crate::capture::genicam::config::{GenicamConfig, Interface};

/// The id of the camera inside this process.
const FAKE: &str = "Fake_1";

/// A camera that answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// What the configuration may name as `id`.
    pub id: String,
    /// Its maker.
    pub vendor: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// GigEVision, USB3Vision, Fake.
    pub protocol: String,
    /// IP address, or where it hangs on USB.
    pub address: String,
    /// MAC address, or the like.
    pub physical_id: String,
    /// Whether it can be had.
    pub state: State,
}

/// Whether a camera can be had.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was opened, and closed again.
    Free,
    /// An inspectd on this machine has it.
    HeldHere,
    /// Another program or machine has it.
    HeldElsewhere,
    /// It cannot be opened, in words.
    Closed(String),
}

/// Every camera that answers. Each that nobody holds is opened for a moment, to see whether it can be.
pub fn discover(fake: bool) -> Vec<Found> {
    if fake {
        ffi::enable_fake();
    }
    let found = ffi::list().into_iter().map(|listed| {
        let state = state_of(&listed.id);
        let ffi::Listed { id, physical_id, vendor, model, serial, protocol, address } = listed;
        Found { id, vendor, model, serial, protocol, address, physical_id, state }
    });
    found.collect()
}

fn state_of(id: &str) -> State {
    if claim::is_held(id) {
        return State::HeldHere;
    }
    match aravis::Camera::new(Some(id)) {
        Err(error) => State::Closed(error.message().to_owned()),
        Ok(camera) if gige_device(&camera).is_some_and(|device| !device.is_controller()) => State::HeldElsewhere,
        Ok(_) => State::Free,
    }
}

/// The id of the configured camera as Aravis opens it, and its address where it is listed.
pub(super) fn find(config: &GenicamConfig, serial: Option<&str>) -> Result<(String, Option<String>), SourceError> {
    if config.interface == Some(Interface::Fake) {
        ffi::enable_fake();
        // Nothing to look for: it is made when it is opened.
        return Ok((config.id.clone().unwrap_or_else(|| FAKE.to_owned()), None));
    }
    let listed = ffi::list();
    let protocol = match config.interface {
        Some(Interface::Gige) => "GigEVision",
        Some(Interface::Usb3) => "USB3Vision",
        _ => "",
    };
    let there: Vec<_> = listed.iter().filter(|it| it.protocol.starts_with(protocol) && it.protocol != "Fake").collect();
    // What the camera said of itself outlives its address.
    let same = |it: &ffi::Listed| {
        let by_id = |id: &String| [&it.id, &it.serial].contains(&id) || id.eq_ignore_ascii_case(&it.physical_id);
        match serial {
            Some(serial) if config.serial.is_none() => it.serial == serial,
            _ => {
                config.serial.as_ref().is_none_or(|serial| *serial == it.serial)
                    && config.id.as_ref().is_none_or(by_id)
                    && (serial.is_some() || config.address.as_ref().is_none_or(|address| *address == it.address))
            }
        }
    };
    let fits: Vec<_> = there.iter().filter(|it| same(it)).collect();
    match (fits.as_slice(), &config.address) {
        ([one], _) => Ok((one.id.clone(), Some(one.address.clone()))),
        // Beyond a router no broadcast finds it.
        ([], Some(address)) => Ok((address.clone(), Some(address.clone()))),
        ([], None) => {
            let wanted = config.wanted();
            let names: Vec<String> =
                there.iter().map(|it| format!("{} {} ({})", it.vendor, it.model, it.serial)).collect();
            let seen = if names.is_empty() {
                "no camera answers".to_owned()
            } else {
                format!("these answer: {}", names.join(", "))
            };
            Err(SourceError(format!(
                "camera with {wanted} is not there; {seen}. Check power, cable and subnet; `inspectd cameras list` looks again"
            )))
        }
        (several, _) => {
            let serials: Vec<&str> = several.iter().map(|it| it.serial.as_str()).collect();
            Err(SourceError(format!("{} cameras fit: name one by `serial`: {}", several.len(), serials.join(", "))))
        }
    }
}
