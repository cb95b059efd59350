//! The books' rules in simulated time.

use models::bundle::{Disposition, FORMAT, Label, Manifest, Pooling, Provenance, Tolerance};
use models::prediction::{Model, Prediction};
use models::preprocess::Preprocess;
use models::runtime::RuntimeError;
use proptest::prelude::*;

use super::*;
use crate::recipe::Recipe;

struct NoModel(Manifest, Arc<str>);

impl Model for NoModel {
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
        unreachable!("the books never run a model")
    }
}

pub(in crate::line) fn recipe(deadline_ms: u32) -> Arc<RecipeInForce> {
    let manifest = Manifest {
        format: FORMAT,
        name: "none".into(),
        labels: vec![Label { name: "good".into(), verdict: Disposition::Pass, threshold: 0.5 }],
        preprocess: Preprocess::imagenet(32),
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
        name: "test".into(),
        version: 1,
        bundle: None,
        deadline_ms,
        review_as: Default::default(),
        require_provider: None,
        thresholds: Default::default(),
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
    Arc::new(RecipeInForce::new(recipe, Arc::new(NoModel(manifest, "00".into()))).expect("sound"))
}

pub(in crate::line) fn terms() -> Terms {
    Terms {
        line: "line".into(),
        camera: "camera".into(),
        stages: vec!["quality", "infer"],
        pins: Pins::new(4),
        capacity: 64,
        max_restarts: 5,
        restart_window: Duration::from_secs(60),
        max_abandoned: 2,
        checker: None,
    }
}

fn books() -> Books {
    Books::new(terms())
}

pub(in crate::line) fn part(id: u64, triggered: Instant, recipe: &Arc<RecipeInForce>) -> Admission {
    let triggered_at = Timestamp::UNIX_EPOCH;
    let recipe = recipe.clone();
    Admission {
        id,
        serial: None,
        identity: None,
        call: None,
        origin: None,
        triggered,
        triggered_at,
        frame: None,
        truth: None,
        recipe,
    }
}

pub(in crate::line) fn passed() -> (Decision, Beside) {
    let decision = Decision {
        verdict: Verdict::Pass,
        label: None,
        found: vec![],
        scores: vec![],
        heat: None,
        regions: Vec::new(),
        detail: None,
        sample: Default::default(),
    };
    (decision, Beside::default())
}

fn out(books: &mut Books, now: Instant) -> Vec<(u64, Verdict)> {
    std::iter::from_fn(|| books.pop_ready(now)).map(|out| (out.inspection.id, out.inspection.verdict)).collect()
}

const LATE: Verdict = Verdict::NoDecision(Cause::Late);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn effective_deadlines_never_decrease() {
    let (mut books, start) = (books(), Instant::now());
    books.admit(part(1, start, &recipe(400)), start);
    books.admit(part(2, start + ms(10), &recipe(50)), start + ms(10));
    books.expire(start + ms(399));
    assert_eq!(out(&mut books, start), [], "part 2 does not come due before part 1");
    assert_eq!(books.next_deadline(), Some(start + ms(400)));
    books.expire(start + ms(400));
    assert_eq!(out(&mut books, start + ms(400)), [(1, LATE), (2, LATE)]);
    books.admit(part(3, start + ms(500), &recipe(50)), start + ms(500));
    assert_eq!(books.next_deadline(), Some(start + ms(550)), "its own again");

    books.admit(part(4, start + ms(510), &recipe(400)), start + ms(510));
    books.admit(part(5, start + ms(520), &recipe(50)), start + ms(520));
    books.decide(3, start, passed(), start + ms(540));
    books.decide(4, start, passed(), start + ms(600));
    books.expire(start + ms(700));
    books.decide(5, start, passed(), start + ms(700));
    let ready = out(&mut books, start + ms(700));
    assert_eq!(ready, [3, 4, 5].map(|id| (id, Verdict::Pass)), "part 5 has as long as part 4");
}

#[test]
fn a_decided_part_waits_for_the_older_one() {
    let (mut books, start, recipe) = (books(), Instant::now(), recipe(100));
    for id in 7..10 {
        books.admit(part(id, start, &recipe), start);
    }
    books.decide(8, start, passed(), start + ms(1));
    books.decide(9, start, passed(), start + ms(2));
    assert_eq!(out(&mut books, start + ms(2)), []);
    assert_eq!(books.counts().in_flight, 3, "what is not out is in flight");
    books.decide(7, start, passed(), start + ms(3));
    assert_eq!(out(&mut books, start + ms(3)), [7, 8, 9].map(|id| (id, Verdict::Pass)));
    assert_eq!(books.counts(), Counts { triggered: 3, pass: 3, ..Counts::default() });
}

#[test]
fn the_first_resolution_wins_and_a_later_result_follows_its_verdict() {
    let (mut books, start, recipe) = (books(), Instant::now(), recipe(100));
    books.admit(part(1, start, &recipe), start);
    books.admit(part(2, start, &recipe), start);
    books.fail(2, Cause::StageFailed, "hung", start + ms(10));
    books.fail(2, Cause::Overload, "again", start + ms(11));
    books.decide(2, start, passed(), start + ms(20));
    assert_eq!((books.tallies.late_results, books.pop_loose().is_none()), (1, true), "not before its verdict is out");
    books.decide(1, start, passed(), start + ms(30));
    let first = books.pop_ready(start + ms(30)).expect("ready");
    assert!(first.late.is_none());
    let second = books.pop_ready(start + ms(30)).expect("ready");
    assert_eq!(second.inspection.detail.as_deref(), Some("hung"));
    assert_eq!(second.late.map(|late| (late.id, late.after_us)), Some((2, 20_000)));
    books.decide(1, start, passed(), start + ms(40));
    assert_eq!(books.pop_loose().map(|late| late.id), Some(1), "its verdict is out already");
}

#[test]
fn a_late_part_says_where_it_was() {
    let (mut books, start, recipe) = (books(), Instant::now(), recipe(100));
    for id in 1..=3 {
        books.admit(part(id, start, &recipe), start);
    }
    books.enter(1, 0, start + ms(5));
    books.leave(1, start + ms(20));
    books.enter(1, 1, start + ms(30));
    books.enter(2, 0, start + ms(20));
    books.leave(2, start + ms(40));
    books.expire(start + ms(100));
    books.leave(1, start + ms(150));
    let words: Vec<_> = std::iter::from_fn(|| books.pop_ready(start + ms(100))).collect();
    let detail = |at: usize| words[at].inspection.detail.clone().unwrap_or_default();
    assert_eq!(detail(0), "no verdict within 100 ms: `infer` was at it for 70 ms");
    assert_eq!(detail(1), "no verdict within 100 ms: waiting for `infer`");
    assert_eq!(detail(2), "no verdict within 100 ms: waiting for `quality`");
    let mark = |stage, entered_us, left_us| Mark { stage: Cow::Borrowed(stage), entered_us, left_us };
    let marks = [mark("quality", 5_000, 20_000), mark("infer", 30_000, 100_000)];
    assert_eq!(words[0].inspection.ledger, Ledger { marks: marks.to_vec(), total_us: 100_000 });
}

#[test]
fn a_part_that_comes_after_its_deadline_is_late_at_once() {
    let (mut books, start) = (books(), Instant::now());
    assert!(!books.admit(part(1, start, &recipe(100)), start + ms(100)), "capture was held back too long");
    assert_eq!(out(&mut books, start + ms(100)), [(1, LATE)]);
}

#[test]
fn only_restarts_within_the_window_add_up() {
    let (mut books, start) = (books(), Instant::now());
    for second in [0, 1, 2, 3] {
        assert!(!books.restarted(start + ms(second * 1000)));
    }
    assert!(!books.restarted(start + ms(60_500)), "the first is over a minute old");
    assert!(books.restarted(start + ms(60_900)), "five within a minute");
    books.clear_hold();
    assert!(!books.restarted(start + ms(61_000)), "a person has looked: the count starts anew");
}

#[test]
fn safe_hold_keeps_what_was_decided_before() {
    let (mut books, start, recipe) = (books(), Instant::now(), recipe(100));
    for id in 1..=3 {
        books.admit(part(id, start, &recipe), start);
    }
    books.decide(2, start, passed(), start);
    assert!(books.enter_hold("disk full", start));
    assert!(!books.enter_hold("another reason", start));
    assert!(!books.admit(part(4, start, &recipe), start));
    let held = Verdict::NoDecision(Cause::SafeHold);
    assert_eq!(out(&mut books, start), [(1, held), (2, Verdict::Pass), (3, held), (4, held)]);
    assert_eq!(books.hold.as_deref(), Some("disk full"));
}

#[test]
fn sampling_is_even_also_over_consecutive_ids() {
    for fraction in [0.01, 0.1, 0.5] {
        let kept = (0..100_000u64).filter(|&id| crate::sample::drawn_by_lot(id, fraction)).count() as f32;
        let expected = 100_000.0 * fraction;
        assert!((kept - expected).abs() < 5.0 * expected.sqrt(), "{kept} of {expected}");
    }
    assert!((0..1000).all(|id| crate::sample::drawn_by_lot(id, 1.0) && !crate::sample::drawn_by_lot(id, 0.0)));
}

/// One thing that happens, some microseconds after the one before.
#[derive(Debug, Clone)]
enum Op {
    Admit { deadline_ms: u32 },
    Decide(u64),
    Fail(u64),
    Hold,
    Clear,
    Recorded,
}

fn op() -> impl Strategy<Value = (u64, Op)> {
    let op = prop_oneof![
        4 => (1u32..40).prop_map(|deadline_ms| Op::Admit { deadline_ms }),
        4 => (0u64..12).prop_map(Op::Decide),
        1 => (0u64..12).prop_map(Op::Fail),
        1 => prop_oneof![4 => Just(Op::Recorded), 1 => Just(Op::Hold), 1 => Just(Op::Clear)],
        3 => Just(Op::Recorded),
    ];
    (0u64..8_000, op)
}

proptest! {
    #[test]
    fn the_law_the_order_and_the_deadlines_hold_after_every_step(ops in proptest::collection::vec(op(), 1..120)) {
        let recipes: Vec<_> = (0..40).map(|ms| recipe(ms.max(1))).collect();
        let mut books = books();
        let start = Instant::now();
        let mut now = start;
        let (mut next_id, mut next_out) = (1u64, 1u64);
        // What a part is due at: its own deadline or an older one's, whichever is later.
        let mut due: Vec<Instant> = Vec::new();
        for (gap_us, op) in ops {
            now += Duration::from_micros(gap_us);
            books.expire(now);
            match op {
                Op::Admit { deadline_ms } if books.has_room() => {
                    let own = now + ms(u64::from(deadline_ms));
                    due.push(due.last().map_or(own, |last| own.max(*last)));
                    books.admit(part(next_id, now, &recipes[deadline_ms as usize]), now);
                    next_id += 1;
                }
                Op::Admit { .. } => {}
                // Counted back from the newest, so that old, open and unknown ids are all met.
                Op::Decide(back) => books.decide(next_id.saturating_sub(back), start, passed(), now),
                Op::Fail(back) => books.fail(next_id.saturating_sub(back), Cause::StageFailed, "failed", now),
                Op::Hold => {
                    books.enter_hold("held", now);
                }
                Op::Clear => books.clear_hold(),
                Op::Recorded => books.unrecorded = books.unrecorded.saturating_sub(1),
            }
            for (id, verdict) in out(&mut books, now) {
                prop_assert_eq!(id, next_out, "exactly once and in trigger order");
                prop_assert!(verdict != LATE || due[id as usize - 1] <= now, "late before its time");
                next_out += 1;
            }
            let counts = books.counts();
            prop_assert!(counts.obey_the_law(), "{:?}", counts);
            prop_assert_eq!(counts.triggered, next_id - 1);
            prop_assert_eq!(counts.in_flight, next_id - next_out);
            prop_assert!(books.in_flight() + books.unrecorded <= 64);
            // Whatever is still open is not due yet.
            let overdue = due.iter().skip(next_out as usize - 1).filter(|at| **at <= now).count();
            prop_assert_eq!(overdue, 0);
        }
        books.expire(now + ms(100));
        out(&mut books, now + ms(100));
        prop_assert_eq!(books.counts().in_flight, 0);
    }
}
