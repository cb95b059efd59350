//! From what a model says of a part to what that means for the part: one rule, by which the line decides, evaluation counts and
//! thresholds are chosen.
//!
//! The scores speak first: every label that does not pass the part and reaches its threshold is *found*, and the worst disposition
//! among the found wins. Nothing found: the best passing label must reach its own threshold, or a person should look. Then the heads
//! beside the classifier, as the manifest says: a memory of good parts by its rules, kinds that were registered from a few pictures
//! where the classifier does not speak, and the name where it does. Neither ever makes a verdict milder.

use crate::bundle::{Disposition, Heads, Label, Outcome, PrototypeSpec, Rule, Saying, Unknown};
use crate::heads::prototypes::Likeness;

/// What the heads beside the classifier say of a part; empty where there are none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// Whether the memory of good parts calls it anomalous.
    pub anomalous: Option<bool>,
    /// Which kind of picture it looks like.
    pub likeness: Option<&'a Likeness>,
}

/// What is to be done with a part, and by whose word.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// What it means for the part.
    pub verdict: Disposition,
    /// What the scores alone say.
    pub saying: Saying,
    /// The label that the scores' word rests on: the worst found, the passing one, or the one that it came nearest to.
    pub label: usize,
    /// Every label over its threshold that does not pass the part, worst first.
    pub found: Vec<usize>,
    /// Whether a rule of the memory had a say.
    pub by_memory: bool,
    /// What the few-shot head had to say, where it counted.
    pub by_kind: Option<KindSays>,
}

/// What counts of the few-shot head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindSays {
    /// It looks like this kind, by its place in the manifest.
    Like(usize),
    /// It is unlike every kind.
    Unknown,
}

/// Decides a part. `labels` carry the thresholds that are in force.
pub fn decide(scores: &[f32], beside: Beside<'_>, labels: &[Label], heads: &Heads) -> Ruling {
    by_scores(scores, labels).joined(beside, heads)
}

/// What the scores alone mean for the part.
pub fn verdict_by_scores(scores: &[f32], labels: &[Label]) -> Disposition {
    by_scores(scores, labels).verdict
}

/// Whether the heads beside the classifier hold back a part that the scores would pass, whatever the thresholds.
pub fn held_back(beside: Beside<'_>, heads: &Heads) -> bool {
    let passed = Ruling {
        verdict: Disposition::Pass,
        saying: Saying::Pass,
        label: 0,
        found: Vec::new(),
        by_memory: false,
        by_kind: None,
    };
    passed.joined(beside, heads).verdict != Disposition::Pass
}

fn by_scores(scores: &[f32], labels: &[Label]) -> Ruling {
    let passes = |k: usize| labels[k].verdict == Disposition::Pass;
    let reaches = |k: usize| scores[k] >= labels[k].threshold;
    let mut found: Vec<usize> = (0..labels.len()).filter(|&k| !passes(k) && reaches(k)).collect();
    found.sort_by(|&a, &b| labels[b].verdict.cmp(&labels[a].verdict).then(scores[b].total_cmp(&scores[a])));
    let best =
        |pass: bool| (0..labels.len()).filter(|&k| passes(k) == pass).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (verdict, saying, label) = match (found.first(), best(true)) {
        (Some(&worst), _) if labels[worst].verdict == Disposition::Fail => (Disposition::Fail, Saying::Fail, worst),
        (Some(&worst), _) => (Disposition::Review, Saying::Review, worst),
        (None, Some(good)) if reaches(good) => (Disposition::Pass, Saying::Pass, good),
        (None, _) => (Disposition::Review, Saying::Unsure, best(false).or(best(true)).unwrap_or(0)),
    };
    Ruling { verdict, saying, label, found, by_memory: false, by_kind: None }
}

impl Ruling {
    fn joined(self, beside: Beside<'_>, heads: &Heads) -> Ruling {
        let ruling = match beside.anomalous {
            Some(anomalous) => self.join_memory(anomalous, &heads.rules),
            None => self,
        };
        match (beside.likeness, &heads.prototypes) {
            (Some(likeness), Some(spec)) => ruling.join_kinds(likeness, spec),
            _ => ruling,
        }
    }

    /// The first rule that fits counts.
    fn join_memory(self, anomalous: bool, rules: &[Rule]) -> Ruling {
        let rule = rules.iter().find(|rule| rule.fits(self.saying, anomalous));
        let verdict = match rule.map_or(Outcome::Keep, |rule| rule.then) {
            Outcome::Keep => return self,
            Outcome::Review if self.verdict == Disposition::Fail => return self,
            Outcome::Review => Disposition::Review,
            Outcome::Fail => Disposition::Fail,
        };
        Ruling { verdict, by_memory: true, ..self }
    }

    /// A registered kind speaks where the classifier does not: it names a part that the classifier is unsure of, and sends a part
    /// that the classifier would pass to a person. Where the classifier found a defect, its verdict stands; but it can only name what
    /// it was taught, so the nearer kind gives the name.
    fn join_kinds(self, likeness: &Likeness, spec: &PrototypeSpec) -> Ruling {
        let (kind, probability) = (&spec.kinds[likeness.nearest], likeness.probabilities[likeness.nearest]);
        let like = kind.registered && probability >= spec.sure && !likeness.unknown;
        if !self.found.is_empty() || self.verdict == Disposition::Fail {
            return if like { Ruling { by_kind: Some(KindSays::Like(likeness.nearest)), ..self } } else { self };
        }
        if likeness.unknown {
            return match spec.unknown {
                Unknown::Review if self.verdict == Disposition::Pass => {
                    Ruling { verdict: Disposition::Review, by_kind: Some(KindSays::Unknown), ..self }
                }
                _ => self,
            };
        }
        if !like {
            return self;
        }
        let verdict = match (kind.verdict, self.saying == Saying::Pass) {
            (Disposition::Pass, _) => return self,
            (Disposition::Fail, false) => Disposition::Fail,
            _ => Disposition::Review,
        };
        Ruling { verdict, by_kind: Some(KindSays::Like(likeness.nearest)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::{Kind, Metric};

    /// good (pass, 0.6), fine (pass, 0.2), stain (review, 0.3), scratch (fail, 0.25).
    fn labels() -> Vec<Label> {
        let label = |name: &str, verdict, threshold| Label { name: name.into(), verdict, threshold };
        vec![
            label("good", Disposition::Pass, 0.6),
            label("fine", Disposition::Pass, 0.2),
            label("stain", Disposition::Review, 0.3),
            label("scratch", Disposition::Fail, 0.25),
        ]
    }

    const GOOD: [f32; 4] = [0.9, 0.05, 0.03, 0.02];
    const SCRATCH: [f32; 4] = [0.1, 0.05, 0.05, 0.8];
    const STAIN: [f32; 4] = [0.4, 0.0, 0.5, 0.1];
    const UNSURE: [f32; 4] = [0.5, 0.1, 0.2, 0.2];

    /// good and scratch are the model's own; burr (fail) and haze (review) were registered.
    fn heads(unknown: Unknown, rules: Vec<Rule>) -> Heads {
        let kind = |name: &str, verdict, registered| Kind { name: name.into(), verdict, shots: 5, registered };
        let spec = PrototypeSpec {
            output: "prototypes".into(),
            metric: Metric::Lda,
            kinds: vec![
                kind("good", Disposition::Pass, false),
                kind("scratch", Disposition::Fail, false),
                kind("burr", Disposition::Fail, true),
                kind("haze", Disposition::Review, true),
            ],
            spread: 1.0,
            background_images: 50,
            reach: 2.0,
            temperature: 1.0,
            radius: 20.0,
            quantile: 0.99,
            sure: 0.5,
            unknown,
        };
        Heads { prototypes: Some(spec), rules, ..Heads::default() }
    }

    /// Verdict, and who spoke, of a part with these scores at these squared distances from the four kinds.
    fn with_kinds(scores: [f32; 4], distances: [f32; 4], unknown: Unknown) -> (Disposition, Option<KindSays>) {
        let heads = heads(unknown, Vec::new());
        let likeness = Likeness::new(heads.prototypes.as_ref().unwrap(), distances.to_vec());
        let ruling = decide(&scores, Beside { likeness: Some(&likeness), anomalous: None }, &labels(), &heads);
        (ruling.verdict, ruling.by_kind)
    }

    const LIKE_GOOD: [f32; 4] = [5.0, 15.0, 18.0, 19.0];
    const LIKE_BURR: [f32; 4] = [15.0, 15.0, 5.0, 19.0];
    const LIKE_HAZE: [f32; 4] = [15.0, 15.0, 19.0, 5.0];
    const LIKE_NOTHING: [f32; 4] = [25.0, 30.0, 22.0, 30.0];

    #[test]
    fn the_best_passing_label_must_reach_its_own_threshold() {
        // `fine` reaches its threshold, but it is `good` that the part looks like, and that is not sure.
        assert_eq!(verdict_by_scores(&[0.45, 0.3, 0.15, 0.1], &labels()), Disposition::Review);
        assert_eq!(verdict_by_scores(&[0.3, 0.45, 0.15, 0.1], &labels()), Disposition::Pass);
    }

    #[test]
    fn a_registered_kind_speaks_where_the_classifier_does_not() {
        use Disposition::{Fail, Pass, Review};
        let [burr, haze] = [2, 3].map(|place| Some(KindSays::Like(place)));
        for (scores, distances, verdict, says) in [
            // The classifier passes it.
            (GOOD, LIKE_GOOD, Pass, None),
            (GOOD, LIKE_BURR, Review, burr),
            (GOOD, LIKE_HAZE, Review, haze),
            // It is not sure.
            (UNSURE, LIKE_GOOD, Review, None),
            (UNSURE, LIKE_BURR, Fail, burr),
            (UNSURE, LIKE_HAZE, Review, haze),
            // It found something: the verdict stands, the nearer kind gives the name.
            (SCRATCH, LIKE_HAZE, Fail, haze),
            (STAIN, LIKE_BURR, Review, burr),
            (SCRATCH, LIKE_GOOD, Fail, None),
            // The head itself is not sure; and a hair's breadth is enough at 0.5.
            (GOOD, [5.0, 15.0, 5.2, 19.0], Pass, None),
            (GOOD, [5.1, 15.0, 5.0, 19.0], Review, burr),
        ] {
            assert_eq!(with_kinds(scores, distances, Unknown::Review), (verdict, says), "{scores:?} {distances:?}");
        }
    }

    #[test]
    fn unlike_everything_goes_to_a_person_where_the_manifest_says_so() {
        let unknown = Some(KindSays::Unknown);
        assert_eq!(with_kinds(GOOD, LIKE_NOTHING, Unknown::Review), (Disposition::Review, unknown));
        assert_eq!(with_kinds(GOOD, LIKE_NOTHING, Unknown::Keep), (Disposition::Pass, None));
        assert_eq!(with_kinds(SCRATCH, LIKE_NOTHING, Unknown::Review), (Disposition::Fail, None));
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
        fn no_head_makes_a_verdict_milder_and_what_is_held_back_is_so_at_any_threshold(
            scores in prop::array::uniform4(0.0_f32..1.0), distances in prop::array::uniform4(0.0_f32..40.0),
            anomalous in prop::option::of(any::<bool>()), rules in prop::collection::vec(any_rule(), 0..6), review: bool,
        ) {
            let heads = heads(if review { Unknown::Review } else { Unknown::Keep }, rules);
            let likeness = Likeness::new(heads.prototypes.as_ref().unwrap(), distances.to_vec());
            let beside = Beside { anomalous, likeness: Some(&likeness) };
            let (alone, together) = (verdict_by_scores(&scores, &labels()), decide(&scores, beside, &labels(), &heads));
            prop_assert!(together.verdict >= alone);
            if alone == Disposition::Pass {
                prop_assert_eq!(together.verdict != Disposition::Pass, held_back(beside, &heads));
            }
        }
    }
}
