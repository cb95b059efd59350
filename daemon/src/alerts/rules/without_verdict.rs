//! Parts that get no verdict for one cause: their share over a window. What `lateness` and `overload` have in common.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use stages::verdict::{Cause, Verdict};
use utoipa::ToSchema;

use super::{Facts, Level, Look, Watch, Window, rising, within};

/// From which share on it is bad.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ShareWithoutVerdict)]
pub struct Share {
    /// Bad from here on, percent; good from half of it down.
    pub over_percent: f64,
    /// Of the parts of the last so many seconds.
    pub window_s: u32,
    /// With fewer parts in the window nothing is said.
    pub min_parts: u64,
}

impl Default for Share {
    fn default() -> Self {
        Share { over_percent: 1.0, window_s: 300, min_parts: 20 }
    }
}

impl Share {
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "over_percent", self.over_percent, 0.001, 100.0);
        within(&mut problems, "window_s", self.window_s, 1, 86_400);
        problems
    }

    /// Watches one cause; `what` is said of the parts that are counted.
    pub(super) fn watch(&self, cause: Cause, what: &'static str) -> Box<dyn Watch> {
        Box::new(Watching { window: Window::new(self.window_s), share: self.clone(), cause, what })
    }
}

struct Watching {
    share: Share,
    cause: Cause,
    what: &'static str,
    window: Window,
}

impl Watch for Watching {
    fn part(&mut self, part: &Inspection, now: Timestamp) {
        self.window.add(part.verdict == Verdict::NoDecision(self.cause), now);
    }

    fn look(&mut self, facts: &Facts) -> Look {
        let limit = self.share.over_percent;
        let (percent, parts, counted) = self.window.percent(facts.now, self.share.min_parts);
        let level = percent.map_or(Level::Between, |percent| rising(percent, limit, limit / 2.0));
        let text = format!(
            "{counted} of {parts} parts in {} s {} ({:.1} %, limit {limit} %)",
            self.share.window_s,
            self.what,
            percent.unwrap_or(0.0)
        );
        Look::whole(level, percent, text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Condition;
    use super::super::lateness::Lateness;
    use super::super::overload::Overload;
    use super::super::testing::{Bench, no_decision, pass};
    use super::*;

    #[test]
    fn only_its_own_cause_counts() {
        let share = || Share { over_percent: 10.0, window_s: 60, min_parts: 10 };
        counts(&Lateness(share()), Cause::Late, Cause::Overload);
        counts(&Overload(share()), Cause::Overload, Cause::Late);
    }

    fn counts(condition: &impl Condition, own: Cause, other: Cause) {
        let mut bench = Bench::new(condition);
        (0..18).for_each(|_| bench.part(&pass()));
        bench.part(&no_decision(other));
        assert_eq!(bench.level(), Level::Good);
        (0..2).for_each(|_| bench.part(&no_decision(own)));
        assert_eq!(bench.level(), Level::Between, "2 of 21 are 9.5 %");
        bench.part(&no_decision(own));
        assert_eq!(bench.level(), Level::Bad, "{}", bench.text());
    }
}
