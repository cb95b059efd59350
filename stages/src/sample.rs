//! Which parts are worth a person's look, and why. The verdict stands; this only says what the model may have wrong, and what nobody
//! can know without looking: a random share is audited, whatever the model says of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use models::bundle::Saying;
use models::prediction::Prediction;
use models::ruling::{KindSays, Ruling};
use models::scatter::scatter;
use models::sketch::Sketch;
use serde::{Deserialize, Serialize};

use crate::recipe::RecipeInForce;

/// Why a person should look at a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Two labels are nearly as likely.
    LowMargin,
    /// The heads say different things.
    HeadsDisagree,
    /// It looks like none of the kinds that the model knows.
    Unlike,
    /// It lies far from all that the model learned from, as more parts lately do than usual.
    Drifted,
    /// A person asked for it.
    Asked,
    /// Chosen by lot. The only parts from which rates may be estimated: all others were chosen because they are odd.
    Audit,
}

/// A reason with its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// What.
    pub why: Why,
    /// How much a look is worth, 0 to 1.
    pub value: f32,
    /// In words.
    pub detail: String,
}

/// What the review queue learns of a part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Why a person should look; empty: no need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// What it looks like, where the model tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sketch: Option<Sketch>,
}

impl Sample {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Sample::default()
    }

    /// Whether a person should look.
    pub fn is_wanted(&self) -> bool {
        !self.reasons.is_empty()
    }
}

/// Gives each decided part its reasons.
///
/// How odd a part must be to be worth a look depends on the others: it is marked when it is among the [`per_hour`] oddest of its hour
/// so far. A part that passes keeps its picture only by that, and of `n` parts in random order about `per_hour (1 + ln(n / per_hour))`
/// are marked, however sure or unsure the model is in general. The lot is outside of that, or it would not be one.
///
/// [`per_hour`]: crate::recipe::Review::per_hour
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    since: Option<Instant>,
    /// Values of the oddest parts of this hour, in millionths, the least first.
    oddest: BinaryHeap<Reverse<u32>>,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Sampler {
    /// What the queue learns of a part.
    pub(crate) fn sample(
        &mut self,
        id: u64,
        prediction: &Prediction,
        ruling: &Ruling,
        recipe: &RecipeInForce,
    ) -> Sample {
        let review = &recipe.recipe.review;
        let found = [oddity(prediction, recipe), heads_disagree(prediction, ruling, recipe)];
        let mut reasons: Vec<Reason> = found.into_iter().flatten().collect();
        reasons.sort_by(|a, b| b.value.total_cmp(&a.value));
        let odd = reasons.first().is_some_and(|first| {
            first.value >= review.least_value && self.is_among_the_oddest(first.value, review.per_hour as usize)
        });
        if !odd {
            reasons.clear();
        }
        if audited(id, review.audit_fraction) {
            let detail = "chosen by lot, to estimate how often the model is wrong".into();
            reasons.push(Reason { why: Why::Audit, value: 0.5, detail });
        }
        Sample { reasons, sketch: prediction.embedding.as_deref().and_then(Sketch::of) }
    }

    fn is_among_the_oddest(&mut self, value: f32, most: usize) -> bool {
        let now = Instant::now();
        if self.since.is_none_or(|since| now.duration_since(since) >= HOUR) {
            self.since = Some(now);
            self.oddest.clear();
        }
        let value = (value * 1e6) as u32;
        let enters = self.oddest.len() < most || self.oddest.peek().is_some_and(|Reverse(least)| value > *least);
        if enters && most > 0 {
            self.oddest.push(Reverse(value));
            while self.oddest.len() > most {
                self.oddest.pop();
            }
        }
        enters
    }
}

/// Weight of the distance from the nearest kind beside that of the scores. docs/LEARNING.md has the trial.
const DISTANCE: f32 = 0.5;

/// How odd a part is: by how near the two highest scores are to each other, and by how far it lies from every kind.
fn oddity(prediction: &Prediction, recipe: &RecipeInForce) -> Option<Reason> {
    let [first, second] = top_two(&prediction.scores)?;
    let word = |at: usize| format!("{} {:.2}", recipe.label_names[at], prediction.scores[at]);
    let words = format!("{}, {}", word(first), word(second));
    let near = 1.0 - (prediction.scores[first] - prediction.scores[second]);
    let Some(far) = far(prediction, recipe) else {
        return Some(Reason { why: Why::LowMargin, value: near, detail: words });
    };
    let value = (near + DISTANCE * far.min(1.0)) / (1.0 + DISTANCE);
    let detail = format!("{words}; {far:.2} of the radius from the nearest kind");
    let why = if DISTANCE * far > near { Why::Unlike } else { Why::LowMargin };
    Some(Reason { why, value, detail })
}

/// Distance from the nearest kind as a share of the radius within which the kinds' own pictures lie.
fn far(prediction: &Prediction, recipe: &RecipeInForce) -> Option<f32> {
    let spec = recipe.model.manifest().heads.prototypes.as_ref()?;
    let distances = &prediction.prototypes.as_ref()?.distances;
    let far = distances.iter().copied().fold(f32::INFINITY, f32::min) / spec.radius;
    (far.is_finite() && far >= 0.0).then_some(far)
}

/// Places of the two highest scores; `None` with fewer than two.
fn top_two(scores: &[f32]) -> Option<[usize; 2]> {
    let best = |but: Option<usize>| {
        (0..scores.len()).filter(|&at| Some(at) != but).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
    };
    let first = best(None)?;
    Some([first, best(Some(first))?])
}

/// The classifier and another head say different things of the part.
fn heads_disagree(prediction: &Prediction, ruling: &Ruling, recipe: &RecipeInForce) -> Option<Reason> {
    let heads = &recipe.model.manifest().heads;
    let bad = matches!(ruling.saying, Saying::Fail | Saying::Review);
    let memory = prediction.anomaly.as_ref().filter(|anomaly| !heads.rules.is_empty() && anomaly.is_anomalous() != bad);
    let detail = match (memory, ruling.by_kind, &heads.prototypes) {
        (_, Some(KindSays::Like(kind)), Some(spec)) => {
            format!("the classifier says {}, but it looks like `{}`", said(ruling, recipe), spec.kinds[kind].name)
        }
        (Some(anomaly), ..) => {
            let likeness = if bad { "like the good parts" } else { "unlike the good parts" };
            format!(
                "the classifier says {}, but it looks {likeness} ({:.2} of the threshold)",
                said(ruling, recipe),
                anomaly.share
            )
        }
        _ => return None,
    };
    Some(Reason { why: Why::HeadsDisagree, value: 0.9, detail })
}

fn said(ruling: &Ruling, recipe: &RecipeInForce) -> String {
    match ruling.saying {
        Saying::Unsure => "nothing sure".into(),
        _ => format!("`{}`", recipe.label_names[ruling.label]),
    }
}

/// Whether a part is audited: the same answer each time for the same id, and blind for everything else about the part.
pub fn audited(id: u64, fraction: f32) -> bool {
    drawn_by_lot(id ^ 0x6175_6469_7400_0000, fraction)
}

/// Whether the lot falls on an id: spread evenly over ids. The pictures of passed parts are kept by it.
pub fn drawn_by_lot(id: u64, fraction: f32) -> bool {
    // The top 53 bits are a fraction.
    ((scatter(id) >> 11) as f64 / (1u64 << 53) as f64) < f64::from(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_marks_its_oddest_parts_and_not_many_more() {
        let mut sampler = Sampler::default();
        let values: Vec<f32> = (0..36_000_u64)
            .map(|id| (0..1000).position(|k| drawn_by_lot(id, k as f32 / 1000.0)).unwrap_or(1000) as f32 / 1000.0)
            .collect();
        let marked: Vec<bool> = values.iter().map(|&value| sampler.is_among_the_oddest(value, 60)).collect();
        let count = marked.iter().filter(|&&marked| marked).count();
        // 60 (1 + ln(600)) = 444 are to be expected.
        assert!((300..600).contains(&count), "{count}");
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let least = values[order[59]];
        assert!(
            (0..values.len()).filter(|&at| values[at] > least).all(|at| marked[at]),
            "none of the oddest is missed"
        );
        assert!(!Sampler::default().is_among_the_oddest(1.0, 0), "no place, no part");
    }

    #[test]
    fn the_lot_is_as_often_as_asked_and_another_one_than_that_of_the_pictures() {
        let share = |hit: &dyn Fn(u64) -> bool| (0..100_000).filter(|&id| hit(id)).count() as f64 / 1e5;
        assert!((share(&|id| audited(id, 0.05)) - 0.05).abs() < 0.003);
        let both = share(&|id| audited(id, 0.05) && drawn_by_lot(id, 0.05));
        assert!((both - 0.0025).abs() < 0.0008, "independent: {both}");
        assert_eq!((share(&|id| audited(id, 0.0)), share(&|id| audited(id, 1.0))), (0.0, 1.0));
    }
}
