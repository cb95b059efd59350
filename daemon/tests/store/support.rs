//! Inspections to record, and ways to mistreat a state directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use inspectd::store::{Filter, OpenReport, Options, Store};
use jiff::Timestamp;
use stages::inspection::{Inspection, LabelScore};
use stages::ledger::Ledger;
use stages::record::{LateResult, Recorder};
use stages::stage::Decision;
use stages::verdict::{Cause, Verdict};

/// Small segments, so that rolling is part of every test; a short memory, so that the index is.
pub(crate) fn options() -> Options {
    Options { segment_bytes: 64 << 10, recent: 16, index_cache_bytes: 1 << 20, index_wait: WAIT, ..Options::default() }
}

/// Long enough for a loaded machine.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

pub(crate) fn open(dir: &Path, options: Options) -> (Store, OpenReport) {
    Store::open(dir, options).expect("the store opens")
}

/// Triggers come a second apart.
pub(crate) fn time(id: u64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + id as i64).expect("in range")
}

/// A part whose every field follows from its id.
pub(crate) fn inspection(id: u64) -> Inspection {
    let (verdict, label) = match id % 4 {
        0 => (Verdict::Fail, Some("scratch")),
        1 => (Verdict::Review, Some("pit")),
        2 => (Verdict::NoDecision(Cause::Late), None),
        _ => (Verdict::Pass, Some("good")),
    };
    let score = |label: &str| LabelScore { label: label.into(), score: 0.25 + (id % 3) as f32 / 8.0 };
    Inspection {
        id,
        line: "test".into(),
        camera: "top".into(),
        serial: id.is_multiple_of(2).then(|| format!("S{}", id % 10).into()),
        lot: (!id.is_multiple_of(3)).then(|| format!("L{}", id / 50).into()),
        identity: None,
        call: None,
        origin: Some(format!("part-{id}.png").into()),
        triggered_at: time(id),
        verdict,
        detail: matches!(verdict, Verdict::NoDecision(_)).then(|| "late".into()),
        label: label.map(Into::into),
        found: label.map(score).into_iter().collect(),
        scores: ["good", "scratch", "pit"].map(score).to_vec(),
        heat: None,
        regions: Vec::new(),
        views: Arc::default(),
        recipe: "test@1".into(),
        model: "00".into(),
        provider: None,
        ledger: Ledger { marks: Vec::new(), total_us: id as u32 },
        evidence: None,
        truth: None,
        conditions: Vec::new(),
        check: None,
        image: None,
        pose: None,
        sample: Default::default(),
    }
}

pub(crate) fn late(id: u64) -> LateResult {
    LateResult { id, decision: Decision::none(Cause::Late, format!("late {id}")), after_us: 700_000 }
}

/// Opens and decides a part.
pub(crate) fn put(store: &Store, id: u64) {
    store.opened(id, time(id)).expect("kept");
    store.record(inspection(id), None).expect("kept");
}

/// Waits until as many inspections are acknowledged.
pub(crate) fn acknowledged(store: &Store, count: u64) {
    until("acknowledged", || store.stats().acknowledged >= count);
}

pub(crate) fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < WAIT, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every inspection on record, oldest first, by paging through.
pub(crate) fn all(store: &Store) -> Vec<Arc<Inspection>> {
    pages(store, &Filter { limit: 7, ..Filter::default() })
}

/// Every inspection that matches, oldest first.
pub(crate) fn pages(store: &Store, filter: &Filter) -> Vec<Arc<Inspection>> {
    let mut filter = filter.clone();
    let mut found = Vec::new();
    loop {
        let page = store.query(&filter);
        assert_eq!(page.rebuilding, None);
        found.extend(page.items.into_iter().map(|s| s.inspection));
        match page.next {
            Some(next) => filter.before_id = Some(next),
            None => break,
        }
    }
    found.reverse();
    found
}

pub(crate) fn ids(inspections: &[Arc<Inspection>]) -> Vec<u64> {
    inspections.iter().map(|i| i.id).collect()
}

/// Journal files, oldest first.
pub(crate) fn journal_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(dir.join("journal")).expect("a journal").map(|f| f.expect("readable").path()).collect();
    files.sort();
    files
}

/// What a crash leaves: the files as they are at this moment.
pub(crate) fn copy_journal(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("journal")).expect("created");
    for file in journal_files(from) {
        // A new segment may get its final name between the listing and the copy.
        let name = file.file_name().expect("a name").to_owned();
        let renamed = file.with_file_name(name.to_string_lossy().trim_end_matches(".new"));
        let copied = fs::copy(&file, to.join("journal").join(&name));
        copied
            .or_else(|_| fs::copy(&renamed, to.join("journal").join(renamed.file_name().expect("a name"))))
            .expect("copied");
    }
}

/// A folder and all below it; what vanishes meanwhile is left out.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let Ok(items) = fs::read_dir(from) else { return };
    fs::create_dir_all(to).expect("created");
    for item in items.flatten() {
        let target = to.join(item.file_name());
        if item.path().is_dir() {
            copy_tree(&item.path(), &target);
        } else {
            let _ = fs::copy(item.path(), target);
        }
    }
}

/// A generator of positions to damage, the same in each run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// 0 to `below - 1` (xorshift64).
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}
