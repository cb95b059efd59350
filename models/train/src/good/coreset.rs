//! Few vectors that stand for many.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::project::orthonormal;
use crate::ops::gemm::{Matrix, multiply_add};

/// Dimensions in which vectors are compared while they are chosen.
const DIMENSIONS: usize = 24;
/// Vectors that are compared at once: what fits into a processor's first cache.
const BLOCK: usize = 2048;

/// Indices of at most `count` of the `n x dimensions` vectors that leave no other far from all of them: from a random start always the one
/// farthest from those chosen (Gonzalez, 1985; Roth et al., CVPR 2022, algorithm 1), seen through a random projection.
pub(super) fn choose(vectors: &[f32], dimensions: usize, count: usize, seed: u64) -> Vec<usize> {
    let all = vectors.len() / dimensions;
    if all <= count {
        return (0..all).collect();
    }
    let columns = projected(vectors, dimensions, seed);
    let seen = columns.len() / all;
    let mut distances = vec![f32::INFINITY; all];
    let mut chosen = Vec::with_capacity(count);
    let mut next = ChaCha8Rng::seed_from_u64(seed).random_range(0..all);
    while chosen.len() < count {
        chosen.push(next);
        let centre: Vec<f32> = (0..seen).map(|dimension| columns[dimension * all + next]).collect();
        let far;
        (next, far) = farthest(&columns, &centre, &mut distances);
        if far <= 0.0 {
            break; // all others are copies of those chosen
        }
    }
    chosen
}

/// Lowers each distance to the one from `centre` where that is nearer; gives the place of the largest that is left, and it.
fn farthest(columns: &[f32], centre: &[f32], distances: &mut [f32]) -> (usize, f32) {
    let all = distances.len();
    let (mut place, mut largest) = (0, f32::NEG_INFINITY);
    let mut sums = [0.0_f32; BLOCK];
    for start in (0..all).step_by(BLOCK) {
        let block = &mut distances[start..(start + BLOCK).min(all)];
        let sums = &mut sums[..block.len()];
        sums.fill(0.0);
        for (column, &centre) in columns.chunks_exact(all).zip(centre) {
            for (sum, &value) in sums.iter_mut().zip(&column[start..]) {
                *sum += (value - centre) * (value - centre);
            }
        }
        let mut top = f32::NEG_INFINITY;
        for (distance, &sum) in block.iter_mut().zip(&*sums) {
            *distance = distance.min(sum);
            top = top.max(*distance);
        }
        if top > largest {
            largest = top;
            place = start + block.iter().position(|&distance| distance == top).unwrap_or_default();
        }
    }
    (place, largest)
}

/// The vectors in fewer dimensions, one dimension after the other.
fn projected(vectors: &[f32], dimensions: usize, seed: u64) -> Vec<f32> {
    let all = vectors.len() / dimensions;
    let seen = dimensions.min(DIMENSIONS);
    let basis = orthonormal(seen, dimensions, seed);
    let mut columns = vec![0.0; seen * all];
    let vectors = Matrix::new(vectors, all, dimensions);
    multiply_add(Matrix::new(&basis, seen, dimensions), vectors.transposed(), &mut columns);
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The farthest that any vector is from its nearest of those chosen.
    fn reach(vectors: &[f32], chosen: &[usize]) -> f32 {
        let at = |index: usize| &vectors[index * 3..index * 3 + 3];
        let square = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let nearest = |of: usize| chosen.iter().map(|&it| square(at(of), at(it))).fold(f32::INFINITY, f32::min);
        (0..vectors.len() / 3).map(nearest).fold(0.0, f32::max).sqrt()
    }

    #[test]
    fn the_chosen_cover_rare_vectors_that_a_random_choice_misses() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut vectors: Vec<f32> = (0..3 * 5000).map(|_| random.random_range(-1.0..1.0)).collect();
        for rare in 0..10 {
            vectors[3 * 400 * rare] = 5.0 + rare as f32;
        }
        let chosen = choose(&vectors, 3, 100, 1);
        let mut distinct = chosen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 100);
        let drawn: Vec<usize> = (0..100).map(|at| at * 50 + 7).collect();
        assert!(reach(&vectors, &chosen) < 0.7, "{}", reach(&vectors, &chosen));
        assert!(reach(&vectors, &drawn) > 5.0);
        assert_eq!(choose(&vectors, 3, 9000, 1).len(), 5000, "all, where there are no more");
    }
}
