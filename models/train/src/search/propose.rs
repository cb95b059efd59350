//! Which network to try next: one that looks like those that stood first, by a tree-structured Parzen estimator ([`parzen`]).
//!
//! Sources: Bergstra, Bardenet, Bengio and Kégl, "Algorithms for Hyper-Parameter Optimization", NIPS 2011 (the estimator); Falkner, Klein and
//! Hutter, "BOHB", ICML 2018 (beside Hyperband: over all settings at once, from the largest number of rounds that enough networks have come
//! to, some networks drawn at random, so that no region is given up); Ozaki et al., "Multiobjective Tree-Structured Parzen Estimator",
//! GECCO 2020 (of several objectives: what is good is decided by fronts).

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::front::order;
use super::parzen::Parzen;
use super::schedule::Schedule;
use super::space::{AXES, Point, Space};
use super::trial::Trial;

/// Share of the networks that are drawn at random.
const RANDOM: f64 = 0.1;
/// Share of the networks that count as good.
const GOOD: f64 = 0.25;
/// Networks with a result that there must be to learn from: one more than there are settings.
const ENOUGH: usize = AXES + 1;
/// Places that are drawn where good ones lie, of which the one is taken where bad ones lie least.
const CANDIDATES: usize = 64;

/// How networks are proposed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Proposals {
    /// By what is known.
    #[default]
    Tpe,
    /// At random: the control.
    Random,
}

impl std::fmt::Display for Proposals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Proposals::Tpe => "tpe",
            Proposals::Random => "random",
        })
    }
}

/// The network that follows these trials. The first is the usual one: others are held against it. It depends on the trials and the seed
/// alone.
pub fn propose(space: &Space, schedule: &Schedule, trials: &[Trial], (how, seed): (Proposals, u64)) -> Point {
    if trials.is_empty() {
        return Point::usual(space.largest());
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(trials.len() as u64);
    let known = match how == Proposals::Random || random.random_bool(RANDOM) {
        true => None,
        false => Known::of(space, schedule, trials),
    };
    let place = match known {
        None => std::array::from_fn(|_| random.random()),
        Some(Known { good, bad }) => {
            let drawn: Vec<_> = (0..CANDIDATES).map(|_| good.draw(&mut random)).collect();
            let promise = |place: &[f64; AXES]| good.density(place).ln() - bad.density(place).ln();
            let promising = drawn.into_iter().max_by(|a, b| promise(a).total_cmp(&promise(b)));
            promising.unwrap_or_else(|| std::array::from_fn(|_| random.random()))
        }
    };
    space.point(&place)
}

/// Where good networks lie, and where all others.
struct Known {
    good: Parzen,
    bad: Parzen,
}

impl Known {
    /// By the results of the largest number of rounds that enough networks have come to. Networks that are too slow are bad ones. `None`
    /// where no number of rounds has enough.
    fn of(space: &Space, schedule: &Schedule, trials: &[Trial]) -> Option<Known> {
        let rounds: BTreeSet<u32> = trials.iter().flat_map(|t| t.results.iter().map(|result| result.rounds)).collect();
        let come_to = |rounds: u32| trials.iter().filter_map(move |t| Some(t.standing(t.after(rounds)?)));
        let rounds = rounds.into_iter().rev().find(|&rounds| come_to(rounds).count() >= ENOUGH)?;
        let learned = order(come_to(rounds).collect());
        let (good, bad) = learned.split_at((GOOD * learned.len() as f64).ceil() as usize);
        let slow = trials.iter().filter(|trial| !schedule.is_quick(trial));
        let good = good.iter().map(|standing| space.place(&trials[standing.trial].point));
        let bad = bad.iter().map(|standing| &trials[standing.trial]).chain(slow).map(|trial| space.place(&trial.point));
        Some(Known { good: Parzen::of(good.collect()), bad: Parzen::of(bad.collect()) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::Measured;
    use super::*;

    fn schedule() -> Schedule {
        Schedule::new(50, 3, 10.0)
    }

    /// A trial with so many errors of a hundred.
    fn trial(number: usize, point: Point, latency_ms: f64, errors: usize) -> Trial {
        let loss = Some(errors as f64);
        let (escape_rate, overkill_rate, failed) = (None, None, None);
        let result =
            Measured { rounds: 2, ended: false, errors, images: 100, escape_rate, overkill_rate, loss, failed };
        let results = if latency_ms > 10.0 { Vec::new() } else { vec![result] };
        Trial { number, point, latency_ms, results }
    }

    #[test]
    fn proposals_follow_from_trials_and_seed() {
        let space = Space::up_to(224);
        let point = |trials: &[Trial], seed| propose(&space, &schedule(), trials, (Proposals::Tpe, seed));
        assert_eq!(point(&[], 1), Point::usual(224));
        let mut trials: Vec<Trial> = Vec::new();
        for number in 0..40 {
            let next = point(&trials, 1);
            assert!(space.holds(&next), "{next:?}");
            assert_eq!(next, point(&trials, 1));
            trials.push(trial(number, next, 1.0 + (number % 14) as f64, number % 7));
        }
        assert_ne!(point(&trials, 1), point(&trials, 2));
    }

    #[test]
    fn what_is_good_is_proposed_more_often_and_what_is_slow_less() {
        let space = Space::up_to(224);
        let mut trials: Vec<Trial> = Vec::new();
        for number in 0..60 {
            // Good where the trunk is whole; too slow where inputs are largest.
            let drawn = propose(&space, &schedule(), &trials, (Proposals::Random, 3));
            let latency_ms = if drawn.size > 160 { 20.0 } else { 5.0 };
            trials.push(trial(number, drawn, latency_ms, 10 * drawn.left_out));
        }
        let mean = |how, of: &dyn Fn(&Point) -> f64| {
            let points = (0..200).map(|seed| propose(&space, &schedule(), &trials, (how, seed)));
            points.map(|point| of(&point)).sum::<f64>() / 200.0
        };
        let left_out = |point: &Point| point.left_out as f64;
        let slow = |point: &Point| f64::from(u8::from(point.size > 160));
        assert!(mean(Proposals::Tpe, &left_out) < 0.7 * mean(Proposals::Random, &left_out));
        assert!(mean(Proposals::Tpe, &slow) < 0.15 * mean(Proposals::Random, &slow));
    }
}
