//! Too many rejects: the share of `Fail` and `NoDecision` (the line rejects both) over a window.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use stages::verdict::Verdict;
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch, Window, rising, within};

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RejectRate {
    /// Bad from here on, percent.
    pub over_percent: f64,
    /// Good from here down; absent: four fifths of `over_percent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_percent: Option<f64>,
    /// Of the parts of the last so many seconds.
    pub window_s: u32,
    /// With fewer parts in the window nothing is said.
    pub min_parts: u64,
    /// Whether parts for review count as rejects.
    pub count_review: bool,
}

impl Default for RejectRate {
    fn default() -> Self {
        RejectRate { over_percent: 20.0, clear_percent: None, window_s: 600, min_parts: 50, count_review: false }
    }
}

impl Condition for RejectRate {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "over_percent", self.over_percent, 0.001, 100.0);
        within(&mut problems, "clear_percent", self.clear_percent.unwrap_or(0.0), 0.0, self.over_percent);
        within(&mut problems, "window_s", self.window_s, 1, 86_400);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { window: Window::new(self.window_s), config: self.clone() })
    }
}

struct Watching {
    config: RejectRate,
    window: Window,
}

impl Watch for Watching {
    fn part(&mut self, part: &Inspection, now: Timestamp) {
        let reject = match part.verdict {
            Verdict::Pass => false,
            Verdict::Review => self.config.count_review,
            Verdict::Fail | Verdict::NoDecision(_) => true,
        };
        self.window.add(reject, now);
    }

    fn look(&mut self, facts: &Facts) -> Look {
        let config = &self.config;
        let clear = config.clear_percent.unwrap_or(config.over_percent * 0.8);
        let (percent, parts, rejects) = self.window.percent(facts.now, config.min_parts);
        let level = percent.map_or(Level::Between, |percent| rising(percent, config.over_percent, clear));
        let text = format!(
            "{rejects} of {parts} parts rejected in {} s ({:.1} %, limit {} %)",
            config.window_s,
            percent.unwrap_or(0.0),
            config.over_percent
        );
        Look::whole(level, percent, text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, fail, pass};
    use super::*;

    #[test]
    fn the_share_in_the_window_decides_and_few_parts_say_nothing() {
        let config = RejectRate { over_percent: 20.0, window_s: 100, min_parts: 10, ..RejectRate::default() };
        let mut bench = Bench::new(&config);
        (0..9).for_each(|_| bench.part(&fail("pit")));
        assert_eq!(bench.level(), Level::Between, "nine parts say nothing");
        bench.part(&fail("pit"));
        assert_eq!((bench.level(), bench.value()), (Level::Bad, Some(100.0)));
        (0..46).for_each(|_| bench.part(&pass()));
        assert_eq!(bench.level(), Level::Between, "17.9 % is between 16 and 20");
        (0..7).for_each(|_| bench.part(&pass()));
        assert_eq!(bench.level(), Level::Good);
        bench.wait(101);
        assert_eq!(bench.level(), Level::Between, "an empty window is no good news");
    }
}
