//! The learning loop: from a part that a person looked at to a better model. docs/LEARNING.md has the whole picture.
//!
//! - [`desk`]: the queue and the labels, with the log that keeps them.
//! - [`registry`]: every model, where it comes from, and which one decides.
//! - [`promote`]: puts a model in force between two parts, and takes it back.
//! - [`guard`]: takes a model back that holds back far more than the one before.
//! - [`jobs`]: freezes what was labelled, trains a candidate, judges it.
//! - [`schedule`]: trainings by the clock.
//! - [`kinds`]: a label that no model knows becomes a kind at once.
//! - [`looks`]: what labelled parts look like to a new model.
//! - [`drift`]: whether the line still is what it was.
//! - [`tidy`]: bounds what is kept.
//!
//! What is here runs beside the line and yields to it.

mod config;
mod desk;
pub mod drift;
mod event;
mod guard;
mod jobs;
mod kinds;
mod labels;
mod looks;
mod promote;
mod queue;
mod registry;
pub mod schedule;
mod seen;
pub mod shots;
mod tidy;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

pub use config::{LearningSection, Where};
pub use desk::{Desk, DeskError, See};
use drift::{Drift, Judge};
pub use event::{Answer, Answered, Event, Item, Way, names};
pub use jobs::{Case, Dataset, Detail, Job, JobError, JobState, Jobs, Point, judge};
pub use labels::{Agreement, Audited, Given, Labelled, Labels};
pub use promote::PromoteError;
pub use queue::{Budget, Offer, Queue};
pub use registry::{MANIFEST, Model, Origin, Promotion, Registry, RegistryError};

use stages::inspection::Inspection;

use crate::access::Who;
use crate::background::yield_to_the_line;
use crate::features::Maps;
use crate::replay::Replays;
use crate::supervise::{Board, Kitchen, Prepared};

/// How often new parts are looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Parts on record that are looked through after a restart, at most.
const BACK: u64 = 10_000;

/// Queue, labels and models of one line.
pub struct Learning {
    /// Where people look at parts.
    pub desk: Desk,
    /// Whether the line still is what it was.
    pub drift: Drift,
    /// The models.
    pub registry: Arc<Registry>,
    /// Trainings.
    pub jobs: Jobs,
    /// Stored parts decided anew.
    pub replays: Replays,
    /// What parts look like.
    pub(crate) maps: Maps,
    /// Makes models ready.
    pub kitchen: Kitchen,
    /// `[learning]`.
    pub section: LearningSection,
    /// Held while a model is put in force. Within: the one before, which stays warm.
    changing: Mutex<Option<promote::Warm>>,
    /// Labels whose kinds may have to be registered anew.
    kinds: Mutex<BTreeMap<Arc<str>, kinds::State>>,
    guard: Mutex<guard::Guard>,
    looks: Mutex<looks::Looks>,
}

/// The threads of the loop.
pub struct AtWork {
    learning: Arc<Learning>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Learning {
    /// Opens what is kept below a state directory.
    ///
    /// # Errors
    /// Something there cannot be read or written, or another process has it.
    pub fn open(state: &Path, kitchen: Kitchen, section: LearningSection) -> anyhow::Result<Learning> {
        let drift = Drift::open(&state.join("learning"), section.drift.clone());
        let desk = Desk::open(&state.join("learning"), section.second_opinion).context("the labels")?;
        let registry = Arc::new(Registry::open(&state.join("models"))?);
        let kitchen = Kitchen { registry: Some(registry.clone()), ..kitchen };
        let jobs = Jobs::open(state);
        Ok(Learning {
            desk,
            drift,
            registry,
            jobs,
            replays: Replays::open(state),
            maps: Maps::open(state),
            kitchen,
            section,
            changing: Mutex::default(),
            kinds: Mutex::default(),
            guard: Mutex::default(),
            looks: Mutex::default(),
        })
    }

    /// Works from now on.
    ///
    /// # Errors
    /// The system gives no threads, or the disk refuses.
    pub fn start(self: &Arc<Learning>, board: &Arc<Board>) -> anyhow::Result<AtWork> {
        self.know(&board.recipe.load())?;
        self.ask_for_missing_kinds(board);
        self.tidy(board);
        self.desk.begin(board.store.newest_id().unwrap_or(0), BACK);
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |name: &str, round: fn(&Learning, &Arc<Board>)| {
            let (learning, board, stop) = (self.clone(), board.clone(), stop.clone());
            let work = move || {
                yield_to_the_line();
                while !stop.load(Ordering::Acquire) {
                    round(&learning, &board);
                    std::thread::sleep(LOOK);
                }
            };
            std::thread::Builder::new().name(name.into()).spawn(work).context("the learning loop gets no threads")
        };
        let threads = vec![
            spawn("review-queue", Learning::follow)?,
            spawn("kinds", |learning, board| {
                learning.register_kinds(board);
                learning.look_again(board);
            })?,
            spawn("training-jobs", Learning::run_jobs)?,
            spawn("training-clock", Learning::start_by_clock)?,
            spawn("replays", |learning, _| learning.replays.run())?,
            spawn("maps", |learning, _| learning.maps.run())?,
        ];
        Ok(AtWork { learning: self.clone(), stop, threads })
    }

    /// What may wait, by the recipe in force.
    pub fn budget(&self, prepared: &Prepared) -> Budget {
        let per_hour = prepared.in_force.recipe.review.per_hour as usize;
        Budget { per_hour, waiting: self.section.waiting }
    }

    /// Differs whenever labels, the queue, jobs or models have changed, so that pages know when to ask.
    pub fn revision(&self) -> [u64; 3] {
        [self.desk.lock().revision, self.jobs.revision(), self.registry.revision()]
    }

    fn follow(&self, board: &Arc<Board>) {
        let prepared = board.recipe.load();
        let budget = self.budget(&prepared);
        let model = &prepared.in_force.model;
        let trunk = self.registry.trunk_of(model.digest());
        let judge = Judge { trunk: &trunk, manifest: model.manifest(), reference: model.reference() };
        let mut alarm = None;
        loop {
            let mut see = |part: &Inspection| {
                let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
                alarm = guard.part(&part.model, part.verdict).or(alarm.take());
                drop(guard);
                self.drift.part(part, &self.registry.trunk_of(&part.model), &judge)
            };
            match self.desk.follow(&board.store, &budget, &mut see) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!("the review queue: {error}");
                    break;
                }
            }
        }
        self.drift.keep_now_and_then();
        if let Some(words) = alarm {
            tracing::warn!("the model that was just promoted is taken back: {words}");
            if let Err(error) = self.rollback(board, &Who::program(), Some(format!("taken back by itself: {words}"))) {
                tracing::error!("{error}");
            }
        }
    }
}

impl AtWork {
    /// Ends the threads.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.learning.close_jobs();
        self.learning.replays.close();
        self.learning.maps.close();
        for thread in self.threads {
            let _ = thread.join();
        }
        self.learning.drift.keep();
    }
}
