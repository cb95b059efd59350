//! Serial numbers that should follow each other do not: parts were taken off the line, passed it unseen, or never came.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch, within};

/// Gaps that are remembered at once.
const GAPS: usize = 1000;

/// See the module. Looked at only where the recipe says `identity.consecutive`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SerialsMissing {
    /// Bad from so many serial numbers on.
    pub count: u64,
    /// Left out in the last so many seconds.
    pub window_s: u32,
}

impl Default for SerialsMissing {
    fn default() -> Self {
        SerialsMissing { count: 1, window_s: 600 }
    }
}

impl Condition for SerialsMissing {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "count", self.count, 1, 1_000_000);
        within(&mut problems, "window_s", self.window_s, 1, 86_400);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { config: self.clone(), gaps: std::collections::VecDeque::new(), last: String::new() })
    }
}

struct Watching {
    config: SerialsMissing,
    gaps: std::collections::VecDeque<(Timestamp, u64)>,
    /// The newest gap, in words.
    last: String,
}

impl Watch for Watching {
    fn part(&mut self, part: &Inspection, now: Timestamp) {
        let Some(missing) = part.identity.as_ref().and_then(|identity| identity.missing.as_ref()) else { return };
        self.gaps.push_back((now, missing.count));
        if self.gaps.len() > GAPS {
            self.gaps.pop_front();
        }
        self.last = format!("; the newest: {} to {} before part {}", missing.first, missing.last, part.id);
    }

    fn look(&mut self, facts: &Facts) -> Look {
        let span = SignedDuration::from_secs(i64::from(self.config.window_s));
        // Also what lies in the future, after the clock was set back.
        self.gaps.retain(|(at, _)| (SignedDuration::ZERO..span).contains(&facts.now.duration_since(*at)));
        let missing: u64 = self.gaps.iter().map(|(_, count)| count).sum();
        let level = if missing >= self.config.count { Level::Bad } else { Level::Good };
        let last = if missing > 0 { self.last.as_str() } else { "" };
        let text = format!("{missing} serial numbers left out in {} s{last}", self.config.window_s);
        Look::whole(level, Some(missing as f64), text)
    }
}

#[cfg(test)]
mod tests {
    use stages::identify::Origin;
    use stages::inspection::{Identity, MissingSerials};

    use super::super::testing::{Bench, pass};
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_and_named() {
        let mut bench = Bench::new(&SerialsMissing { count: 3, window_s: 100 });
        let part = |count: u64| {
            let missing = MissingSerials { count, first: "A4".into(), last: "A5".into() };
            let identity = Identity { missing: Some(missing), ..Identity::read(Origin::Code, true) };
            Inspection { id: 9, identity: Some(identity), ..pass() }
        };
        bench.part(&part(2));
        assert_eq!(bench.level(), Level::Good, "two are not three");
        bench.part(&part(2));
        assert_eq!((bench.level(), bench.value()), (Level::Bad, Some(4.0)));
        assert!(bench.text().contains("A4 to A5 before part 9"), "{}", bench.text());
        bench.wait(100);
        assert_eq!(bench.level(), Level::Good);
    }
}
