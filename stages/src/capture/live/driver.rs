//! What a live source asks of the library that speaks to its camera or stream. Libraries are behind it in earnest, doubles in tests.

use std::time::{Duration, Instant};

use models::image::PixelFormat;

use crate::capture::SourceError;
use crate::capture::statistics::Packets;

/// Finds and opens cameras. Every call may block for seconds; the source makes them on threads that it can do without.
pub trait Driver: Send + Sync + 'static {
    /// Finds the camera, opens it, makes its settings and reads them back. Nothing is acquired yet.
    ///
    /// `serial` is what this camera said of itself the last time: it is found by it under another address too.
    ///
    /// # Errors
    /// It is not there, somebody else has it, or it refuses a setting: the thing, the reason and the way out.
    fn connect(&self, serial: Option<&str>) -> Result<Connection, SourceError>;
}

/// An open camera, in two halves for two threads: pictures must not wait for a command that is not answered.
pub struct Connection {
    /// What it is.
    pub facts: Facts,
    /// Commands.
    pub control: Box<dyn Control>,
    /// Pictures.
    pub pictures: Box<dyn Pictures>,
}

/// What a camera says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Its maker.
    pub vendor: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// Where it is: an IP address, or empty.
    pub address: String,
    /// Pictures per second when it runs free, where it says so.
    pub rate: Option<f64>,
    /// Settings that it has taken otherwise than asked, and other things that a person should know.
    pub notes: Vec<String>,
}

impl Facts {
    /// In words.
    pub fn words(&self) -> String {
        let at = if self.address.is_empty() { String::new() } else { format!(" at {}", self.address) };
        format!("{} {} {}{at}", self.vendor, self.model, self.serial)
    }
}

/// Commands to an open camera. Dropping it closes the camera.
pub trait Control: Send {
    /// Pictures may come from now on.
    ///
    /// # Errors
    /// The camera does not answer or refuses, in words; so everywhere in this trait.
    fn start(&mut self) -> Result<(), String>;
    /// No pictures any more. Best effort.
    fn stop(&mut self);
    /// A software trigger.
    fn fire(&mut self) -> Result<(), String>;
    /// Whether the camera answers and still obeys us.
    fn alive(&mut self) -> Result<(), String>;
}

/// Pictures of an open camera.
pub trait Pictures: Send {
    /// Waits for the next picture and shows it to `take`, in place.
    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(Raw<'_>));
    /// Packets so far.
    fn packets(&self) -> Packets;
}

/// A picture as it came.
pub struct Raw<'a> {
    /// The camera's count of its pictures.
    pub number: u64,
    /// When the camera took it, on its own clock, nanoseconds; 0: it does not say.
    pub stamp_ns: u64,
    /// When it was complete here.
    pub arrived: Instant,
    /// Exposure that it was taken with, where the camera says so with each picture.
    pub exposure_us: Option<f64>,
    /// The picture, or why there is none although its transfer had begun.
    pub image: Result<&'a dyn Convert, String>,
}

/// Width, height and format of a picture.
pub type Shape = (u32, u32, PixelFormat);

/// A picture in the driver's memory, in whatever form.
pub trait Convert {
    /// What it takes after conversion, bytes; a guess where only converting tells.
    fn bytes_after(&self) -> usize;
    /// Fills `out` with our pixels.
    ///
    /// # Errors
    /// It cannot be read, in words.
    fn convert(&self, out: &mut Vec<u8>) -> Result<Shape, String>;
}
