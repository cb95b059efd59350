//! Learns a bundle from labelled images: dataset, augmentation, sampling, fitting, evaluation. The only crate that names
//! `burn`.

pub mod augment;
pub mod batch;
pub mod checkpoint;
pub mod dataset;
mod error;
pub mod fit;
pub mod loss;
pub mod net;
pub mod ops;
pub mod progress;
pub mod sampler;
pub mod samples;
pub mod split;
pub mod stage_one;
pub mod stage_two;
pub mod thresholds;
mod train;

pub use error::TrainError;
pub use train::{Data, Finish, Settings, Start, Trained, train};
