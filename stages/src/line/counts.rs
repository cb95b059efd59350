//! The law and the latencies: what a line counts.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

/// `triggered == pass + fail + review + no_decision + in_flight`, at any moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Parts that came.
    pub triggered: u64,
    /// Good.
    pub pass: u64,
    /// Bad.
    pub fail: u64,
    /// For a person.
    pub review: u64,
    /// No answer.
    pub no_decision: u64,
    /// On their way.
    pub in_flight: u64,
}

impl Counts {
    /// Whether the law holds. `triggered` is counted at the trigger and never derived from the others.
    pub fn obey_the_law(&self) -> bool {
        self.triggered == self.pass + self.fail + self.review + self.no_decision + self.in_flight
    }

    /// Parts with a verdict.
    pub fn decided(&self) -> u64 {
        self.pass + self.fail + self.review + self.no_decision
    }

    pub(super) fn tally(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Pass => self.pass += 1,
            Verdict::Fail => self.fail += 1,
            Verdict::Review => self.review += 1,
            Verdict::NoDecision(_) => self.no_decision += 1,
        }
    }
}

/// A distribution of times, microseconds. Percentiles are exact to 1 %, the longest is exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Median.
    pub p50_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Longest.
    pub max_us: u64,
    /// How many there were, by the first of [`EDGES_US`] that they do not exceed; the last count is of those beyond all.
    pub within: [u64; EDGES_US.len() + 1],
    /// All of them together.
    pub sum_us: u64,
}

/// Edges for counting times, microseconds: fine where takt times lie.
pub const EDGES_US: [u64; 13] =
    [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000];

/// A histogram of fixed size, allocated once.
pub(super) struct Latency {
    histogram: Histogram<u64>,
    max_us: u64,
    within: [u64; EDGES_US.len() + 1],
    sum_us: u64,
}

impl Latency {
    pub(super) fn new() -> Latency {
        // Up to the 71 minutes that a ledger holds, to two digits: 19 KiB.
        let histogram = Histogram::new_with_bounds(1, u64::from(u32::MAX), 2).expect("1 < u32::MAX and 2 <= 5 digits");
        Latency { histogram, max_us: 0, within: [0; EDGES_US.len() + 1], sum_us: 0 }
    }

    pub(super) fn record(&mut self, us: u32) {
        self.histogram.saturating_record(u64::from(us));
        self.max_us = self.max_us.max(u64::from(us));
        self.within[EDGES_US.partition_point(|&edge| edge < u64::from(us))] += 1;
        self.sum_us += u64::from(us);
    }

    pub(super) fn summary(&self) -> LatencySummary {
        // A bucket reports its upper edge, which may lie beyond the longest value seen.
        let at = |q| self.histogram.value_at_quantile(q).min(self.max_us);
        LatencySummary {
            p50_us: at(0.50),
            p95_us: at(0.95),
            p99_us: at(0.99),
            max_us: self.max_us,
            within: self.within,
            sum_us: self.sum_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_one_percent() {
        let mut latency = Latency::new();
        for us in 1..=10_000 {
            latency.record(us);
        }
        let summary = latency.summary();
        for (got, want) in [(summary.p50_us, 5_000), (summary.p95_us, 9_500), (summary.p99_us, 9_900)] {
            assert!(got.abs_diff(want) * 100 <= want, "{got} is not within 1 % of {want}");
        }
        assert_eq!((summary.max_us, summary.sum_us), (10_000, 50_005_000));
        assert_eq!(summary.within[..6], [500, 500, 1_000, 3_000, 5_000, 0], "an edge counts what it is");
    }

    #[test]
    fn nothing_measured_is_zero_and_the_largest_value_fits() {
        let mut latency = Latency::new();
        assert_eq!(latency.summary(), LatencySummary::default());
        latency.record(u32::MAX);
        assert_eq!(latency.summary().max_us, u64::from(u32::MAX));
    }
}
