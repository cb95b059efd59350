//! Scores are computed by something slower than before, or slower than what is there: the line may become late.
//!
//! A machine without a graphics card computes on its processor, and nothing is wrong with that. Something is when a card
//! answers and its providers do not work, and when this line computed on a card before.

use models::runtime::Provider;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderFellBack {}

impl Condition for ProviderFellBack {
    const MACHINE: bool = true;

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { best: Provider::Cpu })
    }
}

struct Watching {
    /// The fastest that ever computed here.
    best: Provider,
}

/// How fast a provider is, by rank.
fn rank(provider: Provider) -> u8 {
    match provider {
        Provider::Cpu => 0,
        Provider::Cuda => 1,
        Provider::Tensorrt => 2,
    }
}

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let active = facts.provider.active;
        if rank(active) > rank(self.best) {
            self.best = active;
        }
        let why = facts.provider.fallbacks.iter().map(|(provider, reason)| format!("{provider}: {reason}"));
        let why = why.collect::<Vec<_>>().join("; ");
        if rank(active) < rank(self.best) {
            let text = format!("scores are computed on {active}, and were on {} before: {why}", self.best);
            return Look::whole(Level::Bad, None, text);
        }
        if active == Provider::Cpu && !facts.health.gpus.cards.is_empty() {
            let text = format!("there is a graphics card, and scores are computed on the processor: {why}");
            return Look::whole(Level::Bad, None, text);
        }
        Look::whole(Level::Good, None, format!("scores are computed on {active}"))
    }

    fn memory(&self) -> Option<serde_json::Value> {
        serde_json::to_value(self.best).ok()
    }

    fn recall(&mut self, memory: &serde_json::Value) {
        if let Ok(best) = serde_json::from_value(memory.clone()) {
            self.best = best;
        }
    }

    fn forget(&mut self, _subject: &str) {
        self.best = Provider::Cpu;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, card, with_cards};
    use super::*;

    #[test]
    fn no_card_is_normal_and_one_that_is_not_used_is_not() {
        let mut bench = Bench::new(&ProviderFellBack {});
        bench.facts.provider.fallbacks = vec![(Provider::Cuda, "no such library".into())];
        assert_eq!(bench.level(), Level::Good);
        bench.facts = with_cards(&bench.facts, &[card("GPU-1")]);
        assert_eq!(bench.level(), Level::Bad);
        assert!(bench.text().contains("no such library"), "{}", bench.text());
        bench.facts.provider.active = Provider::Cuda;
        assert_eq!(bench.level(), Level::Good);
    }

    #[test]
    fn what_was_faster_before_is_remembered_until_somebody_accepts_it() {
        let config = ProviderFellBack {};
        let mut bench = Bench::new(&config);
        bench.facts.provider.active = Provider::Tensorrt;
        assert_eq!(bench.level(), Level::Good);
        bench.restart(&config);
        bench.facts.provider.active = Provider::Cuda;
        assert_eq!(bench.level(), Level::Bad);
        bench.forget("");
        assert_eq!(bench.level(), Level::Good);
    }
}
