//! Records are not kept, searching is limited, or evidence pictures are dropped.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch};

/// Pictures that were dropped count this long.
const REMEMBERED_S: i64 = 60;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreDegraded {
    /// Whether dropped evidence pictures count.
    pub ignore_pictures: bool,
}

impl Condition for StoreDegraded {
    const MACHINE: bool = true;

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { config: self.clone(), lost: None, lost_at: None })
    }
}

struct Watching {
    config: StoreDegraded,
    /// Pictures lost so far; none before the first look.
    lost: Option<u64>,
    lost_at: Option<Timestamp>,
}

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let store = &facts.store;
        if self.lost.is_some_and(|lost| store.pictures_lost > lost) {
            self.lost_at = Some(facts.now);
        }
        self.lost = Some(store.pictures_lost);
        if let Some(reason) = &store.failed {
            return Look::whole(Level::Bad, None, format!("records are not kept any more: {reason}"));
        }
        if let Some(reason) = &store.index_off {
            return Look::whole(Level::Bad, None, format!("records are kept, but searching is limited: {reason}"));
        }
        let lately = self.lost_at.is_some_and(|at| (0..REMEMBERED_S).contains(&facts.now.duration_since(at).as_secs()));
        if lately && !self.config.ignore_pictures {
            let text = format!("evidence pictures are being dropped, {} so far: the disk does not keep up", store.pictures_lost);
            return Look::whole(Level::Bad, Some(store.pictures_lost as f64), text);
        }
        Look::whole(Level::Good, None, "records are kept and found")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn each_loss_is_told_in_its_words() {
        let mut bench = Bench::new(&StoreDegraded::default());
        bench.facts.store.pictures_lost = 7;
        assert_eq!(bench.level(), Level::Good, "what was lost before the start is no news");
        bench.facts.store.pictures_lost = 8;
        assert_eq!(bench.level(), Level::Bad);
        bench.wait(60);
        assert_eq!(bench.level(), Level::Good);
        bench.facts.store.index_off = Some("no memory".into());
        assert_eq!(bench.level(), Level::Bad);
        bench.facts.store.failed = Some("disk full".into());
        assert!(bench.text().contains("not kept any more: disk full"));
    }
}
