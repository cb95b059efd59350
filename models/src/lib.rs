//! All about *running* a network: decoding and preprocessing images, building graphs, loading and verifying bundles,
//! ONNX Runtime. This crate knows no camera and no line.

pub mod bundle;
pub mod certify;
pub mod fallback;
pub mod graph;
pub mod heads;
pub mod image;
pub mod levels;
pub mod precision;
pub mod prediction;
pub mod predictor;
pub mod prepare;
pub mod preprocess;
pub mod reproduce;
pub mod retrieval;
pub mod ruling;
pub mod runtime;
pub mod scatter;
pub mod sketch;
pub mod views;
pub mod weights;
pub mod zoo;
