//! The `decide` stage: scores to verdict. A pure function of the prediction and the recipe in force.

use std::sync::Arc;

use models::bundle::Disposition;
use models::prediction::Prediction;

use crate::inspection::{KeptHeat, LabelScore};
use crate::part::Part;
use crate::recipe::RecipeInForce;
use crate::stage::{Decision, Flow, Stage, StageFactory};
use crate::verdict::{Cause, Verdict};

/// Decides a part from its prediction.
///
/// Every label that is not a `pass` label and reaches its threshold is *found*. The worst disposition among the found
/// wins, and within it the highest score. Nothing found: the best `pass` label must reach its own threshold, or a
/// person should look.
pub fn decide(prediction: &Prediction, recipe: &RecipeInForce) -> Decision {
    let labels = &recipe.model.manifest().labels;
    let scored = |k: usize| LabelScore { label: recipe.label_names[k].clone(), score: prediction.scores[k] };

    let mut found: Vec<usize> = (0..labels.len())
        .filter(|&k| labels[k].verdict != Disposition::Pass && prediction.scores[k] >= recipe.thresholds[k])
        .collect();
    found.sort_by(|&a, &b| {
        labels[b].verdict.cmp(&labels[a].verdict).then(prediction.scores[b].total_cmp(&prediction.scores[a]))
    });
    let best = |pass: bool| {
        (0..labels.len())
            .filter(|&k| (labels[k].verdict == Disposition::Pass) == pass)
            .max_by(|&a, &b| prediction.scores[a].total_cmp(&prediction.scores[b]))
    };

    let (verdict, label, detail) = match (found.first(), best(true)) {
        (Some(&worst), _) => (verdict_of(labels[worst].verdict), worst, None),
        (None, Some(good)) if prediction.scores[good] >= recipe.thresholds[good] => (Verdict::Pass, good, None),
        (None, _) => {
            let nearest = best(false).or(best(true)).unwrap_or(0);
            let top = (0..labels.len()).max_by(|&a, &b| prediction.scores[a].total_cmp(&prediction.scores[b]));
            let top = top.unwrap_or(nearest);
            let detail = format!("no label is sure: {} {:.2}", labels[top].name, prediction.scores[top]);
            (Verdict::Review, nearest, Some(detail))
        }
    };
    // The map shows a defect: the verdict's own, or for a good part the one it came nearest to.
    let shown = if verdict == Verdict::Pass { best(false).unwrap_or(label) } else { label };
    Decision {
        verdict,
        label: Some(recipe.label_names[label].clone()),
        found: found.into_iter().map(scored).collect(),
        scores: (0..labels.len()).map(scored).collect(),
        heat: Some(kept_heat(prediction, shown, recipe.label_names[shown].clone())),
        detail,
    }
}

fn verdict_of(disposition: Disposition) -> Verdict {
    match disposition {
        Disposition::Pass => Verdict::Pass,
        Disposition::Review => Verdict::Review,
        Disposition::Fail => Verdict::Fail,
    }
}

fn kept_heat(prediction: &Prediction, label: usize, name: Arc<str>) -> KeptHeat {
    KeptHeat {
        label: name,
        width: prediction.heat.width as u16,
        height: prediction.heat.height as u16,
        cells: prediction.heat.probability_u8(label),
    }
}

/// Makes the `decide` stage.
pub struct Decide;

impl StageFactory for Decide {
    fn name(&self) -> &'static str {
        "decide"
    }

    fn workers(&self) -> usize {
        1
    }

    fn build(&self) -> Box<dyn Stage> {
        Box::new(Decide)
    }
}

impl Stage for Decide {
    fn process(&mut self, part: Part) -> Flow {
        let decision = match &part.prediction {
            Some(prediction) => decide(prediction, &part.recipe),
            None => Decision::none(Cause::StageFailed, "decide: the part arrived without a prediction"),
        };
        Flow::Decided(part, decision)
    }
}
