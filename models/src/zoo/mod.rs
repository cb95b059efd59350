//! Architectures, one file each, as data.

pub mod mobilenet_v3_small;
