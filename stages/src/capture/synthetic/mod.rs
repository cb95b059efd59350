//! A production line without a camera: parts of drawn surfaces under uneven light, some with one of nine defects, at a
//! severity that is asked for, measured and written into the truth.
//!
//! A frame goes through what a real one goes through: a surface ([`Surface`]) in a light field, the part's outline over the
//! belt, a defect as a change of light ([`Defect`]), a sensor with read and shot noise. A part follows from (stream, seed,
//! index) alone, on any number of threads and in any order. [`Stream`] keeps the line's parts and a model's training parts
//! apart whatever their seeds.

mod bad_frame;
mod bands;
mod contrast;
mod conveyor;
mod defects;
mod edge;
mod field;
mod lamp;
mod light;
pub mod pin;
mod random;
mod renderer;
mod scene;
mod sensor;
mod stamp;
mod surface;
mod training;

pub use bad_frame::BadFrame;
pub use bands::{Band, Bands};
pub use conveyor::{Synthetic, SyntheticConfig};
pub use defects::Defect;
pub use lamp::Lamp;
pub use random::Stream;
pub use renderer::{Renderer, Rendering};
pub use scene::{Ask, Mix};
pub use surface::Surface;
pub use training::{Sample, TrainingSet};

/// The labels, in the order of a model's scores.
pub const LABELS: [&str; 10] =
    ["good", "scratch", "pit", "crack", "stain", "inclusion", "dent", "edge_chip", "discolouration", "contamination"];

#[cfg(test)]
mod baseline_tests;
#[cfg(test)]
mod tests;
