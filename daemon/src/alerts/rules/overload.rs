//! Parts come faster than they are inspected: the share of `NoDecision{overload}` over a window.

use serde::{Deserialize, Serialize};
use stages::verdict::Cause;
use utoipa::ToSchema;

use super::without_verdict::Share;
use super::{Condition, Watch};

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Overload {
    /// Bad from here on, percent; good from half of it down.
    pub over_percent: f64,
    /// Of the parts of the last so many seconds.
    pub window_s: u32,
    /// With fewer parts in the window nothing is said.
    pub min_parts: u64,
}

impl Default for Overload {
    fn default() -> Self {
        Overload { over_percent: 1.0, window_s: 300, min_parts: 20 }
    }
}

impl Overload {
    fn share(&self) -> Share {
        Share { over_percent: self.over_percent, window_s: self.window_s, min_parts: self.min_parts }
    }
}

impl Condition for Overload {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        self.share().problems()
    }

    fn watch(&self) -> Box<dyn Watch> {
        self.share().watch(Cause::Overload, "found the line full")
    }
}
