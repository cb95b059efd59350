//! The `decide` stage: scores to verdict. A pure function of the prediction and the recipe in force.

use std::sync::Arc;

use models::bundle::{Disposition, Outcome, Rule, Saying};
use models::prediction::{Anomaly, Prediction};

use crate::inspection::{KeptHeat, LabelScore};
use crate::kinds;
use crate::part::Part;
use crate::recipe::RecipeInForce;
use crate::stage::{Decision, Flow, Stage, StageFactory};
use crate::verdict::{Cause, Verdict};

/// Decides a part from its prediction.
///
/// Every label that is not a `pass` label and reaches its threshold is *found*. The worst disposition among the found
/// wins, and within it the highest score. Nothing found: the best `pass` label must reach its own threshold, or a
/// person should look.
///
/// Where the model also has a memory of good parts, the rules in its manifest say how the memory's word joins that; kinds that were
/// registered from a few pictures have a say too (see [`crate::kinds`]). Both can only make it stricter.
pub fn decide(prediction: &Prediction, recipe: &RecipeInForce) -> Decision {
    let heads = &recipe.model.manifest().heads;
    let (decision, saying) = decide_by_scores(prediction, recipe);
    let decision = match &prediction.anomaly {
        Some(anomaly) => join(decision, saying, anomaly, &heads.rules),
        None => decision,
    };
    match (&prediction.prototypes, &heads.prototypes) {
        (Some(likeness), Some(spec)) => kinds::join(decision, saying == Saying::Pass, likeness, spec),
        _ => decision,
    }
}

/// The word of the scores alone.
fn decide_by_scores(prediction: &Prediction, recipe: &RecipeInForce) -> (Decision, Saying) {
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
    let saying = match (verdict, &detail) {
        (_, Some(_)) => Saying::Unsure,
        (Verdict::Fail, _) => Saying::Fail,
        (Verdict::Review, _) => Saying::Review,
        _ => Saying::Pass,
    };
    let decision = Decision {
        verdict,
        label: Some(recipe.label_names[label].clone()),
        found: found.into_iter().map(scored).collect(),
        scores: (0..labels.len()).map(scored).collect(),
        heat: Some(kept_heat(prediction, shown, recipe.label_names[shown].clone())),
        detail,
    };
    (decision, saying)
}

/// Label of a part that only the memory of good parts finds wrong.
const ANOMALY: &str = "anomaly";

/// Joins the memory's word to the scores': the first rule that fits counts, and none makes a verdict milder.
fn join(decision: Decision, saying: Saying, anomaly: &Anomaly, rules: &[Rule]) -> Decision {
    let rule = rules.iter().find(|rule| rule.fits(saying, anomaly.is_anomalous()));
    let (verdict, milder) = match rule.map_or(Outcome::Keep, |rule| rule.then) {
        Outcome::Keep => return decision,
        Outcome::Review => (Verdict::Review, decision.verdict == Verdict::Fail),
        Outcome::Fail => (Verdict::Fail, false),
    };
    if milder {
        return decision;
    }
    let said = match saying {
        Saying::Pass => "the classifier finds nothing",
        Saying::Unsure => "the classifier is not sure",
        Saying::Review | Saying::Fail => "the classifier found something",
    };
    let heat = KeptHeat {
        label: ANOMALY.into(),
        width: anomaly.width as u16,
        height: anomaly.height as u16,
        cells: anomaly.cells_u8(),
    };
    let likeness = if anomaly.is_anomalous() { "unlike the good parts" } else { "like the good parts" };
    let detail = format!("{said}; {likeness}: anomaly {:.2} of its threshold", anomaly.share);
    Decision { verdict, label: Some(ANOMALY.into()), heat: Some(heat), detail: Some(detail), ..decision }
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
    use models::bundle::{FORMAT, Heads, Label, Manifest, Pooling, Provenance, Tolerance};
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
        recipe_with(thresholds, Vec::new())
    }

    fn recipe_with(thresholds: &[(&str, f32)], rules: Vec<Rule>) -> Result<RecipeInForce, crate::recipe::RecipeError> {
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
            heads: Heads { rules, ..Heads::default() },
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
            prototypes: None,
            anomaly: None,
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

    /// The verdict, its label and the heat map's label for scores and an anomaly share under these rules.
    fn joined(scores: &[f32], share: f32, rules: Vec<Rule>) -> (Verdict, String, String) {
        let anomaly = Anomaly { share, height: 1, width: 2, cells: vec![0.0, share] };
        let prediction = Prediction { anomaly: Some(anomaly), ..prediction(scores) };
        let decision = decide(&prediction, &recipe_with(&[], rules).unwrap());
        let heat = decision.heat.unwrap().label.to_string();
        (decision.verdict, decision.label.unwrap().to_string(), heat)
    }

    const GOOD: [f32; 4] = [0.90, 0.05, 0.03, 0.02];
    const STAIN: [f32; 4] = [0.40, 0.50, 0.10, 0.00];
    const SCRATCH: [f32; 4] = [0.10, 0.05, 0.80, 0.05];
    const UNSURE: [f32; 4] = [0.50, 0.10, 0.20, 0.20];

    #[test]
    fn each_default_rule_of_a_memory() {
        for (scores, share, verdict, label, heat) in [
            // What the classifier found stands, whatever the memory says.
            (SCRATCH, 0.5, Verdict::Fail, "scratch", "scratch"),
            (SCRATCH, 3.0, Verdict::Fail, "scratch", "scratch"),
            (STAIN, 0.5, Verdict::Review, "stain", "stain"),
            (STAIN, 3.0, Verdict::Review, "stain", "stain"),
            // Both say good.
            (GOOD, 0.99, Verdict::Pass, "good", "stain"),
            // The classifier says good, the memory does not: a person, who is shown the memory's map.
            (GOOD, 1.0, Verdict::Review, "anomaly", "anomaly"),
            // The classifier does not know: review either way, and the memory says whether there is something to see.
            (UNSURE, 0.5, Verdict::Review, "crack", "crack"),
            (UNSURE, 1.5, Verdict::Review, "anomaly", "anomaly"),
        ] {
            let expected = (verdict, label.to_owned(), heat.to_owned());
            assert_eq!(joined(&scores, share, Rule::defaults()), expected, "{scores:?} {share}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_without_rules_the_scores_decide() {
        let rule = |classifier, anomalous, then| Rule { classifier, anomalous, then };
        let strict = vec![rule(None, Some(true), Outcome::Fail), rule(Some(Saying::Pass), None, Outcome::Review)];
        assert_eq!(joined(&GOOD, 1.2, strict.clone()).0, Verdict::Fail);
        assert_eq!(joined(&GOOD, 0.2, strict.clone()).0, Verdict::Review);
        assert_eq!(joined(&UNSURE, 0.2, strict).0, Verdict::Review);
        assert_eq!(joined(&GOOD, 9.0, Vec::new()).0, Verdict::Pass, "scores made of the memory are thresholded once");
        let decision = decide(
            &Prediction {
                anomaly: Some(Anomaly { share: 1.5, height: 1, width: 2, cells: vec![1.0, 1.5] }),
                ..prediction(&GOOD)
            },
            &recipe_with(&[], Rule::defaults()).unwrap(),
        );
        assert_eq!(decision.heat.unwrap().cells, [128, 250], "the threshold lies in the middle");
        assert!(decision.detail.unwrap().contains("anomaly 1.50 of its threshold"));
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        use prop::option::of;
        let sayings = vec![Saying::Fail, Saying::Review, Saying::Pass, Saying::Unsure];
        let outcomes = vec![Outcome::Keep, Outcome::Review, Outcome::Fail];
        let parts = (of(prop::sample::select(sayings)), of(any::<bool>()), prop::sample::select(outcomes));
        parts.prop_map(|(classifier, anomalous, then)| Rule { classifier, anomalous, then })
    }

    proptest! {
        #[test]
        fn no_rules_make_a_verdict_milder(
            raw in prop::collection::vec(0.0_f32..=1.0, 4),
            share in 0.0_f32..3.0,
            rules in prop::collection::vec(any_rule(), 0..6),
        ) {
            let rank = |verdict: Verdict| match verdict {
                Verdict::Pass => 0,
                Verdict::Review => 1,
                Verdict::Fail => 2,
                Verdict::NoDecision(_) => unreachable!("decide always decides"),
            };
            prop_assert!(rank(joined(&raw, share, rules).0) >= rank(verdict_and_label(&raw).0));
        }

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
