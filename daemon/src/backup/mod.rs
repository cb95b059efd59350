//! A copy of everything that a line knows, made while it runs, and put back. docs/BACKUP.md has the whole picture.
//!
//! - [`source`]: which files of a state directory belong to it, and how each is read so that it is whole.
//! - [`objects`]: contents by their digest, each kept once: what makes the second backup small.
//! - [`manifest`]: one backup: names, sizes and digests of its files, with a digest of its own.
//! - [`take`], [`verify`], [`restore`]: what is done with them.
//!
//! A folder of backups:
//!
//! ```text
//! DEST/inspectd-backup       says what this is
//! DEST/backups/TIME.backup   one for each backup
//! DEST/objects/ab/abcd...    contents, in pieces of 4 MiB at most
//! ```

mod manifest;
mod objects;
mod restore;
mod source;
mod take;
mod verify;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use manifest::{Head, Listed};
pub use restore::{Restored, restore};
pub use take::{Taken, take};
pub use verify::{Verified, verify};

use crate::access::files;
use crate::audit::AuditError;
use crate::store::StoreError;

/// Name of the file that says what a folder is, and what stands in it.
const MARKER: (&str, &str) = ("inspectd-backup", "inspectd backup, format 1\n");

/// Why a backup was not made, checked or put back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The operating system refused something.
    #[error("cannot {what} `{}`: {source}; check the path, its permissions and the disk", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The folder is something else.
    #[error("`{}` is not empty and holds no backups: give an empty folder, or one that backups were made into", .0.display())]
    Foreign(PathBuf),
    /// There is nothing to put back.
    #[error("`{}` holds no whole backup{}", .0.display(), if .1.is_empty() { String::new() } else { format!(" `{}`; `inspectd backup --list` names those that are there", .1) })]
    None(PathBuf, String),
    /// A file is not what was written.
    #[error("`{}` is damaged: {reason}", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is something there already.
    #[error("`{}` is there already and not empty: give a folder that does not exist; nothing was changed", .0.display())]
    Occupied(PathBuf),
    /// No line ever ran there.
    #[error("`{}` has no journal: no line keeps its records there; `--state` names the directory", .0.display())]
    NoState(PathBuf),
    /// A backup would be part of the next one.
    #[error("`{}` lies in the state directory itself: give a folder elsewhere, best on another disk", .0.display())]
    Inside(PathBuf),
    /// Another backup is being made.
    #[error("another inspectd works on `{}`: wait for it", .0.display())]
    Busy(PathBuf),
    /// The journal cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The trail says nothing of it, so it is not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl BackupError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
        let path = path.to_owned();
        move |source| BackupError::Io { what, path, source }
    }
}

/// A folder of backups, ours alone as long as this lives.
struct Folder {
    dir: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes it, if there is nothing yet.
    fn make(dir: &Path) -> Result<Folder, BackupError> {
        files::private_dir(dir).map_err(BackupError::io("make", dir))?;
        let marker = dir.join(MARKER.0);
        if !marker.exists() {
            let is_lock = |item: &io::Result<fs::DirEntry>| item.as_ref().is_ok_and(|it| it.file_name() == "lock");
            let mut others = fs::read_dir(dir).map_err(BackupError::io("read", dir))?.filter(|item| !is_lock(item));
            if others.next().is_some() {
                return Err(BackupError::Foreign(dir.to_owned()));
            }
            for folder in ["objects", "backups"] {
                let path = dir.join(folder);
                files::private_dir(&path).map_err(BackupError::io("make", &path))?;
            }
            files::replace(&marker, MARKER.1.as_bytes()).map_err(BackupError::io("write", &marker))?;
        }
        let lock = files::private(&dir.join("lock"), true).map_err(BackupError::io("open", &dir.join("lock")))?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { dir: dir.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(BackupError::Busy(dir.to_owned())),
            Err(fs::TryLockError::Error(error)) => Err(BackupError::io("lock", &dir.join("lock"))(error)),
        }
    }
}

/// Names of the backups in a folder, the oldest first.
///
/// # Errors
/// It cannot be read.
fn names(dir: &Path) -> Result<Vec<String>, BackupError> {
    let folder = dir.join("backups");
    let read = fs::read_dir(&folder).map_err(BackupError::io("read", &folder))?;
    let mut names = Vec::new();
    for item in read {
        let name = item.map_err(BackupError::io("read", &folder))?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(".backup")).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// Every backup of a folder, the oldest first; those that are damaged apart.
///
/// # Errors
/// The folder cannot be read.
pub fn list(dir: &Path) -> Result<Vec<Listed>, BackupError> {
    let all = names(dir)?.into_iter().map(|name| {
        let head = manifest::read(dir, &name).map(|manifest| manifest.head);
        Listed { name, head: head.map_err(|error| error.to_string()) }
    });
    Ok(all.collect())
}
