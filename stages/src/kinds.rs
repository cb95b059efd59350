//! Joins what the few-shot head says with what the scores say.
//!
//! A registered kind speaks where the classifier does not: it names a part that the classifier is unsure of, and sends a part that
//! the classifier would pass to a person. It never makes a verdict milder. What counts as sure, as unlike everything, and what the
//! latter means, stands in the manifest (`heads.prototypes`).

use std::sync::Arc;

use models::bundle::{Disposition, Kind, PrototypeSpec, Unknown};
use models::heads::prototypes::Likeness;

use crate::stage::Decision;
use crate::verdict::Verdict;

/// The decision so far, joined with the kind that the part looks like. `passes`: the scores alone would pass it.
pub(crate) fn join(decision: Decision, passes: bool, likeness: &Likeness, spec: &PrototypeSpec) -> Decision {
    // Found labels mean that the classifier is sure of a defect: that stands, whatever else the part looks like.
    if !decision.found.is_empty() || !matches!(decision.verdict, Verdict::Pass | Verdict::Review) {
        return decision;
    }
    if likeness.unknown {
        return match spec.unknown {
            Unknown::Review if decision.verdict == Verdict::Pass => {
                let detail =
                    "the classifier finds nothing; unlike every kind of picture that the model knows".to_owned();
                Decision { verdict: Verdict::Review, detail: Some(detail), ..decision }
            }
            _ => decision,
        };
    }
    let (kind, probability) = (&spec.kinds[likeness.nearest], likeness.probabilities[likeness.nearest]);
    if !kind.registered || probability < spec.sure {
        return decision;
    }
    let Kind { name, verdict, shots, .. } = kind;
    let said = if passes { "the classifier finds nothing" } else { "the classifier is not sure" };
    let detail = Some(format!("{said}; looks like `{name}` ({probability:.2}), registered from {shots} pictures"));
    let verdict = match (verdict, passes) {
        (Disposition::Pass, _) => return decision,
        (Disposition::Fail, false) => Verdict::Fail,
        _ => Verdict::Review,
    };
    Decision { verdict, label: Some(Arc::from(name.as_str())), detail, ..decision }
}

#[cfg(test)]
mod tests {
    use models::bundle::Metric;
    use proptest::prelude::*;

    use super::*;
    use crate::inspection::LabelScore;

    fn spec(unknown: Unknown) -> PrototypeSpec {
        let kind = |name: &str, verdict, registered| Kind { name: name.into(), verdict, shots: 5, registered };
        PrototypeSpec {
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
        }
    }

    fn decision(verdict: Verdict, found: &[&str]) -> Decision {
        let found = found.iter().map(|label| LabelScore { label: Arc::from(*label), score: 0.9 }).collect();
        let label = Some(Arc::from("scores"));
        Decision { verdict, label, found, scores: Vec::new(), heat: None, detail: None }
    }

    /// Verdict and label of a part at these squared distances from good, scratch, burr and haze.
    fn joined(before: Decision, distances: [f32; 4], unknown: Unknown) -> (Verdict, String) {
        let spec = spec(unknown);
        let passes = before.verdict == Verdict::Pass;
        let after = join(before, passes, &Likeness::new(&spec, distances.to_vec()), &spec);
        (after.verdict, after.label.unwrap().to_string())
    }

    const LIKE_GOOD: [f32; 4] = [5.0, 15.0, 18.0, 19.0];
    const LIKE_BURR: [f32; 4] = [15.0, 15.0, 5.0, 19.0];
    const LIKE_HAZE: [f32; 4] = [15.0, 15.0, 19.0, 5.0];
    const BETWEEN: [f32; 4] = [5.1, 15.0, 5.0, 19.0];
    const LIKE_NOTHING: [f32; 4] = [25.0, 30.0, 22.0, 30.0];

    #[test]
    fn a_registered_kind_speaks_where_the_classifier_does_not() {
        use Verdict::{Fail, Pass, Review};
        for (verdict, found, distances, expected, label) in [
            // The classifier passes it.
            (Pass, &[][..], LIKE_GOOD, Pass, "scores"),
            (Pass, &[], LIKE_BURR, Review, "burr"),
            (Pass, &[], LIKE_HAZE, Review, "haze"),
            // It is not sure.
            (Review, &[], LIKE_GOOD, Review, "scores"),
            (Review, &[], LIKE_BURR, Fail, "burr"),
            (Review, &[], LIKE_HAZE, Review, "haze"),
            // It found something: that stands.
            (Fail, &["scratch"], LIKE_HAZE, Fail, "scores"),
            (Review, &["stain"], LIKE_BURR, Review, "scores"),
            // The head itself is not sure.
            (Pass, &[], [5.0, 15.0, 5.2, 19.0], Pass, "scores"),
        ] {
            let got = joined(decision(verdict, found), distances, Unknown::Review);
            assert_eq!(got, (expected, label.to_owned()), "{verdict:?} {found:?} {distances:?}");
        }
        assert_eq!(
            joined(decision(Pass, &[]), BETWEEN, Unknown::Review).0,
            Review,
            "a hair's breadth is enough at 0.5"
        );
    }

    #[test]
    fn unlike_everything_goes_to_a_person_where_the_manifest_says_so() {
        assert_eq!(joined(decision(Verdict::Pass, &[]), LIKE_NOTHING, Unknown::Review).0, Verdict::Review);
        assert_eq!(joined(decision(Verdict::Pass, &[]), LIKE_NOTHING, Unknown::Keep).0, Verdict::Pass);
        assert_eq!(joined(decision(Verdict::Fail, &["scratch"]), LIKE_NOTHING, Unknown::Review).0, Verdict::Fail);
    }

    proptest! {
        #[test]
        fn no_likeness_makes_a_verdict_milder(
            distances in prop::array::uniform4(0.0_f32..40.0), before in 0..3, found: bool, review: bool,
        ) {
            let rank = |verdict| match verdict {
                Verdict::Pass => 0,
                Verdict::Review => 1,
                _ => 2,
            };
            let verdict = [Verdict::Pass, Verdict::Review, Verdict::Fail][before as usize];
            let found: &[&str] = if found { &["scratch"] } else { &[] };
            let unknown = if review { Unknown::Review } else { Unknown::Keep };
            prop_assert!(rank(joined(decision(verdict, found), distances, unknown).0) >= rank(verdict));
        }
    }
}
