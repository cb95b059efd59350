//! Architectures, one file each, as data.
