//! The last ten minutes, second by second: what the page draws. Told each verdict as it goes out.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use stages::inspection::Inspection;
use stages::record::VerdictSink;
use stages::verdict::Verdict;

/// Seconds kept.
const KEPT: u64 = 600;
/// Latencies kept of one second; of more than these a second's percentiles are taken from the first ones.
const SAMPLES: usize = 10_000;
/// Seconds over which the rate is taken.
const RATE_OVER: u64 = 10;

/// One second, by time of verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Point {
    /// Seconds since the start.
    pub second: u64,
    /// Good.
    pub pass: u64,
    /// Bad.
    pub fail: u64,
    /// For a person.
    pub review: u64,
    /// No answer.
    pub no_decision: u64,
    /// Median of trigger to verdict, microseconds; 0 without a verdict.
    pub p50_us: u32,
    /// 99th percentile of the same.
    pub p99_us: u32,
}

impl Point {
    /// Verdicts in this second.
    pub fn decided(&self) -> u64 {
        self.pass + self.fail + self.review + self.no_decision
    }
}

/// See the module. Its clock is the monotonic one, so that a clock that is set does not fold the curve.
pub struct Trend {
    started: Instant,
    started_at: Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whole seconds with at least one verdict, oldest first.
    closed: VecDeque<Point>,
    /// The present second.
    open: Point,
    latencies: Vec<u32>,
}

impl Trend {
    /// The usual 99th percentile of trigger to verdict: the median over the last so many seconds that had verdicts, in
    /// microseconds; `None` where there were none.
    pub fn usual_p99_us(&self, seconds: u64) -> Option<u32> {
        let (_, points) = self.points();
        let newest = points.last()?.second;
        let mut p99: Vec<u32> =
            points.iter().filter(|it| it.second + seconds > newest && it.decided() > 0).map(|it| it.p99_us).collect();
        p99.sort_unstable();
        p99.get(p99.len() / 2).copied()
    }

    /// Starts its clock.
    pub fn new() -> Trend {
        let state = State { latencies: Vec::with_capacity(SAMPLES), ..State::default() };
        Trend { started: Instant::now(), started_at: Timestamp::now(), state: Mutex::new(state) }
    }

    /// Every whole second of the last ten minutes (or since the start), oldest first, empty ones too; and the wall-clock
    /// time of second 0.
    pub fn points(&self) -> (Timestamp, Vec<Point>) {
        (self.started_at, self.points_until(self.now()))
    }

    /// Verdicts per second over the last 10 whole seconds (or since the start, once one is over).
    pub fn per_second(&self) -> f64 {
        self.per_second_at(self.now())
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn points_until(&self, now: u64) -> Vec<Point> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.move_on(now);
        let mut known = state.closed.iter().copied().peekable();
        let first = now.saturating_sub(KEPT);
        (first..now)
            .map(|second| {
                while known.next_if(|point| point.second < second).is_some() {}
                known.next_if(|point| point.second == second).unwrap_or(Point { second, ..Point::default() })
            })
            .collect()
    }

    fn per_second_at(&self, now: u64) -> f64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.move_on(now);
        let over = now.min(RATE_OVER);
        if over == 0 {
            return state.open.decided() as f64;
        }
        let recent = state.closed.iter().rev().take_while(|point| point.second + over >= now);
        recent.map(Point::decided).sum::<u64>() as f64 / over as f64
    }

    fn add(&self, second: u64, verdict: Verdict, latency_us: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.move_on(second);
        match verdict {
            Verdict::Pass => state.open.pass += 1,
            Verdict::Fail => state.open.fail += 1,
            Verdict::Review => state.open.review += 1,
            Verdict::NoDecision(_) => state.open.no_decision += 1,
        }
        if state.latencies.len() < SAMPLES {
            state.latencies.push(latency_us);
        }
    }
}

impl Default for Trend {
    fn default() -> Self {
        Trend::new()
    }
}

impl State {
    /// Closes the open second if it is over.
    fn move_on(&mut self, now: u64) {
        if now <= self.open.second {
            return;
        }
        if self.open.decided() > 0 {
            let (p50_us, p99_us) = (percentile(&mut self.latencies, 50), percentile(&mut self.latencies, 99));
            self.closed.push_back(Point { p50_us, p99_us, ..self.open });
            self.latencies.clear();
        }
        self.open = Point { second: now, ..Point::default() };
        while self.closed.front().is_some_and(|point| point.second + KEPT < now) {
            self.closed.pop_front();
        }
    }
}

/// Nearest rank: the smallest value that `percent` % of all values do not exceed.
fn percentile(values: &mut [u32], percent: usize) -> u32 {
    let rank = (values.len() * percent).div_ceil(100).max(1);
    match values.len() {
        0 => 0,
        _ => *values.select_nth_unstable(rank - 1).1,
    }
}

impl VerdictSink for Trend {
    fn verdict(&self, inspection: &Inspection) {
        self.add(self.now(), inspection.verdict, inspection.ledger.total_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_contiguous_and_empty_ones_are_zero() {
        let trend = Trend::new();
        for (second, latency) in [(0, 10), (0, 30), (0, 20), (3, 7)] {
            trend.add(second, Verdict::Pass, latency);
        }
        trend.add(3, Verdict::Fail, 9);
        let points = trend.points_until(5);
        assert_eq!(points.iter().map(|point| point.second).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(points[0], Point { second: 0, pass: 3, p50_us: 20, p99_us: 30, ..Point::default() });
        assert_eq!(points[1], Point { second: 1, ..Point::default() });
        assert_eq!((points[3].pass, points[3].fail, points[3].p50_us), (1, 1, 7));
    }

    #[test]
    fn ten_minutes_are_kept() {
        let trend = Trend::new();
        for second in 0..2000 {
            trend.add(second, Verdict::Review, 1);
        }
        let points = trend.points_until(2000);
        assert_eq!(points.len(), 600);
        assert_eq!((points[0].second, points[599].second), (1400, 1999));
        assert!(points.iter().all(|point| point.review == 1));
        assert!(trend.state.lock().unwrap().closed.len() <= 601);
    }

    #[test]
    fn the_rate_is_that_of_the_last_whole_seconds() {
        let trend = Trend::new();
        for second in 0..30 {
            for _ in 0..second {
                trend.add(second, Verdict::Pass, 1);
            }
        }
        // Seconds 20 to 29.
        assert_eq!(trend.per_second_at(30), 24.5);
        assert_eq!(trend.per_second_at(100), 0.0);
        let young = Trend::new();
        young.add(0, Verdict::Pass, 1);
        young.add(1, Verdict::Pass, 1);
        assert_eq!(young.per_second_at(2), 1.0);
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut values: Vec<u32> = (1..=200).rev().collect();
        assert_eq!((percentile(&mut values, 50), percentile(&mut values, 99)), (100, 198));
        assert_eq!((percentile(&mut [5], 99), percentile(&mut [], 50)), (5, 0));
    }
}
