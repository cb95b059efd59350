//! From which distance on a picture is unlike every kind.

/// The distance within which a share `quantile` of further pictures of the product's kinds is to be expected, from `own`: distances of
/// held-out pictures of the product from their own kinds' centres, none of which took part in its own. Never less than `reach`, which
/// is that distance by the background.
///
/// Of `n` held-out distances and the next one each is the largest with the same chance, so the next lies within the `k`-th smallest with
/// a probability of at least `k / (n + 1)`, whatever their distribution (conformal prediction; Vovk et al., "Algorithmic Learning in
/// a Random World", 2005). Where they are too few for the quantile the largest counts: 30 shots promise 97 in a hundred.
pub(super) fn fitted(own: &[f32], reach: f32, quantile: f32) -> f32 {
    let mut own: Vec<f32> = own.iter().copied().filter(|distance| distance.is_finite()).collect();
    own.sort_by(f32::total_cmp);
    let needed = ((own.len() + 1) as f32 * quantile).ceil() as usize;
    own.get(needed.min(own.len()).saturating_sub(1)).map_or(reach, |&distance| distance.max(reach))
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn as_many_are_missed_as_the_shots_can_promise() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        // A heavy tail, far out: no assumption about the distribution would hold.
        let mut draw = || 10.0 / (1.0 - random.random_range(0.0..1.0_f32)).powf(0.7);
        for (shots, promised) in [(5, 1.0 / 6.0), (30, 1.0 / 31.0), (200, 0.01)] {
            let mut missed = 0;
            for _ in 0..2000 {
                let own: Vec<f32> = (0..shots).map(|_| draw()).collect();
                let radius = fitted(&own, 1.0, 0.99);
                missed += (0..10).filter(|_| draw() > radius).count();
            }
            let share = missed as f32 / 20_000.0;
            assert!((0.6 * promised..1.3 * promised).contains(&share), "{share} of {promised} with {shots} shots");
        }
    }

    #[test]
    fn the_background_is_the_least_and_nonsense_changes_nothing() {
        assert_eq!(fitted(&[], 2.0, 0.99), 2.0);
        assert_eq!(fitted(&[0.5, 0.1], 2.0, 0.99), 2.0);
        assert_eq!(fitted(&[3.0, f32::NAN, f32::INFINITY, 2.5], 2.0, 0.99), 3.0);
    }
}
