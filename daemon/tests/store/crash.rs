//! Random lives: parts come and are decided, the process ends in order, is killed, or the power goes, the index is deleted; after
//! each start the store is held against a model of what it must know.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use inspectd::store::{Disk, JournalFile, LastEnd, Options, RealDisk, Store};
use proptest::prelude::*;
use stages::record::Recorder;
use stages::verdict::{Cause, Verdict};

use crate::support::{all, copy_tree, inspection, journal_files, open, options, time, until};

/// Knows how much of each file has been synced.
#[derive(Debug, Clone, Default)]
struct Watched(Arc<Mutex<BTreeMap<u64, Arc<AtomicU64>>>>);

struct WatchedFile {
    inner: Arc<dyn JournalFile>,
    written: AtomicU64,
    synced: Arc<AtomicU64>,
}

/// A segment keeps its number when it is renamed.
fn number(path: &Path) -> u64 {
    let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
    name.split('.').next().and_then(|n| n.parse().ok()).expect("a number")
}

impl Watched {
    fn watch(&self, path: &Path, inner: Arc<dyn JournalFile>, size: u64) -> Arc<dyn JournalFile> {
        let synced = self.0.lock().expect("sound").entry(number(path)).or_default().clone();
        Arc::new(WatchedFile { inner, written: size.into(), synced })
    }

    /// Bytes of a file that a power cut cannot take.
    fn safe(&self, path: &Path) -> u64 {
        self.0.lock().expect("sound").get(&number(path)).map_or(0, |n| n.load(Ordering::SeqCst))
    }
}

impl Disk for Watched {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        Ok(self.watch(path, RealDisk.create(path)?, 0))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        Ok(self.watch(path, RealDisk.open(path)?, std::fs::metadata(path)?.len()))
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

impl JournalFile for WatchedFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_all_at(bytes, offset)?;
        self.written.fetch_max(offset + bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        let before = self.written.load(Ordering::SeqCst);
        // The real call costs time and proves nothing here: a power cut is played by cutting what was not synced.
        self.synced.fetch_max(before, Ordering::SeqCst);
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Op {
    /// Triggers.
    Open(u8),
    /// The oldest open parts are decided.
    Decide(u8),
    /// A late result for a part decided so many parts ago.
    Late(u8),
    /// Everything so far is acknowledged.
    Wait,
    Close {
        delete_index: bool,
    },
    /// `kill -9`: all that was written is there.
    Kill {
        delete_index: bool,
    },
    /// Of what was not synced, only this share (in 255ths) is there, the rest is gone or (`zeros`) reads as zeros.
    Power {
        share: u8,
        zeros: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1u8..40).prop_map(Op::Open),
        8 => (1u8..40).prop_map(Op::Decide),
        2 => any::<u8>().prop_map(Op::Late),
        2 => Just(Op::Wait),
        1 => any::<bool>().prop_map(|delete_index| Op::Close { delete_index }),
        2 => any::<bool>().prop_map(|delete_index| Op::Kill { delete_index }),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(share, zeros)| Op::Power { share, zeros }),
    ]
}

/// What must be true.
struct World {
    dir: tempfile::TempDir,
    disk: Watched,
    boot: u32,
    store: Option<Store>,
    /// Verdicts by id, as recorded; those found after a power cut are added.
    recorded: BTreeMap<u64, Verdict>,
    /// In the order of recording, this life only.
    this_life: Vec<u64>,
    restarted_now: u64,
    open: BTreeSet<u64>,
    late: BTreeSet<u64>,
    next: u64,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let mut world = World {
            dir,
            disk: Watched::default(),
            boot: 0,
            store: None,
            recorded: BTreeMap::new(),
            this_life: Vec::new(),
            restarted_now: 0,
            open: BTreeSet::new(),
            late: BTreeSet::new(),
            next: 1,
        };
        world.start(LastEnd::First, &BTreeSet::new());
        world
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open")
    }

    /// Opens the store and compares. `sure`: parts that were acknowledged, or whose records cannot be gone for another reason.
    fn start(&mut self, expected: LastEnd, sure: &BTreeSet<u64>) {
        let boot = Some(format!("boot {}", self.boot).into());
        let options = Options { disk: Arc::new(self.disk.clone()), boot, ..options() };
        let (store, report) = open(self.dir.path(), options);
        // Cut between two frames, a power cut shows no damage; a torn end counts as one too.
        assert_eq!(report.last_end, expected);
        assert!(report.next_id >= self.next, "ids are never used twice: {} after {}", report.next_id, self.next);
        let found: BTreeMap<u64, Verdict> = all(&store).iter().map(|i| (i.id, i.verdict)).collect();
        assert_eq!(found.len(), all(&store).len(), "no id twice");
        for id in sure {
            assert_eq!(found.get(id), self.recorded.get(id), "part {id} was acknowledged");
        }
        for (id, verdict) in &found {
            let known = self.recorded.get(id) == Some(verdict);
            let restart = *verdict == Verdict::NoDecision(Cause::Restart) && report.restarted.contains(id);
            assert!(known || restart, "part {id}: {verdict:?}");
            assert!(*id < report.next_id);
        }
        if expected != LastEnd::PowerCut {
            assert_eq!(report.restarted, self.open.iter().copied().collect::<Vec<_>>());
            assert_eq!(report.next_id, self.next);
            assert!(report.damage.is_empty());
            for id in &self.late {
                assert!(store.get(*id).expect("readable").expect("on record").late.is_some(), "late result of {id}");
            }
        }
        self.late.retain(|id| store.get(*id).expect("readable").is_some_and(|s| s.late.is_some()));
        self.recorded = found;
        self.open.clear();
        self.this_life.clear();
        self.restarted_now = report.restarted.len() as u64;
        self.next = report.next_id;
        self.store = Some(store);
    }

    fn acknowledged(&self) -> usize {
        (self.store().stats().acknowledged - self.restarted_now) as usize
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Open(count) => {
                for _ in 0..count {
                    self.store().opened(self.next, time(self.next)).expect("kept");
                    self.open.insert(self.next);
                    self.next += 1;
                }
            }
            Op::Decide(count) => {
                for _ in 0..count {
                    let Some(id) = self.open.pop_first() else { break };
                    let part = inspection(id);
                    self.recorded.insert(id, part.verdict);
                    self.this_life.push(id);
                    self.store().record(part, None).expect("kept");
                }
            }
            Op::Late(back) => {
                let Some(&id) = self.this_life.iter().rev().nth(back as usize % self.this_life.len().max(1)) else {
                    return;
                };
                self.store().late(crate::support::late(id)).expect("kept");
                self.late.insert(id);
            }
            Op::Wait => until("acknowledged", || self.acknowledged() == self.this_life.len()),
            Op::Close { delete_index } => {
                self.store().close().expect("closes");
                self.store = None;
                self.end(delete_index);
                let sure = self.recorded.keys().copied().collect();
                self.start(LastEnd::Closed, &sure);
            }
            Op::Kill { delete_index } => {
                self.crash(|_, size| (size, size));
                self.end(delete_index);
                let sure = self.recorded.keys().copied().collect();
                self.start(LastEnd::Killed, &sure);
            }
            Op::Power { share, zeros } => {
                let lost: BTreeSet<u64> = self.this_life[self.acknowledged()..].iter().copied().collect();
                let sure = self.recorded.keys().copied().filter(|id| !lost.contains(id)).collect();
                let disk = self.disk.clone();
                self.crash(|path, size| {
                    let safe = disk.safe(path).min(size);
                    let kept = safe + (size - safe) * u64::from(share) / 255;
                    (kept, if zeros { size } else { kept })
                });
                self.boot += 1;
                self.start(LastEnd::PowerCut, &sure);
            }
        }
    }

    /// Puts a copy of the files in the place of the store: of each, `keep` bytes, then zeros up to a size.
    fn crash(&mut self, keep: impl Fn(&Path, u64) -> (u64, u64)) {
        let copy = tempfile::tempdir().expect("a directory");
        let files: Vec<(PathBuf, Vec<u8>)> = {
            let names = journal_files(self.dir.path());
            names.into_iter().map(|f| (f.clone(), read_renamed(&f))).collect()
        };
        std::fs::create_dir(copy.path().join("journal")).expect("created");
        for (path, mut bytes) in files {
            let (kept, size) = keep(&path, bytes.len() as u64);
            bytes.truncate(kept as usize);
            bytes.resize(size as usize, 0);
            std::fs::write(copy.path().join("journal").join(path.file_name().expect("a name")), bytes)
                .expect("written");
        }
        // Copied while sled writes: as torn as a crash leaves it.
        copy_tree(&self.dir.path().join("index"), &copy.path().join("index"));
        self.store = None;
        self.dir = copy;
        self.disk = Watched::default();
        for path in journal_files(self.dir.path()) {
            let size = std::fs::metadata(&path).expect("there").len();
            self.disk.0.lock().expect("sound").insert(number(&path), Arc::new(size.into()));
        }
    }

    fn end(&self, delete_index: bool) {
        if delete_index {
            let _ = std::fs::remove_dir_all(self.dir.path().join("index"));
        }
    }
}

/// A new segment may get its final name at any moment.
fn read_renamed(path: &Path) -> Vec<u8> {
    let other = PathBuf::from(path.to_string_lossy().trim_end_matches(".new"));
    std::fs::read(path).or_else(|_| std::fs::read(other)).expect("readable")
}

/// A dozen lives in each run; PROPTEST_CASES asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig { max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 12 };
    ProptestConfig { cases, ..default }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn whatever_happens_the_store_knows_what_it_must(ops in prop::collection::vec(op(), 1..40)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.apply(&Op::Kill { delete_index: false });
    }
}
