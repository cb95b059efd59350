//! Good and bad parts ranked by how bad they look: ROC, precision and recall, escapes against overkill. All of it
//! is one sequence of thresholds with two counts each.

use models::bundle::{Disposition, Label};
use serde::Serialize;

use super::intervals::{Interval, deviations, solve};

/// How bad a part looks: one minus the highest score among the labels that pass it, 0 to 1. A part passes at threshold `t`
/// where this is below `t`. `None` for a model without a passing label.
pub fn badness(scores: &[f32], labels: &[Label]) -> Option<f64> {
    let passing = scores.iter().zip(labels).filter(|(_, label)| label.verdict == Disposition::Pass);
    passing.map(|(score, _)| *score).max_by(f32::total_cmp).map(|best| 1.0 - f64::from(best))
}

/// What a threshold holds back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// Parts from this badness on are held back.
    pub threshold: f64,
    /// Bad parts held back.
    pub bad_held: usize,
    /// Good parts held back.
    pub good_held: usize,
}

/// Every threshold that makes a difference, from the one that holds nothing back to the one that holds everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Good parts in all.
    pub good: usize,
    /// Bad parts in all.
    pub bad: usize,
    /// Thresholds that were seen as badness, from the highest; both counts never fall.
    pub steps: Vec<Step>,
}

impl Curve {
    /// Ranks parts, each given as `(badness, is it bad)`.
    pub fn new(parts: impl IntoIterator<Item = (f64, bool)>) -> Curve {
        let mut parts: Vec<(f64, bool)> = parts.into_iter().collect();
        parts.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut steps: Vec<Step> = Vec::new();
        let (mut good_held, mut bad_held) = (0, 0);
        for (threshold, bad) in parts {
            bad_held += usize::from(bad);
            good_held += usize::from(!bad);
            let step = Step { threshold, bad_held, good_held };
            match steps.last_mut() {
                // Equal parts cannot be told apart by any threshold.
                Some(last) if last.threshold == threshold => *last = step,
                _ => steps.push(step),
            }
        }
        Curve { good: good_held, bad: bad_held, steps }
    }

    /// Bad parts that pass at a step.
    pub fn escapes(&self, step: &Step) -> usize {
        self.bad - step.bad_held
    }

    /// Whether there are parts of both kinds.
    pub fn has_both(&self) -> bool {
        self.good > 0 && self.bad > 0
    }

    /// The area under the ROC curve: the chance that a bad part looks worse than a good one, ties counting half. `None` without
    /// parts of both kinds.
    pub fn auroc(&self) -> Option<f64> {
        if !self.has_both() {
            return None;
        }
        let mut area = 0.0;
        let (mut good, mut bad) = (0, 0);
        for step in &self.steps {
            area += (step.good_held - good) as f64 * (step.bad_held + bad) as f64 / 2.0;
            (good, bad) = (step.good_held, step.bad_held);
        }
        Some(area / self.good as f64 / self.bad as f64)
    }

    /// The interval of [`auroc`](Self::auroc).
    ///
    /// Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988, on the logit scale. Its variance is nothing where no
    /// part is ranked wrong, which would claim certainty: there method 5 of Newcombe, Statistics in Medicine 25, 2006.
    pub fn auroc_interval(&self, confidence: f64) -> Option<Interval> {
        let area = self.auroc()?;
        let deviations = deviations(confidence);
        let variance = self.delong_variance();
        if variance > 0.0 && area > 0.0 && area < 1.0 {
            let logit = (area / (1.0 - area)).ln();
            let reach = deviations * variance.sqrt() / (area * (1.0 - area));
            let back = |x: f64| 1.0 / (1.0 + (-x).exp());
            return Some([back(logit - reach), back(logit + reach)]);
        }
        let (m, n) = (self.bad as f64, self.good as f64);
        let star = f64::midpoint(m, n) - 1.0;
        let deviation = |p: f64| {
            (p * (1.0 - p) * (1.0 + star * (1.0 - p) / (2.0 - p) + star * p / (1.0 + p)) / (m * n)).sqrt() * deviations
        };
        let low = if area > 0.0 { solve(|p| p + deviation(p) - area) } else { 0.0 };
        let high = if area < 1.0 { solve(|p| p - deviation(p) - area) } else { 1.0 };
        Some([low.min(area), high.max(area)])
    }

    /// Variance of the area by the structural components: for each bad part the share of good parts that look better, and the
    /// other way round.
    fn delong_variance(&self) -> f64 {
        let (mut of_bad, mut of_good) = (Spread::default(), Spread::default());
        let (mut good, mut bad) = (0, 0);
        for step in &self.steps {
            let (goods, bads) = (step.good_held - good, step.bad_held - bad);
            let good_better = (self.good - step.good_held) as f64 + goods as f64 / 2.0;
            let bad_worse = bad as f64 + bads as f64 / 2.0;
            of_bad.add(good_better / self.good as f64, bads);
            of_good.add(bad_worse / self.bad as f64, goods);
            (good, bad) = (step.good_held, step.bad_held);
        }
        of_bad.variance_of_mean() + of_good.variance_of_mean()
    }

    /// Average precision: the mean over all bad parts of the share of bad among those that look at least as bad. `None` without
    /// parts of both kinds.
    pub fn average_precision(&self) -> Option<f64> {
        if !self.has_both() {
            return None;
        }
        let mut sum = 0.0;
        let mut bad = 0;
        for step in &self.steps {
            sum += (step.bad_held - bad) as f64 * step.bad_held as f64 / (step.bad_held + step.good_held) as f64;
            bad = step.bad_held;
        }
        Some(sum / self.bad as f64)
    }

    /// Some of the steps, for a plot or a file: those at which the curve turns, and at most about `most` of them.
    pub fn thinned(&self, most: usize) -> Vec<Step> {
        let turns = |at: usize| {
            let (Some(before), Some(after)) = (at.checked_sub(1).map(|b| self.steps[b]), self.steps.get(at + 1)) else {
                return true;
            };
            let here = self.steps[at];
            let along_good = before.bad_held == here.bad_held && here.bad_held == after.bad_held;
            let along_bad = before.good_held == here.good_held && here.good_held == after.good_held;
            !along_good && !along_bad
        };
        let corners: Vec<usize> = (0..self.steps.len()).filter(|&at| turns(at)).collect();
        let every = corners.len().div_ceil(most.max(2)).max(1);
        let last = corners.len().saturating_sub(1);
        let kept = corners.iter().enumerate().filter(|&(nth, _)| nth % every == 0 || nth == last);
        kept.map(|(_, &at)| self.steps[at]).collect()
    }
}

/// Count, sum and sum of squares.
#[derive(Default)]
struct Spread {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, value: f64, times: usize) {
        let times = times as f64;
        self.n += times;
        self.sum += times * value;
        self.squares += times * value * value;
    }

    fn variance_of_mean(&self) -> f64 {
        if self.n < 2.0 {
            return 0.0;
        }
        let variance = (self.squares - self.sum * self.sum / self.n) / (self.n - 1.0);
        // What is left of equal values by rounding is no spread.
        if variance < 1e-12 { 0.0 } else { variance / self.n }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn figures_of_a_hand_counted_ranking() {
        // Bad: .9 .8 .4; good: .8 .3 .2 .1. Of 12 pairs 10 are right, one is a tie, one is wrong... counted by hand.
        let bad = [0.9, 0.8, 0.4].map(|q| (q, true));
        let good = [0.8, 0.3, 0.2, 0.1].map(|q| (q, false));
        let curve = Curve::new(bad.into_iter().chain(good));
        assert!((curve.auroc().unwrap() - 10.5 / 12.0).abs() < 1e-12);
        let ap = (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0;
        assert!((curve.average_precision().unwrap() - ap).abs() < 1e-12, "scikit-learn's definition");
        assert_eq!(curve.steps[1], Step { threshold: 0.8, bad_held: 2, good_held: 1 });
        assert_eq!(curve.escapes(&curve.steps[1]), 1);
    }

    #[test]
    fn the_variance_is_delongs() {
        // By the definition, pair by pair.
        let bad = [0.9, 0.7, 0.6, 0.35, 0.8];
        let good = [0.4, 0.2, 0.65, 0.1];
        let better = |b: f64, g: f64| {
            if b > g {
                1.0
            } else if b == g {
                0.5
            } else {
                0.0
            }
        };
        let of_bad: Vec<f64> = bad.iter().map(|&b| good.iter().map(|&g| better(b, g)).sum::<f64>() / 4.0).collect();
        let of_good: Vec<f64> = good.iter().map(|&g| bad.iter().map(|&b| better(b, g)).sum::<f64>() / 5.0).collect();
        let spread = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64 / values.len() as f64
        };
        let curve = Curve::new(bad.map(|q| (q, true)).into_iter().chain(good.map(|q| (q, false))));
        assert!((curve.delong_variance() - (spread(&of_bad) + spread(&of_good))).abs() < 1e-12);
    }

    #[test]
    fn a_perfect_ranking_is_no_certainty() {
        let curve = |n: usize| Curve::new((0..2 * n).map(|i| (i as f64, i >= n)));
        let [low, high] = curve(10).auroc_interval(0.95).unwrap();
        assert!(high == 1.0 && (0.7..0.95).contains(&low), "{low}");
        let [more, _] = curve(200).auroc_interval(0.95).unwrap();
        assert!(more > 0.98, "more parts, more certainty: {more}");
        assert_eq!(Curve::new([(0.3, true)]).auroc(), None, "one kind alone has no ranking");
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_in_order(
            parts in prop::collection::vec((0_u8..12, any::<bool>()), 2..60),
        ) {
            let parts: Vec<(f64, bool)> = parts.into_iter().map(|(q, bad)| (f64::from(q), bad)).collect();
            let curve = Curve::new(parts.clone());
            let mut pairs = (0.0, 0.0);
            for (b, _) in parts.iter().filter(|(_, bad)| *bad) {
                for (g, _) in parts.iter().filter(|(_, bad)| !*bad) {
                    pairs.0 += if b > g { 1.0 } else if b == g { 0.5 } else { 0.0 };
                    pairs.1 += 1.0;
                }
            }
            prop_assert_eq!(curve.auroc().is_some(), pairs.1 > 0.0);
            if let Some(area) = curve.auroc() {
                prop_assert!((area - pairs.0 / pairs.1).abs() < 1e-9);
                let [low, high] = curve.auroc_interval(0.95).unwrap();
                prop_assert!((0.0..=1.0).contains(&low) && high <= 1.0 && low <= area && area <= high);
            }
            // Thinning keeps both ends and invents nothing.
            let thinned = curve.thinned(5);
            prop_assert!(thinned.len() <= 12 && thinned.iter().all(|step| curve.steps.contains(step)));
            prop_assert_eq!(thinned.last(), curve.steps.last());
        }
    }
}
