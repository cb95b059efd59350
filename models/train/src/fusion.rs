//! Learning to decide by several views of a part together: stage one alone. The trunk stands still; what weighs the views
//! ([`models::heads::fusion`]) and the head learn end to end on the kept maps of each view.
//!
//! Views are left out at random while it learns (Neverova et al., "ModDrop", TPAMI 2016), so that a part can be judged without one.

use burn::module::Module;
use burn::optim::AdamWConfig;
use burn::tensor::{Tensor, TensorData};
use half::f16;
use models::heads::{attention, border, fusion};
use models::image::Image;
use models::preprocess::Preprocess;
use models::scatter::scatter;
use models::views::side_by_side;
use models::weights::{Tensor as Array, Weights, WeightsError};
use models::zoo::mobilenet_v3_small::{self as zoo, FEATURES, STRIDE};

use crate::batch::{Prepare, Targets};
use crate::error::TrainError;
use crate::fit::Workers;
use crate::loss::{Score, score};
use crate::net::{Conv, Head, Outputs, Trunk, numbers};
use crate::ops::Activation;
use crate::progress::{Course, Observer, Progress, Stage};
use crate::sampler::{BalancedSampler, Plan};
use crate::samples::{Sample, Samples};
use crate::schedule::cosine;
use crate::stage_one::{LEAST_STEPS, MAP_BYTES, MAPS_TOGETHER, Maps, Resting, StageOne};
use crate::train::{Data, Settings, Trained, check};

/// Share of the parts of a step of which some view is left out.
const LEFT_OUT: f64 = 0.4;

/// The same parts, seen by several cameras: `views[v]` has part `i` as its sample `i`, with the same labels in each.
pub struct Parts<'a> {
    views: Vec<Box<dyn Samples + 'a>>,
    preprocess: Preprocess,
}

impl<'a> Parts<'a> {
    /// Joins them.
    ///
    /// # Errors
    /// When one has other parts or other labels than the first.
    pub fn new(views: Vec<Box<dyn Samples + 'a>>, preprocess: &Preprocess) -> Result<Parts<'a>, TrainError> {
        let Some((first, others)) = views.split_first() else {
            return Err(TrainError::Data("there is no view to learn from".into()));
        };
        for other in others {
            let same = |index: &usize| first.label(*index) == other.label(*index);
            if first.len() != other.len() || !(0..first.len()).all(|index| same(&index)) {
                return Err(TrainError::Data("the views do not show the same parts under the same labels".into()));
            }
        }
        Ok(Parts { views, preprocess: preprocess.clone() })
    }

    /// One view of them.
    pub fn view(&self, view: usize) -> &dyn Samples {
        self.views[view].as_ref()
    }
}

/// The views side by side in one picture, each at the network's size: what a bundle of several views takes as one picture.
impl Samples for Parts<'_> {
    fn len(&self) -> usize {
        self.views[0].len()
    }

    fn label(&self, index: usize) -> usize {
        self.views[0].label(index)
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let mut images = Vec::with_capacity(self.views.len());
        let mut first = None;
        for view in &self.views {
            let mut sample = view.load(index)?;
            let mut image = Image::empty();
            self.preprocess.fill_image(sample.image.view(), &mut image);
            images.push(image);
            // What a pixel shows is known of each view for itself, if at all; of the joined picture nobody says it.
            sample.mask = None;
            first.get_or_insert(sample);
        }
        let Some(Sample { labels, weight, .. }) = first else {
            return Err(TrainError::Data("there is no view to learn from".into()));
        };
        Ok(Sample { image: side_by_side(&images), labels, weight, mask: None })
    }

    fn name(&self, index: usize) -> String {
        self.views[0].name(index)
    }
}

/// A view whose places nobody knows: maps are fused, and a cell of the sum is a place of all views.
struct Unmasked<'a>(&'a dyn Samples);

impl Samples for Unmasked<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn label(&self, index: usize) -> usize {
        self.0.label(index)
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        Ok(Sample { mask: None, ..self.0.load(index)? })
    }

    fn name(&self, index: usize) -> String {
        self.0.name(index)
    }
}

/// What weighs the views, and the head.
#[derive(Module, Debug)]
struct Fused {
    dense: Conv,
    score: Conv,
    head: Head,
}

impl Fused {
    fn load(weights: &Weights, labels: usize, workers: &Workers) -> Result<Fused, WeightsError> {
        let [dense, score] = fusion::layers(FEATURES).map(|layer| Conv::load(&layer, weights, &workers.device));
        let head = Head::load(weights, FEATURES, labels, &workers.device)?;
        Ok(Fused { dense: dense?, score: score?, head })
    }

    fn save(&self, weights: &mut Weights) {
        let [dense, score] = fusion::layers(FEATURES);
        self.dense.save(&dense, weights);
        self.score.save(&score, weights);
        self.head.save(weights);
    }

    /// One map for each view, `parts x height x width x channels`, and which views there are, `parts x views`.
    fn forward(&self, maps: &[Tensor<4>], present: Tensor<2>) -> Outputs {
        let shares = self.weigh(maps, present);
        let weighted = maps.iter().enumerate().map(|(view, map)| {
            let share = shares.clone().slice([0..map.dims()[0], view..view + 1]);
            map.clone() * share.reshape([map.dims()[0], 1, 1, 1])
        });
        self.head.forward(weighted.reduce(|sum, next| sum + next).expect("there are views"))
    }

    /// What each view weighs, `parts x views`: the graph's own arithmetic.
    fn weigh(&self, maps: &[Tensor<4>], present: Tensor<2>) -> Tensor<2> {
        let score = |map: &Tensor<4>| {
            let [parts, height, width, channels] = map.dims();
            let cells: Tensor<3> = map.clone().reshape([parts, height * width, channels]);
            let mean: Tensor<2> = cells.clone().mean_dim(1).squeeze_dim(1);
            let top: Tensor<2> = cells.max_dim(1).squeeze_dim(1);
            let hidden = self.dense.pointwise(Tensor::cat(vec![mean, top], 1), Activation::Relu);
            self.score.pointwise(hidden, Activation::Linear)
        };
        let scores = Tensor::cat(maps.iter().map(score).collect(), 1);
        let scores = scores + (present.clone() - 1.0) * fusion::ABSENT;
        // The largest cancels: a constant, as in any softmax.
        let below = scores.clone() - scores.detach().max_dim(1);
        let parts = below.clamp(fusion::LEAST, 0.0).exp() * present;
        parts.clone() / parts.sum_dim(1)
    }
}

/// The kept maps of every view of some parts.
struct Views(Vec<Maps>);

impl Views {
    fn compute(
        (settings, parts): (&Settings, &Parts<'_>),
        (workers, trunk): (&Workers, &Resting),
        tickets: &[(u64, usize)],
        augmented: bool,
        observe: &mut Observer<'_>,
    ) -> Result<Views, TrainError> {
        let Settings { classes, seed, preprocess, augment, .. } = settings;
        let maps = (0..parts.views.len()).map(|view| {
            let samples = Unmasked(parts.view(view));
            // The same ticket gives the same change in every view.
            let augment = augmented.then_some(augment);
            let prepare = Prepare { samples: &samples, classes: *classes, preprocess, augment, seed: *seed };
            Maps::compute(workers, trunk, &prepare, tickets, observe)
        });
        Ok(Views(maps.collect::<Result<_, _>>()?))
    }

    fn len(&self) -> usize {
        self.0[0].targets.len()
    }

    /// Some parts, each with the views that it is seen by, as bits.
    fn batch(&self, items: &[(usize, u32)], workers: &Workers) -> (Vec<Tensor<4>>, Tensor<2>, Targets) {
        let indices: Vec<usize> = items.iter().map(|(index, _)| *index).collect();
        let (mut maps, mut targets) = (Vec::with_capacity(self.0.len()), Targets::default());
        for view in &self.0 {
            let batch = view.batch(&indices, workers);
            maps.push(batch.0);
            targets = batch.1;
        }
        let views = self.0.len();
        let there = |mask: u32| (0..views).map(move |view| if mask >> view & 1 == 1 { 1.0_f32 } else { 0.0 });
        let present = items.iter().flat_map(|(_, mask)| there(*mask)).collect();
        let present = TensorData::new(present, [items.len(), views]);
        (maps, Tensor::from_data(present, &workers.device), targets)
    }
}

/// Which views a part of a step is seen by, as bits: all of them, or now and then some, one at least.
fn seen_by(views: usize, seed: u64, step: usize, place: usize) -> u32 {
    let all = (1 << views) - 1;
    let chance = scatter(scatter(seed ^ ((step as u64) << 20)) ^ place as u64);
    if (chance >> 11) as f64 / (1_u64 << 53) as f64 >= LEFT_OUT {
        return all;
    }
    // Every set but none and all, as often as each other.
    1 + (scatter(chance) % u64::from(all - 1)) as u32
}

/// All views, and each but one.
fn trials(views: usize) -> Vec<u32> {
    let all = (1 << views) - 1;
    std::iter::once(all).chain((0..views).map(|view| all ^ (1 << view))).collect()
}

/// Trains what weighs the views and the head, on a trunk that stands still. The best by the selection set is kept, seen by all views
/// and by all but each one in turn.
///
/// # Errors
/// When settings, weights or data do not fit, a sample cannot be loaded, training diverges or learns nothing, or the observer stops
/// it.
pub fn train(
    settings: &Settings,
    trunk: &Weights,
    (learn, select): (&Parts<'_>, &Parts<'_>),
    observe: &mut Observer<'_>,
) -> Result<Trained, TrainError> {
    check(settings, &Data { learn, select })?;
    let views = learn.views.len();
    if views < 2 || select.views.len() != views {
        return Err(TrainError::Settings(format!(
            "{views} views: give two or more, as many to learn from as to choose by"
        )));
    }
    let start = std::time::Instant::now();
    let workers = Workers::new(settings.threads)?;
    let mut weights = trunk.only(&zoo::layers_of(trunk))?;
    weights.merge(attention::init_with(FEATURES, settings.attention, settings.classes, settings.seed));
    weights.merge(fusion::init(FEATURES, settings.seed ^ 2));
    if let Some(sharpness) = settings.sharpness {
        weights.insert(attention::SHARPNESS, Array::scalar(sharpness));
    }
    let resting = Resting::of(&Trunk::load(&weights, &workers.device)?);
    let fused = Fused::load(&weights, settings.classes, &workers)?;
    let (fused, all) = fit(settings, (&workers, &resting), (learn, select), fused, observe)?;
    all.better_than_a_guess(settings.classes)?;
    fused.save(&mut weights);
    border::note_untaught(&mut weights);
    Ok(Trained { weights, stage_one: all, stage_two: all, finish: None, spent: start.elapsed() })
}

/// The steps. Gives the best and its score with all views.
fn fit(
    settings: &Settings,
    (workers, trunk): (&Workers, &Resting),
    (learn, select): (&Parts<'_>, &Parts<'_>),
    mut fused: Fused,
    observe: &mut Observer<'_>,
) -> Result<(Fused, Score), TrainError> {
    let Settings { one, seed, classes, preprocess, limit, .. } = settings;
    let StageOne { views: looks, most, epochs, batch, rate, decay } = *one;
    let views = learn.views.len();
    let labels: Vec<usize> = (0..learn.len()).map(|index| learn.label(index)).collect();
    let map_bytes = preprocess.tensor_len() / 3 / STRIDE / STRIDE * FEATURES * size_of::<f16>() * views;
    let wanted = (labels.len() * looks).min(most).min(MAP_BYTES / map_bytes).max(1);
    let plan =
        |batch, seed| Plan { sampling: settings.sampling, shares: &settings.shares, ..Plan::balanced(batch, seed) };
    let drawn = BalancedSampler::new(&labels, &plan(wanted, *seed)).next_batch();
    let tickets: Vec<(u64, usize)> = (0..).zip(drawn).collect();
    let maps = Views::compute((settings, learn), (workers, trunk), &tickets, true, observe)?;
    let selected: Vec<(u64, usize)> = (0..select.len()).map(|index| (0, index)).collect();
    let selection = Views::compute((settings, select), (workers, trunk), &selected, false, observe)?;

    let drawn_labels: Vec<usize> = tickets.iter().map(|&(_, index)| labels[index]).collect();
    let mut sampler = BalancedSampler::new(&drawn_labels, &plan(batch, seed ^ 1));
    let mut optimizer = AdamWConfig::new().with_weight_decay(decay).init();
    let per_epoch = tickets.len().div_ceil(batch);
    let mut course = Course::new((per_epoch * epochs).max(LEAST_STEPS), *limit, 0);
    let mut best = (fused.clone(), measure(&fused, &selection, *classes, workers)?);
    let mut epoch = 0;
    while course.done() < 1.0 {
        epoch += 1;
        let (mut seen, mut now_rate) = (Score::default(), 0.0);
        for _ in 0..per_epoch {
            let step = course.step();
            let items: Vec<(usize, u32)> = sampler
                .next_batch()
                .into_iter()
                .enumerate()
                .map(|(place, index)| (index, seen_by(views, *seed, step, place)))
                .collect();
            let total: f32 = items.iter().map(|(index, _)| maps.0[0].targets[*index].weights[0]).sum();
            now_rate = cosine(course.done(), rate);
            let learned =
                workers.step(fused, &mut optimizer, now_rate, (&items, MAPS_TOGETHER), |fused: &Fused, part| {
                    let (views, present, targets) = maps.batch(part, workers);
                    Ok(settings.loss.of(fused.forward(&views, present), &targets, total, &workers.device))
                });
            let (next, score) = learned.map_err(|error| error.at(|| format!("step {} of the fusion", step + 1)))?;
            fused = next;
            seen.add(score);
            course.advance();
        }
        let now = measure(&fused, &selection, *classes, workers)?;
        if settings.choice.takes(&now.overall(), &best.1.overall()) {
            best = (fused.clone(), now);
        }
        let progress = Progress {
            stage: Stage::Head,
            epoch,
            step: course.step(),
            images: course.step() * batch,
            rate: Some(now_rate),
            done: course.done(),
            loss: seen.mean_loss(),
            accuracy: seen.accuracy(),
            selection: Some(now.whole),
            eta: course.eta(),
        };
        if !observe(&progress) {
            return Err(TrainError::Stopped);
        }
    }
    Ok((best.0, best.1.whole))
}

/// How a selection set comes out.
#[derive(Clone, Copy)]
struct Measured {
    /// Seen by all views.
    whole: Score,
    /// Seen by all but one, each in turn.
    lacking: Score,
}

impl Measured {
    fn overall(&self) -> Score {
        Score::sum([self.whole, self.lacking])
    }
}

fn measure(fused: &Fused, maps: &Views, classes: usize, workers: &Workers) -> Result<Measured, TrainError> {
    let still = fused.clone().no_grad();
    let trial = |mask: u32| {
        let items: Vec<(usize, u32)> = (0..maps.len()).map(|index| (index, mask)).collect();
        let parts = workers.map(&items, 2 * MAPS_TOGETHER, |part| {
            let (views, present, targets) = maps.batch(part, workers);
            let outputs = still.clone().fork(&workers.device).no_grad().forward(&views, present);
            Ok(score(&numbers(outputs.logits), &targets, classes))
        })?;
        Score::sum(parts).finite()
    };
    let scores = trials(maps.0.len()).into_iter().map(trial).collect::<Result<Vec<_>, TrainError>>()?;
    Ok(Measured { whole: scores[0], lacking: Score::sum(scores[1..].iter().copied()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fusion_leaves_out_some_views_but_never_all() {
        for views in 2..=8 {
            let all = (1 << views) - 1;
            let drawn: Vec<u32> = (0..4000).map(|place| seen_by(views, 7, place / 64, place % 64)).collect();
            assert!(drawn.iter().all(|&mask| mask != 0 && mask <= all));
            let whole = drawn.iter().filter(|&&mask| mask == all).count() as f64 / drawn.len() as f64;
            assert!((whole - (1.0 - LEFT_OUT)).abs() < 0.05, "{views} views: {whole}");
            assert!((0..views).all(|view| drawn.iter().any(|mask| mask >> view & 1 == 0)));
        }
        assert_eq!(trials(2), [0b11, 0b10, 0b01]);
    }
}
