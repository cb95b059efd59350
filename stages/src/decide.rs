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

#[cfg(test)]
mod tests {
    use models::bundle::{FORMAT, Label, Manifest, Pooling, Provenance, Tolerance};
    use models::prediction::{HeatMap, Model};
    use models::runtime::{Provider, RuntimeError};
    use proptest::prelude::*;

    use super::*;
    use crate::recipe::Recipe;

    struct Labels(Manifest, Arc<str>);

    impl Model for Labels {
        fn manifest(&self) -> &Manifest {
            &self.0
        }
        fn digest(&self) -> &Arc<str> {
            &self.1
        }
        fn provider(&self) -> Provider {
            Provider::Cpu
        }
        fn predict(&self, _: &[f32]) -> Result<Prediction, RuntimeError> {
            unreachable!("decide never runs the model")
        }
    }

    /// good (pass, 0.6), stain (review, 0.3), scratch and crack (fail, 0.25).
    fn recipe(thresholds: &[(&str, f32)]) -> Result<RecipeInForce, crate::recipe::RecipeError> {
        let label = |name: &str, verdict, threshold| Label { name: name.to_owned(), verdict, threshold };
        let manifest = Manifest {
            format: FORMAT,
            name: "test".into(),
            labels: vec![
                label("good", Disposition::Pass, 0.6),
                label("stain", Disposition::Review, 0.3),
                label("scratch", Disposition::Fail, 0.25),
                label("crack", Disposition::Fail, 0.25),
            ],
            preprocess: models::preprocess::Preprocess::imagenet(32),
            pooling: Pooling::Mean,
            input: "input".into(),
            scores: "scores".into(),
            heat: "heat".into(),
            heads: Default::default(),
            precision: Default::default(),
            graph_sha256: String::new(),
            files_sha256: Default::default(),
            tolerance: Tolerance { fp32: 1e-3, fp16: 1e-2 },
            provenance: Provenance::default(),
        };
        let recipe = Recipe {
            name: "bracket".into(),
            version: 3,
            bundle: None,
            deadline_ms: 100,
            review_as: Default::default(),
            require_provider: None,
            thresholds: thresholds.iter().map(|&(label, value)| (label.to_owned(), value)).collect(),
            quality: Default::default(),
            evidence: Default::default(),
        };
        RecipeInForce::new(recipe, Arc::new(Labels(manifest, "digest".into())))
    }

    fn prediction(scores: &[f32]) -> Prediction {
        Prediction {
            scores: scores.to_vec(),
            heat: HeatMap { labels: scores.len(), height: 2, width: 2, logits: vec![0.0; scores.len() * 4] },
            embedding: None,
            provider: Provider::Cpu,
            model_digest: "digest".into(),
        }
    }

    fn verdict_and_label(scores: &[f32]) -> (Verdict, String) {
        let decision = decide(&prediction(scores), &recipe(&[]).unwrap());
        (decision.verdict, decision.label.unwrap().to_string())
    }

    #[test]
    fn the_worst_found_label_wins_and_doubt_goes_to_a_person() {
        for (scores, verdict, label) in [
            ([0.90, 0.05, 0.03, 0.02], Verdict::Pass, "good"),
            ([0.10, 0.05, 0.80, 0.05], Verdict::Fail, "scratch"),
            ([0.10, 0.00, 0.40, 0.50], Verdict::Fail, "crack"),
            // A fail label over its threshold outranks a review label with a higher score.
            ([0.00, 0.70, 0.30, 0.00], Verdict::Fail, "scratch"),
            ([0.40, 0.50, 0.10, 0.00], Verdict::Review, "stain"),
            // Good is the best label, but a defect is over its threshold: never passed.
            ([0.70, 0.00, 0.30, 0.00], Verdict::Fail, "scratch"),
            // Nothing is over its threshold, good included: the label that it came nearest to is shown.
            ([0.50, 0.10, 0.20, 0.20], Verdict::Review, "crack"),
        ] {
            assert_eq!(verdict_and_label(&scores), (verdict, label.to_owned()), "{scores:?}");
        }
    }

    #[test]
    fn every_label_over_its_threshold_is_kept_worst_first() {
        let decision = decide(&prediction(&[0.0, 0.35, 0.25, 0.40]), &recipe(&[]).unwrap());
        let found: Vec<&str> = decision.found.iter().map(|found| &*found.label).collect();
        assert_eq!(found, ["crack", "scratch", "stain"]);
        assert_eq!(decision.scores.len(), 4);
        assert_eq!(&*decision.heat.unwrap().label, "crack");
    }

    #[test]
    fn a_recipe_replaces_thresholds_and_names_labels_that_do_not_exist() {
        let strict = recipe(&[("scratch", 0.05)]).unwrap();
        assert_eq!(decide(&prediction(&[0.9, 0.0, 0.06, 0.04]), &strict).verdict, Verdict::Fail);
        let Err(error) = recipe(&[("scrach", 0.05), ("crack", 1.5)]) else { panic!("must be refused") };
        let words = error.to_string();
        assert!(words.contains("`thresholds.crack` is 1.5"), "{words}");
        assert!(words.contains("no such label; it has: good, stain, scratch, crack"), "{words}");
    }

    proptest! {
        #[test]
        fn raising_a_defects_score_never_turns_a_fail_into_something_milder(
            raw in prop::collection::vec(0.0_f32..1.0, 4), defect in 2_usize..4, more in 0.0_f32..1.0,
        ) {
            let sum: f32 = raw.iter().sum::<f32>().max(f32::MIN_POSITIVE);
            let scores: Vec<f32> = raw.iter().map(|score| score / sum).collect();
            let mut raised = scores.clone();
            raised[defect] = (scores[defect] + more).min(1.0);
            let before = verdict_and_label(&scores).0;
            let after = verdict_and_label(&raised).0;
            prop_assert!(before != Verdict::Fail || after == Verdict::Fail);
        }

        #[test]
        fn a_pass_means_that_good_is_sure_and_no_defect_is_found(raw in prop::collection::vec(0.0_f32..=1.0, 4)) {
            let decision = decide(&prediction(&raw), &recipe(&[]).unwrap());
            let none_found = raw[1] < 0.3 && raw[2] < 0.25 && raw[3] < 0.25;
            prop_assert_eq!(decision.verdict == Verdict::Pass, none_found && raw[0] >= 0.6);
            prop_assert_eq!(decision.found.is_empty(), none_found);
        }
    }
}
