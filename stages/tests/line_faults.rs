//! What fails costs no more than it must, and is said: panics, hangs, a failing store, a failing source.

mod line_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use line_support::*;
use stages::capture::{Event, Pace, SourceError};
use stages::frame::FramePool;
use stages::inspection::Inspection;
use stages::line::{Limits, LineState};
use stages::record::{RecordError, VerdictSink};
use stages::stage::{Flow, Stage, StageFactory};
use stages::verdict::{Cause, Verdict};

const FAILED: Verdict = Verdict::NoDecision(Cause::StageFailed);
const HELD: Verdict = Verdict::NoDecision(Cause::SafeHold);

/// Sends parts one at a time and waits for each verdict.
fn one_by_one(rig: &Rig, feed: &crossbeam_channel::Sender<Event>, parts: u64) {
    for _ in 0..parts {
        let before = rig.gate.seen().len();
        feed.send(trigger(loose_frame(1))).expect("the line listens");
        until("its verdict", || rig.gate.seen().len() > before);
    }
}

fn verdicts(gate: &Gate) -> Vec<Verdict> {
    gate.seen().iter().map(|(_, verdict, _)| *verdict).collect()
}

fn held_reason(rig: &Rig) -> String {
    match rig.line.status().state {
        LineState::SafeHold(reason) => reason,
        state => panic!("not in safe hold: {state:?}"),
    }
}

#[test]
fn a_panic_costs_one_part_and_the_stage_is_rebuilt() {
    let pool = FramePool::new(16, FRAME_BYTES);
    let stage = FnStage::new("infer", 1, |part| {
        assert!(part.id != 3, "part {} is cursed", part.id);
        Flow::Next(part)
    });
    let built = stage.built.clone();
    let source = series(Pace::OnDemand, 6, Duration::ZERO, pool.clone());
    let rig = Setup::default().start(source, vec![Box::new(stage), decider(|_| Verdict::Pass)]);
    assert!(rig.line.wait(PATIENCE));
    let status = rig.line.status();
    assert_eq!((status.restarts, status.state), (1, LineState::Stopped));
    let counts = rig.line.drain();
    assert_eq!((counts.pass, counts.no_decision), (5, 1));
    let lost = rig.memory.verdict_of(3);
    assert_eq!(lost.verdict, FAILED);
    assert_eq!(lost.detail.as_deref(), Some("stage `infer` panicked: part 3 is cursed"));
    assert_eq!(rig.memory.shown()[2].1, Some(Shown { keep: true, show: false }), "its picture outlived the panic");
    assert_eq!(built.load(Ordering::SeqCst), 2, "once at the start, once after the panic");
    assert_eq!(pool.free(), 16);
}

#[test]
fn five_panics_end_in_safe_hold_until_somebody_clears_it() {
    let (feed, source) = fed(Pace::Triggered);
    let chain = vec![through("infer", 2, |id| assert!(id > 5, "no")), decider(|_| Verdict::Pass)];
    let rig = Setup::default().start(source, chain);
    one_by_one(&rig, &feed, 4);
    assert_eq!(rig.line.status().state, LineState::Running, "four are borne");
    one_by_one(&rig, &feed, 1);
    until("safe hold", || matches!(rig.line.status().state, LineState::SafeHold(_)));
    let reason = held_reason(&rig);
    assert!(reason.contains("`infer`") && reason.contains("no"), "{reason}");
    // These would pass.
    one_by_one(&rig, &feed, 2);
    assert_eq!(verdicts(&rig.gate)[5..], [HELD, HELD]);
    assert_eq!(rig.memory.verdict_of(6).detail, Some(reason), "the record says why");
    assert!(rig.line.healthy(), "safe hold is a person's matter, not the watchdog's");
    rig.line.clear_safe_hold();
    one_by_one(&rig, &feed, 1);
    assert_eq!(verdicts(&rig.gate)[7], Verdict::Pass);
    let counts = rig.line.drain();
    assert!(counts.obey_the_law() && counts.in_flight == 0);
}

#[test]
fn safe_hold_answers_for_the_parts_in_flight_at_once() {
    let door = Door::default();
    let inner = door.clone();
    let (feed, source) = fed(Pace::Triggered);
    let chain = vec![through("infer", 2, move |_| inner.wait()), decider(|_| Verdict::Pass)];
    let rig = Setup::default().start(source, chain);
    for part in 1..=5 {
        feed.send(trigger(loose_frame(part))).expect("the line listens");
    }
    until("five are in flight", || rig.line.counts().in_flight == 5);
    rig.line.safe_hold("the guard door is open");
    // The call itself lets them out; the stages are still shut.
    assert_eq!(verdicts(&rig.gate), [HELD; 5]);
    door.open();
    rig.line.drain();
}

#[test]
fn a_hung_thread_is_replaced_and_its_late_return_is_a_late_result() {
    let door = Door::default();
    let inner = door.clone();
    let pool = FramePool::new(16, FRAME_BYTES);
    let work = move |id| {
        if id == 2 {
            inner.wait();
        }
    };
    let chain = vec![through("infer", 1, work), decider(|_| Verdict::Fail)];
    let limits = Limits { hang_ms: 700, ..Limits::default() };
    let source = series(Pace::OnDemand, 6, Duration::ZERO, pool.clone());
    // The deadline is far away: what resolves the part is the supervisor.
    let rig = Setup { limits, ..Setup::default() }.start(source, chain);
    assert!(rig.line.wait(PATIENCE), "later parts pass although the only worker hangs");
    assert_eq!(
        verdicts(&rig.gate),
        [Verdict::Fail, FAILED, Verdict::Fail, Verdict::Fail, Verdict::Fail, Verdict::Fail]
    );
    let detail = rig.memory.verdict_of(2).detail.expect("words");
    assert!(detail.starts_with("stage `infer` hung ("), "{detail}");
    assert_eq!(rig.memory.shown()[1].1, Some(Shown { keep: true, show: false }), "its picture is evidence");
    assert_eq!(rig.line.status().abandoned, 1);
    assert!(rig.line.healthy());

    door.open();
    until("the late result", || rig.memory.late().len() == 1);
    assert_eq!((rig.memory.late()[0].id, rig.memory.late()[0].decision.verdict), (2, Verdict::Fail));
    let counts = rig.line.drain();
    assert_eq!((counts.triggered, counts.fail, counts.no_decision, counts.in_flight), (6, 5, 1, 0));
    until("the old thread lets go of its part", || pool.free() == 16);
}

#[test]
fn too_many_hung_threads_make_the_line_unhealthy_for_good() {
    let door = Door::default();
    let inner = door.clone();
    let (feed, source) = fed(Pace::Triggered);
    let work = move |id| {
        if id <= 2 {
            inner.wait();
        }
    };
    let limits = Limits { hang_ms: 300, max_abandoned: 2, ..Limits::default() };
    let rig =
        Setup { limits, ..Setup::default() }.start(source, vec![through("infer", 1, work), decider(|_| Verdict::Pass)]);
    one_by_one(&rig, &feed, 1);
    assert!(rig.line.healthy(), "one is borne");
    one_by_one(&rig, &feed, 1);
    until("unhealthy", || !rig.line.healthy());
    assert!(held_reason(&rig).contains("2 threads hang"), "{}", held_reason(&rig));
    rig.line.clear_safe_hold();
    assert!(rig.line.exhausted() && !rig.line.healthy(), "no click makes the threads come back");
    let start = Instant::now();
    let counts = rig.line.drain();
    assert!(start.elapsed() < Duration::from_secs(10), "drain does not wait for hung threads");
    assert!(counts.obey_the_law() && counts.in_flight == 0);
    door.open();
}

#[test]
fn drain_ends_while_a_stage_hangs() {
    let door = Door::default();
    let inner = door.clone();
    let (feed, source) = fed(Pace::Triggered);
    let chain = vec![through("infer", 1, move |_| inner.wait()), decider(|_| Verdict::Pass)];
    let limits = Limits { hang_ms: 300, ..Limits::default() };
    let rig = Setup { recipe: recipe(150), limits, ..Setup::default() }.start(source, chain);
    for part in 1..=4 {
        feed.send(trigger(loose_frame(part))).expect("the line listens");
    }
    until("they came", || rig.line.counts().triggered == 4);
    let counts = rig.line.drain();
    assert_eq!((counts.no_decision, counts.in_flight), (4, 0), "each by its deadline");
    assert_eq!(rig.memory.recorded().len(), 4);
    door.open();
}

#[test]
fn a_store_that_fails_means_safe_hold_in_its_own_words() {
    let memory = Memory::failing(|call| match call {
        Call::Recorded { inspection, .. } if inspection.id == 2 => Err(RecordError("no space left on device".into())),
        _ => Ok(()),
    });
    let (feed, source) = fed(Pace::Triggered);
    let rig = Setup { memory, ..Setup::default() }.start(source, vec![decider(|_| Verdict::Pass)]);
    one_by_one(&rig, &feed, 2);
    until("safe hold", || matches!(rig.line.status().state, LineState::SafeHold(_)));
    let reason = held_reason(&rig);
    assert!(reason.contains("part 2") && reason.contains("no space left on device"), "{reason}");
    one_by_one(&rig, &feed, 1);
    assert_eq!(rig.line.status().record_errors, 1);
    rig.line.clear_safe_hold();
    one_by_one(&rig, &feed, 1);
    let counts = rig.line.drain();
    assert_eq!(verdicts(&rig.gate), [Verdict::Pass, Verdict::Pass, HELD, Verdict::Pass]);
    assert!(counts.obey_the_law());
    let recorded: Vec<_> = rig.memory.recorded().iter().map(|record| record.id).collect();
    assert_eq!(recorded, [1, 3, 4], "in safe hold parts are still recorded where possible");
}

#[test]
fn a_trigger_that_the_store_cannot_open_is_not_inspected() {
    for panics in [false, true] {
        let memory = Memory::failing(move |call| match call {
            Call::Opened(2) if panics => panic!("index out of range"),
            Call::Opened(2) => Err(RecordError("input/output error".into())),
            _ => Ok(()),
        });
        let (feed, source) = fed(Pace::Triggered);
        let rig = Setup { memory, ..Setup::default() }.start(source, vec![decider(|_| Verdict::Pass)]);
        one_by_one(&rig, &feed, 3);
        rig.line.drain();
        assert_eq!(verdicts(&rig.gate), [Verdict::Pass, HELD, HELD]);
        let detail = rig.memory.verdict_of(2).detail.expect("words");
        let words = if panics { "it panicked: index out of range" } else { "input/output error" };
        assert!(detail.contains(words), "{detail}");
    }
}

#[test]
fn a_stalled_store_stalls_capture_and_says_so_and_loses_nothing() {
    let door = Door::default();
    let inner = door.clone();
    let memory = Memory::failing(move |call| {
        if matches!(call, Call::Recorded { .. }) {
            inner.wait();
        }
        Ok(())
    });
    let (feed, source) = fed(Pace::Triggered);
    let limits = Limits { hang_ms: 300, unrecorded: 4, ..Limits::default() };
    let rig = Setup { limits, memory, ..Setup::default() }.start(source, vec![decider(|_| Verdict::Pass)]);
    for part in 1..=10 {
        feed.send(trigger(loose_frame(part))).expect("the line listens");
    }
    until("safe hold", || matches!(rig.line.status().state, LineState::SafeHold(_)));
    assert!(held_reason(&rig).starts_with("store stalled: recording part 1 "), "{}", held_reason(&rig));
    until("verdicts of what was taken", || rig.gate.seen().len() == 4);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(rig.line.counts().triggered, 4, "no more parts than the recorder has places for");
    assert!(!rig.line.healthy());
    door.open();
    until("the rest", || rig.memory.recorded().len() == 10);
    assert!(rig.line.healthy());
    rig.line.drain();
    assert_eq!(rig.memory.recorded().iter().map(|record| record.id).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
}

#[test]
fn a_source_that_fails_is_told_counted_and_asked_again() {
    let mut call = 0;
    let source = source(Pace::OnDemand, move |_| {
        call += 1;
        match call {
            2 => Err(SourceError("no link".into())),
            3 => panic!("driver bug"),
            1 | 4 => Ok(trigger(loose_frame(call))),
            _ => Ok(Event::End),
        }
    });
    let rig = Setup::default().start(source, vec![decider(|_| Verdict::Pass)]);
    until("the first trouble", || rig.line.status().source_trouble.is_some());
    let trouble = rig.line.status().source_trouble.expect("just seen");
    assert!(trouble.starts_with("camera `fake camera`: ") && trouble.ends_with("asked again in 1 s"), "{trouble}");
    assert!(rig.line.wait(PATIENCE));
    let status = rig.line.status();
    assert_eq!((status.source_errors, status.source_trouble), (2, None));
    assert_eq!(rig.line.drain().pass, 2, "parts before and after");
}

#[test]
fn a_source_that_does_not_return_makes_the_line_unhealthy_but_not_undrainable() {
    let door = Door::default();
    let inner = door.clone();
    let source = source(Pace::Triggered, move |_| {
        inner.wait();
        Ok(trigger(loose_frame(1)))
    });
    let limits = Limits { hang_ms: 300, ..Limits::default() };
    let rig = Setup { limits, ..Setup::default() }.start(source, vec![decider(|_| Verdict::Pass)]);
    until("unhealthy", || !rig.line.healthy());
    until("the trouble", || rig.line.status().source_trouble.is_some());
    let trouble = rig.line.status().source_trouble.expect("just seen");
    assert!(trouble.contains("no answer for"), "{trouble}");
    assert_eq!(rig.line.status().source_errors, 1, "told once");
    let counts = rig.line.drain();
    assert_eq!(counts.triggered, 0);
    door.open();
}

#[test]
fn an_output_that_panics_means_safe_hold_and_every_part_still_has_its_record() {
    struct Broken(AtomicBool);
    impl VerdictSink for Broken {
        fn verdict(&self, inspection: &Inspection) {
            assert!(inspection.id != 2 || self.0.swap(true, Ordering::SeqCst), "the PLC is gone");
        }
    }
    let (feed, source) = fed(Pace::Triggered);
    let sinks: Vec<Arc<dyn VerdictSink>> = vec![Arc::new(Broken(AtomicBool::new(false)))];
    let rig = Setup { sinks, ..Setup::default() }.start(source, vec![decider(|_| Verdict::Pass)]);
    one_by_one(&rig, &feed, 3);
    assert!(held_reason(&rig).contains("the PLC is gone"), "{}", held_reason(&rig));
    rig.line.drain();
    assert_eq!(verdicts(&rig.gate), [Verdict::Pass, Verdict::Pass, HELD]);
    assert_eq!(rig.memory.recorded().len(), 3);
}

#[test]
fn a_stage_that_cannot_be_built_is_said_and_parts_are_answered() {
    struct Unbuildable(AtomicU64);
    impl StageFactory for Unbuildable {
        fn name(&self) -> &'static str {
            "align"
        }
        fn workers(&self) -> usize {
            1
        }
        fn build(&self) -> Box<dyn Stage> {
            panic!("attempt {}", self.0.fetch_add(1, Ordering::SeqCst) + 1)
        }
    }
    let (feed, source) = fed(Pace::Triggered);
    let chain: Vec<Box<dyn StageFactory>> = vec![Box::new(Unbuildable(AtomicU64::new(0))), decider(|_| Verdict::Pass)];
    let rig = Setup::default().start(source, chain);
    one_by_one(&rig, &feed, 6);
    assert_eq!(rig.memory.recorded()[0].detail.as_deref(), Some("stage `align` cannot be built"));
    assert_eq!(verdicts(&rig.gate)[5], HELD);
    assert!(held_reason(&rig).contains("`align`"), "{}", held_reason(&rig));
    rig.line.drain();
}

#[test]
fn a_chain_that_never_decides_is_no_decision() {
    let (feed, source) = fed(Pace::Triggered);
    let rig = Setup::default().start(source, vec![through("infer", 1, |_| ())]);
    one_by_one(&rig, &feed, 1);
    rig.line.drain();
    assert_eq!(verdicts(&rig.gate), [FAILED]);
}

/// What goes wrong in a stage.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Hangs,
    Panics,
    /// Ten times as long as usual.
    Dawdles,
}

#[test]
fn wherever_a_stage_hangs_panics_or_dawdles_one_part_is_lost_and_it_is_noticed_in_time() {
    const STAGES: [&str; 6] = ["quality", "identify", "align", "preprocess", "infer", "decide"];
    for trouble in [Trouble::Hangs, Trouble::Panics, Trouble::Dawdles] {
        let mut slowest = Duration::ZERO;
        for place in STAGES {
            let door = Door::default();
            let chain = STAGES.map(|name| -> Box<dyn StageFactory> {
                let door = door.clone();
                stage(name, 1, move |part| {
                    match trouble {
                        _ if part.id != 3 || name != place => {}
                        Trouble::Hangs => door.wait(),
                        Trouble::Panics => panic!("as planned"),
                        Trouble::Dawdles => std::thread::sleep(Duration::from_millis(600)),
                    }
                    if name == "decide" { Flow::Decided(part, passed()) } else { Flow::Next(part) }
                })
            });
            let (feed, source) = fed(Pace::Triggered);
            let deadline_ms = if matches!(trouble, Trouble::Dawdles) { 300 } else { 20_000 };
            let hang_ms = if matches!(trouble, Trouble::Dawdles) { 20_000 } else { 500 };
            let limits = Limits { hang_ms, ..Limits::default() };
            let rig = Setup { recipe: recipe(deadline_ms), limits, ..Setup::default() }.start(source, chain.into());
            one_by_one(&rig, &feed, 2);
            let began = Instant::now();
            one_by_one(&rig, &feed, 1);
            slowest = slowest.max(began.elapsed());
            if matches!(trouble, Trouble::Dawdles) {
                until("it is done", || rig.memory.late().len() == 1);
            }
            one_by_one(&rig, &feed, 3);
            let lost = if matches!(trouble, Trouble::Dawdles) { Verdict::NoDecision(Cause::Late) } else { FAILED };
            let all = [Verdict::Pass, Verdict::Pass, lost, Verdict::Pass, Verdict::Pass, Verdict::Pass];
            assert_eq!(verdicts(&rig.gate), all, "{place} {trouble:?}");
            let detail = rig.memory.verdict_of(3).detail.expect("words");
            assert!(detail.contains(&format!("`{place}`")), "{detail}");
            let status = rig.line.status();
            let (restarts, abandoned) =
                (u64::from(matches!(trouble, Trouble::Panics)), u64::from(matches!(trouble, Trouble::Hangs)));
            assert_eq!((status.restarts, status.abandoned), (restarts, abandoned), "{place} {trouble:?}");
            door.open();
            assert!(rig.line.drain().obey_the_law());
        }
        println!("a stage {trouble:?}: noticed after {slowest:?} at most, in each of {} places", STAGES.len());
    }
}
