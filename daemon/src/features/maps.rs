//! The map that people asked for over HTTP. One is drawn at a time, in a worker process; the newest is kept, on disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::map::{Found, POINTS, Point, Question};
use crate::access::files;
use crate::words;
use crate::worker::{self, Stopper, Worker};

/// Of one that the program's end interrupted.
const INTERRUPTED: &str = "the program ended before the map was drawn; ask for it again";

/// Where a map stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FeatureMapState)]
pub(crate) enum MapState {
    /// It is being drawn.
    Running,
    /// It can be looked at.
    Done,
    /// There is none, for the reason given.
    Failed,
}

/// A map that somebody asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Map {
    pub(crate) state: MapState,
    /// Parts that were asked for.
    pub(crate) limit: usize,
    pub(crate) by: Arc<str>,
    pub(crate) created_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    /// Why there is no map.
    pub(crate) reason: Option<String>,
    pub(crate) found: Option<Found>,
}

/// Why nothing was done.
#[derive(Debug, Error)]
pub(crate) enum MapError {
    /// One is being drawn.
    #[error("a map is being drawn, and one is at a time: wait for it, or cancel it")]
    Busy,
    /// Nothing is being drawn.
    #[error("no map is being drawn: there is nothing to cancel")]
    Idle,
    /// There is no map.
    #[error("there is no map yet: ask for one")]
    None,
    /// The program ends.
    #[error("the program is ending: ask again when it runs")]
    Closing,
    /// The disk refuses.
    #[error("the map: {0}; check the disk")]
    Disk(String),
}

/// The maps of one line.
pub(crate) struct Maps {
    /// The state directory.
    home: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    newest: Option<Map>,
    active: Option<Active>,
    /// The program ends: what runs stops, and nothing begins.
    closing: bool,
}

/// The map that is being drawn.
#[derive(Default)]
struct Active {
    stopper: Option<Stopper>,
    progress: Option<(f64, Duration)>,
    cancelled: bool,
}

impl Maps {
    /// Opens what is kept in a state directory. A map that was being drawn when the program ended has failed, and says so.
    pub(crate) fn open(home: &Path) -> Maps {
        let maps = Maps { home: home.to_owned(), state: Mutex::default() };
        let read = std::fs::read(maps.standing()).ok();
        let newest: Option<Map> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        maps.lock().newest = newest.map(|map| match map.state {
            MapState::Running => ended(map, MapState::Failed, Some(INTERRUPTED.to_owned())),
            _ => map,
        });
        maps
    }

    /// Asks for a map of `limit` parts that these models saw. It takes the place of the one before.
    ///
    /// # Errors
    /// One is being drawn, or the disk refuses.
    pub(crate) fn start(&self, by: &Arc<str>, models: Vec<Arc<str>>, limit: usize) -> Result<Map, MapError> {
        let mut state = self.lock();
        if state.closing {
            return Err(MapError::Closing);
        }
        if state.active.is_some() {
            return Err(MapError::Busy);
        }
        let question = Question { state: self.home.clone(), models: models.into_iter().collect(), limit };
        let map = Map {
            state: MapState::Running,
            limit,
            by: by.clone(),
            created_at: Timestamp::now(),
            ended_at: None,
            reason: None,
            found: None,
        };
        let disk = |error: anyhow::Error| MapError::Disk(words::of(&error));
        files::private_dir(&self.dir()).map_err(|error| disk(error.into()))?;
        let kept = serde_json::to_vec(&question).map_err(anyhow::Error::from);
        kept.and_then(|bytes| Ok(files::replace(&self.question(), &bytes)?)).map_err(disk)?;
        self.keep(&map).map_err(disk)?;
        state.newest = Some(map.clone());
        state.active = Some(Active::default());
        Ok(map)
    }

    /// Ends the drawing. Nothing of it is worth keeping.
    ///
    /// # Errors
    /// Nothing is being drawn.
    pub(crate) fn cancel(&self) -> Result<(), MapError> {
        let mut state = self.lock();
        let active = state.active.as_mut().ok_or(MapError::Idle)?;
        active.cancelled = true;
        active.stopper.iter().for_each(Stopper::kill);
        Ok(())
    }

    /// The newest map, and how far its drawing is.
    pub(crate) fn newest(&self) -> (Option<Map>, Option<(f64, Duration)>) {
        let state = self.lock();
        (state.newest.clone(), state.active.as_ref().and_then(|active| active.progress))
    }

    /// Its points.
    ///
    /// # Errors
    /// There are none, or they cannot be read.
    pub(crate) fn points(&self) -> Result<Vec<Point>, MapError> {
        if self.lock().newest.as_ref().is_none_or(|map| map.state != MapState::Done) {
            return Err(MapError::None);
        }
        let path = self.dir().join(POINTS);
        let read = || -> anyhow::Result<Vec<Point>> { Ok(serde_json::from_slice(&std::fs::read(&path)?)?) };
        read().map_err(|error| MapError::Disk(format!("`{}`: {}", path.display(), words::of(&error))))
    }

    /// One round: draws what was asked for. On a thread of its own, since a worker ends with the thread that started it.
    pub(crate) fn run(&self) {
        if self.lock().active.is_none() {
            return;
        }
        let outcome = self.work();
        let mut state = self.lock();
        let cancelled = state.active.take().is_some_and(|active| active.cancelled);
        let Some(map) = state.newest.take() else { return };
        let map = match outcome {
            Ok(found) => Map { found: Some(found), ..ended(map, MapState::Done, None) },
            Err(_) if cancelled => ended(map, MapState::Failed, Some("it was cancelled".to_owned())),
            Err(_) if state.closing => ended(map, MapState::Failed, Some(INTERRUPTED.to_owned())),
            Err(words) => {
                tracing::warn!("the map of parts was not drawn: {words}");
                ended(map, MapState::Failed, Some(words))
            }
        };
        if let Err(error) = self.keep(&map) {
            tracing::error!("the map of parts cannot be kept: {error:#}");
        }
        state.newest = Some(map);
    }

    fn work(&self) -> Result<Found, String> {
        let start = || -> anyhow::Result<Worker> {
            let job = worker::Job {
                arguments: vec!["map".into(), "--question".into(), self.question().into_os_string()],
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
                active.progress = Some((told.done, told.eta));
            }
        });
        let found = ended.map_err(|error| error.to_string())?;
        serde_json::from_value(found).map_err(|error| format!("its answer cannot be understood: {error}"))
    }

    /// Ends what runs.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        state.active.iter().filter_map(|active| active.stopper.as_ref()).for_each(Stopper::kill);
    }

    fn keep(&self, map: &Map) -> anyhow::Result<()> {
        Ok(files::replace(&self.standing(), &serde_json::to_vec(map)?)?)
    }

    fn dir(&self) -> PathBuf {
        self.home.join("features")
    }

    fn standing(&self) -> PathBuf {
        self.dir().join("map.json")
    }

    fn question(&self) -> PathBuf {
        self.dir().join("question.json")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended(map: Map, state: MapState, reason: Option<String>) -> Map {
    Map { state, reason, ended_at: Some(Timestamp::now()), ..map }
}
