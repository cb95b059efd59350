//! A study from its plan to its figures, across restarts.

use std::time::Instant;

use stages::check::Known;
use stages::inspection::Inspection;
use stages::recipe::RecipeInForce;
use stages::verdict::{Cause, Verdict};

use super::study::{MOST_PARTS, StudyPart};
use super::*;
use crate::alerts::testing::part;
use crate::checks::testing::recipe_with;

fn plan(by_serial: bool) -> Plan {
    let part = |name: &str, master| StudyPart { name: name.into(), master };
    let parts = vec![part("a", Known::Good), part("b", Known::Bad), part("c", Known::Good)];
    Plan { name: "housing".into(), parts, repeats: 2, by_serial }
}

fn show(gauge: &Gauge, recipe: &RecipeInForce, verdict: Verdict, serial: Option<&str>) -> Inspection {
    let mut part = Inspection {
        recipe: recipe.tag.clone(),
        model: recipe.model.digest().clone(),
        serial: serial.map(Into::into),
        ..part(verdict, None)
    };
    gauge.verdict(&mut part, recipe, Instant::now());
    part
}

#[test]
fn a_study_asks_for_its_parts_round_by_round_and_outlives_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let recipe = recipe_with(1, None);
    let (gauge, by) = (Gauge::open(dir.path()).expect("an empty folder"), Arc::from("ann"));
    let number = gauge.plan(plan(false), &by).expect("a sound plan");
    assert!(show(&gauge, &recipe, Verdict::Pass, None).check.is_none(), "nothing is collected yet");
    gauge.collect(number, &recipe).expect("it is not complete");
    let mut order = Vec::new();
    for _ in 0..3 {
        let (at, _) = gauge.lock().get(number).expect("it is there").next().expect("not complete");
        let bad = plan(false).parts[at].master == Known::Bad;
        let mark = show(&gauge, &recipe, if bad { Verdict::Fail } else { Verdict::Pass }, None).check.expect("marked");
        assert_eq!((mark.sample as usize, mark.repeat, mark.right), (at + 1, 1, Some(true)));
        order.push(at);
    }
    order.sort_unstable();
    assert_eq!(order, [0, 1, 2], "each part once a round");
    gauge.write().expect("the disk is well");
    drop(gauge);

    let gauge = Gauge::open(dir.path()).expect("it is read again");
    assert!(!gauge.is_on(), "nobody said that what comes now is the study's");
    assert_eq!(gauge.lock().get(number).expect("kept").progress(), (3, 6));
    gauge.collect(number, &recipe).expect("it goes on");
    let (at, repeat) = gauge.lock().get(number).expect("kept").next().expect("not complete");
    assert_eq!(repeat, 1);
    show(&gauge, &recipe, Verdict::NoDecision(Cause::Late), None);
    // The wrong part lay there.
    gauge.void(number, &by).expect("there is a rating");
    assert_eq!(gauge.lock().get(number).expect("kept").next(), Some((at, repeat)), "it is asked for again");
    for _ in 0..3 {
        show(&gauge, &recipe, Verdict::Pass, None);
    }
    assert!(!gauge.is_on(), "complete");
    let figures = gauge.lock().get(number).expect("kept").figures();
    assert_eq!((figures.appraisers[0].miss.seen, figures.appraisers[0].miss.of), (1, 2));
    assert!(show(&gauge, &recipe, Verdict::Pass, None).check.is_none(), "production again");
    assert!(matches!(gauge.collect(number, &recipe), Err(GaugeError::Conflict(_))));

    gauge.rate(number, "ann", &[(0, 0, true), (1, 0, false)]).expect("sound ratings");
    gauge.rate(number, "ann", &[(1, 0, true)]).expect("she thinks again");
    gauge.write().expect("the disk is well");
    drop(gauge);
    let gauge = Gauge::open(dir.path()).expect("it is read again");
    let study = gauge.lock().get(number).expect("kept").clone();
    assert_eq!(study.progress(), (6, 6));
    assert_eq!(study.figures().appraisers[1].miss.seen, 1);
    let csv = String::from_utf8(report::csv(&study).expect("in memory")).expect("text");
    assert_eq!(csv.lines().count(), 1 + 6 + 2);
    let page = report::html("line", &study, Timestamp::UNIX_EPOCH);
    assert!(page.contains("Effectiveness") && page.contains("<th>ann</th>"));
    gauge.remove(number, &by).expect("it is paused");
    assert!(gauge.lock().get(number).is_err());
}

#[test]
fn by_serial_number_parts_come_in_any_order_and_others_are_production() {
    let dir = tempfile::tempdir().expect("a folder");
    let recipe = recipe_with(1, None);
    let (gauge, by) = (Gauge::open(dir.path()).expect("an empty folder"), Arc::from("ann"));
    let number = gauge.plan(plan(true), &by).expect("a sound plan");
    gauge.collect(number, &recipe).expect("it is not complete");
    let mark = |serial: &str| show(&gauge, &recipe, Verdict::Pass, Some(serial)).check.map(|it| (it.sample, it.repeat));
    assert_eq!((mark("c"), mark("c"), mark("c")), (Some((3, 1)), Some((3, 2)), None));
    assert_eq!((mark("x"), mark("a")), (None, Some((1, 1))));
    // Another recipe: the study measures one.
    show(&gauge, &recipe_with(2, None), Verdict::Pass, Some("a"));
    assert!(!gauge.is_on() && gauge.lock().halted().is_some_and(|words| words.contains("recipe or model changed")));
    assert!(matches!(gauge.collect(number, &recipe_with(2, None)), Err(GaugeError::Conflict(_))));
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let (gauge, by) = (Gauge::open(dir.path()).expect("an empty folder"), Arc::from("ann"));
    let part = |name: &str, master| StudyPart { name: name.into(), master };
    let many = (0..=MOST_PARTS).map(|at| part(&at.to_string(), Known::Good)).collect();
    for (words, unfit) in [
        ("`name`", Plan { name: " ".into(), ..plan(false) }),
        ("repeats", Plan { repeats: 1, ..plan(false) }),
        ("`parts` has 501", Plan { parts: many, ..plan(false) }),
        ("twice", Plan { parts: vec![part("a", Known::Good), part("a", Known::Bad)], ..plan(false) }),
        ("of one kind", Plan { parts: vec![part("a", Known::Good), part("b", Known::Good)], ..plan(false) }),
    ] {
        let error = gauge.plan(unfit, &by).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    let number = gauge.plan(plan(false), &by).expect("a sound plan");
    for (person, said) in [("line", (0, 0, true)), ("", (0, 0, true)), ("ann", (3, 0, true)), ("ann", (0, 2, true))] {
        assert!(matches!(gauge.rate(number, person, &[said]), Err(GaugeError::Unfit(_))), "{person} {said:?}");
    }
    assert!(matches!(gauge.rate(9, "ann", &[]), Err(GaugeError::Unknown(9))));
    assert!(matches!(gauge.void(number, &by), Err(GaugeError::Conflict(_))));
}
