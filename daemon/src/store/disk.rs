//! The few file operations that the journal's promises rest on, behind a trait: tests put a disk in place that fails, or that
//! forgets what was not synced, and prove what the store does then.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

/// Whether it is for want of room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Bytes that are free where `path` lies; none: it cannot be asked.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let stat = statvfs(path).ok()?;
    // The widths differ between platforms, so the conversions are not always useless.
    #[allow(clippy::useless_conversion)]
    let (fragment, free) = (u64::from(stat.fragment_size()), u64::from(stat.blocks_available()));
    Some(free.saturating_mul(fragment))
}

/// Makes journal files durable.
pub trait Disk: Send + Sync + Debug {
    /// Creates a file that must not exist yet.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>>;

    /// Opens an existing file for appending.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>>;

    /// Makes creations and renames in `dir` durable.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// One journal file. It is written by one thread at a time and synced by another meanwhile.
pub trait JournalFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the operating system says; some of the bytes may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when everything written before the call is on the medium (`fdatasync`).
    ///
    /// # Errors
    /// What the operating system says. It says so once: a later call may succeed although data is gone, so the caller must
    /// not trust this file any more.
    fn sync(&self) -> io::Result<()>;

    /// Keeps room on the medium up to `end` for this file alone, whose size stays: what is written there later does not fail for a full disk.
    ///
    /// # Errors
    /// There is no room, or the file system keeps none.
    fn reserve(&self, end: u64) -> io::Result<()> {
        let _ = end;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Cuts off what stands behind `end`, and gives room back that was kept there.
    ///
    /// # Errors
    /// What the operating system says: what stands there is unknown.
    fn cut(&self, end: u64) -> io::Result<()> {
        let _ = end;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The operating system's own files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl JournalFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn reserve(&self, end: u64) -> io::Result<()> {
        let size = self.metadata()?.len();
        let (from, bytes) = (i64::try_from(size), i64::try_from(end.saturating_sub(size)));
        match (from, bytes) {
            (Ok(from), Ok(bytes)) if bytes > 0 => {
                Ok(fallocate(self, FallocateFlags::FALLOC_FL_KEEP_SIZE, from, bytes)?)
            }
            _ => Ok(()),
        }
    }

    fn cut(&self, end: u64) -> io::Result<()> {
        self.set_len(end)
    }
}
