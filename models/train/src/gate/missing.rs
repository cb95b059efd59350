//! How many more parts a test takes.

use super::paired::NonInferiority;

/// Totals that are looked at: more parts than this nobody labels for one promotion.
pub const MOST: usize = 20_000;

/// Whether the candidate lost so much more than it won that the same again would never show it to be within the margin.
pub fn beyond(n: usize, lost: usize, won: usize, margin: f64) -> bool {
    lost as f64 - won as f64 >= margin * n as f64
}

/// How many more parts would let the test pass, to a percent of all: at the rates of lost and won that were seen; where these are
/// [`beyond`] the margin, at least so many, if not one more is lost. `None` where [`MOST`] in all would not do.
pub fn missing(n: usize, lost: usize, won: usize, margin: f64, alpha: f64) -> Option<usize> {
    let stays = beyond(n, lost, won, margin);
    let passes = |total: usize| {
        let (lost, won) = if stays { (lost, won) } else { ((lost * total).div_ceil(n), won * total / n) };
        NonInferiority::new(total, margin).shows(lost, won, alpha)
    };
    let (mut fails, mut enough) = (n, n);
    while enough == n || !passes(enough) {
        if enough >= MOST {
            return None;
        }
        (fails, enough) = (enough, (2 * enough).min(MOST));
    }
    while enough - fails > 1 + enough / 200 {
        let middle = usize::midpoint(fails, enough);
        match passes(middle) {
            true => enough = middle,
            false => fails = middle,
        }
    }
    Some(enough - n)
}
