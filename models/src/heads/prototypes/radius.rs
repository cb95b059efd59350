//! From which distance on a picture is unlike every kind.

use statrs::distribution::{ContinuousCDF, FisherSnedecor, Gamma};

/// Distances that the background's typical distance counts as. One, a unit of information (Kass and Wasserman, J. American Statistical
/// Association 1995): how far out the pictures of this product lie is for the product to say.
const WORTH: f64 = 1.0;
/// Shapes of the distribution of distances that are believed: from nearly the tail of an exponential to hardly any scatter.
const SHAPES: [f64; 2] = [1.0, 500.0];

/// The distance within which a share `quantile` of further pictures of the product's kinds is to be expected, from `own`: distances of
/// held-out pictures of the product from their own kinds' centres, none of which took part in its own. `reach` is that distance by the
/// background alone, whose typical distance is 1.
///
/// Squared distances are taken as gamma distributed, as sums of squares are: how they scatter about their mean is the background's word
/// (a few shots cannot tell a tail), where the mean lies the product's. The mean's prior is the conjugate one, and the answer is
/// the quantile of what both predict of the next picture, a Fisher distribution. Source: Gelman et al., "Bayesian Data Analysis",
/// third edition, section 2.6. So few shots give a wider radius, many the product's own.
pub(super) fn fitted(own: &[f32], reach: f32, quantile: f32) -> f32 {
    let sum: f64 = own.iter().map(|&distance| f64::from(distance)).sum();
    // Distances that are no numbers say nothing.
    if own.is_empty() || !sum.is_finite() {
        return reach;
    }
    let quantile = f64::from(quantile).clamp(0.5, 0.9999);
    let shape = shape(f64::from(reach), quantile);
    let worth = WORTH + own.len() as f64;
    let mean = (WORTH + sum.max(0.0)) / worth;
    match FisherSnedecor::new(2.0 * shape, 2.0 * shape * worth) {
        Ok(next) => (mean * next.inverse_cdf(quantile)) as f32,
        Err(_) => reach,
    }
}

/// The shape of the gamma distribution of mean 1 whose quantile this is. The larger the shape, the nearer to 1 the quantile.
fn shape(reach: f64, quantile: f64) -> f64 {
    let at = |shape: f64| Gamma::new(shape, shape).map_or(f64::INFINITY, |gamma| gamma.inverse_cdf(quantile));
    let [mut low, mut high] = SHAPES;
    for _ in 0..40 {
        let middle = (low * high).sqrt();
        match at(middle) > reach {
            true => low = middle,
            false => high = middle,
        }
    }
    (low * high).sqrt()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A sum of squares of 16 normal numbers, of this mean: its 99 % quantile is twice the mean.
    fn draw(random: &mut ChaCha8Rng, mean: f64) -> f32 {
        let mut normal = || (0..12).map(|_| random.random_range(0.0..1.0)).sum::<f64>() - 6.0;
        (mean * (0..16).map(|_| normal().powi(2)).sum::<f64>() / 16.0) as f32
    }

    /// Over many products: how often a further picture lies beyond the radius.
    fn missed(shots: usize, mean: f64) -> f64 {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut missed = 0;
        for _ in 0..200 {
            let own: Vec<f32> = (0..shots).map(|_| draw(&mut random, mean)).collect();
            let radius = fitted(&own, 2.0, 0.99);
            missed += (0..50).filter(|_| draw(&mut random, mean) > radius).count();
        }
        missed as f64 / 10_000.0
    }

    #[test]
    fn about_one_in_a_hundred_is_missed_wherever_the_product_lies() {
        // Like the background, four times as far out, and nearer than it.
        for mean in [1.0, 4.0, 0.5] {
            for shots in [5, 30] {
                let missed = missed(shots, mean);
                assert!((0.0003..0.04).contains(&missed), "{missed} at {mean}, {shots} shots");
            }
        }
        // By the background alone nearly all of the second would be.
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let beyond = (0..1000).filter(|_| draw(&mut random, 4.0) > fitted(&[], 2.0, 0.99)).count();
        assert!(beyond > 900, "{beyond}");
    }

    #[test]
    fn more_shots_are_surer_and_nonsense_changes_nothing() {
        let radius = |shots: usize| fitted(&vec![1.0; shots], 2.0, 0.99);
        assert!(radius(2) > radius(10) && radius(10) > radius(100) && radius(100) > 1.9, "{}", radius(100));
        assert_eq!(fitted(&[f32::NAN], 2.0, 0.99), 2.0);
        // One shot that happens to lie on the centre of the others does not make the others' scatter larger.
        assert!(fitted(&[1.0, 1.0, 1.0, 1e-6], 2.0, 0.99) < fitted(&[1.0; 4], 2.0, 0.99));
        assert!(fitted(&[0.0, 0.0], 2.0, 0.99) > 0.0);
    }
}
