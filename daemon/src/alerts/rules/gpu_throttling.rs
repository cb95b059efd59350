//! A graphics card slows itself down: because of heat or power, not because it is idle or was set so.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Reading, Watch};
use crate::health::ThrottleReason;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GpuThrottling {
    /// Whether reaching the power limit counts; many cards do so whenever they work.
    pub count_power_cap: bool,
}

impl Condition for GpuThrottling {
    const MACHINE: bool = true;

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching(self.clone()))
    }
}

struct Watching(GpuThrottling);

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let cards = facts.health.gpus.cards.iter();
        let readings = cards.map(|card| {
            let counts = |reason: &&ThrottleReason| self.0.count_power_cap || **reason != ThrottleReason::PowerCap;
            let words: Vec<_> = card.throttled_by.iter().filter(counts).map(|reason| reason.words()).collect();
            let (level, text) = match words.as_slice() {
                [] => (Level::Good, format!("graphics card {} runs at full speed", card.name)),
                words => (Level::Bad, format!("graphics card {} slows itself down: {}", card.name, words.join(", "))),
            };
            Reading { subject: card.uuid.clone(), level, value: None, text }
        });
        Look { readings: readings.collect(), others: Level::Good }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, card, with_cards};
    use super::*;
    use crate::health::GpuCard;

    #[test]
    fn heat_counts_and_the_power_limit_only_if_asked_for() {
        for (reasons, plain, strict) in [
            (vec![], Level::Good, Level::Good),
            (vec![ThrottleReason::PowerCap], Level::Good, Level::Bad),
            (vec![ThrottleReason::SwThermal], Level::Bad, Level::Bad),
        ] {
            for (count_power_cap, level) in [(false, plain), (true, strict)] {
                let mut bench = Bench::new(&GpuThrottling { count_power_cap });
                bench.facts = with_cards(&bench.facts, &[GpuCard { throttled_by: reasons.clone(), ..card("GPU-1") }]);
                assert_eq!(bench.level(), level, "{reasons:?} {count_power_cap}");
            }
        }
    }
}
