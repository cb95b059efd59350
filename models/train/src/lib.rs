//! Learns a bundle from labelled images: dataset, augmentation, sampling, fitting, evaluation. The only crate that names
//! `burn`.

pub mod augment;
pub mod batch;
pub mod certify;
pub mod checkpoint;
pub mod dataset;
mod error;
pub mod evaluate;
pub mod export;
pub mod fit;
pub mod input;
pub mod loss;
pub mod net;
pub mod ops;
mod optimizer;
pub mod progress;
pub mod report;
pub mod sampler;
pub mod samples;
pub mod schedule;
pub mod split;
pub mod stage_one;
pub mod stage_two;
pub mod thresholds;
mod train;
pub mod trunk;
pub mod weighting;

pub use error::TrainError;
pub use evaluate::evaluate;
pub use report::Report;
pub use train::{Data, Finish, Settings, Start, Trained, train};
