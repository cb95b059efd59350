//! A serial number came that another part had before: a part twice on the line, a label printed twice, a code of the wrong part.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Watch, Window, within};

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SerialRepeated {
    /// Bad from so many parts on.
    pub count: u64,
    /// Of the parts of the last so many seconds.
    pub window_s: u32,
}

impl Default for SerialRepeated {
    fn default() -> Self {
        SerialRepeated { count: 1, window_s: 600 }
    }
}

impl Condition for SerialRepeated {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        within(&mut problems, "count", self.count, 1, 1_000_000);
        within(&mut problems, "window_s", self.window_s, 1, 86_400);
        problems
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching { window: Window::new(self.window_s), config: self.clone(), last: String::new() })
    }
}

struct Watching {
    config: SerialRepeated,
    window: Window,
    /// The newest one, in words.
    last: String,
}

impl Watch for Watching {
    fn part(&mut self, part: &Inspection, now: Timestamp) {
        let before = part.identity.as_ref().and_then(|identity| identity.repeats);
        self.window.add(before.is_some(), now);
        if let (Some(before), Some(serial)) = (before, &part.serial) {
            self.last = format!("; the newest: part {} has {serial}, as part {before} had", part.id);
        }
    }

    fn look(&mut self, facts: &Facts) -> Look {
        let (_, repeated) = self.window.sums(facts.now);
        let level = if repeated >= self.config.count { Level::Bad } else { Level::Good };
        let last = if repeated > 0 { self.last.as_str() } else { "" };
        let text = format!("{repeated} serial numbers seen before in {} s{last}", self.config.window_s);
        Look::whole(level, Some(repeated as f64), text)
    }
}

#[cfg(test)]
mod tests {
    use stages::identify::Origin;
    use stages::inspection::Identity;

    use super::super::testing::{Bench, pass};
    use super::*;

    #[test]
    fn one_is_enough_and_it_is_named() {
        let mut bench = Bench::new(&SerialRepeated::default());
        bench.part(&pass());
        assert_eq!(bench.level(), Level::Good);
        let identity = Identity { repeats: Some(12), ..Identity::read(Origin::Code, false) };
        bench.part(&Inspection { id: 40, serial: Some("A7".into()), identity: Some(identity), ..pass() });
        assert_eq!((bench.level(), bench.value()), (Level::Bad, Some(1.0)));
        assert!(bench.text().contains("part 40 has A7, as part 12 had"), "{}", bench.text());
        bench.wait(601);
        assert_eq!(bench.level(), Level::Good);
    }
}
