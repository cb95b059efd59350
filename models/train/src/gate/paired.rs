//! Two exact tests on paired parts: whether the candidate is *not worse* than the champion by a margin, and whether it *is worse*.
//!
//! Of `n` parts, `lost` went wrong with the candidate alone and `won` with the champion alone; all others went the same way
//! with both. Lost, won and the rest are trinomial. [`NonInferiority`] tests the hypothesis that the candidate loses more than
//! it wins by the margin or more (`p_lost - p_won >= margin`); [`p_worse`] is McNemar's test in its exact form.
//!
//! **The order of outcomes** is that of the score statistic: Tango, Statistics in Medicine 17, 1998; Nam, Biometrics 53, 1997. It
//! falls with `won` and rises with `lost`, so that the hypothesis is hardest to refute on its edge, `p_lost = p_won + margin`
//! (Sidik, Statistics in Medicine 22, 2003; Lloyd and Moldovan, Statistics in Medicine 26, 2007).
//!
//! **The nuisance** is `p_won`. The p-value is the largest over the Clopper-Pearson interval of it at confidence `1 - GAMMA`, plus
//! GAMMA: Berger and Boos, JASA 89, 1994. That interval does not depend on `lost`, so p never falls where one more is lost.
//!
//! **The largest value** is not looked for on a grid, which would miss peaks, but enclosed: where `p_won` is between `a` and
//! `b`, an outcome at least as extreme is at most as probable as with `p_won = b` and `p_lost = a + margin`, because the order
//! is monotone. Intervals are halved until that ceiling is within [`CLOSE`] of a value that is attained; the ceiling is the p-value. So
//! it errs upwards only.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use statrs::function::beta::beta_reg;
use statrs::function::gamma::ln_gamma;

/// The probability that the truth lies outside the interval of the nuisance; it is added to every p-value.
pub const GAMMA: f64 = 1e-4;
/// How far the p-value may lie above the largest probability that was attained, and the same as a share of it: the larger counts. A
/// large p-value needs no digits.
pub const CLOSE: f64 = 1e-4;
/// See [`CLOSE`].
pub const CLOSE_SHARE: f64 = 1.0 / 500.0;
/// Halvings at most. Beyond, the p-value is still valid, only larger than it need be.
const HALVINGS: usize = 1_000;
/// Halvings for either end of the nuisance's interval: to a ten-millionth.
const HALVINGS_OF_NUISANCE: usize = 24;
/// Intervals at the start.
const PIECES: usize = 8;
/// Natural logarithm of the probability that is left out at either end of a binomial, as a positive number.
const TAIL: f64 = 34.0;

/// By what outcomes are called more extreme than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The score statistic: what the gate uses.
    Score,
    /// Lost less won: simpler, and needs more parts. Kept so that the choice can be measured again (`gate_power`).
    Difference,
}

/// The exact test that the candidate is not worse than the champion by a margin.
#[derive(Debug, Clone)]
pub struct NonInferiority {
    n: usize,
    margin: f64,
    order: Order,
    ln_factorial: Vec<f64>,
}

impl NonInferiority {
    /// A test on `n` parts, at least one, with a margin in 0 to 1, both exclusive.
    pub fn new(n: usize, margin: f64) -> NonInferiority {
        NonInferiority::by(Order::Score, n, margin)
    }

    /// The same by another order.
    pub fn by(order: Order, n: usize, margin: f64) -> NonInferiority {
        let ln_factorial = (0..=n).map(|k| ln_gamma(k as f64 + 1.0)).collect();
        NonInferiority { n, margin, order, ln_factorial }
    }

    /// The parts.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The p-value: were the candidate worse by the margin, so good a result would come no more often than this.
    pub fn p(&self, lost: usize, won: usize) -> f64 {
        self.highest(lost, won, None)
    }

    /// Whether the p-value is at most this: sooner known than the p-value itself.
    pub fn shows(&self, lost: usize, won: usize, alpha: f64) -> bool {
        self.highest(lost, won, Some(alpha - GAMMA)) <= alpha
    }

    /// The p-value; where only a `level` is asked about, any ceiling on the same side of it.
    fn highest(&self, lost: usize, won: usize, level: Option<f64>) -> f64 {
        let [low, high] = nuisance(won, self.n);
        // Beyond this share the hypothesis has no room: lost, won and the rest add up to one.
        let most = (1.0 - self.margin) / 2.0;
        if low > most {
            return GAMMA;
        }
        let high = high.min(most);
        let region = self.region(lost, won, reach(self.n, high).1);
        (self.ceiling(&region, [low, high], level) + GAMMA).min(1.0)
    }

    /// The probability of a result as good as this or better, were `p_won` this and the candidate worse by exactly the margin.
    pub fn chance(&self, lost: usize, won: usize, p_won: f64) -> f64 {
        let region = self.region(lost, won, reach(self.n, p_won).1);
        self.within(&region, p_won + self.margin, p_won)
    }

    /// An upper bound of the probability of the region over all `p_won` in a range, as close as [`CLOSE`], or as close as it takes to
    /// know on which side of the level the largest probability lies.
    fn ceiling(&self, region: &[isize], [low, high]: [f64; 2], level: Option<f64>) -> f64 {
        let piece = |low: f64, high: f64| {
            let most = self.within(region, low + self.margin, high);
            Piece { low, high, most }
        };
        let edge = |nth: usize| low + (high - low) * nth as f64 / PIECES as f64;
        let mut pieces: BinaryHeap<Piece> = (0..PIECES).map(|nth| piece(edge(nth), edge(nth + 1))).collect();
        let attained = |p_won: f64| self.within(region, p_won + self.margin, p_won);
        let mut best = attained(low).max(attained(high));
        for _ in 0..HALVINGS {
            let Some(&Piece { low, high, most }) = pieces.peek() else { break };
            if most - best <= CLOSE.max(CLOSE_SHARE * best) || level.is_some_and(|level| most <= level || best > level)
            {
                break;
            }
            pieces.pop();
            let middle = f64::midpoint(low, high);
            best = best.max(attained(middle));
            pieces.push(piece(low, middle));
            pieces.push(piece(middle, high));
        }
        pieces.peek().map_or(best, |piece| piece.most.max(best))
    }

    /// The region of results as good as this one or better: for each count of won, up to `reach`, the largest count of lost;
    /// -1 where there is none.
    fn region(&self, lost: usize, won: usize, reach: usize) -> Vec<isize> {
        let seen = self.statistic(lost, won);
        // Results that are equal on paper must not fall out by the last bit.
        let limit = seen + 1e-9 * (1.0 + seen.abs());
        let mut most = -1_isize;
        (0..=reach)
            .map(|won| {
                while most < (self.n - won) as isize && self.statistic((most + 1) as usize, won) <= limit {
                    most += 1;
                }
                most
            })
            .collect()
    }

    /// The statistic: the smaller, the better for the candidate.
    fn statistic(&self, lost: usize, won: usize) -> f64 {
        let (n, lost, won, margin) = (self.n as f64, lost as f64, won as f64, self.margin);
        if self.order == Order::Difference {
            return lost - won;
        }
        // The likeliest share of won, were the candidate worse by exactly the margin: the root of 2 n q^2 - b q - c.
        let b = lost * (1.0 + margin) + won * (1.0 - margin) - 2.0 * n * margin;
        let c = won * margin * (1.0 - margin);
        let root = (b * b + 8.0 * n * c).sqrt();
        // Written so that nothing cancels.
        let share = if b < 0.0 { 2.0 * c / (root - b) } else { (b + root) / (4.0 * n) };
        (lost - won - n * margin) / (n * (2.0 * share + margin * (1.0 - margin))).sqrt()
    }

    /// The probability of a region at these shares. Won is binomial; given it, lost is binomial among the others, and its
    /// distribution function is carried along from one count of won to the next, by adding.
    fn within(&self, region: &[isize], p_lost: f64, p_won: f64) -> f64 {
        let n = self.n;
        let (first, last) = reach(n, p_won);
        let (won, lost) = (Shares::of(p_won), Shares::of((p_lost / (1.0 - p_won)).min(1.0)));
        let mut most = region[first];
        let mut below = cumulative(n - first, most, lost.p);
        let mut total = self.mass(n, first, won) * below;
        for (count, &next) in region.iter().enumerate().take(last + 1).skip(first + 1) {
            let others = n - count;
            let mass = |most: isize| usize::try_from(most).map_or(0.0, |most| self.mass(others, most, lost));
            below += lost.p * mass(most);
            while most < next {
                most += 1;
                below += mass(most);
            }
            total += self.mass(n, count, won) * below.min(1.0);
        }
        total + (-TAIL).exp()
    }

    /// The binomial probability of `k` of `n`; nothing beyond `n`.
    fn mass(&self, n: usize, k: usize, Shares { ln_p, ln_rest, .. }: Shares) -> f64 {
        if k > n {
            return 0.0;
        }
        // Nothing times an infinite logarithm is nothing here: 0^0 is 1.
        let times = |count: usize, ln: f64| if count == 0 { 0.0 } else { count as f64 * ln };
        let ways = self.ln_factorial[n] - self.ln_factorial[k] - self.ln_factorial[n - k];
        (ways + times(k, ln_p) + times(n - k, ln_rest)).exp()
    }
}

/// A probability with its logarithm, and that of what is left.
#[derive(Debug, Clone, Copy)]
struct Shares {
    p: f64,
    ln_p: f64,
    ln_rest: f64,
}

impl Shares {
    fn of(p: f64) -> Shares {
        Shares { p, ln_p: p.ln(), ln_rest: (-p).ln_1p() }
    }
}

/// How probable it is that a candidate that is no worse loses so many or more of the parts on which the two differ: the exact
/// one-sided sign test. Source: McNemar, Psychometrika 12, 1947, without his approximation.
pub fn p_worse(lost: usize, won: usize) -> f64 {
    if lost == 0 { 1.0 } else { beta_reg(lost as f64, (won + 1) as f64, 0.5) }
}

/// A range of the nuisance, and what the probability of the region is at most in it. The heap gives the highest first.
#[derive(Debug, Clone, Copy)]
struct Piece {
    low: f64,
    high: f64,
    most: f64,
}

impl Ord for Piece {
    fn cmp(&self, other: &Piece) -> Ordering {
        self.most.total_cmp(&other.most)
    }
}

impl PartialOrd for Piece {
    fn partial_cmp(&self, other: &Piece) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Piece {
    fn eq(&self, other: &Piece) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Piece {}

/// The Clopper-Pearson interval of the nuisance at confidence `1 - GAMMA`: as [`crate::evaluation::intervals::two_sided`] gives it, but
/// rounded outwards after a few halvings, since it is asked for thousands of times.
fn nuisance(won: usize, n: usize) -> [f64; 2] {
    let (count, all, each_side) = (won as f64, n as f64, GAMMA / 2.0);
    let between = |mut low: f64, mut high: f64, below: &dyn Fn(f64) -> bool| {
        for _ in 0..HALVINGS_OF_NUISANCE {
            let middle = f64::midpoint(low, high);
            if below(middle) { low = middle } else { high = middle }
        }
        [low, high]
    };
    // P(so many or more) is I_p(won, n - won + 1), P(so few or fewer) is 1 - I_p(won + 1, n - won).
    let low = match won {
        0 => 0.0,
        _ => between(0.0, count / all, &|p| beta_reg(count, all - count + 1.0, p) < each_side)[0],
    };
    let high = match won == n {
        true => 1.0,
        false => between(count / all, 1.0, &|p| beta_reg(count + 1.0, all - count, p) < 1.0 - each_side)[1],
    };
    [low, high]
}

/// The first and the last count of `n` that matter at this share: what is left out on either side is less probable than
/// `exp(-TAIL)`, by Bernstein's inequality.
fn reach(n: usize, p: f64) -> (usize, usize) {
    let mean = n as f64 * p;
    let away = TAIL / 3.0 + (TAIL * TAIL / 9.0 + 2.0 * TAIL * mean * (1.0 - p)).sqrt();
    ((mean - away).floor().max(0.0) as usize, ((mean + away).ceil() as usize).min(n))
}

/// The probability of at most `most` of `n`.
fn cumulative(n: usize, most: isize, p: f64) -> f64 {
    match usize::try_from(most) {
        Err(_) => 0.0,
        Ok(most) if most >= n => 1.0,
        Ok(most) => beta_reg((n - most) as f64, (most + 1) as f64, 1.0 - p),
    }
}
