//! What a live source is held to.

use std::time::Duration;

/// What makes a camera take a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pull {
    /// It sets the pace itself.
    Free,
    /// A command; so many times a second, or when asked from outside.
    Software(Option<f64>),
    /// An input of the camera.
    Hardware,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The name in records and messages.
    pub label: String,
    /// How it is looked for, in words.
    pub wanted: String,
    /// What makes it take a picture.
    pub pull: Pull,
    /// Silence that is a stall, where it sets the pace itself.
    pub stall: Duration,
    /// So much more for the first picture after a start.
    pub first_picture: Duration,
    /// How long it may take to answer a command.
    pub answer: Duration,
    /// How long a software trigger may wait for its picture.
    pub picture_timeout: Duration,
    /// So many equal pictures in a row are frozen; 0: never.
    pub frozen_after: u32,
    /// Whether it can be asked if it is there; a stream cannot.
    pub answers: bool,
    /// Of a stream: only the newest picture counts, and none that is older than this.
    pub newest: Option<Duration>,
}
