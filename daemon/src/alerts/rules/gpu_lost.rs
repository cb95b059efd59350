//! A graphics card that was here answers no more: it fell off the bus, its driver was updated or hangs, or it was taken out.
//! A machine that never had one is not looked at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Reading, Watch};

/// A report as old as this says that the driver hangs.
const STALE_S: i64 = 60;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GpuLost {}

impl Condition for GpuLost {
    const MACHINE: bool = true;

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { known: BTreeMap::new() })
    }
}

struct Watching {
    /// Cards that were ever seen: name by UUID.
    known: BTreeMap<String, String>,
}

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let health = &facts.health;
        let stale = facts.now.duration_since(health.at).as_secs() > STALE_S;
        if !stale {
            self.known.extend(health.gpus.cards.iter().map(|card| (card.uuid.clone(), card.name.clone())));
        }
        let readings = self.known.iter().map(|(uuid, name)| {
            let here = health.gpus.cards.iter().any(|card| card.uuid == *uuid);
            let (level, text) = match (here, stale) {
                (true, false) => (Level::Good, format!("graphics card {name} answers")),
                (_, true) => (Level::Bad, format!("graphics card {name}: the driver has not answered for over {STALE_S} s")),
                (false, false) => {
                    let why = health.gpus.trouble.as_deref().unwrap_or("it is not there");
                    (Level::Bad, format!("graphics card {name} ({uuid}) is lost: {why}; look at `nvidia-smi` and `dmesg`, or resolve this if it was taken out"))
                }
            };
            Reading { subject: uuid.clone(), level, value: None, text }
        });
        Look { readings: readings.collect(), others: Level::Good }
    }

    fn memory(&self) -> Option<serde_json::Value> {
        serde_json::to_value(&self.known).ok()
    }

    fn recall(&mut self, memory: &serde_json::Value) {
        if let Ok(known) = serde_json::from_value(memory.clone()) {
            self.known = known;
        }
    }

    fn forget(&mut self, subject: &str) {
        self.known.remove(subject);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, card, with_cards};
    use super::*;

    #[test]
    fn none_is_normal_one_that_vanishes_is_not_even_over_a_restart() {
        let config = GpuLost {};
        let mut bench = Bench::new(&config);
        assert!(bench.readings().is_empty(), "no card was ever here");
        bench.facts = with_cards(&bench.facts, &[card("GPU-1"), card("GPU-2")]);
        assert!(bench.readings().iter().all(|it| it.level == Level::Good));
        bench.restart(&config);
        bench.facts = with_cards(&bench.facts, &[card("GPU-2")]);
        let levels: Vec<_> = bench.readings().into_iter().map(|it| (it.subject, it.level)).collect();
        assert_eq!(levels, [("GPU-1".into(), Level::Bad), ("GPU-2".into(), Level::Good)]);
        bench.forget("GPU-1");
        assert_eq!(bench.readings().len(), 1);
    }

    #[test]
    fn a_driver_that_hangs_is_a_lost_card() {
        let mut bench = Bench::new(&GpuLost {});
        bench.facts = with_cards(&bench.facts, &[card("GPU-1")]);
        assert_eq!(bench.level(), Level::Good);
        bench.wait(61);
        assert_eq!(bench.level(), Level::Bad);
        assert!(bench.text().contains("has not answered"), "{}", bench.text());
    }
}
