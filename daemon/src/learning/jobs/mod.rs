//! Training jobs: from labelled parts to a judged candidate. One runs at a time, in a worker process at idle priority; each survives
//! the daemon's end: it goes on from its checkpoint, or went on all the while in a unit of its own.

mod clock;
mod dataset;
mod job;
mod judge;
mod run;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use models_train::progress::Progress;
use thiserror::Error;

pub use dataset::Dataset;
pub use job::{Job, JobState, Point};
pub use judge::{Case, judge};

use crate::worker::Stopper;
use clock::Clock;
use job::Place;

/// Looks at one candidate, at most.
const MOST_LOOKS: u32 = 5;
/// Ended jobs that keep their data and bundles, the newest.
const WHOLE: usize = 5;

/// Why nothing was done.
#[derive(Debug, Error)]
pub enum JobError {
    /// No such job.
    #[error("there is no job {0}: `inspectd jobs list` shows those that there are")]
    Unknown(u64),
    /// Another has not ended.
    #[error("job {0} has not ended yet, and one runs at a time: wait for it, or cancel it")]
    Busy(u64),
    /// It is in another state.
    #[error("job {number} is {state}: {words}")]
    State {
        /// Which.
        number: u64,
        /// Where it stands.
        state: String,
        /// What can be done.
        words: &'static str,
    },
    /// The disk refuses.
    #[error("job {number} cannot be kept: {source}; check the disk")]
    Io {
        /// Which.
        number: u64,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Every job of a line.
pub struct Jobs {
    dir: PathBuf,
    /// Over which a worker in a unit is spoken to.
    mailbox: PathBuf,
    state: Mutex<State>,
    clock: Mutex<Clock>,
}

#[derive(Default)]
struct State {
    jobs: BTreeMap<u64, Job>,
    active: Option<Active>,
    /// The daemon ends: what runs stops, and nothing begins.
    closing: bool,
    /// Grows with every change.
    revision: u64,
}

/// A job with what it does and did.
pub struct Detail {
    /// The job.
    pub job: Job,
    /// How far it is, while it runs.
    pub progress: Option<Progress>,
    /// Its curve.
    pub curve: Vec<Point>,
    /// The last 200 lines of its log.
    pub log: Vec<String>,
}

/// The job that runs.
struct Active {
    number: u64,
    wish: Wish,
    stopper: Option<Stopper>,
    progress: Option<Progress>,
}

/// What a person wants of the job that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    GoOn,
    Pause,
    Cancel,
}

impl Jobs {
    /// Opens what is kept below a state directory. A job that ran when the process before ended waits, and goes on.
    pub(super) fn open(kept: &Path) -> Jobs {
        let (dir, clock) = (kept.join("jobs"), Clock::new(kept.join("learning/clock.json")));
        let mut state = State::default();
        for mut job in job::load(&dir) {
            if matches!(job.state, JobState::Running | JobState::Judging) {
                job.state = JobState::Waiting;
                place(&dir, job.number).note("the daemon ended meanwhile; it goes on");
            }
            state.jobs.insert(job.number, job);
        }
        let mailbox = kept.join("training");
        Jobs { dir, mailbox, state: Mutex::new(state), clock: Mutex::new(clock) }
    }

    /// Asks for a training. It begins at once, where nothing else runs.
    ///
    /// # Errors
    /// Another has not ended, or the disk refuses.
    pub fn start(&self, by: &Arc<str>, why: &str, answers: u64) -> Result<Job, JobError> {
        let mut state = self.lock();
        if let Some(job) = state.jobs.values().find(|job| !job.state.has_ended()) {
            return Err(JobError::Busy(job.number));
        }
        let number = state.jobs.keys().next_back().map_or(1, |last| last + 1);
        let job = Job {
            number,
            state: JobState::Waiting,
            why: why.to_owned(),
            by: by.clone(),
            created_at: Timestamp::now(),
            started_at: None,
            ended_at: None,
            reason: None,
            dataset: None,
            candidate: None,
            champion: None,
            judged: 0,
            answers,
            p99_before_us: None,
            p99_during_us: None,
        };
        self.keep(&mut state, job.clone())?;
        Ok(job)
    }

    /// Halts a job; it goes on from its checkpoint when somebody resumes it.
    ///
    /// # Errors
    /// It has ended, or is halted.
    pub fn pause(&self, number: u64) -> Result<Job, JobError> {
        self.wish(number, Wish::Pause)
    }

    /// Ends a job for good.
    ///
    /// # Errors
    /// It has ended.
    pub fn cancel(&self, number: u64) -> Result<Job, JobError> {
        self.wish(number, Wish::Cancel)
    }

    /// Lets a halted job go on.
    ///
    /// # Errors
    /// It is not halted.
    pub fn resume(&self, number: u64) -> Result<Job, JobError> {
        let mut state = self.lock();
        let job = state.job(number)?.clone();
        if job.state != JobState::Paused {
            return Err(JobError::state(&job, "only a paused job can be resumed"));
        }
        self.keep(&mut state, Job { state: JobState::Waiting, ..job })
    }

    /// Compares the candidate of a job that is done with the champion of the day once more: on the same parts, on all that were labelled
    /// since, and on the newest of the live line.
    ///
    /// # Errors
    /// It is not done, its candidate is gone, or it was judged too often: a candidate that is asked often enough passes by accident.
    pub fn judge_again(&self, number: u64) -> Result<Job, JobError> {
        let mut state = self.lock();
        let job = state.job(number)?.clone();
        let refused = |words| Err(JobError::state(&job, words));
        if job.state != JobState::Done {
            return refused("only a candidate of a training that is done can be judged again");
        }
        if job.judged >= MOST_LOOKS {
            return refused("it was judged five times, and each look lets chance in: start a training instead");
        }
        if !place(&self.dir, number).candidate().is_file() {
            return refused("its data has made room for newer ones: start a training instead");
        }
        if let Some(other) = state.jobs.values().find(|job| !job.state.has_ended()) {
            return Err(JobError::Busy(other.number));
        }
        self.keep(&mut state, Job { state: JobState::Waiting, ..job })
    }

    /// Removes an ended job and all that belongs to it. Its candidate stays in the register.
    ///
    /// # Errors
    /// It has not ended, or the disk refuses.
    pub fn delete(&self, number: u64) -> Result<(), JobError> {
        let mut state = self.lock();
        let job = state.job(number)?;
        if !job.state.has_ended() {
            return Err(JobError::state(job, "cancel it first"));
        }
        fs::remove_dir_all(place(&self.dir, number).0).map_err(|source| JobError::Io { number, source })?;
        state.jobs.remove(&number);
        state.revision += 1;
        Ok(())
    }

    /// Lets data and bundles of trainings long past make room; their records stay.
    pub(super) fn tidy(&self) {
        let state = self.lock();
        let ended = state.jobs.values().rev().filter(|job| job.state.has_ended());
        for job in ended.skip(WHOLE) {
            match place(&self.dir, job.number).clear() {
                Ok(true) => tracing::info!("training job {}: its data made room, its record stays", job.number),
                Ok(false) => {}
                Err(error) => tracing::error!("training job {}: its data cannot be removed: {error}", job.number),
            }
        }
    }

    /// Every job with its progress, the newest first.
    pub fn list(&self) -> Vec<(Job, Option<Progress>)> {
        let state = self.lock();
        state.jobs.values().rev().map(|job| (job.clone(), state.progress(job.number))).collect()
    }

    /// All that there is to know of a job.
    ///
    /// # Errors
    /// There is none.
    pub fn detail(&self, number: u64) -> Result<Detail, JobError> {
        let state = self.lock();
        let (job, progress) = (state.job(number)?.clone(), state.progress(number));
        drop(state);
        let place = place(&self.dir, number);
        let text = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let curve = text(place.curve()).lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let log: Vec<String> = text(place.log()).lines().map(str::to_owned).collect();
        let last = log.len().saturating_sub(200);
        Ok(Detail { job, progress, curve, log: log[last..].to_vec() })
    }

    fn wish(&self, number: u64, wish: Wish) -> Result<Job, JobError> {
        let mut state = self.lock();
        let job = state.job(number)?.clone();
        if job.state.has_ended() || (wish == Wish::Pause && job.state == JobState::Paused) {
            return Err(JobError::state(&job, "there is nothing to stop"));
        }
        if let Some(active) = state.active.as_mut().filter(|active| active.number == number) {
            active.wish = wish;
            active.stopper.iter().for_each(Stopper::ask);
            return Ok(job);
        }
        self.keep(&mut state, ended_by(job, wish))
    }

    /// Grows with every change, progress apart.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    fn keep(&self, state: &mut State, job: Job) -> Result<Job, JobError> {
        let number = job.number;
        place(&self.dir, number).save(&job).map_err(|source| JobError::Io { number, source })?;
        state.jobs.insert(number, job.clone());
        state.revision += 1;
        Ok(job)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn job(&self, number: u64) -> Result<&Job, JobError> {
        self.jobs.get(&number).ok_or(JobError::Unknown(number))
    }

    fn progress(&self, number: u64) -> Option<Progress> {
        self.active.as_ref().filter(|active| active.number == number)?.progress
    }
}

impl JobError {
    fn state(job: &Job, words: &'static str) -> JobError {
        let state = serde_json::to_value(job.state).ok().and_then(|it| Some(it.as_str()?.to_owned()));
        JobError::State { number: job.number, state: state.unwrap_or_default(), words }
    }
}

/// A job that does not run, as a person wants it.
fn ended_by(job: Job, wish: Wish) -> Job {
    match wish {
        Wish::GoOn => Job { state: JobState::Waiting, ..job },
        Wish::Pause => Job { state: JobState::Paused, ..job },
        // What was judged once has its candidate: only the further look is given up.
        Wish::Cancel if job.judged > 0 => Job { state: JobState::Done, ..job },
        Wish::Cancel => Job { state: JobState::Cancelled, ended_at: Some(Timestamp::now()), ..job },
    }
}

fn place(dir: &Path, number: u64) -> Place {
    Place(dir.join(number.to_string()))
}

#[cfg(test)]
mod tests;
