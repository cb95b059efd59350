//! A disk that fails: the line must hear of it, and nothing may be acknowledged from then on.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use inspectd::store::{Disk, JournalFile, LastEnd, Options, RealDisk, Store, StoreError};
use stages::record::Recorder;
use tokio::sync::broadcast::error::TryRecvError;

use crate::support::{acknowledged, all, ids, inspection, open, options, put, time, until};

/// A real disk with switches.
#[derive(Debug, Default)]
struct Faults {
    sync_fails: AtomicBool,
    /// A sync waits while this is set.
    sync_hangs: AtomicBool,
    /// Half of what is to be written gets there, then the disk is full.
    disk_full: AtomicBool,
}

#[derive(Debug, Clone, Default)]
struct FaultyDisk(Arc<Faults>);

struct FaultyFile(Arc<Faults>, Arc<dyn JournalFile>);

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        Ok(Arc::new(FaultyFile(self.0.clone(), RealDisk.create(path)?)))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        Ok(Arc::new(FaultyFile(self.0.clone(), RealDisk.open(path)?)))
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

impl JournalFile for FaultyFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.0.disk_full.load(Ordering::SeqCst) {
            self.1.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::Error::from_raw_os_error(nix::libc::ENOSPC));
        }
        self.1.write_all_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        while self.0.sync_hangs.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.0.sync_fails.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(nix::libc::EIO));
        }
        self.1.sync()
    }
}

fn faulty() -> (Arc<Faults>, Options) {
    let disk = FaultyDisk::default();
    (disk.0.clone(), Options { disk: Arc::new(disk), ..options() })
}

#[test]
fn after_an_error_on_sync_nothing_is_acknowledged_and_the_line_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let (faults, options) = faulty();
    let (store, _) = open(dir.path(), options);
    for id in 1..=10 {
        put(&store, id);
    }
    acknowledged(&store, 10);
    let mut hears = store.subscribe();
    faults.sync_fails.store(true, Ordering::SeqCst);
    // Accepted: the error comes with the sync.
    put(&store, 11);
    until("failure", || store.stats().failed.is_some());
    // A later sync would succeed and prove nothing: the kernel reports a lost write once.
    faults.sync_fails.store(false, Ordering::SeqCst);
    let error = store.opened(12, time(12)).expect_err("told");
    assert!(error.to_string().contains("cannot sync journal"), "{error}");
    assert!(error.to_string().contains("check the disk"), "{error}");
    assert!(store.record(inspection(12), None).is_err());
    assert!(matches!(store.close(), Err(StoreError::Failed(_))));
    assert_eq!(store.stats().acknowledged, 10);
    assert!(hears.try_recv().is_err(), "nobody heard of part 11");

    // Part 11 had reached the file; the restart finds it, and whatever was lost would have become a restart record.
    let (store, report) = open(dir.path(), crate::support::options());
    assert_eq!(report.last_end, LastEnd::Killed);
    assert_eq!(ids(&all(&store)), (1..=11).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_is_told_with_its_way_out_and_the_half_written_record_is_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let (faults, options) = faulty();
    let (store, _) = open(dir.path(), options);
    for id in 1..=10 {
        put(&store, id);
    }
    acknowledged(&store, 10);
    store.opened(11, time(11)).expect("kept");
    faults.disk_full.store(true, Ordering::SeqCst);
    let error = store.record(inspection(11), None).expect_err("told");
    assert!(error.to_string().contains("the disk is full: free space"), "{error}");
    faults.disk_full.store(false, Ordering::SeqCst);
    assert!(store.record(inspection(11), None).is_err(), "the half record must stay the last thing in the file");
    drop(store);

    let (store, report) = open(dir.path(), crate::support::options());
    let [damage] = &report.damage[..] else { panic!("one torn end: {:?}", report.damage) };
    assert!(damage.torn_tail);
    assert_eq!(std::fs::metadata(&damage.kept).expect("kept aside").len(), damage.bytes);
    assert_eq!(report.restarted, [11]);
    assert_eq!(ids(&all(&store)), (1..=11).collect::<Vec<_>>());
    assert!(report.next_id > 11);
}

#[test]
fn nothing_is_acknowledged_before_its_sync_is_done_and_opening_a_part_never_waits_for_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let (faults, options) = faulty();
    let (store, _) = open(dir.path(), options);
    let mut hears = store.subscribe();
    faults.sync_hangs.store(true, Ordering::SeqCst);
    for id in 1..=500 {
        put(&store, id);
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(store.stats().acknowledged, 0);
    assert!(hears.try_recv().is_err());
    assert_eq!(store.get(1).expect("readable"), None);
    assert_eq!(store.newest_id(), None);
    faults.sync_hangs.store(false, Ordering::SeqCst);
    acknowledged(&store, 500);
    assert!(hears.try_recv().is_err_and(|e| matches!(e, TryRecvError::Lagged(_))), "all 500 came at once");
}

#[test]
fn a_directory_that_cannot_be_written_is_a_clear_error() {
    let dir = tempfile::tempdir().expect("a directory");
    // A file where the directory should be: refused to root too.
    let file: PathBuf = dir.path().join("state");
    std::fs::write(&file, "x").expect("written");
    let error = Store::open(&file, options()).err().expect("refused").to_string();
    assert!(error.contains("cannot create") && error.contains("state"), "{error}");
    // Root may write anywhere.
    if !nix::unistd::geteuid().is_root() {
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o555)).expect("changed");
        let error = Store::open(&dir.path().join("new"), options()).err().expect("refused").to_string();
        assert!(error.contains("give the user that runs inspectd write access"), "{error}");
        return;
    }
    let error = Store::open(dir.path(), Options { segment_bytes: 1, ..options() }).err().expect("refused").to_string();
    assert!(error.contains("segment_bytes = 1"), "{error}");
}
