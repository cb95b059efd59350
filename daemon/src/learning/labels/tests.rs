//! What holds of a part, and what people agree on.

use jiff::Timestamp;
use proptest::prelude::*;
use stages::sample::{Reason, Why};

use super::*;

fn item(id: u64, verdict: Verdict, why: Why) -> Item {
    Item {
        id,
        at: Timestamp::UNIX_EPOCH,
        serial: None,
        verdict,
        label: None,
        reasons: vec![Reason { why, value: 0.5, detail: String::new() }],
        sketch: None,
        model: "m".into(),
    }
}

fn said(labels: &mut Labels, id: u64, by: &str, label: &str, way: Way) {
    let answer = Answer::Label { label: label.into(), means: None };
    let answered = Answered { number: labels.next_number(), id, answer, by: by.into(), at: Timestamp::UNIX_EPOCH, way };
    labels.answer(answered, item(id, Verdict::Pass, Why::LowMargin));
}

#[test]
fn the_last_answer_holds_until_it_is_taken_back_and_a_contradicted_one_teaches_nothing() {
    let mut labels = Labels::new(1.0);
    let of = |labels: &Labels| labels.of(1).map(|labelled| labelled.label.to_string());
    said(&mut labels, 1, "anna", "scratch", Way::Queue);
    assert_eq!(of(&labels).as_deref(), Some("scratch"));
    assert!(
        labels.wants_second(1, "ben") && !labels.wants_second(1, "anna"),
        "nobody gives a second opinion on their own"
    );
    said(&mut labels, 1, "ben", "burr", Way::SecondOpinion);
    assert_eq!(of(&labels), None, "in dispute");
    assert!(!labels.wants_second(1, "carl"));
    said(&mut labels, 1, "eve", "burr", Way::Override);
    assert_eq!(of(&labels).as_deref(), Some("burr"), "settled");
    let last = labels.last_by("eve").expect("she said something").answered.number;
    assert!(labels.undo(last).is_some() && labels.undo(last).is_none(), "once");
    assert_eq!(of(&labels), None);
    assert_eq!(labels.last_by("eve"), None);
    assert_eq!(labels.about(1).count(), 3, "nothing is forgotten");
}

#[test]
fn kappa_is_that_of_the_textbook() {
    // Cohen's own form: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed 0.7, by chance 0.5, kappa 0.4.
    let mut labels = Labels::new(1.0);
    let mut id = 0;
    for (first, second, times) in [("yes", "yes", 20), ("yes", "no", 5), ("no", "yes", 10), ("no", "no", 15)] {
        for _ in 0..times {
            id += 1;
            said(&mut labels, id, "anna", first, Way::Queue);
            said(&mut labels, id, "ben", second, Way::SecondOpinion);
        }
    }
    let Agreement { pairs, kappa } = labels.agreement();
    assert_eq!(pairs, 50);
    assert!((kappa.expect("two labels") - 0.4).abs() < 1e-12, "{kappa:?}");
    assert_eq!(Labels::new(0.1).agreement(), Agreement { pairs: 0, kappa: None });
}

#[test]
fn only_audited_parts_tell_rates() {
    let mut labels = Labels::new(0.0);
    let cases = [
        (Verdict::Pass, Why::Audit, "scratch"),
        (Verdict::Fail, Why::Audit, "scratch"),
        (Verdict::Fail, Why::Audit, "good"),
        (Verdict::Pass, Why::Audit, "good"),
        (Verdict::Pass, Why::Audit, "of another world"),
        (Verdict::Pass, Why::LowMargin, "scratch"),
    ];
    for (id, (verdict, why, label)) in (1..).zip(cases) {
        let answer = Answer::Label { label: label.into(), means: None };
        let answered =
            Answered { number: id, id, answer, by: "anna".into(), at: Timestamp::UNIX_EPOCH, way: Way::Queue };
        labels.answer(answered, item(id, verdict, why));
    }
    let is_good = |label: &str| match label {
        "good" => Some(true),
        "scratch" => Some(false),
        _ => None,
    };
    assert_eq!(labels.audited(is_good), Audited { parts: 4, good: 2, overkill: 1, bad: 2, escapes: 1 });
}

proptest! {
    #[test]
    fn counts_are_those_of_what_holds(steps in prop::collection::vec((0_u64..6, 0_usize..4, 0_usize..3, any::<bool>()), 0..80)) {
        let mut labels = Labels::new(0.5);
        for (id, label, by, undo) in steps {
            let by = ["anna", "ben", "carl"][by];
            if undo {
                if let Some(number) = labels.last_by(by).map(|given| given.answered.number) {
                    labels.undo(number);
                }
                continue;
            }
            let answer = match label {
                0 => Answer::Skip,
                1 => Answer::Unsure,
                _ => Answer::Label { label: ["a", "b"][label - 2].into(), means: None },
            };
            let way = if labels.wants_second(id, by) { Way::SecondOpinion } else { Way::Queue };
            let answered = Answered { number: labels.next_number(), id, answer, by: by.into(), at: Timestamp::UNIX_EPOCH, way };
            labels.answer(answered, item(id, Verdict::Pass, Why::LowMargin));
        }
        let mut counts = BTreeMap::new();
        for (_, labelled) in labels.all() {
            *counts.entry(labelled.label.clone()).or_insert(0) += 1;
        }
        prop_assert_eq!(labels.counts(), &counts);
    }
}
