//! When the next attempt is made: exponential, with jitter, over three days.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// After the first failure.
const FIRST: Duration = Duration::from_secs(5);
/// No pause is longer, so that a receiver that comes back after a day is served within the hour.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);
/// A message that still fails this long after it was queued is given up.
pub const LIFETIME: Duration = Duration::from_secs(3 * 24 * 3600);

/// The pause after so many failures in a row (from 1), for this message: 5 s, 10 s, 20 s ... 1 h, each times 0.75 to 1.25.
///
/// The jitter keeps many senders from coming back at the same moment (Brooker, Exponential Backoff And Jitter, AWS
/// Architecture Blog 2015). It is drawn from message and attempt, so that it needs no state and differs between machines,
/// whose ids differ.
pub(super) fn pause(failures: u32, id: &str) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let plain = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let digest = Sha256::digest(format!("{id}/{failures}"));
    let draw = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
    plain.mul_f64(0.75 + 0.5 * f64::from(draw) / f64::from(u32::MAX))
}

/// A moment so much later.
pub(super) fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_are_spread() {
        for (failures, seconds) in [(1, 5.0), (2, 10.0), (5, 80.0), (10, 2560.0), (11, 3600.0), (4_000_000, 3600.0)] {
            let drawn: Vec<f64> =
                (0..200).map(|n| pause(failures, &format!("msg_{n}")).as_secs_f64() / seconds).collect();
            assert!(drawn.iter().all(|share| (0.75..=1.25).contains(share)), "{failures}: {drawn:?}");
            let (low, high) = drawn.iter().fold((9.0_f64, 0.0_f64), |(low, high), &x| (low.min(x), high.max(x)));
            assert!(low < 0.8 && high > 1.2, "{failures}: only from {low} to {high}");
        }
    }
}
