//! Intervals of counted shares: how far the truth may lie from what was seen.
//!
//! Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
//! Biometrika 26, 1934. The interval is exact: it never covers less often than it says.

use statrs::function::beta::beta_reg;
use statrs::function::erf::erfc_inv;

/// A share that was counted, with its two-sided interval.
pub type Interval = [f64; 2];

/// The two-sided interval of a share, `seen` of `n`, at this confidence (0 to 1, exclusive). Nothing is known of a share of
/// nothing: `[0, 1]`.
pub fn two_sided(seen: usize, n: usize, confidence: f64) -> Interval {
    let each_side = 0.5 + confidence / 2.0;
    [lower(seen, n, each_side), upper(seen, n, each_side)]
}

/// The share that the truth exceeds with no more than `1 - confidence` probability, if `seen` of `n` were found.
pub fn upper(seen: usize, n: usize, confidence: f64) -> f64 {
    if seen >= n {
        return 1.0;
    }
    // The chance of so few, were the share p, is 1 - I_p(seen + 1, n - seen).
    solve(|p| beta_reg((seen + 1) as f64, (n - seen) as f64, p) - confidence)
}

/// The share that the truth falls below with no more than `1 - confidence` probability, if `seen` of `n` were found.
pub fn lower(seen: usize, n: usize, confidence: f64) -> f64 {
    if seen == 0 || n == 0 {
        return 0.0;
    }
    1.0 - upper(n - seen.min(n), n, confidence)
}

/// How many must be looked at, without finding any, to say that the share is at most `most` with this confidence: the smallest
/// `n` with `(1 - most)^n <= 1 - confidence`.
pub fn clean_needed(most: f64, confidence: f64) -> usize {
    // A hair is taken off, so that a ratio that is whole on paper is not rounded up by the last bit.
    ((1.0 - confidence).ln() / (-most).ln_1p() - 1e-9).ceil().max(1.0) as usize
}

/// How many deviations a normal variable stays within with this two-sided probability.
pub fn deviations(confidence: f64) -> f64 {
    std::f64::consts::SQRT_2 * erfc_inv(1.0 - confidence)
}

/// The zero of a rising function on 0 to 1, to the last bit that matters.
pub(super) fn solve(rising: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        match rising(middle) < 0.0 {
            true => low = middle,
            false => high = middle,
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn intervals_are_those_of_published_tables() {
        // As R's `binom.test` prints them; the last one by summing the binomial.
        for (seen, n, [low, high]) in [
            (0, 10, [0.0, 0.308_497_1]),
            (1, 10, [0.002_528_579, 0.445_016_1]),
            (5, 10, [0.187_086_0, 0.812_914_0]),
            (10, 10, [0.691_502_9, 1.0]),
            (7, 2000, [0.001_408_2, 0.007_197_9]),
        ] {
            let [found_low, found_high] = two_sided(seen, n, 0.95);
            assert!((found_low - low).abs() < 2e-6, "{seen} of {n}: {found_low} instead of {low}");
            assert!((found_high - high).abs() < 2e-6, "{seen} of {n}: {found_high} instead of {high}");
        }
        assert_eq!(two_sided(0, 0, 0.95), [0.0, 1.0]);
    }

    #[test]
    fn the_rule_of_598_clean_defects() {
        assert_eq!(clean_needed(0.005, 0.95), 598);
        assert_eq!(clean_needed(0.05, 0.95), 59);
        assert_eq!(clean_needed(0.01, 0.99), 459);
        assert!(upper(0, 598, 0.95) <= 0.005 && upper(0, 597, 0.95) > 0.005);
        assert!((deviations(0.95) - 1.959_964).abs() < 1e-6);
    }

    #[test]
    fn very_large_counts_stay_exact() {
        // Half of a hundred thousand: the normal approximation holds to five digits there.
        let [low, high] = two_sided(50_000, 100_000, 0.95);
        let half = 1.959_964 * (0.25_f64 / 1e5).sqrt();
        assert!((low - (0.5 - half)).abs() < 1e-5 && (high - (0.5 + half)).abs() < 1e-5, "{low} {high}");
    }

    proptest! {
        /// The definition itself: at the upper bound, so few or fewer are seen with exactly the probability that is left.
        #[test]
        fn bounds_leave_the_stated_probability(n in 1_usize..60, share in 0.0_f64..1.0, confidence in 0.5_f64..0.999) {
            let seen = ((n as f64 * share) as usize).min(n - 1);
            let p = upper(seen, n, confidence);
            let mut term = (1.0 - p).powi(n as i32);
            let mut chance = term;
            for k in 0..seen {
                term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
                chance += term;
            }
            prop_assert!((chance - (1.0 - confidence)).abs() < 1e-8, "{chance}");
            prop_assert!(lower(seen, n, confidence) <= seen as f64 / n as f64);
            prop_assert!(p >= seen as f64 / n as f64 || confidence < 0.6);
        }
    }
}
