//! Places on a map for things that look alike: t-SNE (van der Maaten and Hinton, 2008; by trees, van der Maaten, 2014). Near and far mean
//! something, distances and directions do not.

use bhtsne::tSNE;
use models::sketch::LEN;

/// Steps of the descent: beyond, the map hardly moves.
const EPOCHS: usize = 750;
/// Neighbours that each part keeps close, about; fewer where there are few parts.
const PERPLEXITY: f32 = 30.0;
/// How coarsely far parts are taken together.
const THETA: f32 = 0.5;

/// A place for each, between -1 and 1; `tell` hears how far it is, 0 to 1.
pub fn places(looks: &[[f32; LEN]], tell: &dyn Fn(f64) -> bool) -> Vec<[f32; 2]> {
    let count = looks.len() as f32;
    let mut descent: tSNE<'_, f32, [f32; LEN]> = tSNE::new(looks);
    // Where it begins is no chance: two of a sketch's numbers are a random view of the embedding already.
    let start: Vec<f32> = looks.iter().flat_map(|look| [1e-2 * look[0], 1e-2 * look[1]]).collect();
    descent
        .perplexity(PERPLEXITY.min((count - 1.0) / 3.5))
        .epochs(EPOCHS)
        .learning_rate((count / 48.0).max(50.0))
        .initial_embedding(start)
        .epoch_callback(|epoch, _| {
            tell((epoch + 1) as f64 / EPOCHS as f64);
        });
    descent.barnes_hut(THETA, |a, b| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt());
    let raw = descent.embedding();
    let mut places: Vec<[f32; 2]> = raw.chunks_exact(2).map(|at| [at[0], at[1]]).collect();
    for axis in 0..2 {
        let middle = places.iter().map(|at| at[axis]).sum::<f32>() / count;
        places.iter_mut().for_each(|at| at[axis] -= middle);
    }
    let reach = places.iter().flatten().fold(0.0_f32, |most, value| most.max(value.abs())).max(f32::MIN_POSITIVE);
    // Four digits are finer than any screen.
    let round = |value: f32| if value.is_finite() { (1e4 * value / reach).round() / 1e4 } else { 0.0 };
    places.iter().map(|at| at.map(round)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: usize = 20;

    /// Three heaps of looks around random directions.
    fn heaps(each: usize) -> Vec<[f32; LEN]> {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let centres: [[f32; LEN]; 3] = std::array::from_fn(|_| std::array::from_fn(|_| random.random_range(-1.0..1.0)));
        let mut looks = Vec::new();
        for at in 0..3 * each {
            looks.push(centres[at % 3].map(|value| value + random.random_range(-0.2..0.2)));
        }
        looks
    }

    #[test]
    fn parts_that_look_alike_lie_together() {
        let places = places(&heaps(60), &|_| true);
        assert!(places.iter().flatten().all(|value| (-1.0..=1.0).contains(value)), "{places:?}");
        let apart = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        let nearest_is_of_its_heap = |at: usize| {
            let others = (0..places.len()).filter(|&other| other != at);
            let nearest = others.min_by(|&a, &b| apart(places[at], places[a]).total_cmp(&apart(places[at], places[b])));
            nearest.is_some_and(|other| other % 3 == at % 3)
        };
        let right = (0..places.len()).filter(|&at| nearest_is_of_its_heap(at)).count();
        assert!(right >= 175, "of 180 parts {right} lie beside one of their own heap");
    }

    #[test]
    fn twins_and_very_few_parts_have_a_place_too() {
        let places = places(&[[0.125; LEN]; FEW], &|_| true);
        assert_eq!(places.len(), FEW);
        assert!(places.iter().flatten().all(|value| value.is_finite()), "{places:?}");
    }
}
