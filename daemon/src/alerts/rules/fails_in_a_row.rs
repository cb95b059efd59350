//! So many `Fail`s in a row. `Review` and `NoDecision` neither count nor break the row: they say nothing of the part.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use stages::verdict::Verdict;
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch, within};

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailsInARow {
    /// Bad from so many on; good once a part passes.
    pub count: u32,
}

impl Default for FailsInARow {
    fn default() -> Self {
        FailsInARow { count: 5 }
    }
}

impl Condition for FailsInARow {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "count", self.count, 2, 10_000);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { count: self.count, row: None, label: String::new() })
    }
}

struct Watching {
    count: u32,
    /// Fails since the last pass; none before the first part.
    row: Option<u32>,
    label: String,
}

impl Watch for Watching {
    fn part(&mut self, part: &Inspection, _now: Timestamp) {
        match part.verdict {
            Verdict::Pass => self.row = Some(0),
            Verdict::Fail => {
                self.row = Some(self.row.unwrap_or(0).saturating_add(1));
                self.label = part.label.as_deref().unwrap_or("unknown").to_owned();
            }
            Verdict::Review | Verdict::NoDecision(_) => {}
        }
    }

    fn look(&mut self, _facts: &Facts) -> Look {
        let level = match self.row {
            Some(0) => Level::Good,
            Some(row) if row >= self.count => Level::Bad,
            // After a restart nobody knows how long the row was.
            _ => Level::Between,
        };
        let row = self.row.unwrap_or(0);
        let text = if row == 0 { "the last part passed".to_owned() } else { format!("{row} fails in a row, the last one `{}`", self.label) };
        Look::whole(level, self.row.map(f64::from), text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, fail, no_decision, pass};
    use super::*;
    use stages::verdict::Cause;

    #[test]
    fn only_a_pass_breaks_the_row() {
        let mut bench = Bench::new(&FailsInARow { count: 3 });
        assert_eq!(bench.level(), Level::Between);
        for part in [fail("pit"), fail("pit"), no_decision(Cause::Blank), fail("dent")] {
            assert_ne!(bench.level(), Level::Bad);
            bench.part(&part);
        }
        assert_eq!(bench.level(), Level::Bad);
        assert!(bench.text().contains("3 fails in a row, the last one `dent`"), "{}", bench.text());
        bench.part(&pass());
        assert_eq!(bench.level(), Level::Good);
    }
}
