//! Learns a bundle from labelled images: dataset, augmentation, sampling, fitting, evaluation. The only crate that names
//! `burn`.

pub mod ops;
pub mod net;
