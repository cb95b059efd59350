//! No time server sets the clock: records carry wrong times sooner or later. Where nobody can say, nothing is said.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch};
use crate::health::ClockState;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClockFree {}

impl Condition for ClockFree {
    const MACHINE: bool = true;

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching)
    }
}

struct Watching;

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        match facts.health.clock {
            ClockState::Synchronised => Look::whole(Level::Good, None, "a time server sets the clock"),
            ClockState::Free => {
                Look::whole(Level::Bad, None, "no time server sets the clock: install chrony or enable systemd-timesyncd")
            }
            ClockState::Unknown => Look::whole(Level::Between, None, "nobody knows who sets the clock"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use crate::health::HealthReport;

    #[test]
    fn not_knowing_is_no_alarm() {
        let mut bench = Bench::new(&ClockFree {});
        for (clock, level) in [(ClockState::Synchronised, Level::Good), (ClockState::Unknown, Level::Between), (ClockState::Free, Level::Bad)] {
            bench.facts.health = HealthReport { clock, ..HealthReport::clone(&bench.facts.health) }.into();
            assert_eq!(bench.level(), level);
        }
    }
}
