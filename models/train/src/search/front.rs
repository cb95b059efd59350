//! Which network stands before which, by how it errs and how long it takes.
//!
//! Source: the sorting into fronts of Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Transactions on
//! Evolutionary Computation 6(2), 2002. Within a front the one that errs least stands first: time has a limit of its own, errors have none.

use std::cmp::Ordering;

/// What errs by more than this beyond the best is no choice for anybody, however quick: it stands behind all others.
const REACH: f64 = 0.02;

/// What counts of a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Its number.
    pub trial: usize,
    /// Share of bad parts that pass, or of images that are named wrong: see [`super::Measured::miss`].
    pub miss: f64,
    /// Mean loss on the selection set; infinite where there is none.
    pub loss: f64,
    /// Time of a verdict.
    pub latency_ms: f64,
}

impl Standing {
    /// Who errs less. Few images have few shares of errors; among equal ones the loss tells.
    pub fn errs(&self, other: &Standing) -> Ordering {
        self.miss.total_cmp(&other.miss).then(self.loss.total_cmp(&other.loss))
    }

    /// Whether the other is worse in one thing, and better in none.
    fn beats(&self, other: &Standing) -> bool {
        let errs = self.errs(other);
        errs.is_le() && self.latency_ms <= other.latency_ms && (errs.is_lt() || self.latency_ms < other.latency_ms)
    }

    /// The same by what a person is shown: misses and time alone.
    fn beats_openly(&self, other: &Standing) -> bool {
        let (miss, time) = (self.miss.total_cmp(&other.miss), self.latency_ms.total_cmp(&other.latency_ms));
        miss.is_le() && time.is_le() && (miss.is_lt() || time.is_lt())
    }
}

/// From the first to the last: front by front, and within a front by errors; behind them, by errors, what errs far more than the best.
/// Equal ones by their number.
pub fn order(mut left: Vec<Standing>) -> Vec<Standing> {
    left.sort_by(|a, b| a.errs(b).then(a.latency_ms.total_cmp(&b.latency_ms)).then(a.trial.cmp(&b.trial)));
    let best = left.first().map_or(0.0, |first| first.miss);
    let hopeless = left.split_off(left.partition_point(|standing| standing.miss <= best + REACH));
    let mut ordered = Vec::with_capacity(left.len() + hopeless.len());
    while !left.is_empty() {
        let all = left.clone();
        let is_first = |standing: &Standing| !all.iter().any(|other| other.beats(standing));
        ordered.extend(left.extract_if(.., |standing| is_first(standing)));
    }
    ordered.extend(hopeless);
    ordered
}

/// Those that no other beats in misses and time, from the quickest on; of equal ones the first by [`order`].
pub fn front(all: &[Standing]) -> Vec<Standing> {
    let mut front: Vec<Standing> = Vec::new();
    for standing in order(all.to_vec()) {
        let same = |other: &Standing| other.miss == standing.miss && other.latency_ms == standing.latency_ms;
        if !all.iter().any(|other| other.beats_openly(&standing)) && !front.iter().any(same) {
            front.push(standing);
        }
    }
    front.sort_by(|a, b| a.latency_ms.total_cmp(&b.latency_ms));
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(trial: usize, miss: f64, loss: f64, latency_ms: f64) -> Standing {
        Standing { trial, miss, loss, latency_ms }
    }

    fn numbers(standings: &[Standing]) -> Vec<usize> {
        standings.iter().map(|standing| standing.trial).collect()
    }

    #[test]
    fn fronts_come_one_after_the_other() {
        let all = vec![
            standing(0, 0.3, 1.0, 9.0),
            standing(1, 0.1, 0.5, 5.0),
            standing(2, 0.2, 0.6, 2.0),
            standing(3, 0.1, 0.4, 8.0),
            standing(4, 0.2, 0.9, 3.0),
        ];
        assert_eq!(numbers(&order(all.clone())), [3, 1, 2, 4, 0]);
        assert_eq!(numbers(&front(&all)), [2, 1], "trial 3 is slower than 1 and lets as many pass");
    }

    #[test]
    fn equal_ones_all_get_a_place_and_one_is_shown() {
        let all = vec![standing(1, 0.1, 0.5, 5.0), standing(0, 0.1, 0.5, 5.0)];
        assert_eq!(numbers(&order(all.clone())), [0, 1]);
        assert_eq!(numbers(&front(&all)), [0]);
    }

    #[test]
    fn what_is_quick_and_useless_stands_last() {
        let all = vec![standing(0, 1.0, f64::INFINITY, 1.0), standing(1, 1.0, 2.0, 2.0), standing(2, 0.5, 1.0, 5.0)];
        assert_eq!(numbers(&order(all)), [2, 1, 0]);
        assert!(order(Vec::new()).is_empty() && front(&[]).is_empty());
    }
}
