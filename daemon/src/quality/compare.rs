//! Two shares beside each other.
//!
//! Source: Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven methods", Statistics in
//! Medicine 17, 1998: method 10, from the score intervals (Wilson, 1927) of both.

use models_train::evaluation::intervals::deviations;

use super::CONFIDENCE;

/// How far one share lies above another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// As counted.
    pub share: f64,
    /// It is hardly smaller than this.
    pub low: f64,
    /// Nor greater than this.
    pub high: f64,
}

/// Of `now` over `before`, each `(seen, of)`. None where one of both is a share of nothing.
pub fn difference(now: (u64, u64), before: (u64, u64)) -> Option<Difference> {
    if now.1 == 0 || before.1 == 0 {
        return None;
    }
    let share = |(seen, of): (u64, u64)| seen as f64 / of as f64;
    let (p, q) = (share(now), share(before));
    let ((p_low, p_high), (q_low, q_high)) = (score(now), score(before));
    let down = ((p - p_low).powi(2) + (q_high - q).powi(2)).sqrt();
    let up = ((p_high - p).powi(2) + (q - q_low).powi(2)).sqrt();
    Some(Difference { share: p - q, low: p - q - down, high: p - q + up })
}

/// The score interval of a share.
fn score((seen, of): (u64, u64)) -> (f64, f64) {
    let (z, n, k) = (deviations(CONFIDENCE), of as f64, seen as f64);
    let middle = k + z * z / 2.0;
    let width = z * (z * z / 4.0 + k * (n - k) / n).sqrt();
    ((middle - width) / (n + z * z), (middle + width) / (n + z * z))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_the_table_of_the_source() {
        // Newcombe 1998, table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 6/7 - 2/7, 5/56 - 0/29, 0/10 - 0/20, 10/10 - 0/10.
        for (now, before, low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((6, 7), (2, 7), 0.0582, 0.8062),
            ((5, 56), (0, 29), -0.0381, 0.1926),
            ((0, 10), (0, 20), -0.1611, 0.2775),
            ((10, 10), (0, 10), 0.6075, 1.0),
        ] {
            let found = difference(now, before).expect("parts");
            assert!(
                (found.low - low).abs() < 6e-5 && (found.high - high).abs() < 6e-5,
                "{now:?} {before:?}: {found:?}"
            );
        }
        assert_eq!(difference((0, 0), (1, 2)), None);
    }
}
