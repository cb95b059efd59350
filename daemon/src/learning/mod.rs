//! The learning loop: from a part that a person looked at to a better model.

mod desk;
mod event;
mod labels;
mod queue;

pub use desk::{Desk, DeskError};
pub use event::{Answer, Answered, Event, Item, Way};
pub use labels::{Agreement, Audited, Given, Labelled, Labels};
pub use queue::{Budget, Offer, Queue};
