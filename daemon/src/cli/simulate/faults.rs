//! What a PLC may do wrong, and what the line is expected to make of it.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;

/// Parts between two faults.
pub(super) const EVERY: u64 = 10;
/// Triggers that must be missed before a PLC that does not acknowledge comes to its senses.
pub(super) const MISSED: u64 = 3;
/// How long a connection stays away.
pub(super) const AWAY: Duration = Duration::from_millis(300);

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fault {
    /// Every tenth result is acknowledged only after the line has given the alarm.
    LateAck,
    /// Halfway nothing is acknowledged until the line is busy and has missed triggers; then all is.
    NoAck,
    /// Every tenth trigger comes twice.
    DoubleTrigger,
    /// With every tenth part the connection is lost between trigger and result.
    DropConnection,
}

/// One fault, from its beginning to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incident {
    began: Instant,
    detected: Option<Instant>,
    mended: Option<Instant>,
    recovered: Option<Instant>,
}

impl Incident {
    pub(super) fn begins() -> Incident {
        Incident { began: Instant::now(), detected: None, mended: None, recovered: None }
    }

    /// The line has noticed.
    pub(super) fn detected(&mut self) {
        self.detected.get_or_insert_with(Instant::now);
    }

    /// The PLC does it right again.
    pub(super) fn mended(&mut self) {
        self.mended.get_or_insert_with(Instant::now);
    }

    pub(super) fn is_detected(&self) -> bool {
        self.detected.is_some()
    }

    pub(super) fn is_mended(&self) -> bool {
        self.mended.is_some()
    }

    /// All is as it was.
    pub(super) fn recovered(&mut self) {
        self.recovered.get_or_insert_with(Instant::now);
    }

    /// From the beginning until the line noticed.
    pub(super) fn detection_ms(&self) -> Option<f64> {
        Some((self.detected? - self.began).as_secs_f64() * 1e3)
    }

    /// From the end of the fault until all was as before.
    pub(super) fn recovery_ms(&self) -> Option<f64> {
        Some((self.recovered? - self.mended?).as_secs_f64() * 1e3)
    }
}

/// Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Times {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Times {
    /// None: there are none.
    pub(super) fn of(mut times: Vec<f64>) -> Option<Times> {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get(((times.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied();
        Some(Times { p50: at(0.5)?, p99: at(0.99)?, max: at(1.0)? })
    }

    pub(super) fn words(&self) -> String {
        format!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", self.p50, self.p99, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ranked() {
        let times = Times::of((1..=200).rev().map(f64::from).collect()).expect("some");
        assert_eq!((times.p50, times.p99, times.max), (100.0, 198.0, 200.0));
        assert_eq!(Times::of(Vec::new()), None);
    }
}
