//! One process per state directory.

use std::fs::OpenOptions;
use std::io::{Read, Seek, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::error::StoreError;

/// Held as long as the store is open. The kernel releases it however the process ends.
#[allow(dead_code)] // held for what its drop does, never read
pub(crate) struct DirLock(Flock<std::fs::File>);

/// Takes the lock, or says who has it.
pub(crate) fn take(dir: &Path) -> Result<DirLock, StoreError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| StoreError::io("open", &path, e))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            // Only for the message of who comes second; a disk that is full must not keep the line from starting.
            let _ =
                lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
            Ok(DirLock(lock))
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            // Only for the message; without it the message says so.
            let _ = file.read_to_string(&mut pid);
            let owner = match pid.trim() {
                "" => "pid unknown".to_owned(),
                pid => format!("pid {pid}"),
            };
            Err(StoreError::Locked { dir: dir.to_owned(), owner })
        }
        Err((_, errno)) => Err(StoreError::io("lock", &path, errno.into())),
    }
}
