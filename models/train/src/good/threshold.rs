//! From which score a part counts as anomalous, from good parts alone.

/// Share of the scores that are taken for the tail.
const TAIL: f64 = 0.1;
/// Scores that a tail is fitted to at least.
const FEWEST_IN_TAIL: usize = 5;
/// Scores beyond a quantile from which on it is simply counted.
const ENOUGH_BEYOND: f64 = 10.0;

/// The score that a share of `asked` of good parts is expected to reach, from held-out good parts' scores.
///
/// Where enough scores lie beyond that quantile it is the quantile itself. Else the largest tenth of the scores is taken for the
/// tail of an exponential (peaks over threshold, with the shape of light tails: Pickands, Annals of Statistics 1975) and carried on
/// to where `asked` of it is left: with 50 parts nothing can be counted at 1 %.
pub fn choose(scores: &[f32], asked: f64) -> f32 {
    let mut sorted: Vec<f64> = scores.iter().map(|&score| f64::from(score)).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let count = sorted.len() as f64;
    if count * asked >= ENOUGH_BEYOND {
        return sorted[(count * asked) as usize] as f32;
    }
    let tail = ((count * TAIL).ceil() as usize).max(FEWEST_IN_TAIL).min(sorted.len() - 1);
    let start = sorted[tail];
    let excess = sorted[..tail].iter().map(|score| score - start).sum::<f64>() / tail as f64;
    let further = (tail as f64 / count / asked).ln().max(0.0);
    (start + excess * further) as f32
}

/// Bounds of a share of which `found` of `of` were seen, 95 % (Clopper and Pearson, Biometrika 1934).
pub fn interval(found: usize, of: usize) -> [f64; 2] {
    let solve = |above: bool| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            // The chance of as many or more grows with the share, of as few or fewer it falls.
            let beyond = match above {
                true => at_most(found, of, middle) < 0.025,
                false => 1.0 - if found == 0 { 0.0 } else { at_most(found - 1, of, middle) } > 0.025,
            };
            if beyond { high = middle } else { low = middle }
        }
        0.5 * (low + high)
    };
    [if found == 0 { 0.0 } else { solve(false) }, if found == of { 1.0 } else { solve(true) }]
}

/// Chance of `found` or fewer of `of` at this share.
fn at_most(found: usize, of: usize, share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return f64::from(u8::from(share <= 0.0 || found >= of));
    }
    let (mut log, mut sum) = (of as f64 * (1.0 - share).ln(), 0.0);
    for hits in 0..=found.min(of) {
        sum += log.exp();
        log += ((of - hits) as f64 / (hits + 1) as f64).ln() + (share / (1.0 - share)).ln();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::project::normal;
    use super::*;

    #[test]
    fn intervals_are_those_of_the_tables() {
        for (found, of, wanted) in
            [(0, 100, [0.0, 0.0362]), (1, 209, [0.0001, 0.0264]), (5, 50, [0.0333, 0.2181]), (3, 3, [0.2924, 1.0])]
        {
            let got = interval(found, of);
            assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 2e-4), "{found} of {of}: {got:?}");
        }
    }

    #[test]
    fn a_threshold_rejects_about_as_many_new_good_parts_as_asked() {
        for (count, asked) in [(40, 0.01), (200, 0.01), (2000, 0.01), (200, 0.05)] {
            let mut rejected = 0.0;
            for seed in 0..200 {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                let mut draw = || (10.0 + normal(&mut random)) as f32;
                let scores: Vec<f32> = (0..count).map(|_| draw()).collect();
                let threshold = choose(&scores, asked);
                rejected += (0..500).filter(|_| draw() >= threshold).count() as f64 / (200.0 * 500.0);
            }
            assert!((0.3 * asked..1.8 * asked).contains(&rejected), "{rejected} instead of {asked} with {count} parts");
        }
    }
}
