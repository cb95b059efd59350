//! The replays that people asked for over HTTP. One runs at a time, in a worker process; the newest are kept, on disk.
//!
//! A replay and a training may run side by side. Both stand at idle priority, so the line comes before either; a replay works on one
//! thread and streams the records, and its ceiling of memory is half of a training's, so that with both a quarter of the machine's
//! memory is the line's. Whoever asks "since when was it wrong" must not wait for the hours of a training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use models::bundle::Bundle;
use stages::recipe::Recipe;
use thiserror::Error;

use super::Question;
use super::file::{Excerpt, Found};
use super::kept::{Place, Replay, ReplayState, load};
use super::report::{Asked, ModelName};
use crate::access::files;
use crate::words;
use crate::worker::{self, Stopper, Worker, WorkerError};

/// Replays that are kept.
const KEPT: usize = 20;
/// Bytes that they may take together; the newest is kept whatever it takes.
const KEPT_BYTES: u64 = 512 << 20;
/// Of one that the program's end interrupted.
const INTERRUPTED: &str = "the program ended before all parts were looked at; ask it again";

/// Why nothing was done.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// No such replay.
    #[error("there is no replay {0}: the newest {KEPT} are kept")]
    Unknown(u64),
    /// Another has not ended.
    #[error("replay {0} has not ended yet, and one runs at a time: wait for it, or cancel it")]
    Busy(u64),
    /// It has not ended.
    #[error("replay {0} has not ended yet: cancel it first")]
    Running(u64),
    /// It has ended.
    #[error("replay {0} has ended: there is nothing to cancel")]
    Ended(u64),
    /// It did not come to an answer.
    #[error("replay {0} has no report: it is not done")]
    NoReport(u64),
    /// The program ends.
    #[error("the program is ending: ask again when it runs")]
    Closing,
    /// The disk refuses.
    #[error("replay {number}: {words}; check the disk")]
    Disk {
        /// Which.
        number: u64,
        /// What was said.
        words: String,
    },
}

/// What somebody asks.
pub(crate) struct Asking {
    /// Which parts.
    pub(crate) range: Asked,
    /// Other thresholds.
    pub(crate) thresholds: BTreeMap<String, f32>,
    /// Another model.
    pub(crate) bundle: Option<Bundle>,
    /// The recipe in force.
    pub(crate) recipe: Recipe,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Of all parts, 0 to 1.
    pub done: f64,
    /// What the rest may take.
    pub eta: Duration,
}

/// The replays of one line.
pub struct Replays {
    /// The state directory.
    home: PathBuf,
    /// In it: where the replays are kept.
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    replays: BTreeMap<u64, Replay>,
    active: Option<Active>,
    /// The program ends: what runs stops, and nothing begins.
    closing: bool,
}

/// The replay that runs.
struct Active {
    number: u64,
    stopper: Option<Stopper>,
    progress: Option<Progress>,
    cancelled: bool,
}

impl Replays {
    /// Opens what is kept in a state directory. A replay that ran when the program ended has failed, and says so.
    pub(crate) fn open(home: &Path) -> Replays {
        let (mut state, dir) = (State::default(), home.join("replays"));
        for mut replay in load(&dir) {
            if replay.state == ReplayState::Running {
                let place = Place::of(&dir, replay.number);
                place.tidy(false);
                replay = ended(replay, ReplayState::Failed, Some(INTERRUPTED.to_owned()));
                if let Err(error) = place.keep(&replay) {
                    tracing::error!("replay {}: {error}", replay.number);
                }
            }
            state.replays.insert(replay.number, replay);
        }
        let replays = Replays { home: home.to_owned(), dir, state: Mutex::new(state) };
        replays.prune(&mut replays.lock());
        replays
    }

    /// Asks a question. It is worked on at once.
    ///
    /// # Errors
    /// Another has not ended, or the disk refuses.
    pub(crate) fn start(&self, by: &Arc<str>, asking: Asking) -> Result<Replay, ReplayError> {
        let Asking { range, thresholds, mut bundle, recipe } = asking;
        let mut state = self.lock();
        if state.closing {
            return Err(ReplayError::Closing);
        }
        if let Some(active) = &state.active {
            return Err(ReplayError::Busy(active.number));
        }
        let number = state.replays.keys().next_back().map_or(1, |last| last + 1);
        let place = Place::of(&self.dir, number);
        let model = bundle.as_ref().map(|bundle| ModelName {
            name: bundle.manifest.name.clone(),
            digest: bundle.manifest.graph_sha256.clone(),
        });
        let question = Question {
            state: self.home.clone(),
            range: range.clone(),
            thresholds: thresholds.clone(),
            bundle: bundle.as_ref().map(|_| place.bundle()),
            given: None,
            configured: Some(recipe),
        };
        let replay = Replay {
            number,
            state: ReplayState::Running,
            range,
            model,
            thresholds,
            by: by.clone(),
            created_at: Timestamp::now(),
            ended_at: None,
            reason: None,
            found: None,
        };
        let kept = files::private_dir(&self.dir)
            .map_err(anyhow::Error::from)
            .and_then(|()| place.begin(&question, bundle.as_mut()))
            .and_then(|()| Ok(place.keep(&replay)?));
        if let Err(error) = kept {
            // Half a replay is none; what cannot be removed is written over by the next.
            let _ = place.remove();
            return Err(ReplayError::Disk { number, words: words::of(&error) });
        }
        state.replays.insert(number, replay.clone());
        state.active = Some(Active { number, stopper: None, progress: None, cancelled: false });
        self.prune(&mut state);
        Ok(replay)
    }

    /// Ends a replay. Nothing of it is worth keeping, so it ends on the spot.
    ///
    /// # Errors
    /// It has ended, or there is none.
    pub(crate) fn cancel(&self, number: u64) -> Result<Replay, ReplayError> {
        let mut state = self.lock();
        let replay = state.replay(number)?.clone();
        let Some(active) = state.active.as_mut().filter(|active| active.number == number) else {
            return Err(ReplayError::Ended(number));
        };
        active.cancelled = true;
        active.stopper.iter().for_each(Stopper::kill);
        Ok(replay)
    }

    /// Removes a replay that has ended.
    ///
    /// # Errors
    /// It has not ended, there is none, or the disk refuses.
    pub(crate) fn delete(&self, number: u64) -> Result<(), ReplayError> {
        let mut state = self.lock();
        state.replay(number)?;
        if state.active.as_ref().is_some_and(|active| active.number == number) {
            return Err(ReplayError::Running(number));
        }
        let removed = Place::of(&self.dir, number).remove();
        removed.map_err(|error| ReplayError::Disk { number, words: error.to_string() })?;
        state.replays.remove(&number);
        Ok(())
    }

    /// Every replay that is kept, the newest first, with how far it is.
    pub(crate) fn list(&self) -> Vec<(Replay, Option<Progress>)> {
        let state = self.lock();
        state.replays.values().rev().map(|replay| (replay.clone(), state.progress(replay.number))).collect()
    }

    /// One, with what the page shows of its report.
    ///
    /// # Errors
    /// There is none, or its report cannot be read.
    pub(crate) fn detail(&self, number: u64) -> Result<(Replay, Option<Progress>, Option<Excerpt>), ReplayError> {
        let state = self.lock();
        let (replay, progress) = (state.replay(number)?.clone(), state.progress(number));
        drop(state);
        let disk = |error: anyhow::Error| ReplayError::Disk { number, words: words::of(&error) };
        let done = replay.state == ReplayState::Done;
        let excerpt = done.then(|| Place::of(&self.dir, number).excerpt()).transpose().map_err(disk)?;
        Ok((replay, progress, excerpt))
    }

    /// Where the whole report lies.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn report(&self, number: u64) -> Result<PathBuf, ReplayError> {
        self.done(number).map(|place| place.report())
    }

    /// Where the table of serial numbers lies.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn table(&self, number: u64) -> Result<PathBuf, ReplayError> {
        self.done(number).map(|place| place.table())
    }

    fn done(&self, number: u64) -> Result<Place, ReplayError> {
        let state = self.lock();
        match state.replay(number)?.state {
            ReplayState::Done => Ok(Place::of(&self.dir, number)),
            _ => Err(ReplayError::NoReport(number)),
        }
    }

    /// One round: runs what was asked to its end. On a thread of its own, since a worker ends with the thread that started it.
    pub(crate) fn run(&self) {
        let Some(number) = self.lock().active.as_ref().map(|active| active.number) else { return };
        let place = Place::of(&self.dir, number);
        let outcome = self.work(&place);
        let mut state = self.lock();
        let closing = state.closing;
        let cancelled = state.active.take().is_some_and(|active| active.cancelled);
        let Some(replay) = state.replays.get(&number).cloned() else { return };
        let replay = match outcome {
            Ok(found) => Replay { found: Some(found), ..ended(replay, ReplayState::Done, None) },
            Err(_) if cancelled => ended(replay, ReplayState::Cancelled, None),
            Err(_) if closing => ended(replay, ReplayState::Failed, Some(INTERRUPTED.to_owned())),
            Err(words) => {
                tracing::warn!("replay {number} has no answer: {words}");
                ended(replay, ReplayState::Failed, Some(words))
            }
        };
        place.tidy(replay.state == ReplayState::Done);
        if let Err(error) = place.keep(&replay) {
            tracing::error!("replay {number} cannot be kept: {error}");
        }
        state.replays.insert(number, replay);
        self.prune(&mut state);
    }

    fn work(&self, place: &Place) -> Result<Found, String> {
        let start = || -> anyhow::Result<Worker> {
            let job = worker::Job {
                arguments: vec!["answer".into(), "--question".into(), place.question().into_os_string()],
                memory_ceiling_mib: worker::usual_ceiling_mib()? / 2,
                idle: true,
            };
            Ok(Worker::spawn(&job)?)
        };
        let worker = start().map_err(|error| words::of(&error))?;
        let stopper = worker.stopper();
        {
            let mut state = self.lock();
            let closing = state.closing;
            if let Some(active) = state.active.as_mut() {
                active.stopper = Some(stopper.clone());
                if closing || active.cancelled {
                    stopper.kill();
                }
            }
        }
        let ended = worker.wait(&mut |told| {
            if let Some(active) = self.lock().active.as_mut() {
                active.progress = Some(Progress { done: told.done, eta: told.eta });
            }
        });
        let found = ended.map_err(|error| match error {
            WorkerError::MemoryCeiling { mib, .. } => format!(
                "it wanted more memory than the {mib} MiB that it may take: ask for a shorter range, or for fewer parts (`limit`)"
            ),
            WorkerError::Died { how, words } => {
                format!("its process {how} before it was done{words}; ask again, for a shorter range")
            }
            other => other.to_string(),
        })?;
        serde_json::from_value(found).map_err(|error| format!("its answer cannot be understood: {error}"))
    }

    /// Ends what runs.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        state.active.iter().filter_map(|active| active.stopper.as_ref()).for_each(Stopper::kill);
    }

    /// Lets the oldest go that are too many, or too large together.
    fn prune(&self, state: &mut State) {
        let (mut kept, mut bytes) = (0, 0_u64);
        for number in state.replays.keys().rev().copied().collect::<Vec<_>>() {
            let place = Place::of(&self.dir, number);
            let more = place.bytes();
            let fits = kept == 0 || (kept < KEPT && bytes.saturating_add(more) <= KEPT_BYTES);
            if fits || state.active.as_ref().is_some_and(|active| active.number == number) {
                (kept, bytes) = (kept + 1, bytes.saturating_add(more));
                continue;
            }
            match place.remove() {
                Ok(()) => {
                    tracing::info!(
                        "replay {number} is removed: the newest {KEPT} are kept, {KEPT_BYTES} bytes at most"
                    );
                    state.replays.remove(&number);
                }
                Err(error) => tracing::warn!("replay {number} cannot be removed: {error}"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn replay(&self, number: u64) -> Result<&Replay, ReplayError> {
        self.replays.get(&number).ok_or(ReplayError::Unknown(number))
    }

    fn progress(&self, number: u64) -> Option<Progress> {
        self.active.as_ref().filter(|active| active.number == number)?.progress
    }
}

fn ended(replay: Replay, state: ReplayState, reason: Option<String>) -> Replay {
    Replay { state, reason, ended_at: Some(Timestamp::now()), ..replay }
}
