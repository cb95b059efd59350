//! Puts a backup back into a folder that is not there yet. Every piece is checked on its way; a folder that could not be filled whole is not left behind
//! under its name.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::manifest::{Entry, Head, Manifest, read};
use super::objects;
use super::{BackupError, names};
use crate::access::{Who, files};
use crate::audit::{Deed, Trail};

/// What came of it.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The backup.
    pub name: String,
    /// About it.
    pub head: Head,
}

/// Puts the backup `name` of `dest`, or the newest, into `state`.
///
/// # Errors
/// `state` is there and not empty, the backup or a piece of it is damaged, or something cannot be written. Nothing is there under the name of `state` then.
pub fn restore(dest: &Path, state: &Path, name: Option<&str>) -> Result<Restored, BackupError> {
    let all = names(dest)?;
    let found = match name {
        Some(name) => all.iter().find(|it| *it == name),
        None => all.last(),
    };
    let Some(name) = found.cloned() else {
        return Err(BackupError::None(dest.to_owned(), name.unwrap_or_default().to_owned()));
    };
    let manifest = read(dest, &name)?;
    if fs::read_dir(state).is_ok_and(|mut items| items.next().is_some()) || state.is_file() {
        return Err(BackupError::Occupied(state.to_owned()));
    }
    let new = beside(state);
    // Of an attempt that broke off.
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(BackupError::io("remove", &new)(error));
        }
        _ => {}
    }
    files::private_dir(&new).map_err(BackupError::io("make", &new))?;
    let filled = fill(dest, &new, &manifest).and_then(|()| {
        let deed = Deed::new("backup.restore", name.as_str()).after(&manifest.head);
        Trail::open(&new)?.append(&Who::on_this_machine(), deed)?;
        let handle = File::open(&new).map_err(BackupError::io("open", &new))?;
        nix::unistd::syncfs(&handle).map_err(|error| BackupError::io("sync", &new)(error.into()))?;
        // An empty folder, if there is one, makes way.
        let _ = fs::remove_dir(state);
        fs::rename(&new, state).and_then(|()| files::sync_dir(state)).map_err(BackupError::io("make", state))
    });
    if filled.is_err() {
        // What is left of it says nothing to anybody; that it cannot be removed adds nothing to the error.
        let _ = fs::remove_dir_all(&new);
    }
    filled.map(|()| Restored { name, head: manifest.head })
}

fn beside(state: &Path) -> PathBuf {
    let mut name = state.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    state.with_file_name(name)
}

fn fill(dest: &Path, state: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    manifest.entries.iter().try_for_each(|entry| put(dest, state, entry))
}

fn put(dest: &Path, state: &Path, entry: &Entry) -> Result<(), BackupError> {
    let path = state.join(&entry.path);
    let folder = path.parent().unwrap_or(state);
    // As it was: what holds accounts and the trail is entered by its owner alone.
    let private = entry.path.starts_with("access/") || entry.path.starts_with("audit/");
    let made = if private { files::private_dir(folder) } else { fs::create_dir_all(folder) };
    made.map_err(BackupError::io("make", folder))?;
    let failed = |error| BackupError::io("write", &path)(error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    let mut size = 0;
    for &piece in &entry.pieces {
        let bytes = objects::get(dest, piece)?;
        size += bytes.len() as u64;
        file.write_all(&bytes).map_err(BackupError::io("write", &path))?;
    }
    if size != entry.size {
        let reason = format!("`{}` has {size} bytes, and {} were backed up", entry.path, entry.size);
        return Err(BackupError::Damaged { path: dest.to_owned(), reason });
    }
    file.set_permissions(fs::Permissions::from_mode(entry.mode & 0o777)).map_err(BackupError::io("write", &path))
}
