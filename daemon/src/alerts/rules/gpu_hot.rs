//! A graphics card is hot. By default from 5 degrees under the temperature at which it slows itself down.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Reading, Watch, rising, within};

/// Where a card does not say when it slows down.
const USUAL_SLOWDOWN_C: u32 = 90;
/// Under the slowdown.
const MARGIN_C: u32 = 5;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GpuHot {
    /// Bad from here on, degrees Celsius; absent: 5 under the card's slowdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_c: Option<u32>,
    /// Good from so many degrees under it.
    pub hysteresis_c: u32,
}

impl Default for GpuHot {
    fn default() -> Self {
        GpuHot { over_c: None, hysteresis_c: 5 }
    }
}

impl Condition for GpuHot {
    const MACHINE: bool = true;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "over_c", self.over_c.unwrap_or(80), 30, 120);
        within(&mut problems, "hysteresis_c", self.hysteresis_c, 0, 30);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching(self.clone()))
    }
}

struct Watching(GpuHot);

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let cards = facts.health.gpus.cards.iter();
        let readings = cards.filter_map(|card| {
            let celsius = card.temperature_c?;
            let slowdown = card.slowdown_c.unwrap_or(USUAL_SLOWDOWN_C);
            let limit = self.0.over_c.unwrap_or(slowdown.saturating_sub(MARGIN_C));
            let level = rising(f64::from(celsius), f64::from(limit), f64::from(limit.saturating_sub(self.0.hysteresis_c)));
            let text = format!("graphics card {}: {celsius} °C (limit {limit} °C, slows down at {slowdown} °C)", card.name);
            Some(Reading { subject: card.uuid.clone(), level, value: Some(f64::from(celsius)), text })
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
    fn the_cards_own_limit_counts_with_hysteresis() {
        let mut bench = Bench::new(&GpuHot::default());
        assert!(bench.readings().is_empty());
        for (celsius, level) in [(60, Level::Good), (83, Level::Good), (84, Level::Between), (87, Level::Between), (88, Level::Bad), (95, Level::Bad)] {
            let hot = GpuCard { temperature_c: Some(celsius), ..card("GPU-1") };
            bench.facts = with_cards(&bench.facts, &[hot]);
            assert_eq!(bench.level(), level, "{celsius}");
        }
        assert!(bench.text().contains("95 °C (limit 88 °C"), "{}", bench.text());
    }
}
