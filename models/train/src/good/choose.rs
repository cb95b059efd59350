//! Which features, grid, input size, method and score suit a product: tried on held-out good parts and on anomalies pasted
//! onto them.

use models::bundle::Method;
use models::heads::memory::{Features, MOST_VECTORS, Scorer};
use models::preprocess::Preprocess;
use models::weights::Weights;
use models::zoo::mobilenet_v3_small as zoo;
use rayon::prelude::*;
use serde::Serialize;

use super::Settings;
use super::features::{Extractor, Maps};
use super::normal;
use super::parts::Parts;
use super::paste::{Kind, paste};
use super::project::Projection;
use crate::error::TrainError;

/// Parts that candidates learn from, and parts that they are tried on.
const FIT: usize = 60;
const HELD: usize = 40;
/// Vectors of a memory while candidates are tried.
const TRIED_VECTORS: usize = 1000;
/// A fast head may take this share of the trunk's multiplications: half the trunk's time, since a matrix product runs a little
/// faster than the trunk's small convolutions and sorting the distances takes some.
const FAST_SHARE: f64 = 0.42;
/// Passing over one distance costs about as much as this many multiplications.
const PASS: usize = 24;
/// A memory that has no room for this many vectors is not tried.
const FEWEST_VECTORS: usize = 500;
/// Candidates whose areas differ by less are equally good: then the cheaper counts.
const TIE: f64 = 0.001;

/// One way to look at a product.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) preprocess: Preprocess,
    pub(super) features: Features,
    pub(super) dimensions: Option<usize>,
    pub(super) method: Method,
    /// Vectors of the finished memory; 0 for a Gaussian.
    pub(super) vectors: usize,
}

/// A candidate as the report shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    /// Input pixels each way.
    pub size: [u32; 2],
    /// How good parts are kept.
    pub method: Method,
    /// Blocks of the trunk, counted from 1.
    pub blocks: Vec<usize>,
    /// Cells down and across.
    pub grid: [usize; 2],
    /// Values per cell that are compared.
    pub dimensions: usize,
    /// Vectors of the memory; 0 for a Gaussian.
    pub vectors: usize,
    /// The best of the three scores.
    pub scorer: Scorer,
    /// Area under the ROC curve, pasted against good parts, mean over the kinds.
    pub auroc: f64,
    /// The same for each kind of paste: cut, scar, noise, smear.
    pub by_kind: Vec<f64>,
    /// Multiplications as a share of the trunk's.
    pub cost: f64,
}

/// The candidate that was chosen, ready to learn from all parts.
pub(super) struct Choice {
    pub(super) candidate: Candidate,
    pub(super) scorer: Scorer,
    /// Scaled so that a held-out good cell is about 1 away.
    pub(super) projection: Projection,
    pub(super) tried: Vec<Tried>,
    pub(super) chosen: usize,
    /// What the nearest neighbour in whole-picture averages gives: the trivial way.
    pub(super) baseline: f64,
}

/// Parts and pasted parts, passed through the trunk at one input size.
struct Seen {
    fit: Vec<Maps>,
    held: Vec<Maps>,
    /// One for each held-out part, kind after kind.
    pasted: Vec<Maps>,
}

/// Tries every candidate at every size.
pub(super) fn choose(
    parts: &Parts,
    weights: &Weights,
    sizes: &[Preprocess],
    settings: &Settings,
    pool: &rayon::ThreadPool,
    observe: &mut dyn FnMut(f64),
) -> Result<Choice, TrainError> {
    let &Settings { fine, seed, .. } = settings;
    let mut all: Vec<(Candidate, Outcome)> = Vec::new();
    let mut baseline = 0.0_f64;
    for (at, preprocess) in sizes.iter().enumerate() {
        let candidates = candidates(preprocess, fine, parts.len());
        let Some(extractor) = extractor(weights, preprocess, &candidates)? else { continue };
        let seen = pool.install(|| see(parts, &extractor, preprocess, seed))?;
        observe((at as f64 + 0.5) / sizes.len() as f64);
        baseline = baseline.max(global(&seen));
        let attempt = |candidate| attempt(candidate, &extractor, &seen, seed);
        let outcomes: Vec<Outcome> = pool.install(|| candidates.par_iter().map(attempt).collect());
        all.extend(candidates.into_iter().zip(outcomes));
        observe((at as f64 + 1.0) / sizes.len() as f64);
    }
    let tried: Vec<Tried> = all.iter().map(|(candidate, outcome)| describe(candidate, outcome)).collect();
    let best = tried.iter().map(|tried| tried.auroc).fold(0.0, f64::max);
    let chosen = (0..tried.len())
        .filter(|&at| tried[at].auroc >= best - TIE)
        .min_by(|&a, &b| tried[a].cost.total_cmp(&tried[b].cost))
        .ok_or_else(|| TrainError::Settings("no setting fits this input size: give a larger --size".into()))?;
    let (candidate, outcome) = all.swap_remove(chosen);
    Ok(Choice { candidate, scorer: outcome.scorer, projection: outcome.projection, tried, chosen, baseline })
}

/// The ways that are tried at one input size. Fine geometry wants early blocks on a fine grid, texture late ones on a coarse grid,
/// parts that always lie the same way a Gaussian for each position.
fn candidates(preprocess: &Preprocess, fine: bool, parts: usize) -> Vec<Candidate> {
    let memory: &[(&[usize], usize, Option<usize>)] = &[
        (&[11], 32, None),
        (&[8, 11], 32, None),
        (&[3, 6, 8], 32, None),
        (&[6, 8], 32, None),
        (&[8], 16, None),
        (&[6, 8], 16, Some(48)),
        (&[3, 6, 8], 16, Some(48)),
        (&[3, 6], 8, Some(48)),
    ];
    let more: &[(&[usize], usize, Option<usize>)] = &[(&[3, 6, 8], 16, None), (&[8, 11], 16, None), (&[3, 6], 8, None)];
    let gaussian: &[(&[usize], usize, Option<usize>)] =
        &[(&[11], 32, Some(48)), (&[3, 6, 8], 32, Some(48)), (&[6, 8], 16, Some(32)), (&[3, 6, 8], 16, Some(32))];
    let size = [preprocess.height as usize, preprocess.width as usize];
    let budget = if fine { f64::INFINITY } else { FAST_SHARE * zoo::multiplications(size) as f64 };
    let candidate = |&(blocks, stride, dimensions): &(&[usize], usize, Option<usize>), method| {
        let features = Features { blocks: blocks.to_vec(), stride };
        Candidate { preprocess: preprocess.clone(), features, dimensions, method, vectors: 0 }
    };
    let memories = memory.iter().chain(more.iter().filter(|_| fine)).map(|it| {
        let mut candidate = candidate(it, Method::Memory);
        let cells: usize = candidate.features.grid(size).iter().product();
        let each = cells * (candidate.compared() + PASS);
        candidate.vectors = (budget / each as f64).min(MOST_VECTORS as f64) as usize;
        candidate
    });
    // A covariance of few parts is mostly the pooled one.
    let gaussians = gaussian.iter().filter(|_| parts >= 2 * FIT / 3).map(|it| candidate(it, Method::Gaussian));
    let fits = |candidate: &Candidate| {
        candidate.features.check(size).is_ok()
            && (candidate.method == Method::Gaussian || candidate.vectors >= FEWEST_VECTORS)
            && candidate.multiplications(size) as f64 <= budget
    };
    memories.chain(gaussians).filter(fits).collect()
}

impl Candidate {
    fn compared(&self) -> usize {
        self.dimensions.unwrap_or(usize::MAX).min(self.features.channels())
    }

    /// Multiplications of the head, passes over the distances included.
    fn multiplications(&self, size: [usize; 2]) -> usize {
        let cells: usize = self.features.grid(size).iter().product();
        let (channels, compared) = (self.features.channels(), self.compared());
        let compare = match self.method {
            Method::Memory => self.vectors * (compared + PASS),
            Method::Gaussian => compared * compared,
        };
        // The projection is part of the trunk's order of magnitude only where it is one.
        cells * (compare + if compared < channels { channels * compared } else { 0 })
    }
}

/// One pass of the trunk serves all candidates of a size.
fn extractor(
    weights: &Weights,
    preprocess: &Preprocess,
    candidates: &[Candidate],
) -> Result<Option<Extractor>, TrainError> {
    let Some(stride) = candidates.iter().map(|candidate| candidate.features.stride).min() else { return Ok(None) };
    let mut blocks: Vec<usize> = candidates.iter().flat_map(|candidate| candidate.features.blocks.clone()).collect();
    blocks.sort_unstable();
    blocks.dedup();
    Extractor::new(weights, preprocess, Features { blocks, stride }).map(Some)
}

/// Chooses the parts and passes them through the trunk. Both sets are runs of neighbouring file names, since pictures of one
/// part often stand side by side, and a part on both sides would flatter every candidate.
fn see(parts: &Parts, extractor: &Extractor, preprocess: &Preprocess, seed: u64) -> Result<Seen, TrainError> {
    let held = (parts.len() * 2 / 5).clamp(1, HELD);
    let fit = (parts.len() - held).min(FIT);
    // Held-out parts are one run from the middle; those learned from are spread over what is left.
    let first = (parts.len() - held) / 2;
    let others: Vec<usize> = (0..first).chain(first + held..parts.len()).collect();
    let fit: Vec<usize> = (0..fit).map(|at| others[at * others.len() / fit]).collect();
    let keep = |_, maps| maps;
    let load = |index| parts.load(index, preprocess);
    Ok(Seen {
        fit: extractor.map(fit.len(), |at| load(fit[at]), keep)?,
        held: extractor.map(held, |at| load(first + at), keep)?,
        pasted: extractor.map(
            held * Kind::ALL.len(),
            |at| Ok(paste(&load(first + at % held)?, Kind::ALL[at / held], seed.wrapping_add((at % held) as u64))),
            keep,
        )?,
    })
}

/// What a candidate reached.
struct Outcome {
    scorer: Scorer,
    by_kind: Vec<f64>,
    projection: Projection,
}

fn attempt(candidate: &Candidate, extractor: &Extractor, seen: &Seen, seed: u64) -> Outcome {
    let rows = |maps: &Maps| extractor.rows(maps, &candidate.features);
    let fit: Vec<Vec<f32>> = seen.fit.iter().map(rows).collect();
    let channels = candidate.features.channels();
    let mut projection = Projection::fit(&fit.concat(), channels, candidate.dimensions, seed);
    let fit: Vec<Vec<f32>> = fit.iter().map(|rows| projection.apply(rows)).collect();
    let dimensions = projection.dimensions();
    let mut normal = match candidate.method {
        Method::Memory => normal::remember(&fit.concat(), dimensions, TRIED_VECTORS.min(candidate.vectors), seed),
        Method::Gaussian => normal::gaussian(&fit.iter().map(Vec::as_slice).collect::<Vec<_>>(), dimensions),
    };
    if candidate.method == Method::Memory {
        let far = |maps: &Maps| normal::distances(&normal, &projection.apply(&rows(maps)), dimensions);
        let mut far: Vec<f32> = seen.held.iter().flat_map(far).collect();
        far.sort_by(f32::total_cmp);
        let factor = far[far.len() / 2].recip();
        if factor.is_finite() {
            projection.scale(factor);
            normal.scale(factor);
        }
    }
    let size = [candidate.preprocess.height as usize, candidate.preprocess.width as usize];
    let grid = candidate.features.grid(size);
    let scores = |maps: &Maps| {
        let rows = projection.apply(&rows(maps));
        let distances = normal::distances(&normal, &rows, dimensions);
        Scorer::ALL.map(|scorer| normal::score(scorer, &normal, &rows, &distances, grid))
    };
    let good: Vec<[f32; 3]> = seen.held.iter().map(scores).collect();
    let bad: Vec<[f32; 3]> = seen.pasted.iter().map(scores).collect();
    let areas = |at: usize| -> Vec<f64> {
        let good: Vec<f32> = good.iter().map(|scores| scores[at]).collect();
        let of_kind = |bad: &[[f32; 3]]| auroc(&good, &bad.iter().map(|scores| scores[at]).collect::<Vec<_>>());
        bad.chunks_exact(good.len()).map(of_kind).collect()
    };
    let mean = |areas: &Vec<f64>| areas.iter().sum::<f64>() / areas.len() as f64;
    let by_scorer: Vec<Vec<f64>> = (0..Scorer::ALL.len()).map(areas).collect();
    let best = (0..by_scorer.len()).rev().max_by(|&a, &b| mean(&by_scorer[a]).total_cmp(&mean(&by_scorer[b])));
    let best = best.unwrap_or_default();
    Outcome { scorer: Scorer::ALL[best], by_kind: by_scorer[best].clone(), projection }
}

fn describe(candidate: &Candidate, outcome: &Outcome) -> Tried {
    let Preprocess { width, height, .. } = candidate.preprocess;
    let size = [height as usize, width as usize];
    Tried {
        size: [width, height],
        method: candidate.method,
        blocks: candidate.features.blocks.clone(),
        grid: candidate.features.grid(size),
        dimensions: outcome.projection.dimensions(),
        vectors: candidate.vectors,
        scorer: outcome.scorer,
        auroc: outcome.by_kind.iter().sum::<f64>() / outcome.by_kind.len() as f64,
        by_kind: outcome.by_kind.clone(),
        cost: candidate.multiplications(size) as f64 / zoo::multiplications(size) as f64,
    }
}

/// The trivial way: distance of the whole picture's average to the nearest good one.
fn global(seen: &Seen) -> f64 {
    let known: Vec<Vec<f32>> = seen.fit.iter().map(|maps| maps.embedding.clone()).collect();
    let far = |maps: &Maps| nearest(&maps.embedding, &known);
    let good: Vec<f32> = seen.held.iter().map(far).collect();
    let bad: Vec<f32> = seen.pasted.iter().map(far).collect();
    auroc(&good, &bad)
}

/// The trivial way on other pictures: area under the ROC curve of the distance between a picture's average of the last feature
/// map and the nearest one of the good parts. Printed beside what a memory reaches.
///
/// # Errors
/// When a picture cannot be read, or ONNX Runtime is missing.
pub fn whole_picture_auroc(
    learn: &Parts,
    weights: &Weights,
    preprocess: &Preprocess,
    [good, bad]: [&[Parts]; 2],
) -> Result<f64, TrainError> {
    let extractor = Extractor::new(weights, preprocess, Features { blocks: vec![11], stride: zoo::STRIDE })?;
    let averages = |parts: &Parts| {
        extractor.map(parts.len(), |index| parts.load(index, preprocess), |_, maps: Maps| maps.embedding)
    };
    let known = averages(learn)?;
    let far = |sets: &[Parts]| -> Result<Vec<f32>, TrainError> {
        let averages = sets.iter().map(averages).collect::<Result<Vec<_>, _>>()?.concat();
        Ok(averages.iter().map(|average| nearest(average, &known)).collect())
    };
    Ok(auroc(&far(good)?, &far(bad)?))
}

/// Squared distance to the nearest.
fn nearest(of: &[f32], known: &[Vec<f32>]) -> f32 {
    let square = |other: &Vec<f32>| of.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    known.iter().map(square).fold(f32::INFINITY, f32::min)
}

/// Chance that a bad part scores higher than a good one, ties counted half.
pub(super) fn auroc(good: &[f32], bad: &[f32]) -> f64 {
    let mut sorted = good.to_vec();
    sorted.sort_by(f32::total_cmp);
    let wins = |score: &f32| {
        let below = sorted.partition_point(|other| other < score);
        let not_above = sorted.partition_point(|other| other <= score);
        (below + not_above) as f64 / 2.0
    };
    bad.iter().map(wins).sum::<f64>() / (good.len() * bad.len()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_counts_pairs() {
        assert_eq!(auroc(&[1.0, 2.0], &[3.0, 4.0]), 1.0);
        assert_eq!(auroc(&[3.0, 4.0], &[1.0, 2.0]), 0.0);
        assert_eq!(auroc(&[1.0, 2.0], &[2.0, 0.0]), 0.375);
    }

    #[test]
    fn fast_candidates_keep_within_their_share_at_every_size() {
        for size in [64, 224, 256, 512] {
            let preprocess = Preprocess::imagenet(size);
            let all = candidates(&preprocess, false, 100);
            assert!(!all.is_empty(), "{size}");
            for candidate in &all {
                let cost = describe(candidate, &nothing(candidate)).cost;
                assert!(cost <= FAST_SHARE, "{candidate:?}: {cost}");
                assert!(candidate.vectors <= MOST_VECTORS);
            }
        }
        let full = |fine| candidates(&Preprocess::imagenet(512), fine, 100).len();
        assert!(full(true) > full(false));
        assert!(candidates(&Preprocess::imagenet(512), false, 12).iter().all(|it| it.method == Method::Memory));
    }

    fn nothing(candidate: &Candidate) -> Outcome {
        let projection =
            Projection::fit(&vec![0.0; candidate.features.channels()], candidate.features.channels(), None, 1);
        Outcome { scorer: Scorer::TopMean, by_kind: vec![0.5], projection }
    }
}
