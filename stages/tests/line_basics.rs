//! The line in good health: every part gets its one verdict, in order, with its record.

mod line_support;

use std::time::Duration;

use line_support::*;
use stages::capture::{Event, Pace};
use stages::frame::FramePool;
use stages::line::{Limits, Line, LineConfig, LineError, LineState, standard};
use stages::verdict::{Cause, Verdict};

#[test]
fn every_part_gets_its_verdict_in_order_and_nothing_is_in_flight_after_drain() {
    let pool = FramePool::new(32, FRAME_BYTES);
    let chain = vec![through("quality", 3, |_| ()), through("infer", 3, |_| ()), decider(by_thirds)];
    let rig = Setup::default().start(series(Pace::OnDemand, 300, Duration::ZERO, pool.clone()), chain);
    assert!(rig.line.wait(PATIENCE));
    assert_eq!(rig.line.status().state, LineState::Stopped);
    let stages: Vec<_> = rig.line.status().stages.iter().map(|(name, _)| *name).collect();
    assert_eq!(stages, ["quality", "infer", "decide"]);
    let counts = rig.line.drain();

    assert_eq!((counts.triggered, counts.in_flight), (300, 0));
    assert_eq!((counts.pass, counts.fail, counts.review, counts.no_decision), (100, 100, 100, 0));
    let ids: Vec<u64> = (1..=300).collect();
    assert_eq!(rig.memory.opened(), ids);
    assert_eq!(rig.memory.recorded().iter().map(|record| record.id).collect::<Vec<_>>(), ids);
    assert_eq!(rig.gate.seen().iter().map(|(id, ..)| *id).collect::<Vec<_>>(), ids);
    for record in rig.memory.recorded() {
        assert_eq!(record.verdict, by_thirds(record.id));
        assert_eq!((&*record.line, &*record.camera, &*record.recipe), ("line", "fake camera", "test@1"));
        let marks: Vec<_> = record.ledger.marks.iter().map(|mark| &*mark.stage).collect();
        assert_eq!(marks, ["quality", "infer", "decide"]);
        let times = record.ledger.marks.iter().flat_map(|mark| [mark.entered_us, mark.left_us]);
        let times: Vec<u32> = times.chain([record.ledger.total_us]).collect();
        assert!(times.is_sorted(), "part {}: {times:?}", record.id);
    }
    assert_eq!(pool.free(), 32, "every buffer is back");
}

fn by_thirds(id: u64) -> Verdict {
    [Verdict::Pass, Verdict::Fail, Verdict::Review][id as usize % 3]
}

#[test]
fn the_standard_chain_inspects_real_pixels() {
    let pool = FramePool::new(32, FRAME_BYTES);
    let limits = Limits { workers: 2, ..Limits::default() };
    let chain = standard(&limits);
    let mut sent = 0u8;
    let source = source(Pace::OnDemand, move |_| {
        sent += 1;
        if sent > 20 {
            return Ok(Event::End);
        }
        let mut buffer = pool.try_take().expect("the window is smaller than the pool");
        // Every fifth part is blank.
        buffer.extend((0..FRAME_BYTES).map(|i| if sent.is_multiple_of(5) { 90 } else { (i * 37 % 200) as u8 + 20 }));
        Ok(trigger(Ok(buffer.into_frame(PIXELS, u64::from(sent), Some("a.png".into())))))
    });
    let rig = Setup { limits: Limits { hang_ms: 20_000, ..limits }, ..Setup::default() }.start(source, chain);
    assert!(rig.line.wait(PATIENCE));
    let counts = rig.line.drain();
    assert_eq!((counts.pass, counts.no_decision, counts.triggered), (16, 4, 20));
    let passed = rig.memory.verdict_of(1);
    assert_eq!(passed.label.as_deref(), Some("good"));
    assert_eq!(passed.provider, Some(models::runtime::Provider::Cpu));
    assert_eq!((passed.origin.as_deref(), &*passed.model), (Some("a.png"), "feed"));
    let visited: Vec<_> = passed.ledger.marks.iter().map(|mark| &*mark.stage).collect();
    assert_eq!(visited, ["quality", "preprocess", "infer", "decide"], "nobody asked for a code or a pose");
    let blank = rig.memory.verdict_of(5);
    assert_eq!(blank.verdict, Verdict::NoDecision(Cause::Blank));
    assert_eq!(blank.provider, None, "no network saw it");
}

#[test]
fn a_line_that_cannot_run_says_why() {
    let config = |chain, limits| LineConfig {
        name: "top".into(),
        first_id: 1,
        source: series(Pace::OnDemand, 1, Duration::ZERO, FramePool::new(1, FRAME_BYTES)),
        stages: chain,
        recipe: recipe(100),
        recorder: Memory::keeping(),
        serials: None,
        checker: None,
        sinks: vec![],
        limits,
    };
    let Err(LineError::NoStages(name)) = Line::start(config(vec![], Limits::default())) else { panic!("no stages") };
    assert_eq!(&*name, "top");
    let limits = Limits { queue_depth: 0, ..Limits::default() };
    let Err(error) = Line::start(config(vec![decider(by_thirds)], limits)) else { panic!("no queue") };
    assert!(error.to_string().contains("queue_depth"), "{error}");
}

#[test]
fn a_draining_line_can_still_be_looked_at() {
    let (feed, source) = fed(Pace::Triggered);
    let rig = Setup::default().start(source, vec![decider(by_thirds)]);
    until("it is up", || rig.line.status().state == LineState::Ready);
    feed.send(trigger(loose_frame(1))).expect("the line listens");
    until("the part", || rig.line.counts().decided() == 1);
    assert_eq!(rig.line.status().state, LineState::Running);
    rig.line.begin_drain();
    assert!(rig.line.wait(PATIENCE), "though the source has not ended");
    assert_eq!(rig.line.status().state, LineState::Stopped);
    assert!(rig.line.healthy() && !rig.line.exhausted());
    assert_eq!(rig.line.drain().fail, 1);
}

#[test]
fn dropping_a_line_drains_it() {
    let rig = Setup::default().start(
        series(Pace::OnDemand, 50, Duration::from_millis(1), FramePool::new(16, FRAME_BYTES)),
        vec![decider(by_thirds)],
    );
    until("parts come", || rig.line.counts().triggered > 3);
    drop(rig.line);
    let opened = rig.memory.opened();
    assert_eq!(rig.memory.recorded().iter().map(|record| record.id).collect::<Vec<_>>(), opened);
}
