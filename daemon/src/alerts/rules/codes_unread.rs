//! Too many parts without a serial number that should have one: a code that is badly printed, dirty, out of its rectangle or out of focus.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::{IdentityState, Inspection};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch, Window, rising, within};

/// See the module. Parts whose recipe asks for no serial number do not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CodesUnread {
    /// Bad from here on, percent.
    pub over_percent: f64,
    /// Good from here down; absent: four fifths of `over_percent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_percent: Option<f64>,
    /// Of the parts of the last so many seconds.
    pub window_s: u32,
    /// With fewer parts in the window nothing is said.
    pub min_parts: u64,
}

impl Default for CodesUnread {
    fn default() -> Self {
        CodesUnread { over_percent: 10.0, clear_percent: None, window_s: 600, min_parts: 20 }
    }
}

impl Condition for CodesUnread {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "over_percent", self.over_percent, 0.001, 100.0);
        within(&mut problems, "clear_percent", self.clear_percent.unwrap_or(0.0), 0.0, self.over_percent);
        within(&mut problems, "window_s", self.window_s, 1, 86_400);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { window: Window::new(self.window_s), config: self.clone(), ever: false })
    }
}

struct Watching {
    config: CodesUnread,
    window: Window,
    /// Some part should have had a serial number.
    ever: bool,
}

impl Watch for Watching {
    fn part(&mut self, part: &Inspection, now: Timestamp) {
        if let Some(identity) = &part.identity {
            self.ever = true;
            self.window.add(identity.state == IdentityState::Unread, now);
        }
    }

    fn look(&mut self, facts: &Facts) -> Look {
        if !self.ever {
            return Look::whole(Level::Good, None, "no part has to have a serial number");
        }
        let config = &self.config;
        let clear = config.clear_percent.unwrap_or(config.over_percent * 0.8);
        let (percent, parts, unread) = self.window.percent(facts.now, config.min_parts);
        let level = percent.map_or(Level::Between, |percent| rising(percent, config.over_percent, clear));
        let text = format!(
            "{unread} of {parts} parts without a serial number in {} s ({:.1} %, limit {} %)",
            config.window_s,
            percent.unwrap_or(0.0),
            config.over_percent
        );
        Look::whole(level, percent, text)
    }
}

#[cfg(test)]
mod tests {
    use stages::identify::Origin;
    use stages::inspection::Identity;

    use super::super::testing::{Bench, pass};
    use super::*;

    #[test]
    fn the_share_of_unread_codes_decides_and_parts_without_a_demand_do_not_count() {
        let mut bench = Bench::new(&CodesUnread { min_parts: 10, ..CodesUnread::default() });
        (0..50).for_each(|_| bench.part(&pass()));
        assert_eq!(bench.level(), Level::Good);
        let read = || Inspection { identity: Some(Identity::read(Origin::Code, false)), ..pass() };
        let unread = || Inspection { identity: Some(Identity::unread(Origin::Code, false, "no".into())), ..pass() };
        (0..9).for_each(|_| bench.part(&unread()));
        assert_eq!(bench.level(), Level::Between, "nine parts say nothing");
        bench.part(&unread());
        assert_eq!((bench.level(), bench.value()), (Level::Bad, Some(100.0)));
        (0..190).for_each(|_| bench.part(&read()));
        assert_eq!((bench.level(), bench.value()), (Level::Good, Some(5.0)));
    }
}
