//! Pictures that show nearly the same: one part shot twice, a copy saved again.
//!
//! Two questions, of which both must be answered with yes. *Do they look alike?* Each picture becomes a vector: the trunk's last
//! features, averaged over the picture, minus the data set's own mean. The mean must go, or all parts that lie the same way look
//! alike. *Is it the same scene?* Two pictures of one texture have nearly the same features and no spot in common. So the pictures
//! that look most alike are laid over each other, small, grey, without the data set's mean picture and without what is smooth, and
//! moved until they agree best.
//!
//! How alike is near? As alike as a picture and *itself, shot again*: copies of some pictures are moved, turned, lit, blurred and
//! made noisy by what a second shot of a resting part would change, and both thresholds are what nine copies in ten reach. So they come
//! from the data at hand, and not from numbers that suited other data.

use burn::module::Module;
use models::image::Image;
use models::preprocess::Preprocess;
use models::weights::Weights;
use models::zoo::mobilenet_v3_small::FEATURES;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::augment::Augment;
use crate::error::TrainError;
use crate::fit::Workers;
use crate::input::Batch;
use crate::net::{Trunk, numbers};
use crate::samples::Sample;
use crate::split::Together;

/// Input of the trunk: what it was made for; every picture of a set is seen at the same size.
const SIDE: u32 = 224;
/// Pictures of which a second shot is imagined.
const COPIES: usize = 128;
/// One in so many of these copies may fall below a threshold.
const MISSED: usize = 10;
/// No pair below these is ever called near, whatever the copies reach: the cosine of the vectors, and the agreement of the pictures,
/// which by chance (hundreds of independent spots, the best of 25 places) stays near 0.2.
const LEAST: [f32; 2] = [0.9, 0.5];
/// Pictures that one is laid over at most: those that look most like it.
const LAID_OVER: usize = 16;
/// Side of the small picture that is laid over others, and how far it is moved either way: 4 %.
const DETAIL: u32 = 48;
const MOVED: usize = 2;
/// With fewer pictures the mean of all is no mean.
pub const FEWEST: usize = 8;

/// Makes a vector of a picture: near pictures give vectors at a small angle.
pub trait Embed: Sync {
    /// The picture as [`Embed::embed`] takes it, small enough to wait for its turn.
    fn prepare(&self, image: &Image) -> Image;

    /// Vectors of prepared pictures, all of one length.
    ///
    /// # Errors
    /// When the network does not run.
    fn embed(&self, images: &[Image]) -> Result<Vec<Vec<f32>>, TrainError>;
}

/// By the network's trunk.
pub struct TrunkEmbed {
    trunk: Trunk,
    workers: Workers,
    preprocess: Preprocess,
}

impl TrunkEmbed {
    /// From a trunk's weights; `threads` of them, or one per core.
    ///
    /// # Errors
    /// When weights are missing or threads cannot be started.
    pub fn new(weights: &Weights, threads: Option<usize>) -> Result<TrunkEmbed, TrainError> {
        let workers = Workers::new(threads)?;
        let trunk = Trunk::load(weights, &workers.device)?;
        Ok(TrunkEmbed { trunk, workers, preprocess: Preprocess::imagenet(SIDE) })
    }
}

impl Embed for TrunkEmbed {
    fn prepare(&self, image: &Image) -> Image {
        let mut small = Image::empty();
        self.preprocess.fill_image(image.view(), &mut small);
        small
    }

    fn embed(&self, images: &[Image]) -> Result<Vec<Vec<f32>>, TrainError> {
        let still = self.trunk.clone().no_grad();
        let device = &self.workers.device;
        let parts: Vec<Vec<Vec<f32>>> = self.workers.map(images, 4, |part| {
            let mut batch = Batch::new(SIDE as usize, SIDE as usize);
            let mut tensor = vec![0.0; self.preprocess.tensor_len()];
            for image in part {
                self.preprocess.fill(image.view(), &mut tensor);
                batch.push(&tensor);
            }
            let maps = still.clone().fork(device).no_grad().forward(&batch, device);
            let [images, rows, columns, _] = maps.dims();
            let cells = rows * columns;
            let average = |map: &[f32]| -> Vec<f32> {
                let mut sum = vec![0.0; FEATURES];
                for cell in map.chunks_exact(FEATURES) {
                    sum.iter_mut().zip(cell).for_each(|(sum, value)| *sum += value / cells as f32);
                }
                sum
            };
            let values = numbers(maps);
            Ok((0..images).map(|image| average(&values[image * cells * FEATURES..][..cells * FEATURES])).collect())
        })?;
        Ok(parts.concat())
    }
}

/// What a second shot of a part that was not touched may change.
fn second_shot() -> Augment {
    Augment {
        rotation_deg: 1.0,
        zoom: 0.01,
        translation: 0.01,
        contrast: 0.05,
        brightness: 0.02,
        blur_px: 0.7,
        noise: 0.01,
        ..Augment::none()
    }
}

/// A picture as it waits for its comparison.
pub struct Seen {
    /// Its number in the list; of a copy, the place of its original among the pictures.
    pub index: usize,
    vector: Vec<f32>,
    detail: Vec<f32>,
}

impl Seen {
    /// From a prepared picture and its vector.
    pub fn new(index: usize, vector: Vec<f32>, image: &Image) -> Seen {
        let mut small = Image::empty();
        Preprocess { width: DETAIL, height: DETAIL, ..Preprocess::imagenet(DETAIL) }
            .fill_image(image.view(), &mut small);
        let channels = small.format.channels();
        let grey = |pixel: &[u8]| pixel.iter().map(|&byte| f32::from(byte)).sum::<f32>() / channels as f32;
        Seen { index, vector, detail: small.data.chunks_exact(channels).map(grey).collect() }
    }
}

/// Which pictures a second shot is imagined of: numbers below `count`, sorted.
pub fn copied(count: usize, seed: u64) -> Vec<usize> {
    let mut chosen = index::sample(&mut ChaCha8Rng::seed_from_u64(seed), count, COPIES.min(count)).into_vec();
    chosen.sort_unstable();
    chosen
}

/// A prepared picture shot again.
pub fn shot_again(image: &Image, index: usize, seed: u64) -> Image {
    let mut sample = Sample { image: image.clone(), labels: vec![0], weight: 1.0, mask: None };
    second_shot().apply_at(&mut sample, seed, index as u64);
    sample.image
}

/// Near duplicates among pictures.
#[derive(Debug, Clone)]
pub struct Near {
    /// Cosine from which two pictures look alike.
    pub cosine: f32,
    /// Agreement (a correlation) from which they show the same scene.
    pub agreement: f32,
    /// Numbers of pictures that belong together (each near to another of them), two or more each.
    pub clusters: Vec<Vec<usize>>,
}

/// Compares pictures. `copies` are pictures shot again, which set the thresholds; `cosine` replaces the first of them.
pub fn compare(mut seen: Vec<Seen>, mut copies: Vec<Seen>, cosine: Option<f32>) -> Near {
    if seen.len() < FEWEST {
        return Near { cosine: cosine.unwrap_or(1.0), agreement: 1.0, clusters: Vec::new() };
    }
    centre(&mut seen, &mut copies);
    let reached = |measure: &(dyn Fn(&Seen, &Seen) -> f32 + Sync), least: f32| {
        let mut own: Vec<f32> = copies.par_iter().map(|copy| measure(&seen[copy.index], copy)).collect();
        own.sort_by(f32::total_cmp);
        own.get(own.len() / MISSED).copied().unwrap_or(1.0).max(least)
    };
    let cosine = cosine.unwrap_or_else(|| reached(&|a, b| dot(&a.vector, &b.vector), LEAST[0]));
    let agreement = reached(&|a, b| agree(&a.detail, &b.detail), LEAST[1]);
    Near { cosine, agreement, clusters: clusters(&seen, [cosine, agreement]) }
}

/// Takes from all pictures what those of the set have in common, so that [`likeness`] speaks of what is their own.
pub fn centre(seen: &mut [Seen], copies: &mut [Seen]) {
    let vectors = mean(seen, |one| &one.vector);
    let details = mean(seen, |one| &one.detail);
    for one in seen.iter_mut().chain(copies) {
        subtract(&mut one.vector, &vectors);
        let length = dot(&one.vector, &one.vector).sqrt().max(f32::MIN_POSITIVE);
        one.vector.iter_mut().for_each(|value| *value /= length);
        subtract(&mut one.detail, &details);
        roughen(&mut one.detail);
    }
}

/// How far two pictures look alike (a cosine) and show the same scene (a correlation), both after [`centre`].
pub fn likeness(a: &Seen, b: &Seen) -> [f32; 2] {
    [dot(&a.vector, &b.vector), agree(&a.detail, &b.detail)]
}

fn mean(seen: &[Seen], of: impl Fn(&Seen) -> &[f32]) -> Vec<f32> {
    let mut mean = vec![0.0; of(&seen[0]).len()];
    for one in seen {
        mean.iter_mut().zip(of(one)).for_each(|(mean, value)| *mean += value / seen.len() as f32);
    }
    mean
}

fn subtract(values: &mut [f32], mean: &[f32]) {
    values.iter_mut().zip(mean).for_each(|(value, mean)| *value -= mean);
}

/// Takes away what is smooth: from each pixel the mean of the 9 x 9 around it. Light falls differently on a second shot.
fn roughen(detail: &mut [f32]) {
    const REACH: usize = 4;
    let side = DETAIL as usize;
    let smooth = |from: &[f32], step: usize| -> Vec<f32> {
        let at = |index: usize| (index / step) % side;
        let around = |index: usize| {
            let back = at(index).min(REACH);
            let range = back + (side - 1 - at(index)).min(REACH) + 1;
            let first = index - back * step;
            (0..range).map(|k| from[first + k * step]).sum::<f32>() / range as f32
        };
        (0..from.len()).map(around).collect()
    };
    let smoothed = smooth(&smooth(detail, 1), side);
    subtract(detail, &smoothed);
}

/// The best correlation of the middle of one small picture with the other, moved by up to [`MOVED`] pixels.
fn agree(a: &[f32], b: &[f32]) -> f32 {
    let side = DETAIL as usize;
    let inner = side - 2 * MOVED;
    let window = |of: &[f32], left: usize, top: usize| -> Vec<f32> {
        (0..inner).flat_map(|row| of[(top + row) * side + left..][..inner].iter().copied()).collect()
    };
    let middle = window(a, MOVED, MOVED);
    let moves = (0..=2 * MOVED).flat_map(|top| (0..=2 * MOVED).map(move |left| (left, top)));
    let correlation = |(left, top)| {
        let other = window(b, left, top);
        // Pictures without any texture agree on nothing.
        dot(&middle, &other) / (dot(&middle, &middle) * dot(&other, &other)).sqrt().max(1.0)
    };
    moves.map(correlation).fold(-1.0, f32::max)
}

/// Pictures linked by near pairs. Compared in blocks of rows on all cores; only the links of one block are kept at a time.
fn clusters(seen: &[Seen], [cosine, agreement]: [f32; 2]) -> Vec<Vec<usize>> {
    let mut together = Together::new(seen.len());
    let rows: Vec<usize> = (0..seen.len()).collect();
    for block in rows.chunks(256) {
        let links: Vec<Vec<usize>> = block
            .par_iter()
            .map(|&row| {
                let looks = |other: usize| (dot(&seen[row].vector, &seen[other].vector), other);
                let others = (0..seen.len()).filter(|&other| other != row).map(looks);
                let mut alike: Vec<(f32, usize)> = others.filter(|(value, _)| *value >= cosine).collect();
                alike.sort_by(|a, b| b.0.total_cmp(&a.0));
                let same = |&(_, other): &(f32, usize)| agree(&seen[row].detail, &seen[other].detail) >= agreement;
                alike.into_iter().take(LAID_OVER).filter(same).map(|(_, other)| other).collect()
            })
            .collect();
        for (&row, others) in block.iter().zip(&links) {
            others.iter().for_each(|&other| together.join(row, other));
        }
    }
    let mut clusters: Vec<Vec<usize>> = Vec::new();
    for (place, group) in together.groups().into_iter().enumerate() {
        if group == clusters.len() {
            clusters.push(Vec::new());
        }
        clusters[group].push(seen[place].index);
    }
    clusters.retain(|cluster| cluster.len() > 1);
    clusters
}

/// In eight sums side by side, which the processor adds at once.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    rest + sums.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use models::image::PixelFormat;
    use rand::Rng;

    use super::*;

    /// Pictures of 48 x 48 with random spots on a common ramp; the vector is drawn as well, with a large part in common. The last has
    /// the first one's vector with a little noise, and its spots if `same`.
    fn seen(count: usize, same: bool) -> Vec<Seen> {
        let draw = |index: usize, noise: u64| {
            let mut random = ChaCha8Rng::seed_from_u64(index as u64);
            let mut vector: Vec<f32> = (0..20).map(|_| 10.0 + random.random_range(-1.0..1.0_f32)).collect();
            let mut data: Vec<u8> = (0..48 * 48).map(|at| (at % 48 * 2 + random.random_range(60..150)) as u8).collect();
            let mut random = ChaCha8Rng::seed_from_u64(noise);
            if noise > 0 {
                vector.iter_mut().for_each(|value| *value += random.random_range(-0.05..0.05));
                data.iter_mut().for_each(|byte| *byte = byte.saturating_add(random.random_range(0..10)));
            }
            (vector, data)
        };
        (0..count)
            .map(|index| {
                let last = index == count - 1;
                let (vector, own) = if last { draw(0, 77) } else { draw(index, 0) };
                let data = if last && !same { draw(900, 0).1 } else { own };
                let image = Image { width: 48, height: 48, format: PixelFormat::Mono8, data };
                Seen::new(index * 2, vector, &image)
            })
            .collect()
    }

    #[test]
    fn what_all_have_in_common_makes_no_two_alike_and_looks_alone_are_not_enough() {
        let mut same = seen(30, true).split_off(29);
        same[0].index = 29;
        assert_eq!(compare(seen(30, true), same, Some(0.95)).clusters.len(), 0, "nothing but itself agrees with 1.0");
        let copies = || {
            let mut copies = seen(30, true);
            copies.truncate(10);
            (0..).zip(&mut copies).for_each(|(place, copy)| copy.index = place);
            copies.iter_mut().for_each(|copy| copy.detail.iter_mut().step_by(3).for_each(|value| *value += 9.0));
            copies
        };
        assert_eq!(compare(seen(30, true), copies(), Some(0.95)).clusters, [[0, 58]]);
        assert!(compare(seen(30, false), copies(), Some(0.95)).clusters.is_empty(), "another scene with the same look");
        let plain = |a: &[f32], b: &[f32]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        let all = seen(30, true);
        assert!(plain(&all[0].vector, &all[1].vector) > 0.99, "without the mean taken out these two are alike");
    }

    #[test]
    fn the_threshold_is_what_most_second_shots_reach() {
        // Copies at growing distance: the three worst of thirty do not count.
        let mut copies = seen(30, true);
        for (place, copy) in copies.iter_mut().enumerate() {
            let far = if place < 3 { 4.0 } else { 0.1 };
            copy.index = place;
            copy.vector.iter_mut().step_by(2).for_each(|value| *value += far);
        }
        let near = compare(seen(30, true), copies, None);
        assert!((0.95..1.0).contains(&near.cosine), "{}", near.cosine);
        assert!((0.99..1.001).contains(&near.agreement), "{}", near.agreement);
        let without = compare(seen(30, true), Vec::new(), None);
        assert_eq!((without.cosine, without.clusters.len()), (1.0, 0));
    }

    #[test]
    fn a_moved_scene_agrees_and_another_does_not() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let scene: Vec<f32> = (0..60 * 60).map(|_| random.random_range(-50.0..50.0)).collect();
        let cut = |left: usize, top: usize| -> Vec<f32> {
            (0..48).flat_map(|row| scene[(top + row) * 60 + left..][..48].to_vec()).collect()
        };
        assert!(agree(&cut(4, 4), &cut(6, 3)) > 0.99);
        assert!(agree(&cut(0, 0), &cut(9, 9)) < 0.3);
        let mut smooth: Vec<f32> = (0..48 * 48).map(|at| (at % 48 + at / 48) as f32).collect();
        roughen(&mut smooth);
        assert!(smooth[20 * 48 + 20].abs() < 1e-3, "a ramp has no detail");
    }

    #[test]
    fn few_pictures_are_not_compared() {
        assert!(compare(seen(FEWEST - 1, true), Vec::new(), Some(0.1)).clusters.is_empty());
    }
}
