//! What a new line learns from the good parts that it was shown: a model of good parts in a worker process, then a version of the recipe with
//! it, which comes into force.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use thiserror::Error;

use crate::access::Who;
use crate::supervise::{self, Board};
use crate::words;
use crate::worker::{self, Stopper, Worker};

/// Fewer say nothing of how good parts differ.
const FEWEST: usize = 10;

/// Why nothing is learned.
#[derive(Debug, Error)]
pub enum SetupError {
    /// One at a time.
    #[error("the line learns already: wait until that has ended")]
    Busy,
    /// There is not enough.
    #[error("{0} good parts were shown: {FEWEST} are the least, 20 are better")]
    TooFew(usize),
    /// It learns from whole pictures.
    #[error(
        "the recipe in force looks at regions or tiles, and good parts are learned from whole pictures: put a version without them in force first, or \
         learn a region's model with `inspectd train --good`"
    )]
    Regions,
    /// The system gives no thread.
    #[error("no thread to learn on: {0}")]
    Thread(#[from] std::io::Error),
}

/// How it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Standing {
    /// Nothing was learned since the program started.
    #[default]
    Idle,
    /// It learns.
    Learning {
        /// Since when.
        since: Timestamp,
        /// From how many parts.
        parts: usize,
    },
    /// This version of the recipe came of it, and is in force.
    Done {
        /// When.
        at: Timestamp,
        /// `name@version`.
        recipe: String,
        /// What the worker says of it.
        words: String,
    },
    /// Nothing came of it.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        words: String,
    },
}

/// See the module.
pub struct Learner {
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    standing: Standing,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<()>>,
    closing: bool,
}

impl Learner {
    /// Pictures and models lie below `dir`.
    pub fn at(dir: PathBuf) -> Learner {
        Learner { dir, state: Mutex::default() }
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.lock().standing.clone()
    }

    /// Whether it could learn now, from so many parts.
    ///
    /// # Errors
    /// It learns already, there are too few, or the recipe in force has regions or tiles.
    pub fn may_begin(&self, board: &Board, parts: usize) -> Result<(), SetupError> {
        if parts < FEWEST {
            return Err(SetupError::TooFew(parts));
        }
        let recipe = &board.recipe.load().in_force.recipe;
        // It learns from whole pictures: what an engineer drew would be lost, and views cannot do without.
        if !recipe.regions.is_empty() || recipe.tiles.is_some() {
            return Err(SetupError::Regions);
        }
        let state = self.lock();
        if state.closing || matches!(state.standing, Standing::Learning { .. }) {
            Err(SetupError::Busy)
        } else {
            Ok(())
        }
    }

    /// Learns from these parts, and puts what comes of it in force.
    ///
    /// # Errors
    /// As [`Learner::may_begin`].
    pub fn begin(self: &Arc<Learner>, board: &Arc<Board>, parts: Vec<u64>, who: &Who) -> Result<(), SetupError> {
        self.may_begin(board, parts.len())?;
        let mut state = self.lock();
        if state.closing || matches!(state.standing, Standing::Learning { .. }) {
            return Err(SetupError::Busy);
        }
        let (learner, board, who, count) = (self.clone(), board.clone(), who.clone(), parts.len());
        let work = move || {
            let learned = learner.learn(&board, &parts, &who);
            // Others must not wait for a board that this thread still holds.
            drop(board);
            let mut state = learner.lock();
            state.stopper = None;
            state.standing = match learned {
                Ok((recipe, words)) => Standing::Done { at: Timestamp::now(), recipe, words },
                Err(error) => {
                    let words = words::of(&error);
                    tracing::error!("nothing was learned from the good parts: {words}");
                    Standing::Failed { at: Timestamp::now(), words }
                }
            };
        };
        state.thread = Some(std::thread::Builder::new().name("set-up".to_owned()).spawn(work)?);
        state.standing = Standing::Learning { since: Timestamp::now(), parts: count };
        Ok(())
    }

    /// Ends what runs.
    pub fn close(&self) {
        let thread = {
            let mut state = self.lock();
            state.closing = true;
            if let Some(stopper) = &state.stopper {
                stopper.leave();
            }
            state.thread.take()
        };
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the set-up died");
        }
    }

    fn learn(&self, board: &Board, parts: &[u64], who: &Who) -> anyhow::Result<(String, String)> {
        let pictures = self.dir.join("good");
        let _ = fs::remove_dir_all(&pictures);
        fs::create_dir_all(&pictures).with_context(|| format!("{}", pictures.display()))?;
        let mut copied = 0;
        for id in parts {
            // A picture that made room for newer ones is no reason to give up.
            let Ok(picture) = board.store.picture(*id) else { continue };
            if !picture.evidence {
                continue;
            }
            let ending = if picture.mime == "image/png" { "png" } else { "jpg" };
            let path = pictures.join(format!("{id:012}.{ending}"));
            fs::write(&path, &picture.bytes).with_context(|| format!("{}", path.display()))?;
            copied += 1;
        }
        ensure!(copied >= FEWEST, "of {} parts {copied} pictures were kept, and {FEWEST} are the least", parts.len());
        let number = Timestamp::now().as_second();
        let bundle = self.dir.join(format!("good-{number}.bundle"));
        let mut arguments: Vec<std::ffi::OsString> = vec!["train".into(), "--good".into(), pictures.into()];
        arguments.extend(["--out".into(), bundle.clone().into()]);
        let in_force = board.recipe.load().in_force.clone();
        if in_force.preparation.is_some() {
            let recipe = self.dir.join("recipe.toml");
            fs::write(&recipe, toml::to_string(&in_force.recipe)?).with_context(|| format!("{}", recipe.display()))?;
            arguments.extend(["--recipe".into(), recipe.into()]);
        }
        let job = worker::Job { arguments, memory_ceiling_mib: worker::usual_ceiling_mib()?, idle: true };
        let worker = Worker::spawn(&job)?;
        {
            let mut state = self.lock();
            if state.closing {
                worker.stopper().leave();
            }
            state.stopper = Some(worker.stopper());
        }
        let said = worker.wait(&mut |_| {})?;
        let mut table: toml::Table = toml::Table::try_from(&in_force.recipe)?;
        // What was chosen for another model, label by label, means nothing to this one.
        table.remove("thresholds");
        table.insert("bundle".to_owned(), bundle.to_string_lossy().into_owned().into());
        let now = board.recipe.load().in_force.tag.clone();
        ensure!(
            now == in_force.tag,
            "recipe {now} came into force meanwhile, and it learned for {}: learn again",
            in_force.tag
        );
        let reason = Some(format!("learned from {copied} good parts"));
        let from = Some(in_force.tag.to_string());
        let version = board.recipes.save(table, from, &who.name, reason.clone())?;
        supervise::changeover(board, &version.tag, who, reason)?;
        Ok((version.tag, said["text"].as_str().unwrap_or_default().to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
