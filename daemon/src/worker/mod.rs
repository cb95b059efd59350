//! Heavy work in a process of its own: at idle priority and under a memory ceiling, so that a line beside it keeps its
//! deadlines and a crash there is a line in a report here.
//!
//! The parent starts this same program as `inspectd worker ...` with [`Worker::spawn`] and waits with [`Worker::wait`]; the child
//! begins with [`child::enter`]. They speak in JSON lines on the child's standard output ([`Message`]); its standard error goes on
//! to the parent's. Only a child that said [`Message::Done`] AND ended with success counts as done.
//!
//! A line's trainings may run in a unit of systemd instead: [`unit`], over a [`mailbox`].

pub mod child;
mod death;
mod mailbox;
mod unit;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use models_train::progress::Progress;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use unit::Wishes;

pub use mailbox::{Mailbox, Request};
pub use unit::UnitWorker;

/// What is put into a worker's environment: no graphics card is there for it, since the line has the only one that it may rely on. Not in a
/// build that learns on one: whoever makes it means that.
const WITHOUT_GPU: (&str, &str) = ("CUDA_VISIBLE_DEVICES", "");

/// Lines of a worker's standard error that are kept for its obituary.
const LAST_WORDS: usize = 8;

/// What a worker tells its parent, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// How far it is.
    Progress(Progress),
    /// The result. Nothing comes after it.
    Done(Value),
    /// Why there is none.
    Failed(String),
    /// It ended because it was asked to.
    Stopped(String),
}

/// What to do, and on what terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Arguments behind `inspectd worker`: the task and its own.
    pub arguments: Vec<OsString>,
    /// Memory that it may take.
    pub memory_ceiling_mib: u64,
    /// Whether everything else on the machine comes first.
    pub idle: bool,
}

/// Memory that heavy work usually may take: half of the machine's, 2 GiB at least; in MiB.
///
/// # Errors
/// The kernel does not say how much there is.
pub fn usual_ceiling_mib() -> io::Result<u64> {
    let total = nix::sys::sysinfo::sysinfo()?.ram_total();
    Ok(((total / 2) >> 20).max(2048))
}

/// Why a worker has no result.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// It could not be started or listened to.
    #[error("the worker process: {0}")]
    Io(#[from] io::Error),
    /// It says why itself.
    #[error("{0}")]
    Failed(String),
    /// It was asked to end.
    #[error("{0}")]
    Stopped(String),
    /// It wanted more memory than it may take.
    #[error(
        "the memory ceiling of {mib} MiB was reached ({words}); raise it with --memory-ceiling, or take smaller images or fewer \
         threads"
    )]
    MemoryCeiling {
        /// The ceiling.
        mib: u64,
        /// What the worker said of it.
        words: String,
    },
    /// It died without a word of its own.
    #[error("the worker {how} before it was done{words}; `--resume` goes on from the last checkpoint")]
    Died {
        /// By what signal, or with what exit code.
        how: String,
        /// The last that it wrote to standard error.
        words: String,
    },
    /// No unit took the request.
    #[error(
        "nobody took the training up: is the unit on? `systemctl enable --now inspectd-training.path` (it has to watch {}); or set `learning.worker = \"child\"`",
        .request.display()
    )]
    NotTaken {
        /// The file that it should watch.
        request: PathBuf,
    },
    /// The unit is at other work that does not end.
    #[error(
        "another training still runs in `inspectd-training.service` and does not end: `systemctl stop inspectd-training.service`"
    )]
    Occupied,
    /// The unit's process ended without a word of its own.
    #[error(
        "the worker died before it was done; `journalctl -u inspectd-training.service` says of what: after `oom-kill` raise `MemoryMax` there, or take smaller images or fewer threads"
    )]
    Lost,
    /// The daemon ends, the worker does not.
    #[error("the worker goes on in its unit")]
    Left,
}

/// A running worker. Its parent is the thread that spawned it: when that thread ends, the worker is killed.
pub struct Worker {
    child: Child,
    memory_ceiling_mib: u64,
    pid: Arc<Mutex<Option<Pid>>>,
    last_words: JoinHandle<VecDeque<String>>,
}

/// Ends a worker, from any thread.
#[derive(Clone)]
pub struct Stopper(Reach);

#[derive(Clone)]
enum Reach {
    /// Gone once the process is reaped, since its number may then be another's.
    Child(Arc<Mutex<Option<Pid>>>),
    Unit(Arc<Wishes>),
}

impl Stopper {
    fn of_unit(wishes: Arc<Wishes>) -> Stopper {
        Stopper(Reach::Unit(wishes))
    }

    /// Asks it to end; it leaves its checkpoint.
    pub fn ask(&self) {
        match &self.0 {
            Reach::Child(pid) => signal(pid, Signal::SIGTERM),
            Reach::Unit(wishes) => wishes.stop.store(true, Ordering::Release),
        }
    }

    /// Ends it on the spot. One in a unit is asked: killing it is systemd's.
    pub fn kill(&self) {
        match &self.0 {
            Reach::Child(pid) => signal(pid, Signal::SIGKILL),
            Reach::Unit(_) => self.ask(),
        }
    }

    /// This process ends: a child has to end before it, one in a unit goes on.
    pub fn leave(&self) {
        match &self.0 {
            Reach::Child(_) => self.ask(),
            Reach::Unit(wishes) => wishes.leave.store(true, Ordering::Release),
        }
    }
}

fn signal(pid: &Mutex<Option<Pid>>, signal: Signal) {
    let pid = pid.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Err(error)) = pid.map(|pid| kill(pid, signal)) {
        tracing::debug!("worker: {signal}: {error}");
    }
}

impl Worker {
    /// Starts a worker.
    ///
    /// # Errors
    /// When this program cannot be started again.
    pub fn spawn(job: &Job) -> Result<Worker, WorkerError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("worker").args(["--memory-ceiling", &job.memory_ceiling_mib.to_string()]);
        if job.idle {
            command.arg("--idle");
        }
        // A group of its own: Ctrl-C reaches the parent alone, which passes it on.
        command.args(&job.arguments).process_group(0).envs((!models_train::fit::ON_GPU).then_some(WITHOUT_GPU));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let stderr = child.stderr.take().ok_or_else(|| io::Error::other("no standard error"))?;
        let last_words = std::thread::Builder::new().name("worker-stderr".into()).spawn(|| pass_on(stderr))?;
        let pid = Arc::new(Mutex::new(Some(pid)));
        Ok(Worker { child, memory_ceiling_mib: job.memory_ceiling_mib, pid, last_words })
    }

    /// What ends it early.
    pub fn stopper(&self) -> Stopper {
        Stopper(Reach::Child(self.pid.clone()))
    }

    /// Waits for the end; tells of progress meanwhile. Gives the result.
    ///
    /// # Errors
    /// Why there is no result.
    pub fn wait(mut self, tell: &mut dyn FnMut(&Progress)) -> Result<Value, WorkerError> {
        let stdout = self.child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let mut outcome = None;
        for line in BufReader::new(stdout).lines() {
            match serde_json::from_str(&line?) {
                Ok(Message::Progress(progress)) => tell(&progress),
                Ok(message) => outcome = Some(message),
                // A library that prints to standard output is a nuisance and no reason to lose a training.
                Err(error) => tracing::debug!("worker: {error}"),
            }
        }
        let status = {
            // Held while the process is reaped, so that nobody signals its successor.
            let mut pid = self.pid.lock().unwrap_or_else(PoisonError::into_inner);
            let status = self.child.wait()?;
            *pid = None;
            status
        };
        let last_words = self.last_words.join().unwrap_or_default();
        death::outcome(outcome, status, &last_words, self.memory_ceiling_mib)
    }
}

/// Passes a worker's standard error on to ours, and keeps the last lines.
fn pass_on(stderr: ChildStderr) -> VecDeque<String> {
    let mut last = VecDeque::with_capacity(LAST_WORDS);
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        // Where our own standard error is closed, the last lines are kept all the same.
        let _ = writeln!(io::stderr(), "{line}");
        if last.len() == LAST_WORDS {
            last.pop_front();
        }
        last.push_back(line);
    }
    last
}
