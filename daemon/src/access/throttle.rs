//! Failed attempts to sign in, by account and by address: who has failed too often must wait, longer each time. A plain state
//! machine without clock, file or lock; times are milliseconds since 1970. It is kept on disk, so a restart forgives nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Mistakes that anybody makes.
const FREE_PER_ACCOUNT: u32 = 5;
/// A shift's worth of people may sit behind one address.
const FREE_PER_ADDRESS: u32 = 20;
/// The first wait; doubled with each failure after it.
const FIRST_WAIT_MS: i64 = 30_000;
/// The longest: nobody can lock a person out for a day by guessing at their name.
const LONGEST_WAIT_MS: i64 = 15 * 60_000;
/// Failures this old do not count any more.
const FORGOTTEN_AFTER_MS: i64 = 24 * 3_600_000;
/// Accounts, and addresses, that are remembered.
const MAX_REMEMBERED: usize = 4096;

/// Failures of one account, or from one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Strikes {
    failures: u32,
    last_ms: i64,
    until_ms: i64,
}

/// Everybody's failures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Throttle {
    accounts: BTreeMap<String, Strikes>,
    addresses: BTreeMap<String, Strikes>,
}

impl Throttle {
    /// Seconds that this account, or this address, must still wait; 0: it may try.
    pub(super) fn wait_s(&self, account: &str, address: &str, now_ms: i64) -> u64 {
        let left = |strikes: Option<&Strikes>| {
            // A clock that was set back must not lock anybody out for longer than the longest wait.
            strikes.map_or(0, |strikes| (strikes.until_ms - now_ms).clamp(0, LONGEST_WAIT_MS))
        };
        left(self.accounts.get(account)).max(left(self.addresses.get(address))).unsigned_abs().div_ceil(1000)
    }

    /// One more failure; gives the seconds to wait that follow from it.
    pub(super) fn failed(&mut self, account: &str, address: &str, now_ms: i64) -> u64 {
        strike(&mut self.accounts, account, FREE_PER_ACCOUNT, now_ms);
        strike(&mut self.addresses, address, FREE_PER_ADDRESS, now_ms);
        self.wait_s(account, address, now_ms)
    }

    /// A password that was set then makes older failures void.
    pub(super) fn forgive_before(&mut self, account: &str, then_ms: i64) {
        if self.accounts.get(account).is_some_and(|strikes| strikes.last_ms < then_ms) {
            self.accounts.remove(account);
        }
    }

    /// The right password. The address keeps its failures: whoever has one account must not guess at others for ever.
    pub(super) fn succeeded(&mut self, account: &str) {
        self.accounts.remove(account);
    }
}

fn strike(all: &mut BTreeMap<String, Strikes>, name: &str, free: u32, now_ms: i64) {
    all.retain(|_, strikes| now_ms - strikes.last_ms < FORGOTTEN_AFTER_MS);
    if all.len() >= MAX_REMEMBERED && !all.contains_key(name) {
        let oldest = all.iter().min_by_key(|(_, strikes)| strikes.last_ms).map(|(name, _)| name.clone());
        oldest.and_then(|name| all.remove(&name));
    }
    let strikes = all.entry(name.to_owned()).or_insert(Strikes { failures: 0, last_ms: now_ms, until_ms: now_ms });
    strikes.failures = strikes.failures.saturating_add(1);
    strikes.last_ms = now_ms;
    if strikes.failures >= free {
        let doublings = (strikes.failures - free).min(10);
        strikes.until_ms = now_ms + (FIRST_WAIT_MS << doublings).min(LONGEST_WAIT_MS);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let mut throttle = Throttle::default();
        let waits: Vec<u64> = (0..12).map(|_| throttle.failed("anna", "10.0.0.7", 1_000_000)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(throttle.wait_s("anna", "10.0.0.8", 1_000_000), 900, "from everywhere");
        assert_eq!(throttle.wait_s("bert", "10.0.0.7", 1_000_000), 0, "others are not concerned");
        assert_eq!(throttle.wait_s("anna", "10.0.0.7", 1_899_001), 1, "a second that has begun counts");
        assert_eq!(throttle.wait_s("anna", "10.0.0.7", 1_900_000), 0);
        throttle.succeeded("anna");
        assert_eq!(throttle.failed("anna", "10.0.0.9", 1_900_000), 0, "the count begins anew");
    }

    #[test]
    fn many_names_from_one_address_are_stopped_too() {
        let mut throttle = Throttle::default();
        let waits: Vec<u64> = (0..25).map(|n| throttle.failed(&format!("user-{n}"), "10.0.0.7", 1000)).collect();
        assert_eq!(waits.iter().position(|&wait| wait > 0), Some(19));
        assert!(throttle.wait_s("anna", "10.0.0.7", 1000) > 0);
    }

    #[test]
    fn a_password_that_was_set_later_in_the_same_second_forgives() {
        let mut throttle = Throttle::default();
        for _ in 0..FREE_PER_ACCOUNT {
            throttle.failed("anna", "10.0.0.7", 1_000_100);
        }
        throttle.forgive_before("anna", 1_000_050);
        assert_eq!(throttle.wait_s("anna", "10.0.0.7", 1_000_900), 30, "failures after it count");
        throttle.forgive_before("anna", 1_000_800);
        assert_eq!(throttle.wait_s("anna", "10.0.0.7", 1_000_900), 0);
    }

    proptest! {
        /// Whatever happens, the memory stays bounded, no wait is longer than the longest, and no guesser gets more than
        /// the free attempts and then one per wait.
        #[test]
        fn guessing_is_bounded(attempts in prop::collection::vec((0u8..4, 0u8..3, 0i64..400_000), 1..300)) {
            let mut throttle = Throttle::default();
            let (mut now, mut tried) = (1_000_000_000, BTreeMap::<String, i64>::new());
            let start = now;
            for (account, address, pause) in attempts {
                now += pause;
                let (account, address) = (account.to_string(), address.to_string());
                let wait = throttle.wait_s(&account, &address, now);
                prop_assert!(wait <= LONGEST_WAIT_MS as u64 / 1000);
                if wait == 0 {
                    throttle.failed(&account, &address, now);
                    *tried.entry(account).or_default() += 1;
                }
            }
            for tries in tried.values() {
                let paid: i64 = (0..tries - i64::from(FREE_PER_ACCOUNT)).map(|n| (FIRST_WAIT_MS << n.min(10)).min(LONGEST_WAIT_MS)).sum();
                prop_assert!(now - start >= paid, "{tries} attempts in {} ms", now - start);
            }
        }
    }
}
