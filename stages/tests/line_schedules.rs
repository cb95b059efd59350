//! Random schedules of everything that can happen to a line. Whatever happens: the law holds at every moment, each trigger
//! has exactly one verdict, in trigger order, and nothing is left after drain.

mod line_support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use line_support::*;
use proptest::prelude::*;
use stages::capture::{Event, Fault, Pace};
use stages::frame::FramePool;
use stages::line::{Counts, Limits};
use stages::record::RecordError;
use stages::stage::Flow;
use stages::verdict::{Cause, Verdict};

/// What a stage does with a part.
#[derive(Debug, Clone, Copy)]
enum Act {
    Quick,
    Slow(u64),
    Panic,
    /// Longer than a hang, but not for ever, so that late returns happen too.
    Hang,
    Decide(Verdict),
}

/// What happens to one part.
#[derive(Debug, Clone)]
struct Fate {
    gap_us: u64,
    has_frame: bool,
    acts: [Act; 2],
    verdict: Verdict,
}

#[derive(Debug, Clone)]
struct Plan {
    pace: Pace,
    fates: Vec<Fate>,
    workers: usize,
    queue_depth: usize,
    unrecorded: usize,
    pinned: usize,
    deadline_ms: u32,
    max_restarts: u32,
    /// Part whose record the store refuses, and part that it cannot open; 0: none.
    refused: u64,
    unopened: u64,
    /// After so many triggers somebody clears a safe hold.
    cleared_at: u64,
}

const HANG_MS: u32 = 40;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => Just(Act::Quick),
        4 => (1u64..15).prop_map(Act::Slow),
        1 => Just(Act::Panic),
        1 => Just(Act::Hang),
        1 => verdict().prop_map(Act::Decide),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Pass),
        Just(Verdict::Fail),
        Just(Verdict::Review),
        Just(Verdict::NoDecision(Cause::Blank))
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    let gap = prop_oneof![2 => Just(0u64), 1 => 0u64..4_000];
    (gap, proptest::bool::weighted(0.95), [act(), act()], verdict())
        .prop_map(|(gap_us, has_frame, acts, verdict)| Fate { gap_us, has_frame, acts, verdict })
}

prop_compose! {
    fn plan()(
        pace in prop_oneof![Just(Pace::Triggered), Just(Pace::OnDemand)],
        fates in proptest::collection::vec(fate(), 20..60),
        workers in 1usize..4,
        queue_depth in 1usize..5,
        unrecorded in 1usize..40,
        pinned in 0usize..6,
        deadline_ms in 5u32..60,
        max_restarts in 1u32..6,
        refused in prop_oneof![3 => Just(0u64), 1 => 1u64..20],
        unopened in prop_oneof![3 => Just(0u64), 1 => 1u64..20],
        cleared_at in 1u64..60,
    ) -> Plan {
        Plan { pace, fates, workers, queue_depth, unrecorded, pinned, deadline_ms, max_restarts, refused, unopened, cleared_at }
    }
}

const BUFFERS: usize = 12;

fn act_stage(name: &'static str, plan: &Plan, nth: usize) -> Box<dyn stages::stage::StageFactory> {
    let acts: Vec<Act> = plan.fates.iter().map(|fate| fate.acts[nth]).collect();
    stage(name, plan.workers, move |part| {
        match acts[part.id as usize - 1] {
            Act::Quick => {}
            Act::Slow(ms) => std::thread::sleep(Duration::from_millis(ms)),
            Act::Panic => panic!("as planned"),
            Act::Hang => std::thread::sleep(Duration::from_millis(u64::from(HANG_MS) * 3)),
            Act::Decide(verdict) => {
                return Flow::Decided(part, stages::stage::Decision { verdict, ..passed() });
            }
        }
        Flow::Next(part)
    })
}

fn planned_source(plan: &Plan, pool: FramePool, sent: Arc<AtomicU64>) -> Box<dyn stages::capture::Source> {
    let fates = plan.fates.clone();
    source(plan.pace, move |_| {
        let next = sent.load(Ordering::SeqCst);
        let Some(fate) = fates.get(next as usize) else { return Ok(Event::End) };
        std::thread::sleep(Duration::from_micros(fate.gap_us));
        sent.store(next + 1, Ordering::SeqCst);
        let missing = || Err(Fault { cause: Cause::NoFrame, detail: "planned".into() });
        Ok(trigger(if fate.has_frame { frame_from(&pool, next) } else { missing() }))
    })
}

fn run(plan: &Plan) {
    let pool = FramePool::new(BUFFERS, FRAME_BYTES);
    let sent = Arc::new(AtomicU64::new(0));
    let (refused, unopened) = (plan.refused, plan.unopened);
    let memory = Memory::failing(move |call| match call {
        Call::Opened(id) if *id == unopened => Err(RecordError("planned".into())),
        Call::Recorded { inspection, .. } if inspection.id == refused => Err(RecordError("planned".into())),
        _ => Ok(()),
    });
    let verdicts: Vec<Verdict> = plan.fates.iter().map(|fate| fate.verdict).collect();
    let chain =
        vec![act_stage("quality", plan, 0), act_stage("infer", plan, 1), decider(move |id| verdicts[id as usize - 1])];
    let limits = Limits {
        workers: plan.workers,
        queue_depth: plan.queue_depth,
        pinned_frames: plan.pinned,
        unrecorded: plan.unrecorded,
        realtime_priority: 0,
        hang_ms: HANG_MS,
        max_restarts: plan.max_restarts,
        restart_window_s: 60,
        max_abandoned: 1_000,
    };
    let setup = Setup { recipe: recipe(plan.deadline_ms), limits, memory, sinks: vec![] };
    let rig = setup.start(planned_source(plan, pool.clone(), sent.clone()), chain);

    // The law at every moment, seen from a thread that has nothing to do with the line.
    let done = AtomicBool::new(false);
    let cleared = AtomicBool::new(false);
    let counts = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut samples = 0u64;
            let mut last = Counts::default();
            while !done.load(Ordering::SeqCst) {
                let now = rig.line.counts();
                assert!(now.obey_the_law(), "the law is broken: {now:?}");
                assert!(now.in_flight <= plan.unrecorded as u64, "more in flight than may be unrecorded: {now:?}");
                assert!(now.triggered >= last.triggered && now.decided() >= last.decided(), "{last:?} then {now:?}");
                last = now;
                samples += 1;
                if now.triggered >= plan.cleared_at && !cleared.swap(true, Ordering::SeqCst) {
                    rig.line.clear_safe_hold();
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            samples
        });
        let ended = rig.line.wait(PATIENCE);
        done.store(true, Ordering::SeqCst);
        assert!(sampler.join().expect("the law holds") > 0);
        assert!(ended, "the line never finished: {:?}", rig.line.status());
        rig.line.status()
    })
    .counts;
    let drained = rig.line.drain();
    assert_eq!(drained, counts, "nothing was left to drain");

    let parts = plan.fates.len() as u64;
    assert_eq!((drained.triggered, drained.in_flight), (parts, 0));
    let all: Vec<u64> = (1..=parts).collect();
    let seen = rig.gate.seen();
    assert_eq!(seen.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), all, "one verdict each, in trigger order");
    let recorded = rig.memory.recorded();
    let kept: Vec<u64> = all.iter().copied().filter(|id| *id != plan.refused).collect();
    assert_eq!(recorded.iter().map(|record| record.id).collect::<Vec<_>>(), kept, "one record each, in the same order");
    let opened: Vec<u64> = all.iter().copied().filter(|id| *id != plan.unopened).collect();
    assert_eq!(rig.memory.opened(), opened);

    let tally = |wanted: fn(&Verdict) -> bool| seen.iter().filter(|(_, verdict, _)| wanted(verdict)).count() as u64;
    assert_eq!(drained.pass, tally(|v| *v == Verdict::Pass));
    assert_eq!(drained.fail, tally(|v| *v == Verdict::Fail));
    assert_eq!(drained.review, tally(|v| *v == Verdict::Review));
    assert_eq!(drained.no_decision, tally(|v| matches!(v, Verdict::NoDecision(_))));
    for record in &recorded {
        assert!(
            !matches!(record.verdict, Verdict::NoDecision(_)) || record.detail.is_some() || planned(plan, record.id)
        );
    }

    // A late result comes once at most, and never before its part's record.
    let mut known = HashSet::new();
    let mut late = HashSet::new();
    for call in rig.memory.calls() {
        match call {
            Call::Opened(_) => {}
            Call::Recorded { inspection, .. } => assert!(known.insert(inspection.id)),
            Call::Late(result) => {
                assert!(known.contains(&result.id) || result.id == plan.refused, "late before its record");
                assert!(late.insert(result.id), "two late results of part {}", result.id);
            }
        }
    }
    until("every buffer is back, even from threads that were abandoned", || pool.free() == BUFFERS);
}

/// The scripted stages may decide `NoDecision` without words.
fn planned(plan: &Plan, id: u64) -> bool {
    let fate = &plan.fates[id as usize - 1];
    let silent = Verdict::NoDecision(Cause::Blank);
    fate.verdict == silent || fate.acts.iter().any(|act| matches!(act, Act::Decide(verdict) if *verdict == silent))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_trigger_has_exactly_one_verdict(plan in plan()) {
        run(&plan);
    }
}
