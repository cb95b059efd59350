//! The journal's oldest file goes as a whole: what is found and counted afterwards is what is left, now, after a kill, and by an index that was made anew.

use std::collections::BTreeSet;
use std::fs;

use inspectd::store::{Exported, Filter, Store, VerdictKind, export};
use jiff::Timestamp;
use stages::record::Recorder;

use crate::support::{
    WAIT, acknowledged, all, copy_tree, ids, inspection, journal_files, late, open, options, pages, put, time, until,
};

/// More than an hour's: triggers come a second apart.
const PARTS: u64 = 4500;
/// Opened in a file that goes, decided in one that stays, and in the index's next block of rows.
const SLOW: u64 = PARTS - 860;

/// Every answer is that of the parts that are left.
fn only(store: &Store, left: &BTreeSet<u64>) {
    assert!(store.wait_for_index(WAIT));
    assert_eq!(ids(&all(store)).into_iter().collect::<BTreeSet<u64>>(), *left);
    for verdict in [VerdictKind::Pass, VerdictKind::Fail, VerdictKind::Review, VerdictKind::NoDecision] {
        let filter = Filter { verdict: Some(verdict), limit: 100, ..Filter::default() };
        let expected: Vec<u64> = left.iter().copied().filter(|id| filter.matches(&inspection(*id))).collect();
        assert_eq!(ids(&pages(store, &filter)), expected);
        assert_eq!(store.count(&filter).expect("counted"), expected.len() as u64);
    }
    let serial = Filter { serial: Some("S4".into()), limit: 100, ..Filter::default() };
    let expected: Vec<u64> = left.iter().copied().filter(|id| serial.matches(&inspection(*id))).collect();
    assert_eq!(ids(&pages(store, &serial)), expected);
    assert_eq!(store.count(&serial).expect("counted"), expected.len() as u64);
    // Whole hours from the roll-ups, what is left of them from the rows.
    for (from, to) in [(0, PARTS + 1), (100, 700)] {
        let expected = left.iter().filter(|id| (from..to).contains(*id)).count() as u64;
        until("the roll-ups", || counted(store, time(from), time(to)) == expected);
    }
    let hours = Timestamp::from_second(1_800_000_000 / 3600 * 3600).expect("in range");
    let whole = (hours, Timestamp::from_second(hours.as_second() + 4 * 3600).expect("in range"));
    until("whole hours", || counted(store, whole.0, whole.1) == left.len() as u64);
    for id in 1..=PARTS {
        let found = store.get(id).expect("no hole where a record was");
        assert_eq!(found.is_some(), left.contains(&id), "part {id}");
    }
    let after: Vec<u64> = store.after(0, 5).iter().map(|it| it.inspection.id).collect();
    assert_eq!(after, left.iter().copied().take(5).collect::<Vec<u64>>());
    let oldest = left.first().map(|id| time(*id));
    assert_eq!(store.records_since(), oldest.filter(|_| left.len() < PARTS as usize));
}

fn counted(store: &Store, from: Timestamp, to: Timestamp) -> u64 {
    let tally = store.tally(&[(from, to)]).expect("counted");
    tally[0].parts.iter().map(|it| it.parts).sum()
}

/// Removes files until fewer than so many are left, and what goes with them from `left`; how much went.
fn shorten(store: &Store, files: usize, dir: &std::path::Path, left: &mut BTreeSet<u64>) -> usize {
    let before = left.len();
    while journal_files(dir).len() > files {
        assert!(store.wait_for_index(WAIT));
        let oldest = store.oldest_file().expect("readable").expect("a file that may go");
        assert!(!oldest.records.is_empty() && oldest.bytes > 0);
        for record in &oldest.records {
            assert!(left.remove(&record.id), "once");
            assert_eq!((record.at, record.verdict), (time(record.id), inspection(record.id).verdict.into()));
        }
        store.remove_oldest(&oldest).expect("removed");
        assert!(store.remove_oldest(&oldest).is_err(), "it is gone already");
        assert_eq!(store.records_since(), left.first().map(|id| time(*id)));
    }
    before - left.len()
}

#[test]
fn what_went_with_the_oldest_files_is_found_and_counted_no_more_whatever_happens_next() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), options());
    for id in 1..=PARTS {
        if id == SLOW {
            store.opened(id, time(id)).expect("kept");
            continue;
        }
        put(&store, id);
        if id % 50 == 0 {
            store.late(late(id)).expect("kept");
        }
        if id == PARTS - 300 {
            store.record(inspection(SLOW), None).expect("kept");
        }
        // Files are rolled between two syncs.
        if id % 30 == 0 {
            acknowledged(&store, id - 1);
        }
    }
    acknowledged(&store, PARTS);
    let everything: BTreeSet<u64> = (1..=PARTS).collect();
    only(&store, &everything);
    let before = journal_files(dir.path()).len();
    assert!(before >= 8, "{before} files");

    let mut left = everything;
    let gone = shorten(&store, before - 2, dir.path(), &mut left);
    assert!(gone > 50, "{gone} went");
    only(&store, &left);

    // A kill at this moment, with the index as it lies there, and without it.
    let crashed = tempfile::tempdir().expect("a directory");
    copy_tree(dir.path(), crashed.path());
    for index in [true, false] {
        if !index {
            fs::remove_dir_all(crashed.path().join("index")).expect("removed");
        }
        let (store, report) = open(crashed.path(), options());
        assert!(report.missing_segments.is_empty() && report.damage.is_empty());
        only(&store, &left);
    }

    // It goes on: more parts, more files that go, an end in order.
    shorten(&store, 3, dir.path(), &mut left);
    assert!(left.contains(&SLOW) && !left.contains(&(SLOW + 1)), "{:?}", left.first());
    assert!(left.len() > 1 && left.iter().all(|id| *id > 3600), "the first hour is gone altogether");
    only(&store, &left);
    assert!(store.oldest_file().expect("readable").is_none(), "what a start needs stays");
    store.close().expect("closes");
    let (store, report) = open(dir.path(), options());
    assert_eq!(report.next_id, PARTS + 1, "no id is used twice");
    only(&store, &left);
    let exported: BTreeSet<u64> = export(dir.path())
        .expect("readable")
        .filter_map(|record| match record.expect("readable") {
            Exported::Inspection(part) => Some(part.id),
            Exported::Late(_) => None,
        })
        .collect();
    assert_eq!(exported, left);
}

#[test]
fn an_hour_that_was_forgotten_by_halves_is_counted_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), options());
    for id in 1..=PARTS {
        put(&store, id);
        if id % 30 == 0 {
            acknowledged(&store, id);
        }
    }
    assert!(store.wait_for_index(WAIT));
    let files = journal_files(dir.path());
    store.close().expect("closes");
    // The file went, and the process with it, before the index knew.
    fs::remove_file(&files[0]).expect("removed");
    let (store, _) = open(dir.path(), options());
    let left: BTreeSet<u64> = all(&store).iter().map(|it| it.id).collect();
    assert!(left.len() < PARTS as usize && !left.is_empty());
    only(&store, &left);
}
