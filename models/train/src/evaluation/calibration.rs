//! Whether a score of 0.9 is right nine times in ten, and the one number that mends it.

use models::bundle::{Calibration, Label};
use serde::Serialize;

use super::Scored;
use super::report::{Settings, judge};
use super::truth::TrueClass;

/// Bins of the expected calibration error.
pub const BINS: usize = 15;

/// Images whose highest score lies between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// From this score on.
    pub from: f64,
    /// Below this score (the last bin: up to it).
    pub to: f64,
    /// How many.
    pub n: usize,
    /// Their mean score.
    pub confidence: f64,
    /// Share of them that is right.
    pub accuracy: f64,
}

/// Sorts `(score, right)` into [`BINS`] bins of equal width; empty ones are left out.
pub fn bins(answers: impl IntoIterator<Item = (f64, bool)>) -> Vec<Bin> {
    let mut sums = [(0_usize, 0.0, 0_usize); BINS];
    for (score, right) in answers {
        let at = ((score * BINS as f64) as usize).min(BINS - 1);
        sums[at].0 += 1;
        sums[at].1 += score;
        sums[at].2 += usize::from(right);
    }
    let bin = |(at, (n, score, right)): (usize, (usize, f64, usize))| Bin {
        from: at as f64 / BINS as f64,
        to: (at + 1) as f64 / BINS as f64,
        n,
        confidence: score / n as f64,
        accuracy: right as f64 / n as f64,
    };
    sums.into_iter().enumerate().filter(|(_, (n, ..))| *n > 0).map(bin).collect()
}

/// Expected calibration error: the mean distance between score and share of right answers, weighted by the bins' images.
///
/// Source: Naeini, Cooper and Hauskrecht, AAAI 2015; Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
pub fn error(bins: &[Bin]) -> f64 {
    let n: usize = bins.iter().map(|bin| bin.n).sum();
    bins.iter().map(|bin| bin.n as f64 * (bin.confidence - bin.accuracy).abs()).sum::<f64>() / n.max(1) as f64
}

/// The same for each label's score by itself, averaged over the labels that the data has a class for; `None` where it has none.
///
/// Source: Kull et al., "Beyond temperature scaling", NeurIPS 2019.
pub fn classwise_error(scored: &[Scored], classes: &[TrueClass], labels: &[Label]) -> Option<f64> {
    let known = (0..labels.len()).filter(|label| classes.iter().any(|class| class.label == Some(*label)));
    let errors: Vec<f64> = known
        .map(|label| {
            let is = |image: &Scored| image.labels.iter().any(|&class| classes[class].label == Some(label));
            error(&bins(scored.iter().map(|image| (f64::from(image.scores[label]), is(image)))))
        })
        .collect();
    (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
}

/// The scores at another temperature: `softmax(logits / temperature)`, from those at temperature 1.
pub fn at_temperature(scores: &[f32], temperature: f64) -> Vec<f32> {
    let logits: Vec<f64> = scores.iter().map(|&score| logit(score) / temperature).collect();
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - top).exp()).sum();
    logits.iter().map(|logit| ((logit - top).exp() / sum) as f32).collect()
}

/// The logarithm of a score, which is its logit up to a constant. A score that is zero in 32 bits counts as the smallest that
/// is not.
fn logit(score: f32) -> f64 {
    f64::from(score.max(f32::MIN_POSITIVE)).ln()
}

/// Fewer images than this say too little of a temperature.
const ENOUGH: usize = 100;
/// No bolder than this, and no more timid.
const RANGE: [f64; 2] = [0.25, 8.0];

/// The temperature at which the scores fit the labels best, fitted on images that were not learned from; scores are those at
/// temperature 1, and each image's labels count the model's. 1 for fewer than 100 images.
///
/// Sources: Guo et al., ICML 2017, for the temperature; Platt, 1999, for the targets: a true label counts `(n + 1) / (n + k)`
/// and not 1, so that a selection set without an error does not ask for scores without a doubt.
pub fn temperature(scored: &[Scored]) -> f64 {
    let Some(labels) = scored.first().map(|image| image.scores.len()) else { return 1.0 };
    if scored.len() < ENOUGH || labels < 2 {
        return 1.0;
    }
    let (n, k) = (scored.len() as f64, labels as f64);
    let (all_true, all_false) = ((n + 1.0) / (n + k), 1.0 / (n + k));
    let images: Vec<(Vec<f64>, Vec<f64>)> = scored
        .iter()
        .map(|image| {
            let share = (all_true - all_false) / image.labels.len() as f64;
            let target = |label| all_false + if image.labels.contains(&label) { share } else { 0.0 };
            (image.scores.iter().map(|&score| logit(score)).collect(), (0..labels).map(target).collect())
        })
        .collect();
    // The loss is convex in the inverse of the temperature: the zero of its slope is the minimum.
    let slope = |inverse: f64| images.iter().map(|(logits, targets)| slope(logits, targets, inverse)).sum::<f64>();
    let [low, high] = [1.0 / RANGE[1], 1.0 / RANGE[0]];
    let inverse = low + (high - low) * super::intervals::solve(|at| slope(low + (high - low) * at));
    1.0 / inverse
}

/// Fits the temperature and applies it to the scores; `None`, and nothing done, where it would change nothing or there are too
/// few images. The images' classes must be the model's labels.
pub fn calibrate(scored: &mut [Scored], classes: &[TrueClass], settings: &Settings) -> Option<Calibration> {
    let temperature = temperature(scored);
    if (temperature - 1.0).abs() < 0.01 {
        return None;
    }
    let ece_before = highest_score_error(scored, classes, settings);
    scored.iter_mut().for_each(|image| image.scores = at_temperature(&image.scores, temperature));
    let ece_after = highest_score_error(scored, classes, settings);
    Some(Calibration { temperature, images: scored.len(), ece_before, ece_after })
}

/// [`error`] of the highest score of each image.
fn highest_score_error(scored: &[Scored], classes: &[TrueClass], settings: &Settings) -> f64 {
    let judged = judge(scored, classes, settings);
    error(&bins(judged.iter().map(|image| (f64::from(image.scored.scores[image.said]), image.right))))
}

/// Derivative of an image's cross-entropy by the inverse temperature: mean logit by the model minus mean logit by the target.
fn slope(logits: &[f64], targets: &[f64], inverse: f64) -> f64 {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut said) = (0.0, 0.0);
    for logit in logits {
        let p = ((logit - top) * inverse).exp();
        sum += p;
        said += p * logit;
    }
    said / sum - logits.iter().zip(targets).map(|(logit, target)| logit * target).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn scored(scores: &[f32], label: usize) -> Scored {
        Scored { scores: scores.into(), labels: vec![label], weight: 1.0, area: None, anomalous: None, likeness: None }
    }

    #[test]
    fn the_error_of_a_hand_counted_example() {
        // Two at 0.9 of which one is right, two at 0.5 (another bin) of which both are.
        let bins = bins([(0.9, true), (0.9, false), (0.5, true), (0.5, true)]);
        assert_eq!(bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [2, 2]);
        assert!((error(&bins) - (0.5 * 0.5 + 0.5 * 0.4)).abs() < 1e-12);
        assert_eq!(super::bins([(1.0, true)])[0].to, 1.0, "a sure answer has a bin");
    }

    /// Labels drawn from known probabilities, then spoilt by a known temperature: it must be found again.
    #[test]
    fn the_temperature_that_spoilt_the_scores_is_found() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for spoilt_by in [0.5, 1.0, 2.5] {
            let images: Vec<Scored> = (0..6000)
                .map(|_| {
                    let logits: [f64; 3] = std::array::from_fn(|_| random.random_range(-2.0..2.0));
                    let sum: f64 = logits.iter().map(|l| l.exp()).sum();
                    let honest: Vec<f32> = logits.iter().map(|l| (l.exp() / sum) as f32).collect();
                    let mut dice: f32 = random.random();
                    let label = honest.iter().position(|p| {
                        dice -= p;
                        dice < 0.0
                    });
                    // Over-confident scores are those at a low temperature.
                    scored(&at_temperature(&honest, 1.0 / spoilt_by), label.unwrap_or(2))
                })
                .collect();
            let found = temperature(&images);
            assert!((found / spoilt_by - 1.0).abs() < 0.1, "{found} instead of {spoilt_by}");
            let ece = |t: f64| {
                let answers = images.iter().map(|image| {
                    let scores = at_temperature(&image.scores, t);
                    let best = (0..3).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
                    (f64::from(scores[best]), image.labels[0] == best)
                });
                error(&bins(answers))
            };
            assert!(ece(found) < 0.03, "{}", ece(found));
            assert!(spoilt_by == 1.0 || ece(1.0) > 2.0 * ece(found));
        }
    }

    #[test]
    fn a_selection_without_an_error_does_not_ask_for_certainty() {
        let sure: Vec<Scored> =
            (0..150).map(|i| scored(if i % 2 == 0 { &[0.97, 0.03] } else { &[0.03, 0.97] }, i % 2)).collect();
        let found = temperature(&sure);
        let softened = at_temperature(&[0.97, 0.03], found)[0];
        assert!((f64::from(softened) - 151.0 / 152.0).abs() < 2e-3, "the rule of succession: {softened}");
        assert_eq!(temperature(&sure[..50]), 1.0, "too few to say");
    }

    proptest! {
        #[test]
        fn a_temperature_never_changes_the_order(
            raw in prop::collection::vec(0.0_f32..1.0, 2..8), temperature in 0.25_f64..8.0,
        ) {
            let sum: f32 = raw.iter().sum::<f32>().max(f32::MIN_POSITIVE);
            let scores: Vec<f32> = raw.iter().map(|score| score / sum).collect();
            let scaled = at_temperature(&scores, temperature);
            prop_assert!((scaled.iter().sum::<f32>() - 1.0).abs() < 1e-4);
            for a in 0..scores.len() {
                for b in 0..scores.len() {
                    prop_assert!(scores[a] < scores[b] || scaled[a] >= scaled[b]);
                }
            }
        }
    }
}
