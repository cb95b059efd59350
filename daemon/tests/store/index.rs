//! The index is only an index.

use std::fs;
use std::time::Duration;

use inspectd::store::{Filter, IndexState, Options};
use stages::record::Recorder;

use crate::support::{WAIT, acknowledged, all, copy_tree, ids, inspection, open, options, put, until};

#[test]
fn a_start_replays_only_what_the_index_has_not_seen() {
    const OLD: u64 = 100_000;
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options { segment_bytes: 16 << 20, recent: 64, ..options() };
    let (store, _) = open(dir.path(), options());
    for id in 1..=OLD {
        store.record(inspection(id), None).expect("kept");
    }
    acknowledged(&store, OLD);
    assert!(store.wait_for_index(Duration::from_secs(120)));
    store.close().expect("closes");
    copy_tree(&dir.path().join("index"), &dir.path().join("earlier"));

    let (store, _) = open(dir.path(), options());
    assert_eq!(store.stats().index_replayed, 0);
    for id in OLD + 1..=OLD + 1000 {
        store.record(inspection(id), None).expect("kept");
    }
    store.close().expect("closes");
    fs::remove_dir_all(dir.path().join("index")).expect("removed");
    fs::rename(dir.path().join("earlier"), dir.path().join("index")).expect("put back");

    let (store, report) = open(dir.path(), options());
    assert_eq!(report.next_id, OLD + 1001);
    assert!(store.wait_for_index(WAIT));
    assert_eq!((store.stats().index_replayed, store.stats().index_rebuilds), (1000, 0));
    for id in [1, 777, OLD, OLD + 1, OLD + 1000] {
        assert_eq!(*store.get(id).expect("readable").expect("on record").inspection, inspection(id));
    }
    // A rare match is looked for in bounded steps; none is missed.
    let rare = Filter {
        from: Some(inspection(5).triggered_at),
        to: Some(inspection(9).triggered_at),
        limit: 2,
        ..Filter::default()
    };
    assert_eq!(ids(&crate::support::pages(&store, &rare)), [5, 6, 7, 8]);
    let never = Filter { serial: Some("S3".into()), limit: 10, ..Filter::default() };
    assert!(crate::support::pages(&store, &never).is_empty());
}

#[test]
fn without_an_index_the_line_is_ready_at_once_and_the_newest_are_found_meanwhile() {
    let dir = tempfile::tempdir().expect("a directory");
    let patient = || Options { segment_bytes: 1 << 20, recent: 100, ..options() };
    let (store, _) = open(dir.path(), patient());
    (1..=6000).for_each(|id| put(&store, id));
    // Only the newest segment is read before the index is there: it must hold the newest parts.
    let mut parts = 6000;
    while newest_segment_bytes(dir.path()) < 100_000 {
        parts += 1;
        put(&store, parts);
        acknowledged(&store, 1);
    }
    store.close().expect("closes");
    fs::remove_dir_all(dir.path().join("index")).expect("removed");

    let (store, _) = open(dir.path(), Options { index_wait: Duration::ZERO, ..patient() });
    let newest = store.query(&Filter { limit: 24, ..Filter::default() });
    let found: Vec<u64> = newest.items.iter().map(|s| s.inspection.id).collect();
    assert_eq!(found, (parts - 23..=parts).rev().collect::<Vec<_>>());
    put(&store, parts + 1);
    acknowledged(&store, 1);
    assert_eq!(store.newest_id(), Some(parts + 1));
    let mut seen = 0;
    loop {
        match store.stats().index {
            IndexState::Ready => break,
            IndexState::Rebuilding(progress) => {
                assert!(progress.done_bytes <= progress.total_bytes && progress.done_bytes >= seen, "{progress:?}");
                seen = progress.done_bytes;
                let page = store.query(&Filter { limit: 200, ..Filter::default() });
                // It may have come to its end between the two looks.
                assert!(page.rebuilding.is_some() || page.items.len() == 200);
            }
            IndexState::Off(reason) => panic!("{reason}"),
        }
    }
    assert_eq!(ids(&all(&store)), (1..=parts + 1).collect::<Vec<_>>());
}

fn newest_segment_bytes(dir: &std::path::Path) -> u64 {
    let files = fs::read_dir(dir.join("journal")).expect("a folder").map(|entry| entry.expect("an entry"));
    let newest = files.max_by_key(std::fs::DirEntry::file_name).expect("a segment");
    newest.metadata().expect("its length").len()
}

#[test]
fn a_broken_index_is_moved_aside_and_built_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), options());
    for id in 1..=300 {
        put(&store, id);
    }
    store.close().expect("closes");
    type Harm = fn(&std::path::Path);
    let harms: [(&str, Harm); 4] = [
        ("db cut", |index| cut(&index.join("db"))),
        ("db garbage", |index| fs::write(index.join("db"), vec![0xA5; 300_000]).expect("written")),
        ("conf garbage", |index| fs::write(index.join("conf"), "nonsense").expect("written")),
        ("a file in its place", |index| {
            fs::remove_dir_all(index).expect("removed");
            fs::write(index, "x").expect("written");
        }),
    ];
    for (name, harm) in harms {
        harm(&dir.path().join("index"));
        let (store, _) = open(dir.path(), options());
        assert!(store.wait_for_index(WAIT), "{name}: {:?}", store.stats().index);
        assert_eq!(ids(&all(&store)), (1..=300).collect::<Vec<_>>(), "{name}");
        let pass = Filter { verdict: Some(inspectd::store::VerdictKind::Pass), limit: 50, ..Filter::default() };
        assert_eq!(crate::support::pages(&store, &pass).len(), 75, "{name}");
        store.close().expect("closes");
    }
}

fn cut(file: &std::path::Path) {
    let size = fs::metadata(file).expect("there").len();
    fs::OpenOptions::new().write(true).open(file).expect("opened").set_len(size / 3).expect("cut");
}

#[test]
fn an_index_of_another_journal_is_not_believed() {
    let (one, two) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    for (dir, parts) in [(&one, 50), (&two, 80)] {
        let (store, _) = open(dir.path(), options());
        for id in 1..=parts {
            put(&store, id);
        }
        store.close().expect("closes");
    }
    fs::remove_dir_all(one.path().join("index")).expect("removed");
    copy_tree(&two.path().join("index"), &one.path().join("index"));
    let (store, _) = open(one.path(), options());
    assert!(store.wait_for_index(WAIT));
    assert_eq!(store.stats().index_rebuilds, 1);
    assert_eq!(ids(&all(&store)), (1..=50).collect::<Vec<_>>());
    assert_eq!(store.get(80).expect("readable"), None);
    until("kept aside", || one.path().join("index.broken").exists());
}
