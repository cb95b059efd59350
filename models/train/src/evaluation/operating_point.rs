//! Thresholds in the engineer's words: "at most 0.5 % escapes, with 95 % confidence, then least overkill".
//!
//! One number sets all thresholds: a part passes where its [`badness`](super::curve::badness) is below `t`, so every label that
//! does not pass gets the threshold `t`, and every label that does `1 - t`. What is held back fails where one label reaches `t`, and
//! goes to a person where only all of them together do.
//!
//! The bound holds although the threshold is chosen on the same parts: if the `k`-th best-looking bad part is the first
//! one held back, the share of bad parts beyond it is Beta(k, n - k + 1) distributed whatever the scores' distribution, and
//! its quantile is the Clopper-Pearson bound for `k - 1` escapes of `n`. Source: Wilks, "Determination of sample sizes for setting
//! tolerance limits", Annals of Mathematical Statistics 12, 1941. The parts must be independent, and must not be those
//! that the model learned from.

use std::fmt;

use models::bundle::{Bundle, Disposition, Label, OperatingPoint};
use thiserror::Error;

use super::curve::{Curve, Step};
use super::intervals::{clean_needed, upper};

/// What is asked of an operating point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aim {
    /// Largest share of bad parts that may pass, 0 to 1, exclusive.
    pub escapes_at_most: f64,
    /// How sure that must be, 0 to 1, exclusive.
    pub confidence: f64,
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Four digits are more than anybody asks for, and hide what the last bit of a product does.
        let percent = |share: f64| (1e6 * share).round() / 1e4;
        let Aim { escapes_at_most, confidence } = *self;
        write!(f, "at most {} % escape with {} % confidence", percent(escapes_at_most), percent(confidence))
    }
}

/// A threshold, and what it does on the parts that it was chosen on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// See the module.
    pub threshold: f64,
    /// Bad parts that pass.
    pub escapes: usize,
    /// Of so many.
    pub bad: usize,
    /// The share of escapes that the truth exceeds with no more than `1 - confidence` probability.
    pub escape_bound: f64,
    /// Good parts held back: failed, or sent to review.
    pub held_good: usize,
    /// Of so many.
    pub good: usize,
}

impl Chosen {
    /// What a bundle keeps of it.
    pub fn evidence(&self, aim: Aim, data_digest: String) -> OperatingPoint {
        let Aim { escapes_at_most, confidence } = aim;
        let Chosen { threshold, escapes, bad, escape_bound, held_good, good } = *self;
        OperatingPoint {
            escapes_at_most,
            confidence,
            threshold,
            bad,
            escapes,
            escape_bound,
            good,
            held_good,
            data_digest,
        }
    }
}

/// Why there is no such operating point.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum AimError {
    /// No label passes a part, or there are no parts of one kind.
    #[error(
        "there are {good} good and {bad} bad parts to choose by: both kinds are needed, and a model with a label that passes a part"
    )]
    OneKind {
        /// Good parts.
        good: usize,
        /// Bad parts.
        bad: usize,
    },
    /// Even without a single escape so few parts prove too little.
    #[error(
        "{bad} bad parts are too few to say that {aim}: that takes {needed} without a single escape, {missing} more; add \
         some, or ask for less",
        missing = .needed - .bad
    )]
    TooFew {
        /// Bad parts.
        bad: usize,
        /// Bad parts that are needed at least.
        needed: usize,
        /// What was asked.
        aim: Aim,
    },
}

/// Chooses the threshold with the least overkill among those that keep to the aim.
///
/// # Errors
/// [`AimError`].
pub fn choose(curve: &Curve, aim: Aim) -> Result<Chosen, AimError> {
    let Curve { good, bad, ref steps } = *curve;
    if !curve.has_both() {
        return Err(AimError::OneKind { good, bad });
    }
    let needed = clean_needed(aim.escapes_at_most, aim.confidence);
    let bound = |step: &Step| upper(curve.escapes(step), bad, aim.confidence);
    // The highest threshold that keeps to the aim: the bound falls from step to step.
    let at = steps.partition_point(|step| bound(step) > aim.escapes_at_most);
    let Some(step) = steps.get(at) else {
        return Err(AimError::TooFew { bad, needed: needed.max(bad + 1), aim });
    };
    // Down to the next part nothing changes: the middle leaves room on both sides for what another machine computes.
    let below = steps.get(at + 1).map_or(0.0, |next| next.threshold);
    Ok(Chosen {
        threshold: f64::midpoint(step.threshold, below),
        escapes: curve.escapes(step),
        bad,
        escape_bound: bound(step),
        held_good: step.good_held,
        good,
    })
}

/// Sets the thresholds of all labels by one number.
pub fn set(labels: &mut [Label], threshold: f64) {
    for label in labels {
        label.threshold = match label.verdict {
            Disposition::Pass => (1.0 - threshold) as f32,
            Disposition::Review | Disposition::Fail => threshold as f32,
        };
    }
}

/// Puts an operating point into a bundle: thresholds, evidence, and a section of the model card.
pub fn put(bundle: &mut Bundle, point: &OperatingPoint) {
    set(&mut bundle.manifest.labels, point.threshold);
    bundle.manifest.provenance.operating_point = Some(point.clone());
    bundle.manifest.provenance.thresholds = words(point);
    if let Some(card) = &mut bundle.model_card {
        card.push_str(&format!("\n## Operating point\n\n{}\n", words(point)));
    }
}

/// An operating point in a few sentences.
pub fn words(point: &OperatingPoint) -> String {
    let OperatingPoint {
        escapes_at_most,
        confidence,
        threshold,
        bad,
        escapes,
        escape_bound,
        good,
        held_good,
        data_digest,
    } = point;
    let aim = Aim { escapes_at_most: *escapes_at_most, confidence: *confidence };
    format!(
        "Thresholds for: {aim}. A part passes where one minus its best passing score is below {threshold:.6}. Of {bad} bad parts \
         {escapes} escape (at most {:.3} % with that confidence), of {good} good parts {held_good} are held back. Data: {data_digest}",
        100.0 * escape_bound
    )
}

#[cfg(test)]
mod tests {
    use models::ruling::verdict_by_scores;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::curve::badness;
    use super::*;

    const AIM: Aim = Aim { escapes_at_most: 0.005, confidence: 0.95 };

    fn line(good: usize, bad: usize, seed: u64) -> Vec<(f64, bool)> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |from: f64| random.random::<f64>() * (1.0 - from) + from;
        (0..good + bad).map(|nth| if nth < good { (1.0 - draw(0.3), false) } else { (draw(0.4), true) }).collect()
    }

    #[test]
    fn too_few_bad_parts_are_counted_out() {
        let error = choose(&Curve::new(line(100, 500, 1)), AIM).unwrap_err();
        assert_eq!(error, AimError::TooFew { bad: 500, needed: 598, aim: AIM });
        assert!(error.to_string().contains("takes 598 without a single escape, 98 more"), "{error}");
        assert!(choose(&Curve::new(line(100, 598, 1)), AIM).is_ok());
        assert_eq!(choose(&Curve::new(line(0, 598, 1)), AIM), Err(AimError::OneKind { good: 0, bad: 598 }));
    }

    #[test]
    fn least_overkill_within_the_aim() {
        let curve = Curve::new(line(1000, 2000, 2));
        let chosen = choose(&curve, AIM).unwrap();
        // Of 2,000 at most 4 may escape: the bound is 0.457 % for 4 and 0.525 % for 5.
        assert_eq!(chosen.escapes, 4);
        assert!(chosen.escape_bound <= 0.005 && upper(5, 2000, 0.95) > 0.005);
        let allowed = curve.steps.iter().filter(|step| upper(curve.escapes(step), 2000, 0.95) <= 0.005);
        assert_eq!(allowed.map(|step| step.good_held).min(), Some(chosen.held_good));
    }

    /// The promise itself: over many drawings, the threshold's true share of escapes is beyond the aim no more often than stated.
    #[test]
    fn the_confidence_is_kept_over_repeated_choices() {
        let aim = Aim { escapes_at_most: 0.05, confidence: 0.9 };
        // Bad parts are uniform on 0.4 to 1, so a threshold t lets pass (t - 0.4) / 0.6 of them.
        let broken = (0..400).filter(|&seed| {
            let chosen = choose(&Curve::new(line(50, 120, seed)), aim).unwrap();
            (chosen.threshold - 0.4) / 0.6 > aim.escapes_at_most
        });
        let broken = broken.count();
        assert!((10..=55).contains(&broken), "{broken} of 400, at most a tenth is allowed; none at all would be waste");
    }

    proptest! {
        /// The thresholds make the line do what the curve counted.
        #[test]
        fn thresholds_decide_as_the_curve_counts(
            raw in prop::collection::vec((prop::collection::vec(0.01_f32..1.0, 3), any::<bool>()), 20..60), at in 0_usize..20,
        ) {
            let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
            let mut labels =
                [label("good", Disposition::Pass), label("pit", Disposition::Fail), label("stain", Disposition::Fail)];
            let parts: Vec<(Vec<f32>, bool)> = raw
                .into_iter()
                .map(|(raw, bad)| (raw.iter().map(|r| r / raw.iter().sum::<f32>()).collect(), bad))
                .collect();
            let curve = Curve::new(parts.iter().map(|(scores, bad)| (badness(scores, &labels).unwrap(), *bad)));
            let at = at.min(curve.steps.len() - 2);
            let [here, next] = [curve.steps[at], curve.steps[at + 1]];
            prop_assume!(here.threshold - next.threshold > 1e-5);
            set(&mut labels, f64::midpoint(here.threshold, next.threshold));
            let held = |bad: bool| {
                let held = |part: &&(Vec<f32>, bool)| part.1 == bad && verdict_by_scores(&part.0, &labels) != Disposition::Pass;
                parts.iter().filter(held).count()
            };
            prop_assert_eq!((held(false), held(true)), (here.good_held, here.bad_held));
        }
    }
}
