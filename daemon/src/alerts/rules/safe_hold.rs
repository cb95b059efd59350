//! The line is in safe hold: it decides nothing, and every part is rejected.

use stages::line::LineState;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SafeHold {}

impl Condition for SafeHold {
    const MACHINE: bool = false;

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching)
    }
}

struct Watching;

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        match &facts.line.state {
            LineState::SafeHold(reason) => {
                Look::whole(Level::Bad, None, format!("safe hold, every part is rejected: {reason}"))
            }
            _ => Look::whole(Level::Good, None, "the line decides"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn the_reason_is_told() {
        let mut bench = Bench::new(&SafeHold {});
        assert_eq!(bench.level(), Level::Good);
        bench.facts.line.state = LineState::SafeHold("the disk is full".into());
        assert_eq!(bench.level(), Level::Bad);
        assert!(bench.text().ends_with("the disk is full"));
    }
}
