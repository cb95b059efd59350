//! `[alerts]` in the configuration: where rules lie, and who is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::rule::is_name;
use crate::outbox::{AllowList, Destination};

/// `[alerts]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsSection {
    /// A folder with one TOML file a rule; they come beside the built-in rules, or in their place where the name is the same.
    pub rules: Option<PathBuf>,
    /// Time zone of quiet hours, as `Europe/Berlin`; absent: this machine's.
    pub time_zone: Option<String>,
    /// Alerts of one group that change within this time are told in one message.
    pub group_wait_s: u32,
    /// Destinations inside the plant: `host:port`, exactly as in the URL. All other private addresses are refused.
    pub allow: Vec<String>,
    /// `[alerts.destinations.NAME]`: who is told.
    pub destinations: BTreeMap<String, Destination>,
}

impl Default for AlertsSection {
    fn default() -> Self {
        AlertsSection {
            rules: None,
            time_zone: None,
            group_wait_s: 10,
            allow: Vec::new(),
            destinations: BTreeMap::new(),
        }
    }
}

impl AlertsSection {
    /// What is wrong with it by itself: key and reason.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if self.rules.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            problems.push(("alerts.rules".to_owned(), "is empty: give a folder, or leave it out".to_owned()));
        }
        if let Some(name) = self.time_zone.as_ref().filter(|name| TimeZone::get(name).is_err()) {
            let text = format!("is `{name}`, which is not known here: give one as `Europe/Berlin`");
            problems.push(("alerts.time_zone".to_owned(), text));
        }
        if self.group_wait_s > 3600 {
            problems.push(("alerts.group_wait_s".to_owned(), format!("is {}: give 0 to 3600", self.group_wait_s)));
        }
        let wrong = self.allow.iter().filter_map(|entry| AllowList::problem(entry));
        problems.extend(wrong.map(|text| ("alerts.allow".to_owned(), text)));
        let allowed = self.allow_list();
        for (name, destination) in &self.destinations {
            let section = format!("alerts.destinations.{name}");
            if !is_name(name) {
                problems.push((section.clone(), "has an odd name: use up to 64 of a-z, 0-9, `-` and `_`".to_owned()));
            }
            let own = destination.problems(&allowed).into_iter();
            problems.extend(own.map(|(key, text)| (format!("{section}.{key}"), text)));
        }
        problems
    }

    /// Makes its paths relative to a folder.
    pub fn relative_to(&mut self, folder: &Path) {
        self.rules = self.rules.take().map(|path| folder.join(path));
        self.destinations.values_mut().for_each(|destination| destination.relative_to(folder));
    }

    /// See [`AlertsSection::allow`].
    pub fn allow_list(&self) -> AllowList {
        AllowList::new(&self.allow)
    }

    /// The time zone of quiet hours.
    pub fn zone(&self) -> TimeZone {
        let named = self.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        named.unwrap_or_else(TimeZone::system)
    }
}
