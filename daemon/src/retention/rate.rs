//! How fast pictures come, and when they will fill what they may. By the hours of the last day.

use std::collections::BTreeMap;

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
/// With less, a rate means nothing.
const LEAST_SPAN_S: i64 = 600;

/// Bytes that came, by the hour.
#[derive(Debug, Default)]
pub(super) struct Rate {
    hours: BTreeMap<i64, u64>,
    /// Second of the oldest picture that was ever counted.
    since: Option<i64>,
}

impl Rate {
    /// A picture came.
    pub(super) fn add(&mut self, at_s: i64, bytes: u64) {
        *self.hours.entry(at_s.div_euclid(HOUR_S)).or_default() += bytes;
        self.since = Some(self.since.map_or(at_s, |since| since.min(at_s)));
        while self.hours.len() > 48 {
            self.hours.pop_first();
        }
    }

    /// Bytes a day, by the last day, or by what there is of it.
    pub(super) fn a_day(&self, now_s: i64) -> Option<f64> {
        // Whole hours: what came in the first of them may be older than a day by less than one.
        let first = (now_s - DAY_S).div_euclid(HOUR_S);
        let span = (now_s - self.since?).min(now_s - first * HOUR_S);
        let bytes: u64 = self.hours.range(first..=now_s.div_euclid(HOUR_S)).map(|(_, bytes)| bytes).sum();
        (span >= LEAST_SPAN_S && bytes > 0).then(|| bytes as f64 * DAY_S as f64 / span as f64)
    }
}

/// Days until `room` bytes are used.
pub(super) fn days(room: u64, bytes_a_day: f64) -> f64 {
    room as f64 / bytes_a_day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_day_or_of_what_there_is_of_it() {
        let mut rate = Rate::default();
        assert_eq!(rate.a_day(0), None);
        let begin = 1_800_000_000;
        for minute in 0..60 {
            rate.add(begin + 60 * minute, 1000);
        }
        let now = begin + 3600;
        assert_eq!(rate.a_day(begin + 300), None, "five minutes say nothing");
        let day = rate.a_day(now).expect("a rate");
        assert!((day / (24.0 * 60_000.0) - 1.0).abs() < 0.02, "{day}");
        assert!((days(3 * 24 * 60_000, day) - 3.0).abs() < 0.1);
        // A night without parts: the day's rate, not the hour's.
        let day = rate.a_day(begin + 20 * 3600).expect("a rate");
        assert!((day / (60_000.0 * 24.0 / 20.0) - 1.0).abs() < 0.02, "{day}");
        assert_eq!(rate.a_day(begin + 100 * 3600), None, "nothing comes any more");
    }
}
