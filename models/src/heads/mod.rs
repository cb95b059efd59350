//! What stands on a trunk, one file each.

pub mod attention;
pub mod memory;
