//! All goes well, or ends in a plain crash.

use inspectd::store::{Exported, Filter, LastEnd, Store, StoreError, VerdictKind, export};
use stages::record::Recorder;
use stages::verdict::{Cause, Verdict};
use tokio::sync::broadcast::error::TryRecvError;

use crate::support::{
    WAIT, acknowledged, all, copy_journal, ids, inspection, late, open, options, pages, put, time, until,
};

/// Every question about parts 1 to 400 is answered in full.
fn answers(store: &Store) {
    assert!(store.wait_for_index(WAIT));
    let everything = all(store);
    assert_eq!(ids(&everything), (1..=400).collect::<Vec<_>>());
    assert!(everything.iter().all(|i| **i == inspection(i.id)));
    let base = Filter { limit: 9, ..Filter::default() };
    let ask = |filter: Filter| {
        let expected: Vec<u64> = (1..=400).filter(|id| filter.matches(&inspection(*id))).collect();
        assert_eq!(ids(&pages(store, &filter)), expected, "{filter:?}");
        assert!(!expected.is_empty());
    };
    for verdict in [VerdictKind::Pass, VerdictKind::Fail, VerdictKind::Review, VerdictKind::NoDecision] {
        ask(Filter { verdict: Some(verdict), ..base.clone() });
    }
    ask(Filter { label: Some("scratch".into()), ..base.clone() });
    ask(Filter { serial: Some("S4".into()), verdict: Some(VerdictKind::Fail), ..base.clone() });
    ask(Filter { from: Some(time(33)), to: Some(time(222)), ..base.clone() });
    ask(Filter { from: Some(time(395)), ..base.clone() });
    ask(Filter { after_id: Some(100), verdict: Some(VerdictKind::Pass), ..base.clone() });
    assert!(pages(store, &Filter { from: Some(time(300)), to: Some(time(20)), ..base.clone() }).is_empty());
    assert!(pages(store, &Filter { label: Some("dent".into()), ..base }).is_empty());
    assert_eq!(store.get(401).expect("readable"), None);
    assert_eq!(store.newest_id(), Some(400));
}

#[test]
fn what_is_acknowledged_is_found_by_everything_it_is_asked_by() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, report) = open(dir.path(), options());
    assert_eq!((report.last_end, report.next_id), (LastEnd::First, 1));
    for id in 1..=400 {
        put(&store, id);
    }
    acknowledged(&store, 400);
    answers(&store);
    store.close().expect("closes");
    assert!(store.opened(401, time(401)).is_err(), "closed");

    let (store, report) = open(dir.path(), options());
    assert_eq!((report.last_end, report.next_id, report.restarted.len()), (LastEnd::Closed, 401, 0));
    answers(&store);
    assert_eq!(store.stats().index_replayed, 0, "the index was complete");
}

#[test]
fn subscribers_hear_each_acknowledged_part_in_order_and_catch_up_on_what_they_missed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), options());
    let mut hears = store.subscribe();
    for id in 1..=100 {
        put(&store, id);
    }
    acknowledged(&store, 100);
    for id in 1..=100 {
        assert_eq!(*hears.try_recv().expect("an event"), inspection(id));
    }
    assert_eq!(hears.try_recv().expect_err("no more"), TryRecvError::Empty);
    for id in 101..=500 {
        put(&store, id);
    }
    acknowledged(&store, 500);
    assert!(matches!(hears.try_recv(), Err(TryRecvError::Lagged(_))), "too slow, and told so");
    assert!(store.wait_for_index(WAIT));
    let mut missed = Vec::new();
    while let Some(last) = store.after(missed.last().copied().unwrap_or(100), 37).last().map(|s| s.inspection.id) {
        missed.extend(missed.last().copied().unwrap_or(100) + 1..=last);
    }
    assert_eq!(missed, (101..=500).collect::<Vec<_>>());
    let few: Vec<u64> = store.after(489, 5).iter().map(|s| s.inspection.id).collect();
    assert_eq!(few, [490, 491, 492, 493, 494]);
    assert!(store.after(u64::MAX, 5).is_empty());
}

#[test]
fn a_late_result_is_found_with_its_inspection_however_old_that_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), options());
    for id in 1..=60 {
        put(&store, id);
        if id % 3 == 0 {
            store.late(late(id)).expect("kept");
        }
    }
    store.late(late(1)).expect("kept");
    until("late results", || store.stats().late == 21);
    let check = |store: &Store| {
        assert!(store.wait_for_index(WAIT));
        for id in 1..=60 {
            let stored = store.get(id).expect("readable").expect("on record");
            let expected = (id == 1 || id % 3 == 0).then(|| format!("late {id}"));
            assert_eq!(stored.late.as_ref().and_then(|l| l.detail.clone()), expected);
            assert_eq!(*stored.inspection, inspection(id));
        }
    };
    check(&store);
    drop(store);
    check(&open(dir.path(), options()).0);
}

#[test]
fn parts_in_flight_at_a_crash_get_their_verdict_at_the_next_start_and_ids_go_on() {
    let (dir, crashed) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (store, _) = open(dir.path(), options());
    for id in 1..=150 {
        put(&store, id);
    }
    for id in 151..=154 {
        store.opened(id, time(id)).expect("kept");
    }
    acknowledged(&store, 150);
    copy_journal(dir.path(), crashed.path());
    let (store, report) = open(crashed.path(), options());
    assert_eq!(report.last_end, LastEnd::Killed);
    assert_eq!((report.restarted, report.next_id), (vec![151, 152, 153, 154], 155));
    assert!(report.damage.is_empty());
    assert_eq!(ids(&all(&store)), (1..=154).collect::<Vec<_>>());
    for id in 151..=154 {
        let part = store.get(id).expect("readable").expect("on record").inspection;
        assert_eq!((part.verdict, part.triggered_at), (Verdict::NoDecision(Cause::Restart), time(id)));
        assert_eq!(&*part.line, "line");
        assert!(part.detail.as_ref().is_some_and(|d| d.contains("in flight")));
    }
    assert!(store.opened(154, time(1)).is_err(), "an id is never used twice");
    put(&store, 155);
    drop(store);
    let (_, report) = open(crashed.path(), options());
    assert_eq!((report.last_end, report.restarted.len()), (LastEnd::Closed, 0), "accounted for once");
}

#[test]
fn after_a_power_cut_ids_go_on_beyond_any_that_may_have_been_used() {
    let (dir, crashed) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (store, _) = open(dir.path(), options());
    for id in 1..=5 {
        put(&store, id);
    }
    acknowledged(&store, 5);
    copy_journal(dir.path(), crashed.path());
    // Used, and lost with the page cache.
    for id in 6..=900 {
        store.opened(id, time(id)).expect("kept");
    }
    let after = inspectd::store::Options { boot: Some("another boot".into()), ..options() };
    let (store, report) = open(crashed.path(), after);
    assert_eq!(report.last_end, LastEnd::PowerCut);
    assert!(report.next_id > 900, "{}", report.next_id);
    assert_eq!(ids(&all(&store)), [1, 2, 3, 4, 5]);
}

#[test]
fn the_very_first_ids_are_reserved_before_they_are_used() {
    let (dir, crashed) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (store, report) = open(dir.path(), options());
    copy_journal(dir.path(), crashed.path());
    // Used, and lost with the page cache.
    store.opened(report.next_id, time(1)).expect("kept");
    let after = inspectd::store::Options { boot: Some("another boot".into()), ..options() };
    let (_, report) = open(crashed.path(), after);
    assert!(report.next_id > 1, "{}", report.next_id);
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_store, _) = open(dir.path(), options());
    let error = Store::open(dir.path(), options()).err().expect("locked");
    assert!(matches!(error, StoreError::Locked { .. }));
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
}

#[test]
fn a_running_journal_can_be_exported_beside_the_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), options());
    for id in 1..=200 {
        put(&store, id);
    }
    store.late(late(7)).expect("kept");
    let mut reads = export(dir.path()).expect("a journal");
    let mut found = Vec::new();
    let mut late_ids = Vec::new();
    for one in reads.by_ref() {
        match one.expect("readable") {
            Exported::Inspection(i) => found.push(i.id),
            Exported::Late(l) => late_ids.push(l.id),
        }
    }
    assert_eq!(found, (1..=200).collect::<Vec<_>>());
    assert_eq!((late_ids, reads.damaged_bytes()), (vec![7], 0));
}
