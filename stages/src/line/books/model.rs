//! The books against a model of them that fits on a screen: whatever comes in whatever order, both say the same.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::tests::{part, passed, recipe, terms};
use super::*;

const LATE: Verdict = Verdict::NoDecision(Cause::Late);
const FAILED: Verdict = Verdict::NoDecision(Cause::StageFailed);
const HELD: Verdict = Verdict::NoDecision(Cause::SafeHold);

/// The reference: parts in trigger order, each with its deadline in microseconds and its verdict once it has one.
#[derive(Default)]
struct Model {
    parts: Vec<(u64, Option<Verdict>)>,
    out: usize,
    unrecorded: usize,
    held: bool,
    panics: Vec<u64>,
    late_results: u64,
}

impl Model {
    fn expire(&mut self, now: u64) {
        self.open().filter(|(due, _)| *due <= now).for_each(|(_, verdict)| *verdict = Some(LATE));
    }

    /// Parts without a verdict.
    fn open(&mut self) -> impl Iterator<Item = &mut (u64, Option<Verdict>)> {
        self.parts.iter_mut().filter(|(_, verdict)| verdict.is_none())
    }

    fn settle(&mut self, id: u64, verdict: Verdict) -> bool {
        let part = (id as usize).checked_sub(1).and_then(|at| self.parts.get_mut(at)).filter(|(_, it)| it.is_none());
        part.map(|(_, it)| *it = Some(verdict)).is_some()
    }

    fn hold(&mut self) {
        self.held = true;
        self.open().for_each(|(_, verdict)| *verdict = Some(HELD));
    }

    fn emit(&mut self) -> Vec<(u64, Verdict)> {
        let from = self.out;
        let ready = self.parts[from..].iter().map_while(|(_, verdict)| *verdict);
        let ready: Vec<_> = ready.enumerate().map(|(at, verdict)| ((from + at + 1) as u64, verdict)).collect();
        self.out += ready.len();
        self.unrecorded += ready.len();
        ready
    }
}

#[derive(Debug, Clone)]
enum Op {
    /// A trigger, under a recipe of this deadline: a recipe may change from part to part.
    Trigger(u32),
    /// A stage decides a part so many before the newest; of one that is settled it is a late result.
    Decide(u64, Verdict),
    /// A stage panics over it.
    Panic(u64),
    Hold,
    Clear,
    Recorded(usize),
}

fn op() -> impl Strategy<Value = (u64, Op)> {
    let verdict = prop_oneof![Just(Verdict::Pass), Just(Verdict::Fail), Just(Verdict::Review)];
    let op = prop_oneof![
        5 => (0u32..40).prop_map(Op::Trigger),
        5 => (0u64..12, verdict).prop_map(|(back, verdict)| Op::Decide(back, verdict)),
        2 => (0u64..12).prop_map(Op::Panic),
        1 => prop_oneof![1 => Just(Op::Hold), 3 => Just(Op::Clear)],
        3 => (1usize..5).prop_map(Op::Recorded),
    ];
    // Now and then long enough that old panics count no more.
    (prop_oneof![30 => 0u64..8_000, 1 => 0u64..90_000_000], op)
}

fn step(
    books: &mut Books,
    model: &mut Model,
    op: &Op,
    recipes: &[Arc<RecipeInForce>],
    (start, now_us): (Instant, u64),
) {
    let now = start + Duration::from_micros(now_us);
    let id = |back: u64| (model.parts.len() as u64 + 1).saturating_sub(back);
    match *op {
        Op::Trigger(ms) => {
            let room = model.parts.len() - model.out + model.unrecorded < terms().capacity;
            assert_eq!(books.has_room(), room);
            if room {
                let own = now_us + u64::from(recipes[ms as usize].recipe.deadline_ms) * 1000;
                let due = model.parts.last().map_or(own, |(last, _)| own.max(*last));
                model.parts.push((due, model.held.then_some(HELD)));
                let goes_on = books.admit(part(model.parts.len() as u64, now, &recipes[ms as usize]), now);
                assert_eq!(goes_on, !model.held);
            }
        }
        Op::Decide(back, verdict) => {
            let id = id(back);
            model.late_results += u64::from(!model.settle(id, verdict));
            let (decision, beside) = passed();
            books.decide(id, start, (Decision { verdict, ..decision }, beside), now);
        }
        Op::Panic(back) => {
            let id = id(back);
            model.settle(id, FAILED);
            model.panics.retain(|at| now_us - at <= 60_000_000);
            model.panics.push(now_us);
            books.fail(id, Cause::StageFailed, "panicked", now);
            let once_too_often = books.restarted(now);
            assert_eq!(once_too_often, model.panics.len() >= 5);
            if once_too_often {
                model.hold();
                books.enter_hold("too many panics", now);
            }
        }
        Op::Hold => {
            let first = !model.held;
            model.hold();
            assert_eq!(books.enter_hold("held", now), first);
        }
        Op::Clear => {
            (model.held, model.panics) = (false, Vec::new());
            books.clear_hold();
        }
        Op::Recorded(count) => {
            model.unrecorded = model.unrecorded.saturating_sub(count);
            books.unrecorded = books.unrecorded.saturating_sub(count);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_books_say_what_the_model_says(ops in proptest::collection::vec(op(), 1..150)) {
        let recipes: Vec<_> = (0..40).map(|ms| recipe(ms.max(1))).collect();
        let (mut books, mut model) = (Books::new(terms()), Model::default());
        let (start, mut now_us) = (Instant::now(), 0);
        for (gap_us, op) in ops {
            now_us += gap_us;
            let now = start + Duration::from_micros(now_us);
            books.expire(now);
            model.expire(now_us);
            step(&mut books, &mut model, &op, &recipes, (start, now_us));
            let out: Vec<_> = std::iter::from_fn(|| books.pop_ready(now)).map(|it| (it.inspection.id, it.inspection.verdict)).collect();
            prop_assert_eq!(out, model.emit());

            let said = |wanted: fn(&Verdict) -> bool| model.parts[..model.out].iter().filter(|(_, it)| it.as_ref().is_some_and(wanted)).count() as u64;
            let counts = Counts {
                triggered: model.parts.len() as u64,
                pass: said(|it| *it == Verdict::Pass),
                fail: said(|it| *it == Verdict::Fail),
                review: said(|it| *it == Verdict::Review),
                no_decision: said(|it| matches!(it, Verdict::NoDecision(_))),
                in_flight: (model.parts.len() - model.out) as u64,
            };
            prop_assert_eq!(books.counts(), counts);
            prop_assert!(counts.obey_the_law());
            prop_assert_eq!(books.tallies.late_results, model.late_results);
            prop_assert_eq!(books.hold.is_some(), model.held);
            prop_assert_eq!(books.unrecorded, model.unrecorded);
            let due = model.parts.get(model.out).map(|(due, _)| start + Duration::from_micros(*due));
            prop_assert_eq!(books.next_deadline(), due);
        }
    }
}
