//! How fast disks fill up.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::sys::statvfs::statvfs;

use super::report::DiskReport;

/// A sample is kept no more often.
const SAMPLE_EVERY_S: i64 = 300;
/// The trend is taken over this much.
const SPAN_S: i64 = 24 * 3600;
/// With less, a trend means nothing.
const LEAST_SPAN_S: i64 = 3600;

/// Watches one disk.
pub(super) struct Disk {
    path: PathBuf,
    trend: Fill,
}

impl Disk {
    pub(super) fn new(path: &Path) -> Disk {
        Disk { path: path.to_owned(), trend: Fill::default() }
    }

    /// None while the path cannot be asked.
    pub(super) fn look(&mut self, now: Timestamp) -> Option<DiskReport> {
        let stat = statvfs(&self.path).ok()?;
        // The widths differ between platforms, so the conversions are not always useless.
        #[allow(clippy::useless_conversion)]
        let (fragment, total, free) =
            (u64::from(stat.fragment_size()), u64::from(stat.blocks()), u64::from(stat.blocks_available()));
        let free_bytes = free.saturating_mul(fragment);
        Some(DiskReport {
            path: self.path.display().to_string(),
            total_bytes: total.saturating_mul(fragment),
            free_bytes,
            days_left: self.trend.add(now, free_bytes),
        })
    }
}

/// Free space over time.
#[derive(Debug, Default)]
pub(super) struct Fill {
    /// Second and free bytes, oldest first.
    samples: VecDeque<(i64, u64)>,
}

impl Fill {
    /// Takes in a value; days until nothing is left, by the least-squares line through the last day.
    pub(super) fn add(&mut self, now: Timestamp, free: u64) -> Option<f64> {
        let second = now.as_second();
        if self.samples.back().is_some_and(|&(last, _)| second < last) {
            // The clock was set back: times before it mean nothing.
            self.samples.clear();
        }
        if self.samples.back().is_none_or(|&(last, _)| second - last >= SAMPLE_EVERY_S) {
            self.samples.push_back((second, free));
        }
        while self.samples.front().is_some_and(|&(first, _)| second - first > SPAN_S) {
            self.samples.pop_front();
        }
        let (first, last) = (self.samples.front()?.0, self.samples.back()?.0);
        if last - first < LEAST_SPAN_S {
            return None;
        }
        let slope = self.slope()?;
        (slope < 0.0).then(|| free as f64 / -slope / 86_400.0)
    }

    /// Bytes a second.
    fn slope(&self) -> Option<f64> {
        let n = self.samples.len() as f64;
        let at = |&(second, free): &(i64, u64)| ((second - self.samples[0].0) as f64, free as f64);
        let (sum_x, sum_y) = self.samples.iter().map(at).fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (mut xy, mut xx) = (0.0, 0.0);
        for (x, y) in self.samples.iter().map(at) {
            xy += (x - mean_x) * (y - mean_y);
            xx += (x - mean_x) * (x - mean_x);
        }
        (xx > 0.0).then(|| xy / xx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: f64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + (hours * 3600.0) as i64).unwrap()
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn days_left_follow_the_last_days_trend() {
        let mut fill = Fill::default();
        let mut days = None;
        // A GiB an hour, with a sawtooth on top of it.
        for minute in 0..(20 * 60) {
            let saw = u64::from(minute % 60 < 30) * (GIB / 4);
            days = fill.add(at(f64::from(minute) / 60.0), 240 * GIB - u64::from(minute as u32) * GIB / 60 - saw);
        }
        // 220 GiB are left.
        let days = days.expect("a trend");
        assert!((days - 220.0 / 24.0).abs() < 0.5, "{days}");
    }

    #[test]
    fn nothing_is_claimed_of_a_short_time_or_a_disk_that_does_not_fill() {
        let mut short = Fill::default();
        for minute in 0..50 {
            assert_eq!(short.add(at(f64::from(minute) / 60.0), (100 - minute as u64) * GIB), None);
        }
        let mut steady = Fill::default();
        for minute in 0..600 {
            assert_eq!(steady.add(at(f64::from(minute) / 60.0), 100 * GIB), None);
        }
        // A clock that is set back starts anew.
        assert_eq!(steady.add(at(-5.0), GIB), None);
        assert!(steady.samples.len() == 1);
    }
}
