//! Parts that get no verdict for one cause: their share over a window. What `lateness` and `overload` have in common.

use jiff::Timestamp;
use stages::inspection::Inspection;
use stages::verdict::{Cause, Verdict};

use super::{Facts, Level, Look, Watch, Window, rising, within};

/// From which share on it is bad, as the rules have it.
pub(super) struct Share {
    pub(super) over_percent: f64,
    pub(super) window_s: u32,
    pub(super) min_parts: u64,
}

impl Share {
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "over_percent", self.over_percent, 0.001, 100.0);
        within(&mut problems, "window_s", self.window_s, 1, 86_400);
        problems
    }

    /// Watches one cause; `what` is said of the parts that are counted.
    pub(super) fn watch(self, cause: Cause, what: &'static str) -> Box<dyn Watch> {
        Box::new(Watching { window: Window::new(self.window_s), share: self, cause, what })
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
        let (over_percent, window_s, min_parts) = (10.0, 60, 10);
        counts(&Lateness { over_percent, window_s, min_parts }, Cause::Late, Cause::Overload);
        counts(&Overload { over_percent, window_s, min_parts }, Cause::Overload, Cause::Late);
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
