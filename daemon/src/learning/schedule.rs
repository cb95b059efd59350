//! Trainings by the clock: `schedule = ["sat 02:00", "daily 22:30"]`. Whether one is due is decided here, without clock or disk.
//!
//! A time of day that the clocks skip (summer time begins) counts at the same distance after the gap, one that they show twice at its
//! first showing: each day has each time once. A time that passed while nobody looked (the machine was off) is made up for if it is not
//! longer ago than [`MAKE_UP_H`]. What was dealt with never comes again, however the clock is set back within a day; further back, the
//! clock was wrong before, and the schedule goes on from where it stands now.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

/// A time that passed unseen is made up for within so many hours. Longer ago it would train in the middle of the next day's work.
pub const MAKE_UP_H: i64 = 6;
/// A look later than this after the time was no look at the time.
const ON_TIME: SignedDuration = SignedDuration::from_mins(1);
/// Days looked through on each side: a week, and one more because a zone may skip a day.
const DAYS: i64 = 8;

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A time of each day, or of one day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// None: every day.
    day: Option<Weekday>,
    at: Time,
}

/// Up to when each entry was dealt with, by its words. What is not there is new, and begins now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seen(BTreeMap<String, Timestamp>);

/// A time that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Of which entry.
    pub entry: Entry,
    /// The time.
    pub at: Timestamp,
    /// How it was met.
    pub when: When,
}

/// How a time was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As it came.
    OnTime,
    /// Afterwards, within [`MAKE_UP_H`].
    MadeUp,
    /// Too long afterwards: nothing begins.
    TooLate,
}

impl Entry {
    /// Reads `sat 02:00` or `daily 22:30`.
    ///
    /// # Errors
    /// What it is, and how it should look.
    pub fn parse(text: &str) -> Result<Entry, String> {
        let words =
            || format!("has `{text}`, which is no time: give a day and a time, as \"sat 02:00\" or \"daily 22:30\"");
        let mut parts = text.split_whitespace();
        let (Some(day), Some(at), None) = (parts.next(), parts.next(), parts.next()) else { return Err(words()) };
        let day = match day.to_ascii_lowercase().as_str() {
            "daily" => None,
            name => Some(weekday(name).ok_or_else(|| {
                let names: Vec<&str> = WEEKDAYS.iter().map(|(name, _)| *name).collect();
                format!("has `{text}`, and `{day}` is no day: give one of {}, or daily", names.join(", "))
            })?),
        };
        let plain = at.len() == 5 && at.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
        let at = Time::strptime("%H:%M", at).ok().filter(|_| plain).ok_or_else(words)?;
        Ok(Entry { day, at })
    }

    /// Its last time up to `now`.
    pub(crate) fn last(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        self.around(zone, now).filter(|&at| at <= now).max()
    }

    /// Its first time after `now`.
    pub(crate) fn next(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        self.around(zone, now).filter(|&at| at > now).min()
    }

    /// Its times of the days around.
    fn around(self, zone: &TimeZone, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let today = zone.to_datetime(now).date();
        let days = (-DAYS..=DAYS).filter_map(move |days| today.checked_add(Span::new().days(days)).ok());
        let those = days.filter(move |date| self.day.is_none_or(|day| date.weekday() == day));
        those.filter_map(move |date: Date| zone.to_ambiguous_timestamp(date.to_datetime(self.at)).compatible().ok())
    }
}

fn weekday(name: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(own, _)| *own == name).map(|(_, day)| *day)
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = WEEKDAYS.iter().find(|(_, day)| Some(*day) == self.day).map_or("daily", |(name, _)| name);
        write!(f, "{day} {}", self.at.strftime("%H:%M"))
    }
}

/// The next time of all entries, and whose it is.
pub fn next(entries: &[Entry], zone: &TimeZone, now: Timestamp) -> Option<(Entry, Timestamp)> {
    entries.iter().filter_map(|entry| Some((*entry, entry.next(zone, now)?))).min_by_key(|(_, at)| *at)
}

/// The newest time that came since the last look, if one did. All times up to it are dealt with then: of several that passed unseen
/// one is made up for.
pub fn look(entries: &[Entry], zone: &TimeZone, seen: &mut Seen, now: Timestamp) -> Option<Due> {
    let mut newest: Option<(Timestamp, Entry)> = None;
    let before = std::mem::take(&mut seen.0);
    for entry in entries {
        let words = entry.to_string();
        // More than a day ahead of the clock: that clock was wrong.
        let ahead = |known: &Timestamp| known.duration_since(now) > SignedDuration::from_hours(24);
        let known = before.get(&words).copied().filter(|known| !ahead(known)).unwrap_or(now);
        let came = entry.last(zone, now).filter(|at| *at > known);
        if let Some(at) = came
            && newest.is_none_or(|(other, _)| at > other)
        {
            newest = Some((at, *entry));
        }
        seen.0.insert(words, came.unwrap_or(known));
    }
    let (at, entry) = newest?;
    let late = now.duration_since(at);
    let when = if late <= ON_TIME {
        When::OnTime
    } else if late <= SignedDuration::from_hours(MAKE_UP_H) {
        When::MadeUp
    } else {
        When::TooLate
    };
    Some(Due { entry, at, when })
}

#[cfg(test)]
mod tests;
