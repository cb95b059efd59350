//! How long things take. Not a test: it asserts nothing about time. Run it with `--ignored --nocapture`.

use std::time::{Duration, Instant};

use inspectd::store::Options;
use stages::record::Recorder;

use crate::support::{acknowledged, inspection, open, time};

#[test]
#[ignore = "a measurement, to be read by a person"]
fn timings() {
    const PARTS: u64 = 100_000;
    let dir = tempfile::tempdir().expect("a directory");
    let options = || Options { index_wait: Duration::ZERO, ..Options::default() };
    let (store, _) = open(dir.path(), options());
    let (mut opened, mut recorded) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for id in 1..=PARTS {
        let part = inspection(id);
        let start = Instant::now();
        store.opened(id, time(id)).expect("kept");
        opened.push(start.elapsed());
        let start = Instant::now();
        store.record(part, None).expect("kept");
        recorded.push(start.elapsed());
    }
    acknowledged(&store, PARTS);
    println!("{PARTS} parts acknowledged in {:?}", began.elapsed());
    for (name, times) in [("opened", &mut opened), ("record", &mut recorded)] {
        times.sort();
        let at = |share: usize| times[times.len() * share / 1000];
        println!("{name}: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}", at(500), at(990), at(999), times[times.len() - 1]);
    }
    let began = Instant::now();
    assert!(store.wait_for_index(Duration::from_secs(300)));
    println!("index caught up {:?} later", began.elapsed());
    let began = Instant::now();
    store.close().expect("closes");
    println!("closed in {:?}", began.elapsed());

    let began = Instant::now();
    let (store, _) = open(dir.path(), options());
    println!("ready in {:?}", began.elapsed());
    assert!(store.wait_for_index(Duration::from_secs(300)));
    println!("index complete after {:?}", began.elapsed());
    store.close().expect("closes");
    std::fs::remove_dir_all(dir.path().join("index")).expect("removed");
    let began = Instant::now();
    let (store, _) = open(dir.path(), options());
    println!("without an index: ready in {:?}", began.elapsed());
    assert!(store.wait_for_index(Duration::from_secs(300)));
    println!("without an index: complete after {:?}", began.elapsed());
}
