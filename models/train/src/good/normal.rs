//! Learning what good looks like, and how far a part is from it: the graph's arithmetic, for many parts at once.

use models::heads::memory::{NEIGHBOURS, Normal, Scorer};
use models::weights::Tensor;

use super::coreset;
use crate::ops::gemm::{Matrix, multiply_add};

/// Share of the covariance of a position's own features; the rest is the mean of all positions'. Few parts leave a position's own
/// covariance without an inverse. (Shrinkage towards a pooled covariance: Friedman, "Regularized Discriminant Analysis", 1989.)
const OWN: f64 = 0.8;
/// Added to every variance, as a share of the mean variance, so that nothing is divided by zero.
const RIDGE: f64 = 1e-4;
/// No variance is taken as less: where all parts are the same to the bit, a distance is still a number.
const LEAST_VARIANCE: f64 = 1e-12;
/// Rows whose distances to a memory are computed at once.
const TOGETHER: usize = 512;

/// Keeps at most `count` of the `n x dimensions` rows.
pub(super) fn remember(rows: &[f32], dimensions: usize, count: usize, seed: u64) -> Normal {
    let chosen = coreset::choose(rows, dimensions, count, seed);
    let data: Vec<f32> = chosen.iter().flat_map(|&at| &rows[at * dimensions..][..dimensions]).copied().collect();
    Normal::Memory(Tensor { shape: vec![data.len() / dimensions, dimensions], data })
}

/// Fits a Gaussian at each cell. `parts` are `cells x dimensions` each.
pub(super) fn gaussian(parts: &[&[f32]], dimensions: usize) -> Normal {
    let cells = parts[0].len() / dimensions;
    let moments: Vec<(Vec<f64>, Vec<f64>)> = (0..cells).map(|cell| moments(parts, cell, dimensions)).collect();
    let mut pooled = vec![0.0; dimensions * dimensions];
    for (_, own) in &moments {
        pooled.iter_mut().zip(own).for_each(|(sum, value)| *sum += value / cells as f64);
    }
    let trace: f64 = (0..dimensions).map(|at| pooled[at * dimensions + at]).sum();
    let ridge = (RIDGE * trace / dimensions as f64).max(LEAST_VARIANCE);
    let mut whitening = Vec::with_capacity(cells * dimensions * dimensions);
    let mut offset = Vec::with_capacity(cells * dimensions);
    for (mean, own) in &moments {
        let mut covariance: Vec<f64> = own.iter().zip(&pooled).map(|(a, b)| OWN * a + (1.0 - OWN) * b).collect();
        (0..dimensions).for_each(|at| covariance[at * dimensions + at] += ridge);
        let matrix = inverse_root(&covariance, dimensions);
        let turned =
            matrix.chunks_exact(dimensions).map(|row| -row.iter().zip(mean).map(|(w, m)| w * m).sum::<f64>() as f32);
        offset.extend(turned);
        whitening.extend(matrix.iter().map(|&value| value as f32));
    }
    Normal::Gaussian {
        whitening: Tensor { shape: vec![cells, dimensions, dimensions], data: whitening },
        offset: Tensor { shape: vec![cells, dimensions, 1], data: offset },
    }
}

/// Mean and covariance of one cell's features over the parts.
fn moments(parts: &[&[f32]], cell: usize, dimensions: usize) -> (Vec<f64>, Vec<f64>) {
    let count = parts.len() as f64;
    let at = |part: &&[f32]| part[cell * dimensions..][..dimensions].to_vec();
    let mut mean = vec![0.0; dimensions];
    for part in parts {
        mean.iter_mut().zip(at(part)).for_each(|(mean, value)| *mean += f64::from(value) / count);
    }
    let centred: Vec<f32> =
        parts.iter().flat_map(|part| at(part).into_iter().zip(&mean).map(|(v, m)| (f64::from(v) - m) as f32)).collect();
    let matrix = Matrix::new(&centred, parts.len(), dimensions);
    let mut product = vec![0.0; dimensions * dimensions];
    multiply_add(matrix.transposed(), matrix, &mut product);
    (mean, product.iter().map(|&sum| f64::from(sum) / (count - 1.0).max(1.0)).collect())
}

/// `W` with `Wᵀ W = C⁻¹ / n`: the inverse of `C`'s lower triangular root (Cholesky), over the root of the number of dimensions,
/// so that a good cell is about 1 away.
fn inverse_root(covariance: &[f64], n: usize) -> Vec<f64> {
    let mut root = vec![0.0; n * n];
    for row in 0..n {
        for column in 0..=row {
            let dot: f64 = (0..column).map(|at| root[row * n + at] * root[column * n + at]).sum();
            let rest = covariance[row * n + column] - dot;
            root[row * n + column] = match row == column {
                // The ridge keeps it positive; rounding may not.
                true => rest.max(LEAST_VARIANCE).sqrt(),
                false => rest / root[column * n + column],
            };
        }
    }
    let mut inverse = vec![0.0; n * n];
    for column in 0..n {
        for row in column..n {
            let unit = f64::from(u8::from(row == column));
            let dot: f64 = (column..row).map(|at| root[row * n + at] * inverse[at * n + column]).sum();
            inverse[row * n + column] = (unit - dot) / root[row * n + row];
        }
    }
    let share = 1.0 / (n as f64).sqrt();
    inverse.iter_mut().for_each(|value| *value *= share);
    inverse
}

/// Distance of each cell of one part (`cells x dimensions`) from what good looks like.
pub(super) fn distances(normal: &Normal, rows: &[f32], dimensions: usize) -> Vec<f32> {
    match normal {
        Normal::Memory(vectors) => {
            let squares: Vec<f32> = vectors.data.chunks_exact(dimensions).map(|row| dot(row, row)).collect();
            let matrix = Matrix::new(&vectors.data, squares.len(), dimensions);
            let mut out = Vec::with_capacity(rows.len() / dimensions);
            for some in rows.chunks(TOGETHER * dimensions) {
                let count = some.len() / dimensions;
                let mut products = vec![0.0; count * squares.len()];
                multiply_add(Matrix::new(some, count, dimensions), matrix.transposed(), &mut products);
                for (row, products) in some.chunks_exact(dimensions).zip(products.chunks_exact(squares.len())) {
                    let nearest = products.iter().zip(&squares).map(|(p, s)| s - 2.0 * p).fold(f32::INFINITY, f32::min);
                    out.push((dot(row, row) + nearest).max(0.0).sqrt());
                }
            }
            out
        }
        Normal::Gaussian { whitening, offset } => {
            let matrices = whitening.data.chunks_exact(dimensions * dimensions);
            let cells = matrices.zip(offset.data.chunks_exact(dimensions)).zip(rows.chunks_exact(dimensions));
            let distance = |((matrix, offset), row): ((&[f32], &[f32]), &[f32])| {
                let white = matrix.chunks_exact(dimensions).zip(offset).map(|(line, offset)| dot(line, row) + offset);
                white.map(|value| value * value).sum::<f32>().sqrt()
            };
            cells.map(distance).collect()
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The part's score from its cells' distances.
pub(super) fn score(
    scorer: Scorer,
    normal: &Normal,
    rows: &[f32],
    distances: &[f32],
    [height, width]: [usize; 2],
) -> f32 {
    match scorer {
        Scorer::Reweighted => {
            let (cell, top) = largest(distances);
            match normal {
                Normal::Memory(vectors) => {
                    let dimensions = vectors.shape[1];
                    weight(&rows[cell * dimensions..][..dimensions], &vectors.data) * top
                }
                Normal::Gaussian { .. } => top,
            }
        }
        Scorer::TopMean => {
            let mut sorted = distances.to_vec();
            sorted.sort_by(|a, b| b.total_cmp(a));
            sorted.truncate(Scorer::top_count(distances.len()));
            sorted.iter().sum::<f32>() / sorted.len() as f32
        }
        Scorer::SmoothedMax => {
            let mean = |cell: usize| {
                let (y, x) = (cell / width, cell % width);
                let rows = y.saturating_sub(1)..(y + 2).min(height);
                let columns = x.saturating_sub(1)..(x + 2).min(width);
                let count = (rows.len() * columns.len()) as f32;
                rows.flat_map(|y| columns.clone().map(move |x| distances[y * width + x])).sum::<f32>() / count
            };
            (0..distances.len()).map(mean).fold(0.0, f32::max)
        }
    }
}

/// Place and value of the largest distance.
pub(super) fn largest(distances: &[f32]) -> (usize, f32) {
    distances.iter().copied().enumerate().fold((0, f32::NEG_INFINITY), |top, it| if it.1 > top.1 { it } else { top })
}

/// How much the worst cell's distance counts (Roth et al., equation 7): the less, the closer other vectors are to it too.
fn weight(row: &[f32], vectors: &[f32]) -> f32 {
    let square = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let to = |row: &[f32]| {
        let mut all: Vec<(f32, usize)> =
            vectors.chunks_exact(row.len()).enumerate().map(|(at, vector)| (square(row, vector), at)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    };
    let nearest = &vectors[to(row)[0].1 * row.len()..][..row.len()];
    let around = to(nearest).into_iter().take(NEIGHBOURS);
    let distances: Vec<f32> =
        around.map(|(_, at)| square(row, &vectors[at * row.len()..][..row.len()]).sqrt()).collect();
    let top = largest(&distances).1;
    let sum: f32 = distances.iter().map(|distance| (distance - top).exp()).sum();
    1.0 - (distances[0] - top).exp() / sum
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::project;
    use super::*;

    #[test]
    fn a_gaussian_measures_in_standard_deviations_of_each_position() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        // Two cells: the first varies by 1 around 0, the second by 10 around 50, along the first of two dimensions.
        let part = |_| -> Vec<f32> {
            let mut draw = || project::normal(&mut random) as f32;
            vec![draw(), 0.5 * draw(), 50.0 + 10.0 * draw(), 0.5 * draw()]
        };
        let parts: Vec<Vec<f32>> = (0..2000).map(part).collect();
        let views: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
        let normal = gaussian(&views, 2);
        let far = distances(&normal, &[6.0, 0.0, 56.0, 0.0], 2);
        assert!(far[1] < 0.6, "6 is less than one deviation there: {far:?}");
        assert!(far[0] > 1.2 * far[1], "{far:?}");
        let mean = views.iter().map(|part| distances(&normal, part, 2)[1]).sum::<f32>() / 2000.0;
        assert!((0.6..1.1).contains(&mean), "a good cell is about 1 away: {mean}");
    }

    #[test]
    fn a_singular_covariance_is_survived() {
        let part = [1.0_f32, 2.0, 3.0];
        let normal = gaussian(&[&part, &part, &part], 3);
        assert!(distances(&normal, &part, 3).iter().all(|distance| distance.is_finite()));
    }

    #[test]
    fn the_scorers_by_hand() {
        let map: Vec<f32> = (0..16).map(|cell| if cell == 5 { 9.0 } else { 1.0 }).collect();
        let normal = remember(&[0.0], 1, 5, 1);
        let rows = vec![0.0; 16];
        let of = |scorer| score(scorer, &normal, &rows, &map, [4, 4]);
        assert_eq!(of(Scorer::TopMean), 9.0, "a hundredth of 16 cells is one");
        // The corner's window holds four cells, of which one is 9.
        assert!((of(Scorer::SmoothedMax) - 12.0 / 4.0).abs() < 1e-6);
        assert_eq!(of(Scorer::Reweighted), 0.0, "a memory of one vector says nothing about how usual it is");
    }
}
