//! How a condition becomes an alert and ends again. A plain state machine: time comes in, changes come out.
//!
//! For each rule and subject: bad without a break for `for_s` fires; then well without a break for `resolve_after_s` resolves.
//! Between the two limits of a rule (hysteresis), and while nothing is known, neither clock runs. Who resolves an alert by
//! hand ends it; it fires again only after the condition was well once.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rule::{Rule, Severity};
use crate::outbox::message_id;

/// Resolved alerts that are remembered.
const REMEMBERED: usize = 200;

/// What a rule sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should not be.
    Bad,
    /// Neither: between the limits, or unknown.
    Between,
    /// As it should be.
    Good,
}

/// What a rule sees of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What it is about, where a rule has several: a card, a disk, a label. Empty: the line or the machine as a whole.
    pub subject: String,
    /// How it is.
    pub level: Level,
    /// The measured value, where there is one.
    pub value: Option<f64>,
    /// In words, with units and limits.
    pub text: String,
}

/// A condition that was bad for long enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Never used twice.
    pub id: String,
    /// The rule's name.
    pub rule: String,
    /// What it is about, where the rule has several.
    pub subject: String,
    /// How much it matters.
    pub severity: Severity,
    /// Whether it is about the machine rather than the line.
    pub machine: bool,
    /// In words, as it is now or was last.
    pub text: String,
    /// The measured value, where there is one.
    #[schema(required = true)]
    pub value: Option<f64>,
    /// Since when the condition has been bad.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it fired.
    #[schema(value_type = String, format = DateTime)]
    pub fired_at: Timestamp,
    /// Who has seen it.
    #[schema(required = true)]
    pub acknowledged: Option<Note>,
    /// When it ended.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    pub resolved_at: Option<Timestamp>,
    /// Who ended it by hand.
    #[schema(required = true)]
    pub resolved_by: Option<Note>,
}

/// Who did something, when, and what they said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AlertNote)]
pub struct Note {
    /// Who.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What they said.
    #[schema(required = true)]
    pub comment: Option<String>,
}

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is new.
    Fired,
    /// It goes on, and nobody has acknowledged it.
    Reminded,
    /// Somebody has seen it.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl What {
    /// As in messages.
    pub fn word(self) -> &'static str {
        match self {
            What::Fired => "fired",
            What::Reminded => "reminded",
            What::Acknowledged => "acknowledged",
            What::Resolved => "resolved",
        }
    }
}

/// A turn that others are to be told of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    pub what: What,
    /// When.
    pub at: Timestamp,
    /// The alert, as it was then.
    pub alert: Alert,
}

/// One rule's condition on one subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Track {
    bad_since: Option<Timestamp>,
    good_since: Option<Timestamp>,
    alert: Option<Alert>,
    told_at: Option<Timestamp>,
    /// Resolved by hand: silent until it was well once.
    dismissed: bool,
}

/// Every condition and alert. Kept as it is across restarts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    #[serde(with = "as_list")]
    tracks: BTreeMap<(String, String), Track>,
    recent: VecDeque<Alert>,
}

impl Machine {
    /// Takes in what a rule sees. `others`: how subjects are of which it says nothing.
    pub fn observe(
        &mut self,
        name: &str,
        rule: &Rule,
        readings: &[Reading],
        others: Level,
        now: Timestamp,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for reading in readings {
            let key = (name.to_owned(), reading.subject.clone());
            let track = self.tracks.entry(key).or_default();
            changes.extend(track.step(name, rule, reading, now));
        }
        let seen = |subject: &str| readings.iter().any(|reading| reading.subject == subject);
        let unseen = self.tracks.iter_mut().filter(|((of, subject), _)| of == name && !seen(subject));
        for ((_, subject), track) in unseen {
            let text = track.alert.as_ref().map_or(String::new(), |alert| alert.text.clone());
            let reading = Reading { subject: subject.clone(), level: others, value: None, text };
            changes.extend(track.step(name, rule, &reading, now));
        }
        self.tracks.retain(|_, track| *track != Track::default());
        self.remember(&changes);
        changes
    }

    /// Ends what belongs to rules that are there no more.
    pub fn keep_only(&mut self, is_rule: impl Fn(&str) -> bool, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for ((name, _), track) in &mut self.tracks {
            if !is_rule(name) {
                changes.extend(track.alert.take().map(|alert| ended(alert, now, None)));
                *track = Track::default();
            }
        }
        self.tracks.retain(|_, track| *track != Track::default());
        self.remember(&changes);
        changes
    }

    /// Somebody has seen it. Seen before: nothing changes. None: there is no such alert.
    pub fn acknowledge(&mut self, id: &str, note: Note) -> Option<(Alert, Option<Change>)> {
        let alert = self.alert_mut(id)?;
        if alert.acknowledged.is_some() {
            return Some((alert.clone(), None));
        }
        let at = note.at;
        alert.acknowledged = Some(note);
        let change = Change { what: What::Acknowledged, at, alert: alert.clone() };
        Some((alert.clone(), Some(change)))
    }

    /// Somebody ends it by hand. None: there is no such alert.
    pub fn resolve(&mut self, id: &str, note: Note) -> Option<Change> {
        let track = self.tracks.values_mut().find(|track| track.alert.as_ref().is_some_and(|alert| alert.id == id))?;
        let alert = track.alert.take()?;
        let at = note.at;
        *track = Track { dismissed: true, ..Track::default() };
        let change = ended(alert, at, Some(note));
        self.remember(std::slice::from_ref(&change));
        Some(change)
    }

    /// What is on now, the worst first, then the newest.
    pub fn active(&self) -> Vec<&Alert> {
        let mut active: Vec<&Alert> = self.tracks.values().filter_map(|track| track.alert.as_ref()).collect();
        active.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), std::cmp::Reverse(alert.fired_at)));
        active
    }

    /// What is over, the newest first.
    pub fn recent(&self) -> impl Iterator<Item = &Alert> {
        self.recent.iter().rev()
    }

    fn alert_mut(&mut self, id: &str) -> Option<&mut Alert> {
        self.tracks.values_mut().filter_map(|track| track.alert.as_mut()).find(|alert| alert.id == id)
    }

    fn remember(&mut self, changes: &[Change]) {
        let over = changes.iter().filter(|change| change.what == What::Resolved);
        self.recent.extend(over.map(|change| change.alert.clone()));
        while self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
    }
}

impl Track {
    fn step(&mut self, name: &str, rule: &Rule, reading: &Reading, now: Timestamp) -> Option<Change> {
        match reading.level {
            Level::Bad => self.bad(name, rule, reading, now),
            Level::Between => {
                // A break: whichever clock ran begins anew.
                self.good_since = None;
                if self.alert.is_none() {
                    self.bad_since = None;
                }
                None
            }
            Level::Good => self.good(rule, reading, now),
        }
    }

    fn bad(&mut self, name: &str, rule: &Rule, reading: &Reading, now: Timestamp) -> Option<Change> {
        self.good_since = None;
        if self.dismissed {
            return None;
        }
        let since = start(&mut self.bad_since, now);
        if let Some(alert) = &mut self.alert {
            (alert.text, alert.value, alert.severity) = (reading.text.clone(), reading.value, rule.severity);
            let due = rule.remind_s > 0
                && alert.acknowledged.is_none()
                && self.told_at.is_none_or(|told| lasted(told, now, rule.remind_s));
            return due.then(|| {
                self.told_at = Some(now);
                Change { what: What::Reminded, at: now, alert: alert.clone() }
            });
        }
        if !lasted(since, now, rule.for_s) {
            return None;
        }
        let id = message_id(&[name, &reading.subject, &since.to_string(), &now.to_string()]);
        let alert = Alert {
            id: id.replace("msg_", "alert_"),
            rule: name.to_owned(),
            subject: reading.subject.clone(),
            severity: rule.severity,
            machine: rule.when.about_the_machine(),
            text: reading.text.clone(),
            value: reading.value,
            since,
            fired_at: now,
            acknowledged: None,
            resolved_at: None,
            resolved_by: None,
        };
        self.told_at = Some(now);
        self.alert = Some(alert.clone());
        Some(Change { what: What::Fired, at: now, alert })
    }

    fn good(&mut self, rule: &Rule, reading: &Reading, now: Timestamp) -> Option<Change> {
        self.bad_since = None;
        self.dismissed = false;
        self.alert.as_ref()?;
        let since = start(&mut self.good_since, now);
        if !lasted(since, now, rule.resolve_after_s) {
            return None;
        }
        let alert = std::mem::take(self).alert?;
        let text = if reading.text.is_empty() { alert.text } else { reading.text.clone() };
        Some(ended(Alert { text, value: reading.value, ..alert }, now, None))
    }
}

fn ended(alert: Alert, now: Timestamp, by: Option<Note>) -> Change {
    let alert = Alert { resolved_at: Some(now), resolved_by: by, ..alert };
    Change { what: What::Resolved, at: now, alert }
}

/// When a clock was started; starts it if need be. One from the future (the wall clock was set back) is started anew.
fn start(clock: &mut Option<Timestamp>, now: Timestamp) -> Timestamp {
    match *clock {
        Some(since) if since <= now => since,
        _ => *clock.insert(now),
    }
}

fn lasted(since: Timestamp, now: Timestamp, seconds: u32) -> bool {
    now.duration_since(since) >= SignedDuration::from_secs(i64::from(seconds))
}

mod as_list {
    //! JSON has no maps with keys of two parts.
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Track;

    type Key = (String, String);

    pub(super) fn serialize<S: Serializer>(tracks: &BTreeMap<Key, Track>, serializer: S) -> Result<S::Ok, S::Error> {
        tracks.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Key, Track>, D::Error> {
        Ok(Vec::<(Key, Track)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
