//! Since when: the one moment that best cuts a series of points into two with shares of their own, if one stands out.
//!
//! Source: Hinkley and Hinkley, "Inference about the change-point in a sequence of binomial variables", Biometrika 57, 1970: the cut at
//! which the likelihood of two shares, beside that of one for all, is greatest.

use jiff::Timestamp;

use super::chart::Point;

/// Twice the logarithm of the likelihoods' ratio from which on a change is told. By chance a cut that is given beforehand gets there once in 100,000
/// times; the best of a few hundred cuts once in some hundred periods.
const CLEAR: f64 = 19.5;

/// A change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Where the first point after it begins.
    pub at: Timestamp,
    /// Share of rejects before.
    pub before: f64,
    /// And after.
    pub after: f64,
}

/// The clearest change, if one is clear.
pub(super) fn change(points: &[Point]) -> Option<Change> {
    let points: Vec<&Point> = points.iter().filter(|point| point.parts > 0).collect();
    let sum = |points: &[&Point]| points.iter().fold((0, 0), |(n, k), it| (n + it.parts, k + it.rejects));
    let (parts, rejects) = sum(&points);
    let whole = likelihood(parts, rejects);
    let (mut best, mut found, mut before) = (CLEAR, None, (0, 0));
    for cut in 1..points.len() {
        before = (before.0 + points[cut - 1].parts, before.1 + points[cut - 1].rejects);
        let after = (parts - before.0, rejects - before.1);
        let clear = 2.0 * (likelihood(before.0, before.1) + likelihood(after.0, after.1) - whole);
        if clear > best {
            best = clear;
            let share = |(n, k): (u64, u64)| k as f64 / n as f64;
            found = Some(Change { at: points[cut].from, before: share(before), after: share(after) });
        }
    }
    found
}

/// Logarithm of the greatest likelihood of `rejects` in `parts`.
fn likelihood(parts: u64, rejects: u64) -> f64 {
    let term = |count: u64| if count == 0 { 0.0 } else { count as f64 * (count as f64 / parts as f64).ln() };
    term(rejects) + term(parts - rejects)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(rejects: &[u64]) -> Vec<Point> {
        let at = |n: usize| Timestamp::from_second(3600 * n as i64).expect("in range");
        let point = |(n, rejects): (usize, &u64)| Point { from: at(n), to: at(n + 1), parts: 1000, rejects: *rejects };
        rejects.iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_clear_change_is_found_where_it_is() {
        let found = change(&points(&[10, 12, 9, 11, 30, 33, 29, 31])).expect("a change");
        assert_eq!(found.at.as_second(), 4 * 3600);
        assert!((found.before - 0.0105).abs() < 1e-9 && (found.after - 0.03075).abs() < 1e-9);
        assert_eq!(change(&points(&[30, 33, 29, 31, 0, 1, 0])).map(|it| it.at.as_second()), Some(4 * 3600), "better");
    }

    #[test]
    fn noise_is_no_change() {
        assert_eq!(change(&points(&[10, 14, 8, 12, 9, 15, 11, 7])), None);
        assert_eq!(change(&points(&[])), None);
        assert_eq!(change(&points(&[5])), None);
        assert_eq!(change(&points(&[0, 0, 0])), None);
    }
}
