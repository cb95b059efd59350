//! The routine in simulated time, and its log across restarts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Timestamp, tz::TimeZone};
use stages::check::{GoldenSample, GoldenSamples, Known};
use stages::inspection::Inspection;
use stages::recipe::RecipeInForce;
use stages::verdict::{Cause, Verdict};

use super::*;
use crate::alerts::testing::part;
use crate::checks::testing::recipe_with;

fn sample(name: &str, known: Known, serial: Option<&str>) -> GoldenSample {
    GoldenSample { name: name.into(), known, label: None, serial: serial.map(Into::into) }
}

fn terms() -> GoldenSamples {
    GoldenSamples {
        shifts: Vec::new(),
        every_h: 8.0,
        on_changeover: true,
        sample: vec![sample("GOOD", Known::Good, None), sample("BAD", Known::Bad, None)],
    }
}

fn by_serial() -> GoldenSamples {
    GoldenSamples {
        sample: vec![sample("GOOD", Known::Good, Some("GS-G*")), sample("BAD", Known::Bad, Some("GS-B*"))],
        ..terms()
    }
}

fn recipe(terms: GoldenSamples) -> Arc<RecipeInForce> {
    recipe_with(1, Some(terms))
}

/// A part goes by.
fn show(golden: &Golden, recipe: &RecipeInForce, verdict: Verdict, serial: Option<&str>) -> Inspection {
    let mut part = Inspection {
        recipe: recipe.tag.clone(),
        model: recipe.model.digest().clone(),
        serial: serial.map(Into::into),
        ..part(verdict, None)
    };
    golden.verdict(&mut part, recipe, Instant::now());
    part
}

fn refused(golden: &Golden, recipe: &RecipeInForce) -> String {
    golden.refusal(recipe).map(|words| words.to_string()).unwrap_or_default()
}

#[test]
fn the_line_is_not_ready_until_every_sample_was_judged_right() {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = Golden::open(dir.path()).expect("an empty folder");
    let recipe = recipe(terms());
    assert!(refused(&golden, &recipe).contains("none were shown on this line yet"));
    // A part that slips in before anything was shown gets no decision, whatever the model says.
    let early = show(&golden, &recipe, Verdict::Pass, None);
    assert_eq!(early.verdict, Verdict::NoDecision(Cause::SafeHold));
    assert!(early.check.is_none() && early.detail.is_some_and(|words| words.contains("golden samples are due")));

    golden.start(&recipe, &"ann".into()).expect("it names samples");
    assert_eq!(refused(&golden, &recipe), "", "samples must reach the model");
    assert!(matches!(golden.start(&recipe, &"ann".into()), Err(GoldenError::On(1))));
    let good = show(&golden, &recipe, Verdict::Pass, None).check.expect("it is marked");
    assert_eq!((good.run, good.sample, good.right), (1, 1, Some(true)));
    // The bad one passes: that is what the routine is for.
    let bad = show(&golden, &recipe, Verdict::Pass, None).check.expect("it is marked");
    assert_eq!((bad.sample, bad.right), (2, Some(false)));
    let words = refused(&golden, &recipe);
    assert!(words.contains("run 1: 1 of 2 judged wrong: `BAD` is bad and passed"), "{words}");
    assert_eq!(show(&golden, &recipe, Verdict::Pass, None).verdict, Verdict::NoDecision(Cause::SafeHold));

    golden.start(&recipe, &"ann".into()).expect("again");
    show(&golden, &recipe, Verdict::Pass, None);
    show(&golden, &recipe, Verdict::Fail, None);
    assert_eq!(refused(&golden, &recipe), "");
    let after = show(&golden, &recipe, Verdict::Pass, None);
    assert!(after.verdict == Verdict::Pass && after.check.is_none(), "production goes on");
    let outcomes: Vec<_> = golden.lock().runs().filter_map(|run| run.ended.as_ref().map(|it| it.outcome)).collect();
    assert_eq!(outcomes, [Outcome::Passed, Outcome::Failed]);
}

#[test]
fn parts_triggered_before_the_start_are_no_samples() {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = Golden::open(dir.path()).expect("an empty folder");
    let recipe = recipe(terms());
    let before = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    golden.start(&recipe, &"ann".into()).expect("it names samples");
    let mut late =
        Inspection { recipe: recipe.tag.clone(), model: recipe.model.digest().clone(), ..part(Verdict::Pass, None) };
    golden.verdict(&mut late, &recipe, before);
    assert!(late.check.is_none() && late.verdict != Verdict::Pass);
}

#[test]
fn samples_with_serial_numbers_come_in_any_order_between_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = Golden::open(dir.path()).expect("an empty folder");
    let recipe = recipe(by_serial());
    golden.start(&recipe, &"ann".into()).expect("it names samples");
    assert_eq!(show(&golden, &recipe, Verdict::Fail, Some("GS-B7")).check.expect("marked").sample, 2);
    // Not proven yet: nobody may believe a pass.
    let between = show(&golden, &recipe, Verdict::Pass, Some("P-1"));
    assert_eq!(between.verdict, Verdict::NoDecision(Cause::SafeHold));
    let again = show(&golden, &recipe, Verdict::Fail, Some("GS-B7")).check.expect("marked");
    assert_eq!(again.run, 0, "it was seen in this run already");
    assert_eq!(show(&golden, &recipe, Verdict::Pass, Some("GS-G1")).check.expect("marked").sample, 1);
    assert_eq!(refused(&golden, &recipe), "");
    // Between two runs a sample still is no production.
    let known = show(&golden, &recipe, Verdict::Pass, Some("GS-B7")).check.expect("marked");
    assert_eq!((known.run, known.right), (0, Some(false)));
    assert!(show(&golden, &recipe, Verdict::Pass, Some("P-2")).check.is_none());
}

#[test]
fn a_kill_at_any_moment_never_makes_a_line_ready() {
    let dir = tempfile::tempdir().expect("a folder");
    let recipe = recipe(GoldenSamples { every_h: 0.0, on_changeover: false, ..terms() });
    {
        let golden = Golden::open(dir.path()).expect("an empty folder");
        assert_eq!(refused(&golden, &recipe), "", "nobody demands them");
        golden.start(&recipe, &"ann".into()).expect("it names samples");
        show(&golden, &recipe, Verdict::Pass, None);
        show(&golden, &recipe, Verdict::Pass, None);
        // Killed before the next look writes anything of it.
    }
    let golden = Golden::open(dir.path()).expect("it is read again");
    assert!(
        refused(&golden, &recipe).contains("run 1: interrupted: the program ended"),
        "{}",
        refused(&golden, &recipe)
    );
    golden.overrule(&recipe, &"eve".into(), "samples are at the calibration".into()).expect("it refuses");
    assert_eq!(refused(&golden, &recipe), "");
    assert!(matches!(golden.overrule(&recipe, &"eve".into(), "x".into()), Err(GoldenError::NothingToOverride)));
    drop(golden);
    let golden = Golden::open(dir.path()).expect("it is read again");
    assert_eq!(refused(&golden, &recipe), "", "an override outlives the program");
    let proof = golden.lock().proof().cloned().expect("it stands");
    assert_eq!((proof.run, proof.reason.as_deref()), (None, Some("samples are at the calibration")));
    assert_eq!(golden.lock().runs().count(), 1);
}

#[test]
fn another_recipe_and_the_clock_demand_them_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = Golden::open(dir.path()).expect("an empty folder");
    let recipe = recipe(GoldenSamples { shifts: vec!["06:00".into()], ..terms() });
    golden.start(&recipe, &"ann".into()).expect("it names samples");
    show(&golden, &recipe, Verdict::Pass, None);
    show(&golden, &recipe, Verdict::Fail, None);
    golden.look(&recipe, &TimeZone::UTC).expect("the disk is well");
    assert_eq!(refused(&golden, &recipe), "");
    let next = recipe_with(2, recipe.recipe.golden_samples.clone());
    assert!(refused(&golden, &next).contains("r@2 came into force, the last ones were shown with r@1"));
    let shown = golden.lock().proof().expect("it stands").at;
    let look = |at: Timestamp| {
        let mut routine = golden.lock();
        routine.look(&recipe, &TimeZone::UTC, at);
        routine.refusal(&recipe).map(|words| words.to_string()).unwrap_or_default()
    };
    let terms = recipe.recipe.golden_samples.clone().expect("it has some");
    let due = next_due(&terms, &TimeZone::UTC, shown, shown).expect("the clock demands them");
    let hour = jiff::SignedDuration::from_hours(1);
    assert_eq!(look(shown + due.duration_since(shown) / 2), "");
    assert!(look(due + hour).starts_with("golden samples are due: "));
    assert!(look(due + 12 * hour).starts_with("golden samples are due: "));
    assert_eq!(look(shown), "");
    assert!(look(shown - 24 * hour).contains("the clock was set back"), "a proof of the future");
    let by_hours = GoldenSamples { shifts: Vec::new(), ..terms };
    assert_eq!(next_due(&by_hours, &TimeZone::UTC, shown, shown), Some(shown + 8 * hour));
}

#[test]
fn a_run_under_another_model_has_to_be_repeated_and_a_cancelled_one_counts_what_went_wrong() {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = Golden::open(dir.path()).expect("an empty folder");
    let recipe = recipe(terms());
    golden.start(&recipe, &"ann".into()).expect("it names samples");
    let next = recipe_with(2, recipe.recipe.golden_samples.clone());
    show(&golden, &next, Verdict::Pass, None);
    assert!(refused(&golden, &next).contains("run 1: interrupted: recipe or model changed"));
    golden.start(&recipe, &"ann".into()).expect("again");
    golden.cancel(&"ann".into(), Some("lunch".into())).expect("it is on");
    assert_eq!(
        golden.lock().runs().next().and_then(|run| run.ended.clone()).map(|it| it.outcome),
        Some(Outcome::Cancelled)
    );
    golden.start(&recipe, &"ann".into()).expect("again");
    show(&golden, &recipe, Verdict::Fail, None);
    golden.cancel(&"ann".into(), None).expect("it is on");
    assert!(
        refused(&golden, &recipe)
            .contains("run 3: cancelled after 1 of 2 samples, judged wrong: `GOOD` is good and failed")
    );
    assert!(matches!(golden.cancel(&"ann".into(), None), Err(GoldenError::NotOn)));
}

#[test]
fn an_override_right_after_a_failed_run_counts_after_a_kill_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = Golden::open(dir.path()).expect("an empty folder");
    let recipe = recipe(terms());
    golden.start(&recipe, &"ann".into()).expect("it names samples");
    show(&golden, &recipe, Verdict::Pass, None);
    show(&golden, &recipe, Verdict::Pass, None);
    assert!(refused(&golden, &recipe).contains("judged wrong"));
    golden.overrule(&recipe, &"eve".into(), "the sample is worn".into()).expect("it refuses");
    drop(golden);
    let golden = Golden::open(dir.path()).expect("a sound log");
    assert_eq!(refused(&golden, &recipe), "");
}
