//! From which distance on a picture is unlike every kind.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Distances that the background's typical distance counts as. One, a unit of information (Kass and Wasserman, J. American Statistical
/// Association 1995): how far apart the pictures of this product lie is for the product to say.
const LOCATION_WORTH: f64 = 1.0;
/// Distances that the background's *scatter* of distances counts as: as many as it counts in the metric. A few shots cannot tell it.
const SCATTER_WORTH: f64 = 20.0;
/// Least deviation of the logarithm of distances; a background whose pictures lie equally far from their centres does not exist.
const LEAST_DEVIATION: f64 = 0.05;

/// The distance within which a share `quantile` of further pictures of the product's kinds is to be expected, from `own`: distances of
/// held-out pictures of the product from their own kinds' centres, none of which took part in its own. `reach` is that distance by the
/// background alone, whose typical distance is 1.
///
/// Logarithms of the distances are taken as normal with unknown mean and deviation; the background is the prior (normal and
/// inverse gamma, conjugate), and the answer is the quantile of what they predict of the next picture, a Student distribution.
/// Source: Gelman et al., "Bayesian Data Analysis", third edition, sections 3.3 and 3.5. So few shots give a wide radius, many
/// the product's own.
pub(super) fn fitted(own: &[f32], reach: f32, quantile: f32) -> f32 {
    let quantile = f64::from(quantile).clamp(0.5, 0.9999);
    let deviations = Normal::standard().inverse_cdf(quantile).max(f64::MIN_POSITIVE);
    let deviation = (f64::from(reach).ln() / deviations).max(LEAST_DEVIATION);
    if own.is_empty() {
        return reach;
    }
    let logs: Vec<f64> = own.iter().map(|distance| f64::from(distance.max(f32::MIN_POSITIVE)).ln()).collect();
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let scatter: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let (worth, freedom) = (LOCATION_WORTH + count, SCATTER_WORTH + count);
    // The background's typical distance has the logarithm 0.
    let centre = count * mean / worth;
    let conflict = LOCATION_WORTH * count / worth * mean * mean;
    let variance = (SCATTER_WORTH * deviation * deviation + scatter + conflict) / freedom;
    let scale = (variance * (1.0 + 1.0 / worth)).sqrt();
    match StudentsT::new(centre, scale, freedom) {
        Ok(next) => next.inverse_cdf(quantile).exp().min(f64::from(f32::MAX)) as f32,
        // Distances that are no numbers say nothing.
        Err(_) => reach,
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Distances whose logarithm is normal.
    fn draw(random: &mut ChaCha8Rng, centre: f64, deviation: f64) -> f32 {
        let normal: f64 = (0..12).map(|_| random.random_range(0.0..1.0)).sum::<f64>() - 6.0;
        (centre + deviation * normal).exp() as f32
    }

    /// Over many products: how often a further picture lies beyond the radius.
    fn missed(shots: usize, centre: f64, deviation: f64) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut missed = 0;
        for _ in 0..400 {
            let own: Vec<f32> = (0..shots).map(|_| draw(&mut random, centre, deviation)).collect();
            let radius = fitted(&own, 2.0, 0.99);
            missed += (0..50).filter(|_| draw(&mut random, centre, deviation) > radius).count();
        }
        missed as f64 / 20_000.0
    }

    #[test]
    fn about_one_in_a_hundred_is_missed_whatever_the_product() {
        // A product like the background (2.0 is its 99 % quantile), one that lies four times as far out, one of wider scatter.
        for (centre, deviation) in [(0.0, 0.298), (1.386, 0.298), (1.386, 0.5), (-0.7, 0.298)] {
            for shots in [5, 30] {
                let missed = missed(shots, centre, deviation);
                assert!((0.0005..0.03).contains(&missed), "{missed} at {centre}, {deviation}, {shots} shots");
            }
        }
        // By the background alone nearly all of the second would be.
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let beyond = (0..1000).filter(|_| draw(&mut random, 1.386, 0.298) > fitted(&[], 2.0, 0.99)).count();
        assert!(beyond > 900, "{beyond}");
    }

    #[test]
    fn more_shots_come_nearer_to_the_product_and_nonsense_changes_nothing() {
        let radius = |shots: usize| fitted(&vec![3.0; shots], 2.0, 0.99);
        assert!(radius(2) > radius(10) && radius(10) > radius(100) && radius(100) > 3.0);
        assert_eq!(fitted(&[f32::NAN], 2.0, 0.99), 2.0);
        assert!(fitted(&[0.0, 0.0], 2.0, 0.99).is_finite());
    }
}
