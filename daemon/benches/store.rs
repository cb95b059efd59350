//! `make bench`: what it takes until a record is acknowledged, that is, synced to the disk. Records come at a pace, as from a line, and as fast
//! as the store takes them; beside it one sync a record, which is what the disk itself allows without group commit.

#![allow(clippy::print_stdout)] // a report for the person who runs it

mod figures;
mod records;

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use figures::{Median, note};
use inspectd::store::{Options, Store};
use records::{Names, part};
use stages::record::Recorder;

/// Records a second, and for how many.
const PACES: [(u32, u64); 3] = [(20, 100), (200, 1000), (1000, 5000)];
const FLAT_OUT: u64 = 100_000;
const SINGLE: usize = 500;
/// Rounds, in turns, so that a disk that is busy for a moment does not speak for the whole.
const ROUNDS: usize = 5;

fn main() {
    // `cargo test --benches` asks for a list of tests, of which there are none.
    if std::env::args().any(|it| it == "--list" || it == "--test") {
        return;
    }
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| Round::run()).collect();
    let of = |figure: &dyn Fn(&Round) -> f64| Median::of(&rounds.iter().map(figure).collect::<Vec<_>>());
    note("store/one-sync-a-record", "records/s", "more", of(&|round| round.single_per_s));
    note("store/flat-out", "records/s", "more", of(&|round| round.flat_out_per_s));
    note("store/flat-out-to-one-sync", "", "more", of(&|round| round.flat_out_per_s / round.single_per_s));
    note("store/bytes-a-record", "B of journal", "less", of(&|round| round.bytes));
    for (at, (pace, _)) in PACES.iter().enumerate() {
        note(&format!("store/{pace}-a-second/ack-p50"), "ms", "less", of(&|round| round.paced[at].0));
        note(&format!("store/{pace}-a-second/ack-p99"), "ms", "less", of(&|round| round.paced[at].1));
    }
}

struct Round {
    single_per_s: f64,
    flat_out_per_s: f64,
    bytes: f64,
    /// p50 and p99 until the acknowledgement, milliseconds, at each pace.
    paced: Vec<(f64, f64)>,
}

impl Round {
    fn run() -> Round {
        let folder = tempfile::tempdir().expect("a folder");
        let (flat_out_per_s, bytes) = flat_out(&folder.path().join("flat"));
        let single_per_s = one_sync_a_record(&folder.path().join("single"), bytes as usize);
        let paced = PACES.map(|(pace, count)| at_a_pace(&folder.path().join(pace.to_string()), pace, count));
        Round { single_per_s, flat_out_per_s, bytes, paced: paced.into() }
    }
}

fn open(state: &std::path::Path) -> Arc<Store> {
    let options = Options { line: "demo".into(), ..Options::default() };
    Arc::new(Store::open(state, options).expect("a store in an empty folder").0)
}

/// Appends as many bytes as a record has and syncs, one after the other.
fn one_sync_a_record(path: &std::path::Path, bytes: usize) -> f64 {
    let mut file = File::create(path).expect("created");
    let record = vec![7; bytes];
    let began = Instant::now();
    for _ in 0..SINGLE {
        file.write_all(&record).expect("written");
        file.sync_data().expect("synced");
    }
    SINGLE as f64 / began.elapsed().as_secs_f64()
}

/// Records a second from the first to the last acknowledgement, and bytes of the journal for each.
fn flat_out(state: &std::path::Path) -> (f64, f64) {
    let store = open(state);
    let names = Names::default();
    let began = Instant::now();
    for id in 1..=FLAT_OUT {
        store.record(part(id, FLAT_OUT, &names), None).expect("kept");
    }
    while store.stats().acknowledged < FLAT_OUT {
        thread::sleep(Duration::from_millis(1));
    }
    let seconds = began.elapsed().as_secs_f64();
    store.close().expect("closes");
    let files = std::fs::read_dir(state.join("journal")).expect("a journal").flatten();
    let bytes: u64 = files.map(|file| file.metadata().map_or(0, |about| about.len())).sum();
    (FLAT_OUT as f64 / seconds, bytes as f64 / FLAT_OUT as f64)
}

/// p50 and p99 from the call to the acknowledgement, milliseconds.
fn at_a_pace(state: &std::path::Path, pace: u32, count: u64) -> (f64, f64) {
    let store = open(state);
    let mut news = store.subscribe();
    let acknowledged = thread::spawn(move || {
        (0..count).map(|_| (news.blocking_recv().expect("nobody falls behind").id, Instant::now())).collect::<Vec<_>>()
    });
    let names = Names::default();
    let began = Instant::now();
    let called: Vec<Instant> = (1..=count)
        .map(|id| {
            let at = began + Duration::from_secs_f64(id as f64 / f64::from(pace));
            thread::sleep(at.saturating_duration_since(Instant::now()));
            let record = part(id, count, &names);
            let called = Instant::now();
            store.record(record, None).expect("kept");
            called
        })
        .collect();
    let acknowledged = acknowledged.join().expect("all are acknowledged");
    let mut waits: Vec<f64> =
        acknowledged.iter().map(|(id, at)| (*at - called[*id as usize - 1]).as_secs_f64() * 1000.0).collect();
    waits.sort_by(f64::total_cmp);
    let rank = |share: f64| waits[((waits.len() - 1) as f64 * share).round() as usize];
    (rank(0.5), rank(0.99))
}
