//! The worker's side: the terms on which it runs, and its voice.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use models_train::progress::{Progress, Stage};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use scheduler::{Policy, set_self_policy};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Message;

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
    if idle {
        set_self_policy(Policy::Idle, 0).map_err(|()| anyhow!("idle priority: {}", io::Error::last_os_error()))?;
    }
    // Where memory runs out, this goes before the line does. Raising it needs no right; where it cannot be done, nothing is lost.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    let bytes = memory_ceiling_mib << 20;
    setrlimit(Resource::RLIMIT_DATA, bytes, bytes)
        .with_context(|| format!("memory ceiling {memory_ceiling_mib} MiB"))?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, stop.clone()).context("signals")?;
    }
    Ok(Reporter { stop })
}

/// The worker's voice: JSON lines on standard output.
pub struct Reporter {
    stop: Arc<AtomicBool>,
}

impl Reporter {
    /// Tells of progress. `false` when the work should end: it was asked to, or nobody listens any more.
    pub fn progress(&self, progress: &Progress) -> bool {
        let heard = say(&Message::Progress(*progress)).is_ok();
        heard && !self.stop.load(Ordering::Relaxed)
    }

    /// The same of work that is no training: the share that is done, and the time that the rest may take.
    pub fn share(&self, done: f64, eta: Duration) -> bool {
        let (loss, accuracy, selection) = (0.0, 0.0, None);
        self.progress(&Progress { stage: Stage::All, epoch: 1, done, loss, accuracy, selection, eta })
    }

    /// Whether the work should end.
    pub fn asked_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The last word.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn end(&self, message: &Message) -> io::Result<()> {
        say(message)
    }
}

fn say(message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    io::stdout().lock().write_all(&line)?;
    io::stdout().flush()
}
