//! `[quality]`: when shifts begin and end. Times are by the clock on the wall: a shift of a night when clocks are set is an hour longer or
//! shorter.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::Deserialize;

/// Longest list.
const MOST: usize = 12;
const DAY_MIN: usize = 24 * 60;

/// `[quality]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QualitySection {
    /// Name of the time zone, as `Europe/Berlin`; absent: the machine's.
    pub time_zone: Option<String>,
    /// `[[quality.shifts]]`: those that are worked every day.
    pub shifts: Vec<Shift>,
}

/// A shift.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// As people say it.
    pub name: String,
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`; not after `from`: on the next day.
    pub to: String,
}

/// A shift of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShiftSpan {
    /// Its name.
    pub name: String,
    /// The day on which it begins.
    pub date: Date,
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

impl Default for QualitySection {
    fn default() -> Self {
        let shift = |name: &str, from: &str, to: &str| Shift { name: name.into(), from: from.into(), to: to.into() };
        let shifts =
            vec![shift("early", "06:00", "14:00"), shift("late", "14:00", "22:00"), shift("night", "22:00", "06:00")];
        QualitySection { time_zone: None, shifts }
    }
}

impl Shift {
    /// First minute of the day, and the one after the last; the latter beyond the day's end where it is worked through midnight.
    fn minutes(&self) -> Option<(usize, usize)> {
        let minute = |text: &str| {
            let time = Time::strptime("%H:%M", text).ok()?;
            Some(time.hour() as usize * 60 + time.minute() as usize)
        };
        let (from, to) = (minute(&self.from)?, minute(&self.to)?);
        Some((from, if to > from { to } else { to + DAY_MIN }))
    }
}

impl QualitySection {
    /// Everything wrong with it: the key, the reason and the way out.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if let Some(name) = self.time_zone.as_ref().filter(|name| TimeZone::get(name).is_err()) {
            let text = format!("is `{name}`, which is no time zone of the IANA list: write e.g. `Europe/Berlin`");
            problems.push(("quality.time_zone".to_owned(), text));
        }
        if self.shifts.len() > MOST {
            problems
                .push(("quality.shifts".to_owned(), format!("has {} shifts: give at most {MOST}", self.shifts.len())));
        }
        let mut taken = vec![None; DAY_MIN];
        for (at, shift) in self.shifts.iter().enumerate() {
            let mut refuse = |key: &str, text: String| problems.push((format!("quality.shifts[{at}].{key}"), text));
            let named = !shift.name.trim().is_empty() && shift.name.chars().count() <= 64;
            if !named || shift.name.chars().any(char::is_control) {
                refuse("name", "is no name: give 1 to 64 characters".into());
            } else if self.shifts[..at].iter().any(|it| it.name == shift.name) {
                refuse("name", format!("is `{}`, as of another shift: give each its own", shift.name));
            }
            let Some((from, to)) = shift.minutes() else {
                refuse("from", format!("or `to` is no time (`{}`, `{}`): write e.g. `06:00`", shift.from, shift.to));
                continue;
            };
            for minute in from..to {
                if let Some(other) = taken[minute % DAY_MIN].replace(at)
                    && other != at
                {
                    let text = format!("lies within shift `{}`: parts would be counted twice", self.shifts[other].name);
                    refuse("from", text);
                    break;
                }
            }
        }
        problems
    }

    /// The time zone.
    pub fn zone(&self) -> TimeZone {
        let named = self.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        named.unwrap_or_else(TimeZone::system)
    }

    /// A shift of a day, by its name.
    pub fn shift(&self, name: &str, date: Date) -> Option<ShiftSpan> {
        let shift = self.shifts.iter().find(|shift| shift.name == name)?;
        span(shift, date, &self.zone())
    }

    /// The shifts that touch a time, the earliest first.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> Vec<ShiftSpan> {
        let zone = self.zone();
        let day = |at: Timestamp| at.to_zoned(zone.clone()).date();
        let (mut date, last) = (day(from).yesterday().unwrap_or(Date::MIN), day(to));
        let mut spans = Vec::new();
        while date <= last {
            let of_day = self.shifts.iter().filter_map(|shift| span(shift, date, &zone));
            spans.extend(of_day.filter(|span| span.from < to && span.to > from));
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
        spans.sort_by_key(|span| span.from);
        spans
    }
}

fn span(shift: &Shift, date: Date, zone: &TimeZone) -> Option<ShiftSpan> {
    let (from, to) = shift.minutes()?;
    let at = |minute: usize| {
        let days = Span::new().try_days((minute / DAY_MIN) as i64).ok()?;
        let time = Time::new((minute % DAY_MIN / 60) as i8, (minute % 60) as i8, 0, 0).ok()?;
        // A time that the clocks leave out is taken as the one an hour later, one that comes twice as the first.
        Some(date.checked_add(days).ok()?.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp())
    };
    Some(ShiftSpan { name: shift.name.clone(), date, from: at(from)?, to: at(to)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> QualitySection {
        toml::from_str(text).expect("readable")
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (text, words) in [
            ("time_zone = 'Mars/Olympus'", "no time zone"),
            ("shifts = [{ name = '', from = '06:00', to = '14:00' }]", "quality.shifts[0].name is no name"),
            ("shifts = [{ name = 'a', from = '6 Uhr', to = '14:00' }]", "no time"),
            ("shifts = [{ name = 'a', from = '24:00', to = '14:00' }]", "no time"),
            (
                "shifts = [{ name = 'a', from = '22:00', to = '06:00' }, { name = 'b', from = '05:59', to = '14:00' }]",
                "quality.shifts[1].from lies within shift `a`",
            ),
            (
                "shifts = [{ name = 'a', from = '06:00', to = '07:00' }, { name = 'a', from = '08:00', to = '09:00' }]",
                "as of another",
            ),
        ] {
            let problems = section(text).problems();
            let said: Vec<String> = problems.iter().map(|(key, text)| format!("{key} {text}")).collect();
            assert!(said.iter().any(|it| it.contains(words)), "{text}: {said:?}");
        }
        assert_eq!(QualitySection::default().problems(), []);
        assert_eq!(section("shifts = [{ name = 'all day', from = '05:30', to = '05:30' }]").problems(), []);
        assert!(toml::from_str::<QualitySection>("shift = []").is_err());
    }

    #[test]
    fn shifts_follow_the_clock_on_the_wall() {
        let section = section(
            "time_zone = 'Europe/Berlin'\nshifts = [{ name = 'night', from = '22:00', to = '06:00' }, { name = 'day', from = '06:00', to = '14:30' }]",
        );
        let date: Date = "2026-10-24".parse().expect("a date");
        let night = section.shift("night", date).expect("a shift");
        // Clocks are set back on the 25th at three.
        assert_eq!(
            (night.from.to_string(), night.to.to_string()),
            ("2026-10-24T20:00:00Z".into(), "2026-10-25T05:00:00Z".into())
        );
        assert_eq!(section.shift("late", date), None);
        let spans = section
            .between("2026-10-25T00:00:00Z".parse().expect("a time"), "2026-10-25T20:00:00Z".parse().expect("a time"));
        let names: Vec<_> = spans.iter().map(|it| (it.name.as_str(), it.date.to_string())).collect();
        assert_eq!(names, [("night", "2026-10-24".to_owned()), ("day", "2026-10-25".to_owned())]);
    }
}
