//! Parts come faster than they are inspected: the share of `NoDecision{overload}` over a window.

use serde::{Deserialize, Serialize};
use stages::verdict::Cause;
use utoipa::ToSchema;

use super::without_verdict::Share;
use super::{Condition, Watch};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Overload(pub Share);

impl Condition for Overload {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        self.0.problems()
    }

    fn watch(&self) -> Box<dyn Watch> {
        self.0.watch(Cause::Overload, "found the line full")
    }
}
