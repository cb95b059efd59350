//! What stands on a trunk, one file each.

pub mod appearance;
pub mod attention;
pub mod border;
pub mod fusion;
pub mod memory;
pub mod prototypes;
