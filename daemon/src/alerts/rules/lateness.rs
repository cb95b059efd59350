//! Verdicts come too late: the share of `NoDecision{late}` over a window.

use serde::{Deserialize, Serialize};
use stages::verdict::Cause;
use utoipa::ToSchema;

use super::without_verdict::Share;
use super::{Condition, Watch};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Lateness(pub Share);

impl Condition for Lateness {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        self.0.problems()
    }

    fn watch(&self) -> Box<dyn Watch> {
        self.0.watch(Cause::Late, "got no verdict in time")
    }
}
