//! `inspect-lite` from outside, beside ONNX Runtime.

#![allow(clippy::print_stdout, reason = "how close it was is worth a line")]

mod agreement;
mod heads;
mod refusals;
mod support;
