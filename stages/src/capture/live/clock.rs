//! The camera's clock beside ours.
//!
//! A picture arrives some time after it was taken: transfer, and whatever the network and this machine add to it. The least difference
//! between arrival and the camera's stamp over the last seconds has the least of that in it, so it is the best guess of how the
//! clocks stand to each other (a minimum filter, as in the Network Time Protocol's clock filter, RFC 5905, section 10). What
//! remains in it is the shortest transfer; what it removes is the jitter.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The minimum is taken over windows of this length ...
const WINDOW: Duration = Duration::from_secs(1);
/// ... and so many of them: quartz drifts by 50 ppm at most, which is 0.8 ms in this time.
const WINDOWS: usize = 16;
/// A picture that seems to have travelled longer has a stamp that means nothing.
const PLAUSIBLE: Duration = Duration::from_secs(5);

/// Maps the camera's stamps to the host's monotonic clock.
#[derive(Debug)]
pub(super) struct Clock {
    base: Instant,
    /// Beginning of each window and the least difference in it, nanoseconds.
    least: VecDeque<(Instant, i128)>,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Clock {
        Clock { base: now, least: VecDeque::with_capacity(WINDOWS + 1) }
    }

    /// When a picture was taken; its arrival where the camera gives no stamp, or one that cannot be true.
    pub(super) fn taken(&mut self, stamp_ns: u64, arrived: Instant) -> Instant {
        if stamp_ns == 0 {
            return arrived;
        }
        let arrived_ns = arrived.saturating_duration_since(self.base).as_nanos() as i128;
        let difference = arrived_ns - i128::from(stamp_ns);
        match self.least.back_mut() {
            Some((since, least)) if arrived.saturating_duration_since(*since) < WINDOW => {
                *least = (*least).min(difference);
            }
            _ => self.least.push_back((arrived, difference)),
        }
        if self.least.len() > WINDOWS {
            self.least.pop_front();
        }
        let offset = self.least.iter().map(|(_, least)| *least).min().unwrap_or(difference);
        let travelled = Duration::from_nanos(u64::try_from(difference - offset).unwrap_or(u64::MAX));
        if travelled > PLAUSIBLE {
            // The camera's clock was set back: what was learned holds no more.
            self.least.clear();
            return arrived;
        }
        arrived.checked_sub(travelled).unwrap_or(arrived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_removed_and_drift_followed() {
        let base = Instant::now();
        let mut clock = Clock::new(base);
        let mut worst = Duration::ZERO;
        for picture in 0_u64..3000 {
            // 100 a second; 50 ppm fast; 3 ms of transfer and up to 40 ms of jitter, on one in four none.
            let taken = base + Duration::from_millis(10 * picture);
            let stamp = 7_000_000_000_000 + 10_000_500 * picture;
            let jitter = if picture % 4 == 0 { 0 } else { picture * 7919 % 40 };
            let arrived = taken + Duration::from_millis(3 + jitter);
            let found = clock.taken(stamp, arrived);
            assert!(found <= arrived);
            let expected = taken + Duration::from_millis(3);
            worst = worst.max(expected.max(found) - expected.min(found));
        }
        assert!(worst <= Duration::from_millis(40), "before the first quiet one nothing can be known");
        let taken = base + Duration::from_millis(30_000);
        let found = clock.taken(7_000_000_000_000 + 10_000_500 * 3000, taken + Duration::from_millis(33));
        let expected = taken + Duration::from_millis(3);
        assert!(expected.max(found) - expected.min(found) < Duration::from_millis(1), "{:?}", found - base);
    }

    #[test]
    fn a_clock_that_is_set_back_or_missing_costs_nothing() {
        let base = Instant::now();
        let mut clock = Clock::new(base);
        let at = |ms| base + Duration::from_millis(ms);
        assert_eq!(clock.taken(0, at(5)), at(5));
        assert_eq!(clock.taken(90_000_000_000, at(10)), at(10));
        assert_eq!(clock.taken(1, at(20)), at(20), "set back by 90 s");
        assert_eq!(clock.taken(10_000_001, at(40)), at(40), "and learned anew: the first is all that is known");
        assert_eq!(clock.taken(u64::MAX, at(50)), at(50));
    }
}
