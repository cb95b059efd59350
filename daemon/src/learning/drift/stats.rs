//! The sums behind drift, without time or state: each tells a real change from the noise of few parts.

/// Standard deviations beyond which a value is not noise. An hour is looked at again and again as its parts come, so more than the usual
/// three.
const SIGMAS: f64 = 4.0;

/// Population stability index of two histograms over the same bins: the symmetric Kullback-Leibler divergence between them (Siddiqi, "Credit
/// Risk Scorecards", 2006). Half a part more in each bin, so that an empty one is not infinitely far.
pub(super) fn psi(usual: &[u64], now: &[u64]) -> f64 {
    let shares = |counts: &[u64]| -> Vec<f64> {
        let all = counts.iter().sum::<u64>() as f64 + 0.5 * counts.len() as f64;
        counts.iter().map(|&count| (count as f64 + 0.5) / all).collect()
    };
    shares(usual).iter().zip(shares(now)).map(|(was, is)| (is - was) * (is / was).ln()).sum()
}

/// What the index stays below by mere chance: without a change it is `1/n + 1/m` times a chi-square with one degree of freedom less than
/// there are bins (Yurdakul and Naranjo, 2020), whose quantile is Wilson and Hilferty's.
pub(super) fn psi_by_chance(bins: usize, usual: u64, now: u64) -> f64 {
    if bins < 2 || usual == 0 || now == 0 {
        return f64::INFINITY;
    }
    let free = (bins - 1) as f64;
    let ninth = 2.0 / (9.0 * free);
    free * (1.0 - ninth + SIGMAS * ninth.sqrt()).powi(3) * (1.0 / usual as f64 + 1.0 / now as f64)
}

/// What a share stays below by mere chance, if it is what it was: `part` of `of`, now of `now`.
pub(super) fn share_by_chance((part, of): (u64, u64), now: u64) -> f64 {
    if of == 0 || now == 0 {
        return 1.0;
    }
    // Half a part more: a share of nothing seen is not nothing.
    let usual = (part as f64 + 0.5) / (of as f64 + 1.0);
    usual + SIGMAS * (usual * (1.0 - usual) * (1.0 / of as f64 + 1.0 / now as f64)).sqrt()
}

/// A quantile of sorted values, nearest rank; 0 of none.
pub(super) fn quantile(sorted: &[f32], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().map_or(0.0, f64::from)
}

/// Edges that cut sorted values into up to ten bins of about the same number. Where many are equal there are fewer.
pub(super) fn deciles(sorted: &[f32]) -> Vec<f32> {
    let mut edges: Vec<f32> = (1..10).map(|tenth| quantile(sorted, f64::from(tenth) / 10.0) as f32).collect();
    edges.dedup();
    edges
}

/// The bin of a value: of those up to an edge, the first.
pub(super) fn bin(edges: &[f32], value: f32) -> usize {
    edges.partition_point(|&edge| edge < value)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn histogram(edges: &[f32], values: &[f32]) -> Vec<u64> {
        let mut counts = vec![0; edges.len() + 1];
        values.iter().for_each(|&value| counts[bin(edges, value)] += 1);
        counts
    }

    #[test]
    fn what_does_not_change_is_called_changed_once_in_hundreds_of_looks_and_what_does_is() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        // Scores as they are: nearly all near zero, a few high.
        let mut draw = |count: usize, shift: f32| -> Vec<f32> {
            (0..count).map(|_| random.random::<f32>().powi(6) * (1.0 - shift) + shift).collect()
        };
        let (mut false_alarms, mut found) = (0, 0);
        for _ in 0..400 {
            let mut usual = draw(500, 0.0);
            usual.sort_by(f32::total_cmp);
            let edges = deciles(&usual);
            let was = histogram(&edges, &usual);
            let limit = psi_by_chance(edges.len() + 1, 500, 100);
            false_alarms += u32::from(psi(&was, &histogram(&edges, &draw(100, 0.0))) > limit);
            found += u32::from(psi(&was, &histogram(&edges, &draw(100, 0.1))) > limit);
        }
        assert!(false_alarms <= 4, "{false_alarms} of 400");
        assert!(found >= 396, "{found} of 400");
    }

    #[test]
    fn a_share_that_stays_stays_below_its_limit() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut count = |of: u64, share: f64| (0..of).filter(|_| random.random_bool(share)).count() as u64;
        let beyond = (0..1000).filter(|_| {
            let usual = (count(500, 0.05), 500);
            count(200, 0.05) as f64 / 200.0 > share_by_chance(usual, 200)
        });
        let beyond = beyond.count();
        assert!(beyond <= 8, "{beyond} of 1000");
        assert!(share_by_chance((25, 500), 200) < 0.15, "three times as many is seen");
        assert!(share_by_chance((0, 500), 200) > 0.0, "none seen is not none for ever");
    }

    #[test]
    fn nothing_divides_by_zero() {
        assert_eq!(psi_by_chance(1, 10, 10), f64::INFINITY);
        assert_eq!(psi_by_chance(10, 0, 10), f64::INFINITY);
        assert_eq!(share_by_chance((0, 0), 10), 1.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(deciles(&[0.5; 100]), [0.5]);
        assert_eq!(psi(&[3, 3], &[0, 0]), psi(&[0, 0], &[0, 0]));
        assert!(psi(&[500, 0], &[0, 100]).is_finite());
    }
}
