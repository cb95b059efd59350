//! Learns a bundle from labelled images: dataset, augmentation, sampling, fitting, evaluation. The only crate that names
//! `burn`.

pub mod augment;
pub mod batch;
pub mod certify;
pub mod check;
pub mod checkpoint;
pub mod dataset;
mod error;
pub mod evaluate;
pub mod export;
pub mod fit;
pub mod formats;
pub mod input;
pub mod loss;
pub mod mask;
pub mod near;
pub mod net;
pub mod ops;
pub mod preview;
pub mod progress;
pub mod report;
pub mod sampler;
pub mod samples;
pub mod split;
pub mod stage_one;
pub mod stage_two;
pub mod thresholds;
mod train;
pub mod trunk;

pub use error::TrainError;
pub use evaluate::evaluate;
pub use report::Report;
pub use train::{Data, Finish, Settings, Start, Trained, train};
