//! A rule: what to look at, how long before it counts, whom to tell. One TOML file a rule; its name is the file's.
//!
//! ```toml
//! severity = "warning"
//! for_s = 60                      # bad for so long before it fires
//! resolve_after_s = 120           # good for so long before it resolves
//! quiet_hours = ["22:00-06:00"]   # nobody is told then, unless it is critical
//!
//! [when]
//! kind = "reject_rate"
//! over_percent = 5.0
//! ```

use std::fmt;

use jiff::civil::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules::When;

/// How much an alert matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A person should look soon.
    #[default]
    Warning,
    /// Now: quiet hours do not hold it back.
    Critical,
}

impl Severity {
    /// As in the API.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertRule)]
pub struct Rule {
    /// Whether it is looked at.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How much its alerts matter.
    #[serde(default)]
    pub severity: Severity,
    /// The condition must hold so long, without a break, before the alert fires.
    #[serde(default)]
    pub for_s: u32,
    /// It must be well so long, without a break, before the alert resolves.
    #[serde(default = "a_minute")]
    pub resolve_after_s: u32,
    /// People are told again after this long, until somebody acknowledges; 0: never.
    #[serde(default)]
    pub remind_s: u32,
    /// Alerts of one group that change at about the same time are told in one message; absent: `line` or `machine`, as the
    /// condition is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Times of day in which nobody is told: `HH:MM-HH:MM`, in the line's time zone. Critical alerts are told all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub quiet_hours: Vec<QuietHours>,
    /// Names of destinations that are told; empty: all that take alerts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// The condition.
    pub when: When,
}

fn yes() -> bool {
    true
}

fn a_minute() -> u32 {
    60
}

impl Rule {
    /// What is wrong with it: each a sentence that begins with the key in backticks. `destinations`: those there are.
    pub fn problems(&self, destinations: &[&str]) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, value) in
            [("for_s", self.for_s), ("resolve_after_s", self.resolve_after_s), ("remind_s", self.remind_s)]
        {
            if value > 7 * 86_400 {
                problems.push(format!("`{name}` is {value}: give at most a week, 604800"));
            }
        }
        for to in self.to.iter().filter(|to| !destinations.contains(&to.as_str())) {
            problems.push(format!("`to` has `{to}`, which is no destination under `[alerts.destinations]`"));
        }
        problems.extend(self.when.problems().into_iter().map(|(key, text)| format!("`when.{key}` {text}")));
        problems
    }

    /// See [`Rule::group`].
    pub fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(if self.when.about_the_machine() { "machine" } else { "line" })
    }

    /// Whether nobody is to be told at this time of day.
    pub fn is_quiet(&self, time: Time) -> bool {
        self.severity < Severity::Critical && self.quiet_hours.iter().any(|hours| hours.include(time))
    }
}

/// From a time of day to another, over midnight if the second is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuietHours {
    from: Time,
    to: Time,
}

impl QuietHours {
    fn include(self, time: Time) -> bool {
        match self.from <= self.to {
            true => self.from <= time && time < self.to,
            false => self.from <= time || time < self.to,
        }
    }
}

impl TryFrom<String> for QuietHours {
    type Error = String;

    fn try_from(text: String) -> Result<QuietHours, String> {
        let parse = |text: &str| Time::strptime("%H:%M", text).ok();
        let ends = text.split_once('-').and_then(|(from, to)| Some((parse(from.trim())?, parse(to.trim())?)));
        match ends {
            Some((from, to)) if from != to => Ok(QuietHours { from, to }),
            _ => Err(format!("`{text}` is no stretch of the day: give it as 22:00-06:00")),
        }
    }
}

impl From<QuietHours> for String {
    fn from(hours: QuietHours) -> String {
        hours.to_string()
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.strftime("%H:%M"), self.to.strftime("%H:%M"))
    }
}

/// Whether a text can name a rule: it becomes a file's name.
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=64).contains(&text.len()) && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_reach_over_midnight() {
        let night = QuietHours::try_from("22:00-06:00".to_owned()).unwrap();
        let noon = QuietHours::try_from("12:00 - 13:30".to_owned()).unwrap();
        for (hour, minute, in_night, in_noon) in [
            (21, 59, false, false),
            (22, 0, true, false),
            (0, 0, true, false),
            (5, 59, true, false),
            (6, 0, false, false),
            (12, 0, false, true),
            (13, 29, false, true),
            (13, 30, false, false),
        ] {
            let time = Time::constant(hour, minute, 0, 0);
            assert_eq!((night.include(time), noon.include(time)), (in_night, in_noon), "{time}");
        }
        assert_eq!(String::from(night), "22:00-06:00");
        for bad in ["", "22-6", "22:00", "25:00-06:00", "22:00-22:00"] {
            assert!(QuietHours::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
