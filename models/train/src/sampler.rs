//! Balanced batches: every label gets its exact share of every batch, however rare it is.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// How often each label is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// Each label as often as the others.
    Balanced,
    /// Each image as often as the others, whatever its label: the ordinary shuffled rounds, as a baseline.
    Plain,
    /// Between the two: a label of n images as often as `n / E(n)` says, `E(n) = (1 - beta^n) / (1 - beta)` being the effective number
    /// of its images. `beta` 0 is plain, 1 is balanced. Source: Cui et al., "Class-Balanced Loss Based on Effective Number of
    /// Samples", CVPR 2019.
    Effective {
        /// From 0 to 1. The paper's (N - 1) / N, N being how many different pictures of a label there can be.
        beta: f64,
    },
}

impl Sampling {
    /// The effective number with beta 0.99: a hundred truly different pictures of a defect.
    pub const EFFECTIVE: Sampling = Sampling::Effective { beta: 0.99 };

    /// The weight of a label with `count` images.
    fn weight(self, count: usize) -> f64 {
        let count = count as f64;
        match self {
            Sampling::Balanced => 1.0,
            Sampling::Plain => count,
            Sampling::Effective { beta } if beta >= 1.0 => 1.0,
            Sampling::Effective { beta } => count * (1.0 - beta) / (1.0 - beta.max(0.0).powf(count)),
        }
    }
}

/// The words of the command line: `balanced`, `plain`, `effective` and `effective:BETA`.
impl std::str::FromStr for Sampling {
    type Err = String;

    fn from_str(text: &str) -> Result<Sampling, String> {
        match text.split_once(':') {
            None if text == "balanced" => Ok(Sampling::Balanced),
            None if text == "plain" => Ok(Sampling::Plain),
            None if text == "effective" => Ok(Sampling::EFFECTIVE),
            Some(("effective", beta)) => match beta.parse() {
                Ok(beta) if (0.0..=1.0).contains(&beta) => Ok(Sampling::Effective { beta }),
                _ => Err(format!("beta is `{beta}`; it is a number from 0 (plain) to 1 (balanced)")),
            },
            _ => Err(format!("`{text}` is no sampling; it is balanced, plain, effective or effective:BETA")),
        }
    }
}

impl std::fmt::Display for Sampling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Sampling::Balanced => f.write_str("balanced"),
            Sampling::Plain => f.write_str("plain"),
            Sampling::Effective { beta } => write!(f, "effective:{beta}"),
        }
    }
}

/// What a [`BalancedSampler`] goes by.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// How often each label is drawn.
    pub sampling: Sampling,
    /// By how much more than that; 1 for a label beyond the list. For data where one label (good parts) is both the most common on
    /// the line and the most varied.
    pub shares: &'a [usize],
    /// Share of a round's places that go to its hardest images a second or third time; 0 for none. An image is hard by the moving
    /// average of its losses (see [`BalancedSampler::learned`]).
    pub boost: f32,
    /// Images of a batch.
    pub batch: usize,
    /// Decides everything random.
    pub seed: u64,
}

impl Plan<'_> {
    /// Each label as often as the others.
    pub fn balanced(batch: usize, seed: u64) -> Plan<'static> {
        Plan { sampling: Sampling::Balanced, shares: &[], boost: 0.0, batch, seed }
    }
}

/// Most places of one image in a round with boost.
pub const MOST_IN_ROUND: usize = 3;

/// How fast the average of an image's losses forgets: the newest counts this much.
const NEWEST: f32 = 0.3;

/// Endless batches of indices.
///
/// A label's places in a batch are its share of the batch, rounded down or up: the places that rounding down leaves over go to the
/// largest remainders, and what a label did not get now counts next time. A label's images come in shuffled rounds, each once a round
/// (hard ones up to [`MOST_IN_ROUND`] times where there is a boost). Within a batch an image comes twice only where its label has
/// fewer images than places, or by the boost.
pub struct BalancedSampler {
    /// Images of each label that has any; all in one where sampling is plain.
    classes: Vec<Round>,
    /// The part of a place that each class waits for.
    credit: Vec<f64>,
    /// Places per batch of each class: whole ones, and the fraction beyond.
    whole: Vec<usize>,
    fraction: Vec<f64>,
    /// Average loss of each image, once it was learned from.
    hardness: Vec<Option<f32>>,
    boost: f32,
    batch: usize,
    random: ChaCha8Rng,
}

/// Where a [`BalancedSampler`] stands. Numbers are kept as their bits: text would round them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    credit: Vec<u64>,
    /// Each class's order of this round, and how far it is.
    rounds: Vec<(Vec<usize>, usize)>,
    hardness: Vec<Option<u32>>,
    /// Words drawn from the random stream.
    drawn: u64,
}

struct Round {
    samples: Vec<usize>,
    /// The present round's order.
    order: Vec<usize>,
    at: usize,
}

impl BalancedSampler {
    /// Batches of indices into `labels`. The seed decides all.
    ///
    /// # Panics
    /// When `labels` is empty.
    pub fn new(labels: &[usize], plan: &Plan<'_>) -> BalancedSampler {
        let count = labels.iter().max().expect("a sampler needs at least one sample") + 1;
        let of = |class: usize| (0..labels.len()).filter(|&index| labels[index] == class).collect::<Vec<_>>();
        let pools: Vec<(usize, Vec<usize>)> = match plan.sampling {
            Sampling::Plain => vec![(usize::MAX, (0..labels.len()).collect())],
            _ => (0..count).map(|class| (class, of(class))).filter(|(_, pool)| !pool.is_empty()).collect(),
        };
        let share = |class: usize| plan.shares.get(class).copied().unwrap_or(1).max(1) as f64;
        let weight = |(class, pool): &(usize, Vec<usize>)| plan.sampling.weight(pool.len()) * share(*class);
        let weights: Vec<f64> = pools.iter().map(weight).collect();
        let (whole, fraction) = quotas(&weights, plan.batch);
        let round = |(_, samples): (usize, Vec<usize>)| Round { samples, order: Vec::new(), at: 0 };
        BalancedSampler {
            credit: vec![0.0; weights.len()],
            classes: pools.into_iter().map(round).collect(),
            whole,
            fraction,
            hardness: vec![None; labels.len()],
            boost: plan.boost.clamp(0.0, (MOST_IN_ROUND - 1) as f32),
            batch: plan.batch,
            random: ChaCha8Rng::seed_from_u64(plan.seed),
        }
    }

    /// The next batch, its labels mixed.
    pub fn next_batch(&mut self) -> Vec<usize> {
        let mut batch = Vec::with_capacity(self.batch);
        for (class, places) in self.places().into_iter().enumerate() {
            self.draw(class, places, &mut batch);
        }
        batch.shuffle(&mut self.random);
        batch
    }

    /// Notes the loss of an image after a step, for the boost.
    pub fn learned(&mut self, index: usize, loss: f32) {
        if loss.is_finite() {
            let average = &mut self.hardness[index];
            *average = Some(average.map_or(loss, |old| old + NEWEST * (loss - old)));
        }
    }

    /// Where it stands, for a training that may be interrupted: with a boost the batches follow from what was learned, and cannot be
    /// drawn again from the seed.
    pub fn standing(&self) -> Standing {
        Standing {
            credit: self.credit.iter().map(|credit| credit.to_bits()).collect(),
            rounds: self.classes.iter().map(|round| (round.order.clone(), round.at)).collect(),
            hardness: self.hardness.iter().map(|loss| loss.map(f32::to_bits)).collect(),
            drawn: self.random.get_word_pos() as u64,
        }
    }

    /// Goes on from where another sampler of the same labels and plan stood.
    ///
    /// # Errors
    /// When that was one of other labels.
    pub fn go_on(&mut self, from: &Standing) -> Result<(), TrainError> {
        let Standing { credit, rounds, hardness, drawn } = from;
        let fits = credit.len() == self.credit.len() && hardness.len() == self.hardness.len();
        let fits = fits && rounds.len() == self.classes.len();
        let within =
            |(order, at): &(Vec<usize>, usize)| *at <= order.len() && order.iter().all(|index| *index < hardness.len());
        if !fits || !rounds.iter().all(within) {
            return Err(TrainError::Settings("the checkpoint's sampler is one of other images".into()));
        }
        self.credit = credit.iter().map(|&bits| f64::from_bits(bits)).collect();
        self.hardness = hardness.iter().map(|bits| bits.map(f32::from_bits)).collect();
        for (class, (order, at)) in self.classes.iter_mut().zip(rounds) {
            (class.order, class.at) = (order.clone(), *at);
        }
        self.random.set_word_pos(u128::from(*drawn));
        Ok(())
    }

    /// How many places each class has in the next batch.
    fn places(&mut self) -> Vec<usize> {
        let mut places = self.whole.clone();
        let left = self.batch - places.iter().sum::<usize>();
        self.credit.iter_mut().zip(&self.fraction).for_each(|(credit, fraction)| *credit += fraction);
        // A class whose share is a whole number waits for nothing.
        let mut order: Vec<usize> = (0..places.len()).filter(|&class| self.fraction[class] > 0.0).collect();
        order.sort_by(|&a, &b| self.credit[b].total_cmp(&self.credit[a]).then(a.cmp(&b)));
        for &class in &order[..left] {
            places[class] += 1;
            self.credit[class] -= 1.0;
        }
        places
    }

    fn draw(&mut self, class: usize, places: usize, batch: &mut Vec<usize>) {
        let start = batch.len();
        while batch.len() < start + places {
            if self.classes[class].at == self.classes[class].order.len() {
                let order = self.round(class, &batch[start..], start + places - batch.len());
                (self.classes[class].order, self.classes[class].at) = (order, 0);
            }
            let round = &mut self.classes[class];
            batch.push(round.order[round.at]);
            round.at += 1;
        }
    }

    /// A new round's order, whose first `needed` places hold none of those that this batch has already, if there are enough
    /// others.
    fn round(&mut self, class: usize, had: &[usize], needed: usize) -> Vec<usize> {
        let mut order = self.classes[class].samples.clone();
        order.extend(self.hardest(class));
        order.shuffle(&mut self.random);
        let needed = needed.min(order.len());
        let (first, rest) = order.split_at_mut(needed);
        let mut others: Vec<usize> = (0..rest.len()).filter(|&at| !had.contains(&rest[at])).collect();
        for place in first.iter_mut().filter(|place| had.contains(place)) {
            if others.is_empty() {
                break;
            }
            let chosen = others.swap_remove(self.random.random_range(0..others.len()));
            std::mem::swap(place, &mut rest[chosen]);
        }
        order
    }

    /// The images that a round holds more than once, each as many times as it does beyond the first: drawn by their average loss.
    fn hardest(&mut self, class: usize) -> Vec<usize> {
        let samples = &self.classes[class].samples;
        let extra = (samples.len() as f32 * self.boost).round() as usize;
        let known: Vec<usize> = samples.iter().copied().filter(|&index| self.hardness[index].is_some()).collect();
        // Efraimidis and Spirakis (2006): the largest u^(1/w) are a draw without replacement by weight.
        let mut keyed: Vec<(f64, usize)> = Vec::new();
        for &index in known.iter().filter(|_| extra > 0) {
            let weight = f64::from(self.hardness[index].unwrap_or(0.0)).max(1e-6);
            for _ in 1..MOST_IN_ROUND {
                keyed.push((self.random.random_range(f64::MIN_POSITIVE..1.0).ln() / weight, index));
            }
        }
        keyed.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        keyed.into_iter().take(extra).map(|(_, index)| index).collect()
    }
}

/// Places per batch by weight: whole ones, and the fraction beyond; the fractions add up to whole places.
fn quotas(weights: &[f64], batch: usize) -> (Vec<usize>, Vec<f64>) {
    let sum: f64 = weights.iter().sum();
    let exact = weights.iter().map(|weight| batch as f64 * weight / sum);
    // Six equal weights of 48 places are eight each, not 7.999 and a fraction.
    let split = |exact: f64| match (exact.round(), exact.floor()) {
        (round, _) if (exact - round).abs() < 1e-9 => (round as usize, 0.0),
        (_, floor) => (floor as usize, exact - floor),
    };
    exact.map(split).unzip()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share_of(labels: &[usize], shares: &[usize], sampling: Sampling, class: usize) -> f64 {
        let count = |class: usize| labels.iter().filter(|&&label| label == class).count();
        let weight = |class: usize| match count(class) {
            0 => 0.0,
            count => sampling.weight(count) * shares.get(class).copied().unwrap_or(1) as f64,
        };
        weight(class) / (0..5).map(weight).sum::<f64>()
    }

    proptest! {
        #[test]
        fn quotas_are_exact_in_every_batch_and_what_rounding_takes_comes_back(
            labels in prop::collection::vec(0_usize..5, 1..80), batch in 1_usize..40, seed: u64,
            shares in prop::collection::vec(1_usize..4, 0..5), beta in prop::option::of(0.0_f64..1.0),
        ) {
            let sampling = beta.map_or(Sampling::Balanced, |beta| Sampling::Effective { beta });
            let plan = Plan { sampling, shares: &shares, ..Plan::balanced(batch, seed) };
            let mut sampler = BalancedSampler::new(&labels, &plan);
            let mut totals = [0_usize; 5];
            for round in 1..=24 {
                let indices = sampler.next_batch();
                prop_assert_eq!(indices.len(), batch);
                for (class, total) in totals.iter_mut().enumerate() {
                    let quota = indices.iter().filter(|&&index| labels[index] == class).count();
                    let exact = batch as f64 * share_of(&labels, &shares, sampling, class);
                    let (floor, ceil) = ((exact - 1e-6).floor().max(0.0), (exact + 1e-6).ceil());
                    prop_assert!((floor..=ceil).contains(&(quota as f64)), "{quota} places of {exact}");
                    *total += quota;
                    let owed = round as f64 * exact - *total as f64;
                    prop_assert!(owed.abs() < 2.0, "label {class} waits for {owed} places after {round} batches");
                }
            }
        }

        #[test]
        fn every_image_is_seen_once_a_round_and_twice_in_a_batch_only_where_a_label_runs_short(
            labels in prop::collection::vec(0_usize..5, 1..80), batch in 1_usize..40, seed: u64, plain: bool,
        ) {
            let sampling = if plain { Sampling::Plain } else { Sampling::Balanced };
            let pool = |index: usize| if plain { 0 } else { labels[index] };
            let mut sampler = BalancedSampler::new(&labels, &Plan { sampling, ..Plan::balanced(batch, seed) });
            let mut drawn = vec![0_usize; labels.len()];
            for _ in 0..24 {
                let indices = sampler.next_batch();
                indices.iter().for_each(|&index| drawn[index] += 1);
                for index in 0..labels.len() {
                    let times = indices.iter().filter(|&&other| other == index).count();
                    let places = indices.iter().filter(|&&other| pool(other) == pool(index)).count();
                    let images = (0..labels.len()).filter(|&other| pool(other) == pool(index)).count();
                    prop_assert!(times <= 1 || places > images, "twice, with {images} images for {places} places");
                }
            }
            for index in 0..labels.len() {
                let of_pool = || (0..labels.len()).filter(|&other| pool(other) == pool(index)).map(|other| drawn[other]);
                prop_assert!(of_pool().max().unwrap() - of_pool().min().unwrap() <= 1, "each once a round");
            }
        }

        #[test]
        fn the_seed_decides_the_batches(labels in prop::collection::vec(0_usize..4, 12..40), seed: u64) {
            let draw = |seed| {
                let mut sampler = BalancedSampler::new(&labels, &Plan::balanced(4, seed));
                (0..12).map(|_| sampler.next_batch()).collect::<Vec<_>>()
            };
            prop_assert_eq!(draw(seed), draw(seed));
            prop_assert_ne!(draw(seed), draw(seed ^ 1));
        }

        #[test]
        fn a_boost_gives_hard_images_more_places_and_starves_none(
            count in 4_usize..30, hard in 0_usize..4, boost in 0.3_f32..1.0, seed: u64,
        ) {
            let labels = vec![0; count];
            let round = count + (count as f32 * boost).round() as usize;
            let mut sampler = BalancedSampler::new(&labels, &Plan { boost, ..Plan::balanced(round, seed) });
            // The first rounds hold each image once: nothing is known yet.
            let mut drawn = vec![0_usize; count];
            sampler.next_batch();
            for index in 0..count {
                sampler.learned(index, if index == hard { 50.0 } else { 0.01 });
                sampler.learned(index, f32::NAN);
            }
            while sampler.classes[0].at < sampler.classes[0].order.len() {
                sampler.draw(0, 1, &mut Vec::new());
            }
            for _ in 0..10 {
                sampler.next_batch().into_iter().for_each(|index| drawn[index] += 1);
            }
            prop_assert!(drawn.iter().all(|&times| (10..=10 * MOST_IN_ROUND).contains(&times)), "{drawn:?}");
            prop_assert!(drawn.iter().all(|&times| times <= drawn[hard]), "{drawn:?}");
        }
    }

    proptest! {
        #[test]
        fn a_sampler_goes_on_where_another_stood(
            labels in prop::collection::vec(0_usize..4, 5..40), batch in 1_usize..12, before in 0_usize..20, seed: u64,
        ) {
            let plan = Plan { boost: 0.5, ..Plan::balanced(batch, seed) };
            let mut sampler = BalancedSampler::new(&labels, &plan);
            let learn = |sampler: &mut BalancedSampler| {
                let drawn = sampler.next_batch();
                drawn.iter().for_each(|&index| sampler.learned(index, 0.1 + index as f32));
                drawn
            };
            (0..before).for_each(|_| drop(learn(&mut sampler)));
            let text = serde_json::to_string(&sampler.standing()).unwrap();
            let mut other = BalancedSampler::new(&labels, &plan);
            other.go_on(&serde_json::from_str(&text).unwrap()).unwrap();
            for _ in 0..12 {
                prop_assert_eq!(learn(&mut sampler), learn(&mut other));
            }
            let mut fewer = BalancedSampler::new(&labels[1..], &plan);
            prop_assert!(fewer.go_on(&sampler.standing()).is_err());
        }
    }

    #[test]
    fn shares_are_kept_to_the_place() {
        let labels: Vec<usize> = (0..60).map(|index| index % 3).collect();
        let plan = Plan { shares: &[3], ..Plan::balanced(10, 1) };
        let mut sampler = BalancedSampler::new(&labels, &plan);
        let drawn: Vec<usize> = (0..10).flat_map(|_| sampler.next_batch()).map(|index| labels[index]).collect();
        let count = |class| drawn.iter().filter(|&&label| label == class).count();
        assert_eq!([count(0), count(1), count(2)], [60, 20, 20]);
    }

    #[test]
    fn the_effective_number_lies_between_plain_and_balanced() {
        let labels: Vec<usize> = [(0, 300), (1, 10)].iter().flat_map(|&(k, n)| std::iter::repeat_n(k, n)).collect();
        let rare = |sampling| share_of(&labels, &[], sampling, 1);
        assert!((rare(Sampling::Balanced) - 0.5).abs() < 1e-9);
        assert!((rare(Sampling::Plain) - 10.0 / 310.0).abs() < 1e-9);
        assert!((rare(Sampling::Effective { beta: 0.0 }) - 10.0 / 310.0).abs() < 1e-9);
        assert!((rare(Sampling::Effective { beta: 1.0 }) - 0.5).abs() < 1e-9);
        // E(300) = 95.10, E(10) = 9.562: weights 3.155 and 1.046.
        assert!((rare(Sampling::EFFECTIVE) - 0.2490).abs() < 1e-3, "{}", rare(Sampling::EFFECTIVE));
    }

    #[test]
    fn words_of_the_command_line() {
        for text in ["balanced", "plain", "effective:0.9"] {
            assert_eq!(text.parse::<Sampling>().unwrap().to_string(), text);
        }
        assert_eq!("effective".parse(), Ok(Sampling::EFFECTIVE));
        for bad in ["Balanced", "effective:2", "effective:x", "plain:1", ""] {
            assert!(bad.parse::<Sampling>().is_err(), "{bad}");
        }
    }
}
