//! The `decide` stage: what a part gets, by whose word, and what a person is shown of it. The verdict itself is
//! [`models::ruling`]'s, which evaluation counts by as well.

use std::sync::Arc;

use models::bundle::{Disposition, Kind, Saying};
use models::prediction::{Anomaly, Prediction};
use models::ruling::{self, KindSays, Ruling};

use crate::identify;
use crate::inspection::{KeptHeat, LabelScore};
use crate::part::Part;
use crate::recipe::RecipeInForce;
use crate::regions::Finding;
use crate::sample::{Sample, Sampler};
use crate::stage::{Decision, Flow, Stage, StageFactory};
use crate::verdict::{Cause, Verdict};

mod several;

use several::{Joined, joined};

/// Decides a part from its prediction, by the thresholds of the recipe in force and the rules of its model's manifest.
pub fn decide(prediction: &Prediction, recipe: &RecipeInForce) -> Decision {
    ruled(prediction, recipe).0
}

/// The same, and how it came about.
fn ruled(prediction: &Prediction, recipe: &RecipeInForce) -> (Decision, Ruling) {
    let heads = &recipe.model.manifest().heads;
    let ruling = ruling::decide(&prediction.scores, prediction.beside(), &recipe.labels, heads);
    let scored = |k: usize| LabelScore { label: recipe.label_names[k].clone(), score: prediction.scores[k] };
    let by_scores = Decision {
        verdict: match ruling.verdict {
            Disposition::Pass => Verdict::Pass,
            Disposition::Review => Verdict::Review,
            Disposition::Fail => Verdict::Fail,
        },
        label: Some(recipe.label_names[ruling.label].clone()),
        found: ruling.found.iter().copied().map(scored).collect(),
        scores: (0..recipe.labels.len()).map(scored).collect(),
        heat: Some(heat(prediction, recipe, &ruling)),
        detail: (ruling.saying == Saying::Unsure).then(|| unsure(prediction, recipe)),
        regions: Vec::new(),
        sample: Sample::default(),
    };
    let decision = match &prediction.anomaly {
        Some(anomaly) if ruling.by_memory => by_memory(by_scores, &ruling, anomaly),
        _ => by_scores,
    };
    let decision = match (ruling.by_kind, &prediction.prototypes, &heads.prototypes) {
        (Some(KindSays::Unknown), ..) => {
            let detail = "the classifier finds nothing; unlike every kind of picture that the model knows";
            Decision { detail: Some(detail.into()), ..decision }
        }
        (Some(KindSays::Like(kind)), Some(likeness), Some(spec)) => {
            by_kind(decision, &ruling, &spec.kinds[kind], likeness.probabilities[kind])
        }
        _ => decision,
    };
    (decision, ruling)
}

fn unsure(prediction: &Prediction, recipe: &RecipeInForce) -> String {
    let scores = prediction.scores.iter().zip(&recipe.label_names);
    let top = scores.max_by(|a, b| a.0.total_cmp(b.0));
    top.map_or_else(|| "no label is sure".into(), |(score, name)| format!("no label is sure: {name} {score:.2}"))
}

/// The map shows a defect: the verdict's own, or for a part that the scores pass the one that it came nearest to.
fn heat(prediction: &Prediction, recipe: &RecipeInForce, ruling: &Ruling) -> KeptHeat {
    let defects = (0..recipe.labels.len()).filter(|&k| recipe.labels[k].verdict != Disposition::Pass);
    let nearest = defects.max_by(|&a, &b| prediction.scores[a].total_cmp(&prediction.scores[b]));
    let shown = match (ruling.saying, nearest) {
        (Saying::Pass, Some(nearest)) => nearest,
        _ => ruling.label,
    };
    kept_heat(prediction, shown, recipe.label_names[shown].clone())
}

/// Label of a part that only the memory of good parts finds wrong.
const ANOMALY: &str = "anomaly";

/// In words, what the scores alone say.
fn said(saying: Saying) -> &'static str {
    match saying {
        Saying::Pass => "the classifier finds nothing",
        Saying::Unsure => "the classifier is not sure",
        Saying::Review | Saying::Fail => "the classifier found something",
    }
}

/// A decision in which the memory had a say: its label, its map.
fn by_memory(decision: Decision, ruling: &Ruling, anomaly: &Anomaly) -> Decision {
    let heat = KeptHeat {
        label: ANOMALY.into(),
        width: anomaly.width as u16,
        height: anomaly.height as u16,
        cells: anomaly.cells_u8(),
    };
    let likeness = if anomaly.is_anomalous() { "unlike the good parts" } else { "like the good parts" };
    let detail = format!("{}; {likeness}: anomaly {:.2} of its threshold", said(ruling.saying), anomaly.share);
    Decision { label: Some(ANOMALY.into()), heat: Some(heat), detail: Some(detail), ..decision }
}

/// A decision in which a registered kind had a say: its name.
fn by_kind(decision: Decision, ruling: &Ruling, kind: &Kind, probability: f32) -> Decision {
    let Kind { name, shots, .. } = kind;
    let said = said(ruling.saying);
    let detail = format!("{said}; looks like `{name}` ({probability:.2}), registered from {shots} pictures");
    Decision { label: Some(Arc::from(name.as_str())), detail: Some(detail), ..decision }
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
        Box::new(Worker { sampler: Sampler::default() })
    }
}

struct Worker {
    sampler: Sampler,
}

impl Stage for Worker {
    fn process(&mut self, part: Part) -> Flow {
        let decision = match &part.prediction {
            _ if !part.findings.is_empty() => {
                let whole = part.view().map_or([0, 0], |view| [view.width, view.height]);
                let Joined { decision, deciding, ruling } = joined(&part.findings, &part.recipe, whole);
                let Finding { region, prediction, .. } = &part.findings[deciding];
                let terms = &part.recipe.regions[*region].terms;
                Decision { sample: self.sampler.sample(part.id, prediction, &ruling, terms), ..decision }
            }
            Some(prediction) => {
                let (decision, ruling) = ruled(prediction, &part.recipe);
                let sample = self.sampler.sample(part.id, prediction, &ruling, &part.recipe);
                identify::demanded(Decision { sample, ..decision }, &part)
            }
            None => Decision::none(Cause::StageFailed, "decide: the part arrived without a prediction"),
        };
        Flow::Decided(part, decision)
    }
}

#[cfg(test)]
mod tests {
    use models::bundle::{FORMAT, Heads, Label, Manifest, Outcome, Pooling, Provenance, Rule, Tolerance};
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
        made(thresholds, Heads { rules, ..Heads::default() })
    }

    fn recipe_of(heads: Heads) -> Result<RecipeInForce, crate::recipe::RecipeError> {
        made(&[], heads)
    }

    fn made(thresholds: &[(&str, f32)], heads: Heads) -> Result<RecipeInForce, crate::recipe::RecipeError> {
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
            heads,
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
            calibration: None,
            align: None,
            mask: Vec::new(),
            evidence: Default::default(),
            regions: Vec::new(),
            tiles: None,
            review: Default::default(),
            identity: Default::default(),
            golden_samples: None,
        };
        RecipeInForce::new(recipe, Arc::new(Labels(manifest, "digest".into())))
    }

    fn prediction(scores: &[f32]) -> Prediction {
        Prediction {
            scores: scores.to_vec(),
            heat: HeatMap { labels: scores.len(), height: 2, width: 2, logits: vec![0.0; scores.len() * 4] },
            embedding: None,
            views: None,
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

    #[test]
    fn a_registered_kind_is_named_and_said_why() {
        use models::bundle::{Metric, PrototypeSpec, Unknown};
        use models::heads::prototypes::Likeness;
        let kind = |name: &str, verdict, registered| Kind { name: name.into(), verdict, shots: 5, registered };
        let spec = PrototypeSpec {
            output: "prototypes".into(),
            metric: Metric::Lda,
            kinds: vec![kind("good", Disposition::Pass, false), kind("burr", Disposition::Fail, true)],
            spread: 1.0,
            background_images: 50,
            reach: 2.0,
            temperature: 1.0,
            radius: 20.0,
            quantile: 0.99,
            sure: 0.5,
            unknown: Unknown::Review,
        };
        let decided = |scores: &[f32], distances: [f32; 2]| {
            let likeness = Some(Likeness::new(&spec, distances.to_vec()));
            let heads = Heads { prototypes: Some(spec.clone()), ..Heads::default() };
            let decision =
                decide(&Prediction { prototypes: likeness, ..prediction(scores) }, &recipe_of(heads).unwrap());
            (decision.verdict, decision.label.unwrap().to_string(), decision.detail.unwrap_or_default())
        };
        let (verdict, label, detail) = decided(&UNSURE, [15.0, 3.0]);
        assert_eq!((verdict, label.as_str()), (Verdict::Fail, "burr"));
        assert_eq!(detail, "the classifier is not sure; looks like `burr` (1.00), registered from 5 pictures");
        let (verdict, label, detail) = decided(&GOOD, [30.0, 30.0]);
        assert_eq!((verdict, label.as_str()), (Verdict::Review, "good"));
        assert!(detail.contains("unlike every kind"), "{detail}");
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
