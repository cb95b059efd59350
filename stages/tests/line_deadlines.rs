//! On time, in order, and never without an answer: deadlines, overload, recipes, pictures.

mod line_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use line_support::*;
use stages::capture::{Fault, Pace};
use stages::frame::{Frame, FramePool};
use stages::line::{Limits, LineState, StageQueue};
use stages::verdict::{Cause, Verdict};

#[test]
fn late_is_said_at_the_deadline_while_the_stage_still_works_and_its_result_is_kept() {
    let door = Door::default();
    let inner = door.clone();
    let (feed, source) = fed(Pace::Triggered);
    let chain = vec![through("infer", 1, move |_| inner.wait()), decider(|_| Verdict::Fail)];
    let rig = Setup { recipe: recipe(100), ..Setup::default() }.start(source, chain);
    let start = Instant::now();
    feed.send(trigger(loose_frame(1))).expect("the line listens");

    // The door is shut, so this verdict cannot come from the stage.
    until("the deadline's verdict", || rig.gate.seen().len() == 1);
    let (_, verdict, at) = rig.gate.seen()[0];
    assert_eq!(verdict, Verdict::NoDecision(Cause::Late));
    assert!(at - start >= Duration::from_millis(100), "not before the deadline");
    assert!(at - start < Duration::from_secs(8), "at the deadline, not when something else stirs");
    assert_eq!(rig.line.counts().in_flight, 0);

    door.open();
    until("the late result", || rig.memory.late().len() == 1);
    let late = &rig.memory.late()[0];
    assert_eq!((late.id, late.decision.verdict), (1, Verdict::Fail));
    assert!(late.after_us >= 100_000);
    assert_eq!(rig.line.status().late_results, 1);
    let counts = rig.line.drain();
    assert_eq!((counts.no_decision, counts.fail, counts.triggered), (1, 0, 1), "the first verdict stands");

    let record = rig.memory.verdict_of(1);
    let detail = record.detail.expect("a reason in words");
    assert!(detail.contains("100 ms") && detail.contains("`infer` was at it"), "{detail}");
    let marks = &record.ledger.marks;
    assert_eq!((marks.len(), &*marks[0].stage), (1, "infer"));
    assert!(marks[0].left_us <= record.ledger.total_us);
    assert_eq!(rig.memory.shown(), [(1, Some(Shown { keep: true, show: false }))], "its picture is evidence");
    let order: Vec<_> = rig.memory.calls().iter().map(|call| matches!(call, Call::Late(_))).collect();
    assert_eq!(order, [false, false, true], "opened, recorded, then late");
}

#[test]
fn a_part_that_finds_the_line_at_rest_is_late_at_its_deadline_too() {
    let door = Door::default();
    let inner = door.clone();
    let (feed, source) = fed(Pace::Triggered);
    let chain = vec![through("infer", 1, move |_| inner.wait()), decider(|_| Verdict::Pass)];
    let rig = Setup { recipe: recipe(50), ..Setup::default() }.start(source, chain);
    for part in 1..=3 {
        let start = Instant::now();
        feed.send(trigger(loose_frame(part))).expect("the line listens");
        // After each verdict nothing is open: the deadline thread sleeps without an end until the next part wakes it.
        until("the deadline's verdict", || rig.gate.seen().len() == part as usize);
        let waited = rig.gate.seen()[part as usize - 1].2 - start;
        assert!((Duration::from_millis(50)..Duration::from_secs(8)).contains(&waited), "part {part}: {waited:?}");
    }
    door.open();
    assert_eq!(rig.line.drain().no_decision, 3);
}

#[test]
fn a_decided_part_waits_for_an_older_one_but_not_past_the_deadline() {
    let door = Door::default();
    let inner = door.clone();
    let decided = Arc::new(AtomicU64::new(0));
    let last = decided.clone();
    let (feed, source) = fed(Pace::Triggered);
    let hold_first = move |id| {
        if id == 1 {
            inner.wait();
        }
    };
    let note = move |id| {
        last.store(id, Ordering::SeqCst);
        Verdict::Pass
    };
    let chain = vec![through("infer", 2, hold_first), decider(note)];
    let rig = Setup { recipe: recipe(1_500), ..Setup::default() }.start(source, chain);
    for part in 1..=3 {
        feed.send(trigger(loose_frame(part))).expect("the line listens");
    }
    until("part 3 is decided", || decided.load(Ordering::SeqCst) == 3);
    assert_eq!((rig.gate.seen().len(), rig.line.counts().in_flight), (0, 3), "in trigger order or not at all");
    until("all verdicts", || rig.gate.seen().len() == 3);
    let seen: Vec<_> = rig.gate.seen().iter().map(|(id, verdict, _)| (*id, *verdict)).collect();
    assert_eq!(seen, [(1, Verdict::NoDecision(Cause::Late)), (2, Verdict::Pass), (3, Verdict::Pass)]);
    door.open();
    rig.line.drain();
}

#[test]
fn a_full_queue_costs_a_triggered_part_and_keeps_its_record_and_picture() {
    let door = Door::default();
    let (inner, entered) = (door.clone(), Arc::new(AtomicU64::new(0)));
    let at = entered.clone();
    let (feed, source) = fed(Pace::Triggered);
    let work = move |id| {
        at.store(id, Ordering::SeqCst);
        inner.wait();
    };
    let chain = vec![through("infer", 1, work), decider(|_| Verdict::Pass)];
    let limits = Limits { queue_depth: 1, hang_ms: 20_000, ..Limits::default() };
    let rig = Setup { limits, ..Setup::default() }.start(source, chain);
    feed.send(trigger(loose_frame(1))).expect("the line listens");
    until("the worker is busy", || entered.load(Ordering::SeqCst) == 1);
    for part in 2..=5 {
        feed.send(trigger(loose_frame(part))).expect("the line listens");
    }
    // The end of the source: capture is through with all of them.
    drop(feed);
    until("five parts came", || rig.line.status().state == LineState::Draining);
    let queue = |stage, waiting| StageQueue { stage, waiting, capacity: 1 };
    assert_eq!(rig.line.status().queues, [queue("infer", 1), queue("decide", 0)]);
    door.open();
    until("all verdicts", || rig.gate.seen().len() == 5);
    rig.line.drain();

    let verdicts: Vec<_> = rig.memory.recorded().iter().map(|record| record.verdict).collect();
    let lost = Verdict::NoDecision(Cause::Overload);
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Pass, lost, lost, lost]);
    assert!(rig.memory.verdict_of(3).detail.expect("words").contains("the queue before `infer` is full"));
    assert_eq!(rig.memory.shown()[2].1, Some(Shown { keep: true, show: false }));
}

#[test]
fn a_source_on_demand_is_held_back_and_loses_nothing() {
    let pool = FramePool::new(64, FRAME_BYTES);
    let peak = Arc::new(AtomicU64::new(0));
    let chain = vec![through("infer", 2, |_| std::thread::sleep(Duration::from_millis(1))), decider(|_| Verdict::Pass)];
    let limits = Limits { queue_depth: 32, hang_ms: 20_000, ..Limits::default() };
    let rig = Setup { limits, ..Setup::default() }.start(series(Pace::OnDemand, 200, Duration::ZERO, pool), chain);
    while !rig.line.wait(Duration::from_micros(200)) {
        peak.fetch_max(rig.line.counts().in_flight, Ordering::SeqCst);
    }
    assert_eq!(rig.line.drain().pass, 200);
    // Three workers and two stages.
    assert!((1..=5).contains(&peak.load(Ordering::SeqCst)), "{peak:?} in flight");
}

#[test]
fn overload_does_not_spread_parts_that_are_lost_already_give_way() {
    let worked = Arc::new(AtomicU64::new(0));
    let count = worked.clone();
    let (feed, source) = fed(Pace::Triggered);
    let door = Door::default();
    let inner = door.clone();
    let work = move |id| {
        count.fetch_add(1, Ordering::SeqCst);
        if id == 1 {
            inner.wait();
        }
    };
    let chain = vec![through("infer", 1, work), decider(|_| Verdict::Pass)];
    let rig = Setup { recipe: recipe(200), ..Setup::default() }.start(source, chain);
    for part in 1..=6 {
        feed.send(trigger(loose_frame(part))).expect("the line listens");
    }
    until("all are late", || rig.line.counts().no_decision == 6);
    door.open();
    // The first part's result, and the last one's, behind which nobody waits.
    until("late results", || rig.memory.late().len() == 2);
    rig.line.drain();
    assert_eq!(worked.load(Ordering::SeqCst), 2, "nobody works on a lost part while others wait");
}

#[test]
fn a_new_recipe_holds_from_the_next_part_on() {
    let door = Door::default();
    let (inner, entered) = (door.clone(), Arc::new(AtomicU64::new(0)));
    let at = entered.clone();
    let (feed, source) = fed(Pace::Triggered);
    let work = move |id| {
        at.store(id, Ordering::SeqCst);
        inner.wait();
    };
    let rig = Setup::default().start(source, vec![through("infer", 2, work), decider(|_| Verdict::Pass)]);
    feed.send(trigger(loose_frame(1))).expect("the line listens");
    until("part 1 is in work", || entered.load(Ordering::SeqCst) == 1);
    rig.line.swap_recipe(recipe_with(2, 20_000, 0.0));
    feed.send(trigger(loose_frame(2))).expect("the line listens");
    until("part 2 is in work", || entered.load(Ordering::SeqCst) == 2);
    door.open();
    until("both verdicts", || rig.gate.seen().len() == 2);
    rig.line.drain();
    let tags: Vec<_> = rig.memory.recorded().iter().map(|record| record.recipe.to_string()).collect();
    assert_eq!(tags, ["test@1", "test@2"]);
}

#[test]
fn at_most_so_many_pictures_are_held_and_no_part_is_lost_for_them() {
    let pool = FramePool::new(8, FRAME_BYTES);
    let limits = Limits { pinned_frames: 3, hang_ms: 20_000, ..Limits::default() };
    let setup = Setup { limits, memory: Memory::keeping(), ..Setup::default() };
    let source = series(Pace::OnDemand, 40, Duration::ZERO, pool.clone());
    let rig = setup.start(source, vec![decider(|_| Verdict::Fail)]);
    assert!(rig.line.wait(PATIENCE));
    assert_eq!(rig.line.status().pictures_dropped, 37);
    assert_eq!(rig.line.drain().fail, 40);
    assert_eq!(rig.memory.pictures.lock().expect("unpoisoned").len(), 3);
    assert_eq!(pool.free(), 5, "the store holds three buffers, the line none");
    rig.memory.pictures.lock().expect("unpoisoned").clear();
    assert_eq!(pool.free(), 8);
}

#[test]
fn passed_parts_are_sampled_evenly_and_the_same_way_each_time() {
    let kept = |fraction| {
        let pool = FramePool::new(450, FRAME_BYTES);
        // Enough permits: what is measured here is the choice, not the limit.
        let limits = Limits { pinned_frames: 400, hang_ms: 20_000, ..Limits::default() };
        let setup = Setup { recipe: recipe_with(1, 20_000, fraction), limits, ..Setup::default() };
        let source = series(Pace::OnDemand, 400, Duration::ZERO, pool);
        let rig = setup.start(source, vec![decider(|_| Verdict::Pass)]);
        assert!(rig.line.wait(PATIENCE));
        rig.line.drain();
        let kept = |(id, picture): (u64, Option<Shown>)| picture.map(|_| id);
        rig.memory.shown().into_iter().filter_map(kept).collect::<Vec<u64>>()
    };
    assert_eq!(kept(0.0), Vec::<u64>::new());
    assert_eq!(kept(1.0).len(), 400);
    let quarter = kept(0.25);
    assert!((70..=130).contains(&quarter.len()), "{} of 400", quarter.len());
    assert_eq!(quarter, kept(0.25));
}

#[test]
fn viewers_get_as_many_pictures_as_they_asked_for() {
    let (feed, source) = fed(Pace::OnDemand);
    let rig = Setup::default().start(source, vec![decider(|_| Verdict::Pass)]);
    let send = |count: u64| {
        let before = rig.gate.seen().len();
        for part in 0..count {
            feed.send(trigger(loose_frame(part))).expect("the line listens");
        }
        until("their verdicts", || rig.gate.seen().len() == before + count as usize);
    };
    send(20);
    let start = Instant::now();
    rig.line.watch(2);
    send(20);
    let most = 1 + (start.elapsed().as_secs_f64() * 2.0).ceil() as usize;
    rig.line.watch(0);
    send(20);
    rig.line.drain();
    let shown: Vec<u64> = rig.memory.shown().into_iter().filter_map(|(id, picture)| picture.map(|_| id)).collect();
    assert!(shown.contains(&21), "the first part after somebody came is shown");
    assert!(shown.len() <= most && shown.iter().all(|id| (21..=40).contains(id)), "{shown:?}, at most {most}");
}

#[test]
fn a_trigger_without_a_whole_picture_has_its_cause() {
    let (feed, source) = fed(Pace::Triggered);
    let rig = Setup::default().start(source, vec![decider(|_| Verdict::Pass)]);
    let fault = Fault { cause: Cause::NoFrame, detail: "nothing came within 50 ms".into() };
    feed.send(trigger(Err(fault))).expect("the line listens");
    feed.send(trigger(Ok(Frame::from_vec(PIXELS, vec![0; 60], 1, None)))).expect("the line listens");
    until("both verdicts", || rig.gate.seen().len() == 2);
    rig.line.drain();
    let (lost, cut) = (rig.memory.verdict_of(1), rig.memory.verdict_of(2));
    assert_eq!(lost.verdict, Verdict::NoDecision(Cause::NoFrame));
    assert_eq!(lost.detail.as_deref(), Some("nothing came within 50 ms"));
    assert_eq!(cut.verdict, Verdict::NoDecision(Cause::Truncated));
    assert_eq!(cut.detail.as_deref(), Some("the picture has 60 bytes, but 8 x 8 pixels take 64"));
    assert_eq!(rig.memory.shown()[1].1, Some(Shown { keep: true, show: false }));
}
