//! A graphics card makes errors: memory errors that could not be corrected, or critical errors of the driver (XID). It goes on until
//! somebody resolves it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Reading, Watch};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GpuErrors {}

impl Condition for GpuErrors {
    const MACHINE: bool = true;

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching::default())
    }
}

#[derive(Default)]
struct Watching {
    /// What somebody has seen and resolved, by card: memory errors, driver errors.
    accepted: BTreeMap<String, (u64, Vec<u64>)>,
    newest: BTreeMap<String, (u64, Vec<u64>)>,
}

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let mut readings = Vec::new();
        for card in &facts.health.gpus.cards {
            let found = (card.ecc_uncorrected.unwrap_or(0), card.xid.clone());
            // A driver that was loaded anew counts from zero.
            let accepted = self.accepted.get(&card.uuid).filter(|accepted| accepted.0 <= found.0).cloned().unwrap_or_default();
            let memory = found.0 - accepted.0;
            let new_xid = found.1 != accepted.1 && !found.1.is_empty();
            let (level, text) = match (memory, new_xid) {
                (0, false) => (Level::Good, format!("graphics card {} makes no errors", card.name)),
                _ => {
                    let text = format!(
                        "graphics card {}: {memory} memory errors that could not be corrected, driver errors (XID) {:?}; look at `dmesg`",
                        card.name, found.1
                    );
                    (Level::Bad, text)
                }
            };
            self.newest.insert(card.uuid.clone(), found);
            readings.push(Reading { subject: card.uuid.clone(), level, value: Some(memory as f64), text });
        }
        // A card that is gone did not become well by that.
        Look { readings, others: Level::Between }
    }

    fn forget(&mut self, subject: &str) {
        if let Some(newest) = self.newest.get(subject) {
            self.accepted.insert(subject.to_owned(), newest.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, card, with_cards};
    use super::*;
    use crate::health::GpuCard;

    #[test]
    fn errors_stay_until_somebody_has_seen_them() {
        let mut bench = Bench::new(&GpuErrors {});
        bench.facts = with_cards(&bench.facts, &[card("GPU-1")]);
        assert_eq!(bench.level(), Level::Good);
        bench.facts = with_cards(&bench.facts, &[GpuCard { ecc_uncorrected: Some(2), xid: vec![79], ..card("GPU-1") }]);
        assert_eq!(bench.level(), Level::Bad);
        assert!(bench.text().contains("2 memory errors") && bench.text().contains("[79]"), "{}", bench.text());
        bench.forget("GPU-1");
        assert_eq!(bench.level(), Level::Good);
        bench.facts = with_cards(&bench.facts, &[GpuCard { ecc_uncorrected: Some(3), xid: vec![79], ..card("GPU-1") }]);
        assert_eq!((bench.level(), bench.value()), (Level::Bad, Some(1.0)));
    }
}
