//! A worker in a unit of its own: systemd starts it when a request lies in the [mailbox](super::mailbox), with limits of its own, and
//! neither a restart nor the death of the daemon ends it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use models_train::progress::Progress;
use serde_json::Value;

use super::mailbox::{Mailbox, Request, Standing};
use super::{Job, Message, Stopper, WorkerError, death};

/// Between two looks into the mailbox.
const LOOK: Duration = Duration::from_millis(100);
/// systemd takes a moment; what takes longer is not on.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);
/// A training ends at its next step, however busy the machine is.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// What others want of it.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// The worker should end.
    pub(super) stop: AtomicBool,
    /// The daemon ends: the worker goes on alone.
    pub(super) leave: AtomicBool,
}

/// Work in the unit: to be asked for, or going on from before the daemon's restart.
pub struct UnitWorker {
    mailbox: Mailbox,
    request: Request,
    wishes: Arc<Wishes>,
}

/// What a worker has said so far.
#[derive(Default)]
struct Heard {
    /// Bytes of the messages that were read.
    until: u64,
    last: Option<Message>,
}

impl UnitWorker {
    /// A worker that is reached through the mailbox in `folder`.
    ///
    /// # Errors
    /// There is no working directory.
    pub fn new(folder: &Path, job: &Job) -> Result<UnitWorker, WorkerError> {
        let request = Request { job: job.clone(), folder: std::env::current_dir()?.into_os_string() };
        // Two processes speak of it, with working directories of their own.
        let mailbox = Mailbox::at(&std::path::absolute(folder)?);
        Ok(UnitWorker { mailbox, request, wishes: Arc::default() })
    }

    /// What ends it early.
    pub fn stopper(&self) -> Stopper {
        Stopper::of_unit(self.wishes.clone())
    }

    /// Asks for the work, or takes up what goes on already, and waits for its end; tells of progress meanwhile. Gives the result.
    ///
    /// # Errors
    /// Why there is no result. [`WorkerError::Left`]: the daemon ends, and the worker goes on.
    pub fn wait(self, tell: &mut dyn FnMut(&Progress)) -> Result<Value, WorkerError> {
        let mut heard = Heard::default();
        if self.goes_on() {
            tracing::info!("the training goes on in its unit");
            // What was told before the restart is known; only where it stands now is news.
            let mut newest = None;
            self.hear(&mut heard, &mut |progress| newest = Some(*progress))?;
            if let Some(progress) = &newest {
                tell(progress);
            }
        } else {
            self.wait_for_another()?;
            self.mailbox.ask(&self.request)?;
        }
        self.wait_until_taken()?;
        loop {
            if self.wishes.leave.load(Ordering::Acquire) {
                return Err(WorkerError::Left);
            }
            if self.wishes.stop.load(Ordering::Acquire) && !self.mailbox.stop().exists() {
                self.mailbox.tell_to_stop()?;
            }
            // In this order: what a worker said before its end is heard.
            let lives = matches!(self.mailbox.standing(), Standing::Taken(_, true));
            self.hear(&mut heard, tell)?;
            if !lives {
                self.mailbox.clear()?;
                return self.outcome(heard.last);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whether this very work was asked for before, and is not yet to be asked for anew: one that was stopped or died unheard is.
    fn goes_on(&self) -> bool {
        match self.mailbox.standing() {
            Standing::Asked(request) => request.as_ref() == Some(&self.request),
            Standing::Taken(request, lives) if request.as_ref() == Some(&self.request) => {
                let mut heard = Heard::default();
                let heard = self.hear(&mut heard, &mut |_| {}).map(|()| heard.last);
                lives || matches!(heard, Ok(Some(Message::Done(_) | Message::Failed(_))))
            }
            Standing::Taken(..) | Standing::Free => false,
        }
    }

    /// Ends what else is at work there: left behind by a job that is no more, or that has other options now.
    fn wait_for_another(&self) -> Result<(), WorkerError> {
        let since = Instant::now();
        self.mailbox.withdraw()?;
        while let Standing::Taken(_, true) = self.mailbox.standing() {
            self.mailbox.tell_to_stop()?;
            self.heed()?;
            if since.elapsed() > ENDS_WITHIN {
                return Err(WorkerError::Occupied);
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn wait_until_taken(&self) -> Result<(), WorkerError> {
        let since = Instant::now();
        while let Standing::Asked(_) = self.mailbox.standing() {
            let heeded = self.heed();
            // Where the daemon ends the request stays: it is taken up after the restart.
            let late = since.elapsed() > TAKEN_WITHIN;
            if (late || matches!(heeded, Err(WorkerError::Stopped(_)))) && self.mailbox.withdraw()? {
                heeded?;
                return Err(WorkerError::NotTaken { request: self.mailbox.request() });
            }
            if let Err(WorkerError::Left) = heeded {
                return heeded;
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// An error where somebody wants the waiting to end.
    fn heed(&self) -> Result<(), WorkerError> {
        if self.wishes.leave.load(Ordering::Acquire) {
            return Err(WorkerError::Left);
        }
        match self.wishes.stop.load(Ordering::Acquire) {
            true => Err(WorkerError::Stopped("stopped before it began".into())),
            false => Ok(()),
        }
    }

    fn hear(&self, heard: &mut Heard, tell: &mut dyn FnMut(&Progress)) -> Result<(), WorkerError> {
        let (lines, until) = self.mailbox.lines(heard.until)?;
        heard.until = until;
        for line in lines {
            match serde_json::from_str(&line) {
                Ok(Message::Progress(progress)) => tell(&progress),
                Ok(message) => heard.last = Some(message),
                Err(error) => tracing::warn!("worker: {error}"),
            }
        }
        Ok(())
    }

    /// How its process ended is known to systemd alone, so the last word counts: it comes after everything that was to be written.
    fn outcome(&self, last: Option<Message>) -> Result<Value, WorkerError> {
        match last {
            Some(Message::Done(value)) => Ok(value),
            Some(message) => {
                Err(death::refusal(message, self.request.job.memory_ceiling_mib).unwrap_or(WorkerError::Lost))
            }
            None => Err(WorkerError::Lost),
        }
    }
}
