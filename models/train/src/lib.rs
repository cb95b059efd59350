//! Learns a bundle from labelled images: dataset, augmentation, sampling, fitting, evaluation. The only crate that names
//! `burn`.

pub mod augment;
pub mod batch;
pub mod certify;
pub mod check;
pub mod checkpoint;
pub mod choice;
pub mod dataset;
mod error;
pub mod evaluation;
pub mod export;
pub mod few_shot;
pub mod fit;
pub mod formats;
pub mod frozen;
pub mod gate;
pub mod good;
pub mod input;
pub mod loss;
pub mod mask;
pub mod mixed;
pub mod near;
pub mod net;
pub mod ops;
mod optimizer;
pub mod peers;
pub mod places;
pub mod pretrain;
pub mod preview;
pub mod progress;
pub mod reference;
pub mod sampler;
pub mod samples;
pub mod schedule;
pub mod search;
pub mod split;
pub mod stage_one;
pub mod stage_two;
pub mod tensorboard;
mod train;
pub mod trunk;
pub mod weighting;

pub use error::TrainError;
pub use evaluation::{Report, evaluate};
pub use train::{Data, Finish, Settings, Start, Trained, train};
