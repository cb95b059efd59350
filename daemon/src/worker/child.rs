//! The worker's side: the terms on which it runs, and its voice.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use models_train::progress::{Progress, Stage};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use scheduler::{Policy, set_self_policy};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{Mailbox, Message, Request};

/// A worker in a unit tells of progress as often: its words are kept in a file.
const APART: Duration = Duration::from_secs(1);

/// Puts this process on a worker's terms. To be called before it has other threads, which then inherit them.
///
/// - It dies with its parent.
/// - `idle`: it runs when nothing else wants the processor (SCHED_IDLE; the kernel derives the idle class for its disk access
///   from that, see ioprio_set(2)).
/// - It is the first to go where the machine runs out of memory.
/// - Its private memory stays below the ceiling (RLIMIT_DATA, which counts what can be written, not what is mapped from files);
///   beyond it allocations fail, and the parent says so.
///
/// # Errors
/// When the kernel refuses one of them.
pub fn enter(memory_ceiling_mib: u64, idle: bool) -> anyhow::Result<Reporter> {
    set_pdeathsig(Signal::SIGKILL).context("a worker must die with its parent")?;
    on_terms(memory_ceiling_mib, idle)?;
    Reporter::new(Voice::Pipe)
}

/// The same for a worker in a unit: it takes the request that lies in the mailbox, and does not die with whoever wrote it. `None`: there
/// is no request.
///
/// # Errors
/// When the kernel refuses something, or the mailbox cannot be used.
pub fn enter_unit(mailbox: &Mailbox) -> anyhow::Result<Option<(Reporter, Request)>> {
    let words = || format!("the request {}", mailbox.request().display());
    let Some((request, messages, lock)) = mailbox.take().with_context(words)? else { return Ok(None) };
    let told = Mutex::new((messages, None));
    let reporter = Reporter::new(Voice::Mailbox { stop: mailbox.stop(), told, _lock: lock })?;
    let entered = on_terms(request.job.memory_ceiling_mib, request.job.idle)
        .and_then(|()| std::env::set_current_dir(&request.folder).context("the working directory"));
    if let Err(error) = entered {
        reporter.end(&Message::Failed(format!("{error:#}")))?;
        return Err(error);
    }
    Ok(Some((reporter, request)))
}

fn on_terms(memory_ceiling_mib: u64, idle: bool) -> anyhow::Result<()> {
    if idle {
        set_self_policy(Policy::Idle, 0).map_err(|()| anyhow!("idle priority: {}", io::Error::last_os_error()))?;
    }
    // Where memory runs out, this goes before the line does. Raising it needs no right; where it cannot be done, nothing is lost.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    let bytes = memory_ceiling_mib << 20;
    setrlimit(Resource::RLIMIT_DATA, bytes, bytes).with_context(|| format!("memory ceiling {memory_ceiling_mib} MiB"))
}

/// The worker's voice: JSON lines.
pub struct Reporter {
    stop: Arc<AtomicBool>,
    voice: Voice,
}

/// Where they go.
enum Voice {
    /// To the parent, on standard output.
    Pipe,
    /// Into a file; whoever reads it may come and go.
    Mailbox {
        /// There when it should end.
        stop: PathBuf,
        /// The file, and when progress was told the last time.
        told: Mutex<(File, Option<Instant>)>,
        /// Says to others that this process lives.
        _lock: File,
    },
}

impl Reporter {
    fn new(voice: Voice) -> anyhow::Result<Reporter> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, stop.clone()).context("signals")?;
        }
        Ok(Reporter { stop, voice })
    }

    /// Tells of progress. `false` when the work should end: it was asked to, or its parent listens no more.
    pub fn progress(&self, progress: &Progress) -> bool {
        let heard = match &self.voice {
            Voice::Pipe => self.say(&Message::Progress(*progress)).is_ok(),
            Voice::Mailbox { told, .. } => {
                let due = {
                    let last = &mut told.lock().unwrap_or_else(PoisonError::into_inner).1;
                    let due = progress.selection.is_some() || last.is_none_or(|at| at.elapsed() >= APART);
                    due.then(|| *last = Some(Instant::now())).is_some()
                };
                // A full disk is no reason to end: the training does not live of what is said of it.
                if due && let Err(error) = self.say(&Message::Progress(*progress)) {
                    tracing::warn!("progress cannot be told: {error}");
                }
                true
            }
        };
        heard && !self.asked_to_stop()
    }

    /// The same of work that is no training: the share that is done, and the time that the rest may take.
    pub fn share(&self, done: f64, eta: Duration) -> bool {
        self.progress(&Progress::share(Stage::All, done, eta))
    }

    /// Whether the work should end.
    pub fn asked_to_stop(&self) -> bool {
        let told = matches!(&self.voice, Voice::Mailbox { stop, .. } if stop.exists());
        told || self.stop.load(Ordering::Relaxed)
    }

    /// The last word.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn end(&self, message: &Message) -> io::Result<()> {
        self.say(message)
    }

    fn say(&self, message: &Message) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        match &self.voice {
            Voice::Pipe => {
                io::stdout().lock().write_all(&line)?;
                io::stdout().flush()
            }
            Voice::Mailbox { told, .. } => told.lock().unwrap_or_else(PoisonError::into_inner).0.write_all(&line),
        }
    }
}
