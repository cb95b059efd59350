//! A density over the unit cube, from places that were seen: a Gaussian about each, cut off at the cube's walls, and an even share
//! everywhere, so that nothing is ruled out.
//!
//! Sources: Bergstra et al., NIPS 2011 (the even share, as one place among the others); Falkner et al., BOHB, ICML 2018 (all settings
//! together, one width a setting); Scott, "Multivariate Density Estimation", 1992 (the width).

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{Continuous, ContinuousCDF, Normal};

use super::space::AXES;

/// The least width of a Gaussian: a few places that happen to agree say less than they seem to.
const NARROWEST: f64 = 0.1;

/// See above.
pub(super) struct Parzen {
    /// About each place, a Gaussian for each setting, and its share inside the cube.
    places: Vec<[(Normal, f64); AXES]>,
}

impl Parzen {
    /// The density that these places give.
    pub(super) fn of(places: Vec<[f64; AXES]>) -> Parzen {
        let count = places.len().max(1) as f64;
        let shrink = count.powf(-1.0 / (AXES as f64 + 4.0));
        let widths: [f64; AXES] = std::array::from_fn(|axis| {
            let mean = places.iter().map(|place| place[axis]).sum::<f64>() / count;
            let variance = places.iter().map(|place| (place[axis] - mean).powi(2)).sum::<f64>() / count;
            (shrink * variance.sqrt()).max(NARROWEST)
        });
        let about = |place: [f64; AXES]| {
            std::array::from_fn(|axis| {
                let normal = Normal::new(place[axis], widths[axis]).expect("a place is a number, a width is positive");
                (normal, normal.cdf(1.0) - normal.cdf(0.0))
            })
        };
        Parzen { places: places.into_iter().map(about).collect() }
    }

    /// The density at a place of the cube.
    pub(super) fn density(&self, at: &[f64; AXES]) -> f64 {
        let of = |place: &[(Normal, f64); AXES]| {
            place.iter().zip(at).map(|((normal, inside), &at)| normal.pdf(at) / inside).product::<f64>()
        };
        (1.0 + self.places.iter().map(of).sum::<f64>()) / (self.places.len() + 1) as f64
    }

    /// Draws a place.
    pub(super) fn draw(&self, random: &mut ChaCha8Rng) -> [f64; AXES] {
        match self.places.get(random.random_range(0..=self.places.len())) {
            None => std::array::from_fn(|_| random.random()),
            Some(place) => std::array::from_fn(|axis| {
                let (normal, inside) = &place[axis];
                normal.inverse_cdf(normal.cdf(0.0) + inside * random.random::<f64>()).clamp(0.0, 1.0)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn it_is_a_density_and_draws_by_it() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let places = vec![[0.02; AXES], [0.1; AXES]];
        let parzen = Parzen::of(places);
        // The mean of 1 / density over draws is the volume of the cube.
        let drawn: Vec<[f64; AXES]> = (0..20_000).map(|_| parzen.draw(&mut random)).collect();
        assert!(drawn.iter().flatten().all(|value| (0.0..=1.0).contains(value)));
        let volume = drawn.iter().map(|place| 1.0 / parzen.density(place)).sum::<f64>() / drawn.len() as f64;
        assert!((volume - 1.0).abs() < 0.05, "{volume}");
        assert!(parzen.density(&[0.05; AXES]) > 100.0 && parzen.density(&[0.9; AXES]) > 0.3);
    }

    #[test]
    fn without_places_it_is_even() {
        let parzen = Parzen::of(Vec::new());
        assert_eq!([parzen.density(&[0.0; AXES]), parzen.density(&[0.7; AXES])], [1.0, 1.0]);
    }
}
