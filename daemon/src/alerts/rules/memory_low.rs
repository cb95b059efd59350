//! The machine runs out of memory.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch, falling, within};

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryLow {
    /// Bad from here down, percent that programs can still get; good from one and a half times as much on.
    pub under_percent: f64,
}

impl Default for MemoryLow {
    fn default() -> Self {
        MemoryLow { under_percent: 5.0 }
    }
}

impl Condition for MemoryLow {
    const MACHINE: bool = true;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "under_percent", self.under_percent, 0.1, 60.0);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching(self.under_percent))
    }
}

struct Watching(f64);

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let memory = &facts.health.memory;
        let Some((available, total)) = memory.available_bytes.zip(memory.total_bytes).filter(|&(_, total)| total > 0) else {
            return Look::whole(Level::Between, None, "the memory cannot be asked for");
        };
        let percent = 100.0 * available as f64 / total as f64;
        let own = memory.own_bytes.map_or(String::new(), |own| format!("; inspectd has {} MiB", own >> 20));
        let text = format!("{percent:.1} % of the memory are left (limit {} %){own}", self.0);
        Look::whole(falling(percent, self.0, 1.5 * self.0), Some(percent), text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use crate::health::{HealthReport, MemoryReport};

    #[test]
    fn what_programs_can_still_get_counts() {
        let mut bench = Bench::new(&MemoryLow::default());
        for (available, level) in [(50, Level::Good), (6, Level::Between), (5, Level::Bad)] {
            let memory = MemoryReport { total_bytes: Some(100), available_bytes: Some(available), own_bytes: None };
            bench.facts.health = HealthReport { memory, ..HealthReport::clone(&bench.facts.health) }.into();
            assert_eq!(bench.level(), level, "{available} %");
        }
    }
}
