//! How often the test of the margin passes, and how many parts to plan with. Exact: nothing is drawn.

use statrs::function::beta::beta_reg;

use super::missing::MOST;
use super::paired::NonInferiority;
use crate::evaluation::intervals::clean_needed;

/// The probability that `n` parts show the candidate to be within the margin, where these are the true shares of lost and won.
pub fn power(test: &NonInferiority, [p_lost, p_won]: [f64; 2], alpha: f64) -> f64 {
    let n = test.n();
    let at_most = |n: usize, most: isize, p: f64| match usize::try_from(most) {
        Err(_) => 0.0,
        Ok(most) if most >= n || p <= 0.0 => 1.0,
        Ok(most) => beta_reg((n - most) as f64, most as f64 + 1.0, 1.0 - p),
    };
    // Six deviations on either side: what is left out is less than a millionth.
    let spread = 6.0 * (n as f64 * p_won).sqrt() + 3.0;
    let first = (n as f64 * p_won - spread).max(0.0) as usize;
    let last = ((n as f64 * p_won + spread) as usize).min(n);
    let (mut most, mut total) = (-1_isize, 0.0);
    for won in first..=last {
        // The largest count of lost that still passes: more may be lost where more is won, but for a step at times.
        while most < (n - won) as isize && test.shows((most + 1) as usize, won, alpha) {
            most += 1;
        }
        while usize::try_from(most).is_ok_and(|most| !test.shows(most, won, alpha)) {
            most -= 1;
        }
        let exactly = at_most(n, won as isize, p_won) - at_most(n, won as isize - 1, p_won);
        total += exactly * at_most(n - won, most, p_lost / (1.0 - p_won));
    }
    total
}

/// How many parts it takes that an equal candidate, which differs from the champion on this share of them, half lost and half won,
/// passes the test with this probability. The power is a saw: some smaller counts may do as well. `None` beyond [`MOST`].
pub fn needed(margin: f64, differing: f64, alpha: f64, wanted: f64) -> Option<usize> {
    let enough = |n: usize| {
        let test = NonInferiority::new(n, margin);
        test.shows(0, 0, alpha) && power(&test, [differing / 2.0; 2], alpha) >= wanted
    };
    let mut high = clean_needed(margin, 1.0 - alpha);
    let mut low = 0;
    while !enough(high) {
        (low, high) = (high, 2 * high);
        if high > MOST {
            return None;
        }
    }
    while high - low > 1 && low > 0 {
        let middle = usize::midpoint(low, high);
        match enough(middle) {
            true => high = middle,
            false => low = middle,
        }
    }
    Some(high)
}
