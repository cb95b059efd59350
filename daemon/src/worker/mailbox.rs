//! The folder over which the daemon and a worker in a unit of its own speak. Neither has to live while the other does.
//!
//! | file | written by | says |
//! |---|---|---|
//! | `request` | daemon | what to do; systemd starts the worker as soon as it is there (`systemd/inspectd-training.path`) |
//! | `taken` | worker | the same file under another name: it is at it, or was |
//! | `lock` | worker | locked as long as its process lives, so that even a kill cannot hide |
//! | `messages` | worker | what it has to say ([`super::Message`]), one JSON line each |
//! | `stop` | daemon | it should end, and leave its checkpoint |

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Job;
use crate::access::files;

/// Longer requests are none.
const MAX_REQUEST: u64 = 1 << 20;
/// How long a worker waits for the lock: the daemon holds it for an instant when it looks whether somebody has it.
const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// What is asked of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to do, on what terms.
    pub job: Job,
    /// What relative paths are relative to.
    pub folder: OsString,
}

/// How far a request has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is none.
    Free,
    /// Nobody has taken it yet.
    Asked(Option<Request>),
    /// Somebody has. What it is, where it can be read, and whether that worker lives.
    Taken(Option<Request>, bool),
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Mailbox(PathBuf);

impl Mailbox {
    /// The mailbox in this folder.
    pub fn at(folder: &Path) -> Mailbox {
        Mailbox(folder.to_owned())
    }

    /// The file that systemd looks for.
    pub fn request(&self) -> PathBuf {
        self.0.join("request")
    }

    fn taken(&self) -> PathBuf {
        self.0.join("taken")
    }

    fn messages(&self) -> PathBuf {
        self.0.join("messages")
    }

    pub(super) fn stop(&self) -> PathBuf {
        self.0.join("stop")
    }

    /// How things stand.
    pub(super) fn standing(&self) -> Standing {
        // In this order: a request that is taken in between is seen as taken.
        if self.request().exists() {
            return Standing::Asked(read(&self.request()));
        }
        match self.taken().exists() {
            true => Standing::Taken(read(&self.taken()), self.is_held()),
            false => Standing::Free,
        }
    }

    fn is_held(&self) -> bool {
        let Ok(lock) = File::open(self.0.join("lock")) else { return false };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Asks for work, where nobody is at work.
    pub(super) fn ask(&self, request: &Request) -> io::Result<()> {
        files::private_dir(&self.0)?;
        self.clear()?;
        files::replace(&self.request(), &serde_json::to_vec(request)?)
    }

    /// Takes a request back. `false`: somebody has just taken it, or there was none.
    pub(super) fn withdraw(&self) -> io::Result<bool> {
        // A name of its own first: either this or the worker's renaming succeeds, never both.
        let withdrawn = self.0.join("withdrawn");
        match fs::rename(self.request(), &withdrawn) {
            Ok(()) => gone(&withdrawn).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells the worker to end.
    pub(super) fn tell_to_stop(&self) -> io::Result<()> {
        File::create(self.stop()).map(drop)
    }

    /// Removes what a worker left behind that has ended.
    pub(super) fn clear(&self) -> io::Result<()> {
        for path in [self.stop(), self.messages(), self.taken()] {
            gone(&path)?;
        }
        Ok(())
    }

    /// Whole lines of `messages` from a place on, and the place after them. A line that is not whole yet waits.
    pub(super) fn lines(&self, from: u64) -> io::Result<(Vec<String>, u64)> {
        let mut file = match File::open(self.messages()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Vec::new(), from)),
            file => file?,
        };
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let lines = String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect();
        Ok((lines, from + whole as u64))
    }

    /// The worker's side: takes the request. What it is, the file for messages, and the lock, to be held until the process ends.
    /// `None`: there is none.
    pub(super) fn take(&self) -> io::Result<Option<(Request, File, File)>> {
        let lock = self.lock()?;
        match fs::rename(self.request(), self.taken()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            renamed => renamed?,
        }
        let messages = OpenOptions::new().create(true).append(true).open(self.messages())?;
        let request = read(&self.taken()).ok_or_else(|| io::Error::other("the request cannot be read"))?;
        Ok(Some((request, messages, lock)))
    }

    fn lock(&self) -> io::Result<File> {
        let lock = files::private(&self.0.join("lock"), false)?;
        let since = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if since.elapsed() > LOCK_WITHIN => {
                    return Err(io::Error::other("another worker is at work here"));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

fn read(path: &Path) -> Option<Request> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_REQUEST).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn gone(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
