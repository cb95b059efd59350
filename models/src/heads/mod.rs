//! What stands on a trunk, one file each.

pub mod attention;
