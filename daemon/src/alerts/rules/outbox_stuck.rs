//! Messages do not reach a destination: it has been failing for a while, was disabled, or letters were given up.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Reading, Watch, within};

/// The subject of letters that were given up.
const DEAD: &str = "dead letters";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutboxStuck {
    /// Bad from so many failures in a row on; good once one message arrives.
    pub failures: u32,
}

impl Default for OutboxStuck {
    fn default() -> Self {
        OutboxStuck { failures: 5 }
    }
}

impl Condition for OutboxStuck {
    const MACHINE: bool = true;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "failures", self.failures, 1, 1000);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { failures: self.failures, seen_dead: 0 })
    }
}

struct Watching {
    failures: u32,
    /// Dead letters that somebody has seen and resolved.
    seen_dead: usize,
}

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let mut readings: Vec<Reading> = facts
            .outbox
            .iter()
            .map(|(to, standing)| {
                let why = standing.error.as_deref().unwrap_or("no reason known");
                let (level, text) = match &standing.disabled {
                    Some(reason) => (Level::Bad, format!("`{to}` is disabled: {reason}; `inspectd alerts replay --to {to}` enables it")),
                    None if standing.failures >= self.failures => {
                        (Level::Bad, format!("`{to}` has taken nothing for {} attempts, {} messages wait: {why}", standing.failures, standing.waiting))
                    }
                    None if standing.failures > 0 => (Level::Between, format!("`{to}`: {why}")),
                    None => (Level::Good, format!("`{to}` takes messages")),
                };
                Reading { subject: to.to_string(), level, value: Some(f64::from(standing.failures)), text }
            })
            .collect();
        let dead = facts.dead_letters;
        self.seen_dead = self.seen_dead.min(dead);
        let level = if dead > self.seen_dead { Level::Bad } else { Level::Good };
        let text = format!("{dead} messages were given up: `inspectd alerts list` shows them, `inspectd alerts replay` sends them again");
        readings.push(Reading { subject: DEAD.to_owned(), level, value: Some(dead as f64), text });
        Look { readings, others: Level::Good }
    }

    fn forget(&mut self, subject: &str) {
        if subject == DEAD {
            self.seen_dead = usize::MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use crate::outbox::Standing;

    #[test]
    fn a_destination_that_fails_and_dead_letters_are_told() {
        let mut bench = Bench::new(&OutboxStuck::default());
        let mut look = |failures, disabled: Option<&str>, dead| {
            let standing = Standing { failures, disabled: disabled.map(str::to_owned), waiting: 3, ..Standing::default() };
            bench.facts.outbox = vec![("mes".into(), standing)];
            bench.facts.dead_letters = dead;
            bench.readings().into_iter().map(|it| it.level).collect::<Vec<_>>()
        };
        assert_eq!(look(0, None, 0), [Level::Good, Level::Good]);
        assert_eq!(look(4, None, 0), [Level::Between, Level::Good]);
        assert_eq!(look(5, None, 0), [Level::Bad, Level::Good]);
        assert_eq!(look(0, Some("gone"), 2), [Level::Bad, Level::Bad]);
        bench.forget(DEAD);
        assert_eq!(bench.readings()[1].level, Level::Good);
    }
}
