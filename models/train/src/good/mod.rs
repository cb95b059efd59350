//! Learning from good parts alone.
//!
//! The trunk stands still. Several ways to look at the product are tried on anomalies pasted onto held-out good parts; with the
//! best, all parts become a memory (or a Gaussian for each position), and the threshold is set by scores that good parts get from
//! a memory which has not seen them.

mod bundle;
mod choose;
mod coreset;
mod features;
mod normal;
mod parts;
mod paste;
mod project;
#[cfg(test)]
mod tests;
mod threshold;

use std::time::{Duration, Instant};

use models::bundle::{MemorySpec, Method, ThresholdNote};
use models::heads::memory::{ANOMALY, DISTANCES, Head, Normal};
use models::image::Image;
use models::preprocess::Preprocess;
use models::weights::Weights;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

pub use bundle::{Cost, Origin, add_memory, make};
pub use choose::{Tried, whole_picture_auroc};
pub use parts::{FEWEST, Parts};
pub use threshold::{choose as choose_threshold, interval};

use self::choose::Choice;
use self::features::Extractor;
use self::paste::{Kind, paste};
use crate::dataset::input_size;
use crate::error::TrainError;

/// Folds in which parts are held out to set the threshold.
const FOLDS: usize = 5;
/// Vectors from which a memory is chosen: more of them make it hardly better and much slower to choose.
const CANDIDATE_VECTORS: usize = 40_000;
/// Parts that the report names as the least like the others.
const SUSPECTS: usize = 5;
/// Pictures of good parts, and as many with a pasted anomaly, that the bundle replays.
const REPLAYED: usize = 4;

/// How to learn.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Decides every random choice.
    pub seed: u64,
    /// Threads; `None`: one per core.
    pub threads: Option<usize>,
    /// Try finer grids and larger memories too, which do not keep up with a fast line.
    pub fine: bool,
    /// Share of good parts that may be rejected, 0 to 1, exclusive.
    pub overkill: f64,
    /// The input, where it is given; else several sizes are tried.
    pub preprocess: Option<Preprocess>,
}

impl Settings {
    /// The defaults: fast, one good part in a hundred rejected.
    pub fn new(seed: u64) -> Settings {
        Settings { seed, threads: None, fine: false, overkill: 0.01, preprocess: None }
    }
}

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ways to look at the product are tried.
    Choosing,
    /// All parts pass through the trunk.
    Reading,
    /// Memories of folds of the parts set the threshold.
    HoldingOut,
    /// The memory of all parts is chosen.
    Remembering,
}

/// Told what is going on and which share of it is done.
pub type Observer<'a> = dyn FnMut(Step, f64) + 'a;

/// What was learned.
pub struct Learned {
    /// The head.
    pub head: Head,
    /// The input that it was learned for.
    pub preprocess: Preprocess,
    /// What the manifest says of it.
    pub spec: MemorySpec,
    /// How it came about.
    pub report: GoodReport,
    /// Good parts and pasted anomalies for a bundle to replay.
    pub replay: Vec<Image>,
}

/// How a memory came about.
#[derive(Debug, Clone, Serialize)]
pub struct GoodReport {
    /// Pictures in the folder.
    pub found: usize,
    /// Pictures that were used.
    pub parts: usize,
    /// All ways that were tried, pasted anomalies against held-out good parts.
    pub tried: Vec<Tried>,
    /// Which of them was chosen.
    pub chosen: usize,
    /// The same area for the nearest neighbour of whole-picture averages.
    pub baseline_auroc: f64,
    /// The threshold's origin.
    pub threshold: ThresholdNote,
    /// Parts least like the others, by their held-out scores: is each of them really good?
    pub suspects: Vec<Suspect>,
    /// Time for all of it.
    pub spent: Duration,
}

/// A part that is unlike the others.
#[derive(Debug, Clone, Serialize)]
pub struct Suspect {
    /// File name.
    pub name: String,
    /// Its held-out score, a share of the threshold.
    pub share: f32,
}

/// Learns what good parts look like.
///
/// # Errors
/// When a picture cannot be read, the settings fit no input, or ONNX Runtime is missing.
pub fn learn(
    parts: &Parts,
    weights: &Weights,
    settings: &Settings,
    observe: &mut Observer<'_>,
) -> Result<Learned, TrainError> {
    if !(settings.overkill > 0.0 && settings.overkill < 0.5) {
        return Err(TrainError::Settings(format!(
            "an overkill of {}: give a share between 0 and 0.5",
            settings.overkill
        )));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(settings.threads.unwrap_or(0)).build();
    let pool = pool.map_err(|error| TrainError::Settings(format!("threads: {error}")))?;
    let start = Instant::now();
    let sizes = match &settings.preprocess {
        Some(preprocess) => vec![preprocess.clone()],
        None => sizes(parts.shortest_side()?, settings.fine),
    };
    // The observer stays on this thread; each step of the work is handed to the pool.
    let mut choosing = |share| observe(Step::Choosing, share);
    let choice = choose::choose(parts, weights, &sizes, settings, &pool, &mut choosing)?;
    observe(Step::Reading, 0.0);
    let rows = pool.install(|| read(parts, weights, &choice))?;
    observe(Step::HoldingOut, 0.0);
    let held = pool.install(|| hold_out(&rows, &choice, settings.seed));
    observe(Step::Remembering, 0.0);
    let views: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    let normal = fit(&views, &choice, settings.seed);
    finish(parts, settings, choice, normal, &held, start)
}

/// Input sizes that are tried: the pictures' own scale, and half of it (or twice, for small pictures), since a texture may be told
/// apart best by its grain or by its pattern.
fn sizes(shortest: u32, fine: bool) -> Vec<Preprocess> {
    let most = if fine { 1024 } else { 512 };
    let own = if fine { shortest.next_multiple_of(32).clamp(32, most) } else { input_size(shortest) };
    let mut all = vec![own];
    if own >= 384 {
        all.push((own / 2).next_multiple_of(32));
    }
    if own <= 256 {
        all.push((2 * own).min(512));
    }
    all.into_iter().map(Preprocess::imagenet).collect()
}

/// All parts' features as the chosen candidate compares them.
fn read(parts: &Parts, weights: &Weights, choice: &Choice) -> Result<Vec<Vec<f32>>, TrainError> {
    let candidate = &choice.candidate;
    let extractor = Extractor::new(weights, &candidate.preprocess, candidate.features.clone())?;
    let load = |index| parts.load(index, &candidate.preprocess);
    extractor.map(parts.len(), load, |_, maps| choice.projection.apply(&extractor.rows(&maps, &candidate.features)))
}

/// Learns from these parts' rows.
fn fit(parts: &[&[f32]], choice: &Choice, seed: u64) -> Normal {
    let dimensions = choice.projection.dimensions();
    match choice.candidate.method {
        Method::Gaussian => normal::gaussian(parts, dimensions),
        Method::Memory => {
            let each = (CANDIDATE_VECTORS / parts.len()).max(1);
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut some = Vec::new();
            for rows in parts {
                let cells = rows.len() / dimensions;
                let mut drawn = sample(&mut random, cells, each.min(cells)).into_vec();
                drawn.sort_unstable();
                drawn.iter().for_each(|cell| some.extend_from_slice(&rows[cell * dimensions..][..dimensions]));
            }
            normal::remember(&some, dimensions, choice.candidate.vectors, seed)
        }
    }
}

/// Each part's score, and its largest distance, by what the other folds taught. Folds are runs of neighbouring file names:
/// several pictures of one part usually stand side by side.
fn hold_out(rows: &[Vec<f32>], choice: &Choice, seed: u64) -> Vec<[f32; 2]> {
    let count = rows.len();
    let bounds = |fold: usize| fold * count / FOLDS..(fold + 1) * count / FOLDS;
    let candidate = &choice.candidate;
    let grid = candidate.features.grid([candidate.preprocess.height as usize, candidate.preprocess.width as usize]);
    let of_fold = |fold: usize| -> Vec<[f32; 2]> {
        let others: Vec<&[f32]> =
            (0..count).filter(|at| !bounds(fold).contains(at)).map(|at| rows[at].as_slice()).collect();
        let normal = fit(&others, choice, seed);
        let score = |rows: &Vec<f32>| {
            let distances = normal::distances(&normal, rows, choice.projection.dimensions());
            let score = normal::score(choice.scorer, &normal, rows, &distances, grid);
            [score, normal::largest(&distances).1]
        };
        rows[bounds(fold)].par_iter().map(score).collect()
    };
    (0..FOLDS).into_par_iter().flat_map_iter(of_fold).collect()
}

fn finish(
    parts: &Parts,
    settings: &Settings,
    choice: Choice,
    normal: Normal,
    held: &[[f32; 2]],
    start: Instant,
) -> Result<Learned, TrainError> {
    let scores: Vec<f32> = held.iter().map(|[score, _]| *score).collect();
    let cells: Vec<f32> = held.iter().map(|[_, cell]| *cell).collect();
    // Parts that are all the same picture give distances of nought, and no threshold.
    let threshold = threshold::choose(&scores, settings.overkill).max(1e-6);
    let cell_threshold = threshold::choose(&cells, settings.overkill).max(1e-6);
    let above = scores.iter().filter(|&&score| score >= threshold).count();
    let note = ThresholdNote {
        asked_overkill: settings.overkill,
        held_out: scores.len(),
        above,
        overkill_ci: threshold::interval(above, scores.len()),
    };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let suspect = |&at: &usize| Suspect { name: parts.name(at).into(), share: scores[at] / threshold };
    let suspects = order.iter().take(SUSPECTS).map(suspect).collect();
    let Choice { candidate, scorer, projection, tried, chosen, baseline } = choice;
    let [weight, offset] = projection.tensors();
    let dimensions = offset.data.len();
    let spec = MemorySpec {
        anomaly: ANOMALY.into(),
        distances: DISTANCES.into(),
        method: candidate.method,
        features: candidate.features.clone(),
        dimensions,
        scorer,
        threshold: note.clone(),
    };
    let head =
        Head { features: candidate.features, projection: weight, offset, normal, scorer, threshold, cell_threshold };
    let replay = replay(parts, &candidate.preprocess, settings.seed)?;
    let report = GoodReport {
        found: parts.found,
        parts: parts.len(),
        tried,
        chosen,
        baseline_auroc: baseline,
        threshold: note,
        suspects,
        spent: start.elapsed(),
    };
    Ok(Learned { head, preprocess: candidate.preprocess, spec, report, replay })
}

/// Some parts as they are, and the same with an anomaly each.
fn replay(parts: &Parts, preprocess: &Preprocess, seed: u64) -> Result<Vec<Image>, TrainError> {
    let some = (0..REPLAYED).map(|at| parts.load(at * parts.len() / REPLAYED, preprocess));
    let mut images = some.collect::<Result<Vec<_>, _>>()?;
    let pasted: Vec<Image> =
        images.iter().zip(Kind::ALL).map(|(image, kind)| paste(image, kind, seed ^ 0xA5A5)).collect();
    images.extend(pasted);
    Ok(images)
}
