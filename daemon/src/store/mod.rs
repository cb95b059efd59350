//! The store: every trigger, every verdict, kept and found again.
//!
//! - `journal` (with `segment`, `entry`, `recover`, `reading`) is the truth: append-only, checksummed, synced before anything is acknowledged.
//! - `index` (with `trees`, `reader`, `rows`, `scan`, and by likeness `vectors`, `nearest`) finds records, and `hours` (with `tally`) counts them; both can be deleted at any time
//!   and are built again from the journal.
//! - `evidence` keeps pictures as files by date, and previews in memory.
//! - `gone` and `oldest`: the journal's oldest files may go as wholes; what to remove, and when, is the matter of `crate::retention`.
//! - `live` holds the newest records and tells subscribers of each one that is acknowledged.
//!
//! In the state directory: `lock`, `journal/`, `index/`, `evidence/YYYY/MM/DD/ID.EXT` (UTC), and `damaged/` if need be.
//!
//! Everything here blocks (on files, never for long): an async caller uses `spawn_blocking`.

mod disk;
mod entry;
mod error;
mod evidence;
mod export;
mod gone;
mod hours;
mod index;
mod journal;
mod live;
mod lock;
mod names;
mod nearest;
mod oldest;
mod preview;
mod purpose;
mod query;
mod read;
mod reader;
mod reading;
mod recover;
mod restart;
mod row;
mod rows;
mod scan;
mod segment;
mod smaller;
mod snapshot;
mod tally;
mod trees;
mod vectors;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use models::retrieval::Retriever;
use stages::inspection::Inspection;
use stages::record::{LateResult, Picture, RecordError, Recorder};
use tokio::sync::broadcast;

pub use self::disk::{Disk, JournalFile, RealDisk};
pub use self::entry::LateRecord;
pub use self::error::StoreError;
pub(crate) use self::evidence::evidence_file;
pub use self::evidence::{EvidenceCounts, EvidenceOptions, PictureError, RawFormat, StoredPicture, evidence_path};
pub use self::export::{Export, Exported, export, export_files, export_newest};
pub use self::index::IndexState;
pub use self::nearest::Alike;
pub use self::oldest::{Glance, OldestFile};
pub(crate) use self::preview::shrink;
pub use self::purpose::PurposeKind;
pub use self::query::{Filter, Page, Progress, Stored, VerdictKind, is_model, is_recipe, verdict_words};
pub use self::recover::{Damage, LastEnd};
pub use self::snapshot::{Snapshot, SnapshotFile, snapshot};
pub use self::tally::{Counted, Known, OTHER, PLACES, Place, Tally};

use self::evidence::Evidence;
use self::gone::Forgotten;
use self::index::Index;
use self::journal::Journal;
use self::live::Live;
use self::lock::DirLock;
use self::reader::Reader;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The line's name, for the records of parts that were in flight when the process before ended.
    pub line: Arc<str>,
    /// A journal file is full at this size; 64 KiB to 1 GiB.
    pub segment_bytes: u32,
    /// Room that the journal keeps for itself on the disk, where the file system can: records go on while the disk is full.
    pub reserve_bytes: u32,
    /// Inspections kept in memory.
    pub recent: usize,
    /// Memory for the index.
    pub index_cache_bytes: u64,
    /// Opening waits this long for the index to be complete; after that it is completed in the background.
    pub index_wait: Duration,
    /// Says where each part lies among all that look or are called alike; none: nobody asks.
    pub retriever: Option<Arc<Retriever>>,
    /// Pictures.
    pub evidence: EvidenceOptions,
    /// What the journal is written to.
    pub disk: Arc<dyn Disk>,
    /// The kernel's boot id; none: ask the kernel. Tests set it to play a power cut.
    pub boot: Option<Arc<str>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            line: "line".into(),
            segment_bytes: 64 << 20,
            reserve_bytes: 32 << 20,
            recent: 1024,
            index_cache_bytes: 64 << 20,
            index_wait: Duration::from_millis(500),
            retriever: None,
            evidence: EvidenceOptions::default(),
            disk: Arc::new(RealDisk),
            boot: None,
        }
    }
}

/// What opening found and did.
#[derive(Debug, Clone)]
pub struct OpenReport {
    /// How the process before this one ended.
    pub last_end: LastEnd,
    /// Parts that were in flight then, or whose record is lost: each is now on record as `NoDecision(Restart)`.
    pub restarted: Vec<u64>,
    /// Ranges of the journal that were no records.
    pub damage: Vec<Damage>,
    /// Journal files that should be there and are not, by number.
    pub missing_segments: Vec<u32>,
    /// First id for a new part.
    pub next_id: u64,
}

/// A moment's view of the store.
#[derive(Debug, Clone)]
pub struct StoreStats {
    /// Inspections acknowledged by this process.
    pub acknowledged: u64,
    /// Late results acknowledged by this process.
    pub late: u64,
    /// Records that wait for their sync.
    pub pending: usize,
    /// Parts opened and not decided.
    pub open_parts: usize,
    /// Every id so far is below this.
    pub next_id: u64,
    /// Why nothing is kept, if so. Room on a disk that was full clears it, else only a restart.
    pub failed: Option<Arc<str>>,
    /// The index.
    pub index: IndexState,
    /// Records that this process has read from the journal into the index.
    pub index_replayed: u64,
    /// How often the index was built anew.
    pub index_rebuilds: u32,
    /// Pictures.
    pub evidence: EvidenceCounts,
}

/// The open store. Dropping it closes it.
pub struct Store {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<DirLock>>,
    evidence_dir: PathBuf,
}

struct Shared {
    journal: Journal,
    live: Live,
    index: Index,
    reader: Reader,
    evidence: Evidence,
    forgotten: Forgotten,
}

impl Store {
    /// Opens the store in `dir`, which is created if need be. When this returns, every part of the process before has its
    /// verdict on disk.
    ///
    /// # Errors
    /// `dir` is not writable, another process has it, its disk is full or failing, or a newer program wrote it. Damage is no error:
    /// it is in the report.
    pub fn open(dir: &Path, options: Options) -> Result<(Store, OpenReport), StoreError> {
        if !(64 << 10..=1 << 30).contains(&options.segment_bytes) {
            return Err(StoreError::Option(format!(
                "segment_bytes = {}: use 65536 to 1073741824",
                options.segment_bytes
            )));
        }
        let journal_dir = dir.join("journal");
        fs::create_dir_all(&journal_dir).map_err(|e| StoreError::io("create", &journal_dir, e))?;
        let lock = lock::take(dir)?;
        let boot = options.boot.clone().unwrap_or_else(recover::boot_id);
        let setting = recover::Setting { dir: &journal_dir, disk: &*options.disk, boot, keep: options.recent };
        let mut recovered = recover::recover(&setting)?;

        let reader = Reader::new(journal_dir.clone());
        let live = Live::new(options.recent, recovered.recent_floor);
        restart::refill(&live, &reader, &recovered);
        let identity = recovered.state.identity;
        let open = std::mem::take(&mut recovered.state.open);
        let sizes = (options.segment_bytes, options.reserve_bytes);
        let journal = Journal::new(journal_dir.clone(), options.disk.clone(), sizes, recovered.state);

        let forgotten = Forgotten::of(&journal_dir);
        let (cache, retriever) = (options.index_cache_bytes, options.retriever);
        let index = Index::new(dir.join("index"), journal_dir, identity, cache, forgotten.clone(), retriever);
        let evidence_dir = dir.join("evidence");
        let (evidence, threads) = Evidence::start(evidence_dir.clone(), options.evidence)?;
        let report = OpenReport {
            last_end: recovered.last_end,
            restarted: open.keys().copied().collect(),
            damage: recovered.damage,
            missing_segments: recovered.missing,
            next_id: journal.next_id(),
        };
        let shared = Arc::new(Shared { journal, live, index, reader, evidence, forgotten });
        let store = Store { shared, threads: Mutex::new(threads), lock: Mutex::new(Some(lock)), evidence_dir };
        restart::account(&store.shared, &open, &options.line, !report.damage.is_empty())?;
        store.start(report.last_end == LastEnd::PowerCut)?;
        store.shared.index.wait_ready(options.index_wait);
        restart::log(&report);
        Ok((store, report))
    }

    fn start(&self, distrust_index: bool) -> Result<(), StoreError> {
        let shared = &self.shared;
        let spawn = |name: &str, work: Box<dyn FnOnce(&Shared) + Send>| {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name(name.into()).spawn(move || work(&shared));
            thread.map_err(|e| StoreError::io("start a thread for", Path::new(name), e))
        };
        let sync = spawn("journal-sync", Box::new(|shared| while shared.sync_once().is_ok_and(|more| more) {}))?;
        let index = spawn("index", Box::new(move |shared| shared.index.run(distrust_index)))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).extend([sync, index]);
        Ok(())
    }

    /// Every inspection from now on, once it is acknowledged, in trigger order.
    ///
    /// A receiver that falls more than 256 behind gets `RecvError::Lagged(n)` and goes on with the oldest that is left:
    /// fetch the missing ones with [`Store::after`] and the last id seen.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Inspection>> {
        self.shared.live.subscribe()
    }

    /// Where evidence lies.
    pub fn evidence_dir(&self) -> &Path {
        &self.evidence_dir
    }

    /// First id for a new part.
    pub fn next_id(&self) -> u64 {
        self.shared.journal.next_id()
    }

    /// A moment's view.
    pub fn stats(&self) -> StoreStats {
        let shared = &self.shared;
        let (acknowledged, late) = shared.live.counts();
        let (index_replayed, index_rebuilds) = shared.index.work_done();
        StoreStats {
            acknowledged,
            late,
            pending: shared.journal.pending(),
            open_parts: shared.journal.open_parts(),
            next_id: shared.journal.next_id(),
            failed: shared.journal.failure().or_else(|| shared.journal.full()),
            index: shared.index.state(shared.live.floor()),
            index_replayed,
            index_rebuilds,
            evidence: shared.evidence.counts(),
        }
    }

    /// Where the disk was full: looks whether there is room now, without waiting for the next part. Gives, once, what was said of it as long as
    /// it was.
    pub fn room_again(&self) -> Option<Arc<str>> {
        self.shared.journal.room_again()
    }

    /// Waits for the index: true if answers are complete, false if the time is up or the index is off.
    pub fn wait_for_index(&self, timeout: Duration) -> bool {
        self.shared.index.wait_ready(timeout);
        self.shared.index.state(self.shared.live.floor()) == IndexState::Ready
    }

    /// Writes and acknowledges what is left, says in the journal that the end was in order, and ends the threads. Recording
    /// after this is an error. A second call does nothing.
    ///
    /// # Errors
    /// The journal had failed before, or fails now.
    pub fn close(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        shared.evidence.close();
        shared.journal.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let (index, others): (Vec<_>, Vec<_>) = threads.into_iter().partition(|t| t.thread().name() == Some("index"));
        // The index last: it still takes in what the sync thread acknowledges.
        for thread in others {
            let _ = thread.join();
        }
        shared.index.wait_ready(Duration::from_secs(1));
        shared.index.stop();
        for thread in index {
            let _ = thread.join();
        }
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        shared.journal.failure().map_or(Ok(()), |reason| Err(StoreError::Failed(reason.to_string())))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The reason was logged when it came up.
        let _ = self.close();
    }
}

impl Recorder for Store {
    fn opened(&self, id: u64, triggered_at: Timestamp) -> Result<(), RecordError> {
        self.shared.journal.opened(id, triggered_at).map_err(RecordError)
    }

    fn record(&self, mut inspection: Inspection, picture: Option<Picture>) -> Result<(), RecordError> {
        if let Some(picture) = picture {
            let (id, at) = (inspection.id, inspection.triggered_at);
            if picture.show {
                self.shared.evidence.show(id, picture.frame.clone());
            }
            if picture.keep {
                inspection.evidence = self.shared.evidence.keep(id, at, picture.frame);
            }
        }
        self.shared.journal.decided(Arc::new(inspection)).map_err(RecordError)
    }

    fn late(&self, result: LateResult) -> Result<(), RecordError> {
        self.shared.journal.late(Arc::new(result.into())).map_err(RecordError)
    }
}

impl Shared {
    /// One group commit; false when the journal is closed.
    fn sync_once(&self) -> Result<bool, StoreError> {
        let Some(round) = self.journal.sync_round().map_err(StoreError::Failed)? else { return Ok(false) };
        for ack in round.acks {
            self.live.acknowledge(ack);
        }
        self.index.acknowledged(round.end);
        // An error is kept in the journal and comes up in the next round.
        let goes_on = self.journal.roll_if_full().is_ok();
        self.journal.keep_room();
        Ok(goes_on)
    }
}
