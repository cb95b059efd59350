//! Verdicts come too late: the share of `NoDecision{late}` over a window.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use stages::verdict::{Cause, Verdict};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch, Window, rising, within};

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lateness {
    /// Bad from here on, percent; good from half of it down.
    pub over_percent: f64,
    /// Of the parts of the last so many seconds.
    pub window_s: u32,
    /// With fewer parts in the window nothing is said.
    pub min_parts: u64,
}

impl Default for Lateness {
    fn default() -> Self {
        Lateness { over_percent: 1.0, window_s: 300, min_parts: 20 }
    }
}

impl Condition for Lateness {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "over_percent", self.over_percent, 0.001, 100.0);
        within(&mut problems, "window_s", self.window_s, 1, 86_400);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { window: Window::new(self.window_s), config: self.clone() })
    }
}

struct Watching {
    config: Lateness,
    window: Window,
}

impl Watch for Watching {
    fn part(&mut self, part: &Inspection, now: Timestamp) {
        self.window.add(part.verdict == Verdict::NoDecision(Cause::Late), now);
    }

    fn look(&mut self, facts: &Facts) -> Look {
        let limit = self.config.over_percent;
        let (percent, parts, counted) = self.window.percent(facts.now, self.config.min_parts);
        let level = percent.map_or(Level::Between, |percent| rising(percent, limit, limit / 2.0));
        let text = format!(
            "{counted} of {parts} parts in {} s got no verdict in time ({:.1} %, limit {limit} %)",
            self.config.window_s,
            percent.unwrap_or(0.0)
        );
        Look::whole(level, percent, text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, no_decision, pass};
    use super::*;

    #[test]
    fn only_this_cause_counts() {
        let mut bench = Bench::new(&Lateness { over_percent: 10.0, window_s: 60, min_parts: 10 });
        (0..18).for_each(|_| bench.part(&pass()));
        bench.part(&no_decision(Cause::Blank));
        assert_eq!(bench.level(), Level::Good);
        (0..2).for_each(|_| bench.part(&no_decision(Cause::Late)));
        assert_eq!(bench.level(), Level::Between, "2 of 21 are 9.5 %");
        bench.part(&no_decision(Cause::Late));
        assert_eq!(bench.level(), Level::Bad, "{}", bench.text());
    }
}
