//! A replay as it is kept: a folder with a small file that says where it stands, replaced as a whole, and what its worker wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use models::bundle::Bundle;
use serde::{Deserialize, Serialize};

use super::Question;
use super::file::{EXCERPT, Excerpt, Found, REPORT, TABLE};
use super::report::{Asked, ModelName};
use crate::access::files;

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReplayState)]
pub enum ReplayState {
    /// Parts are being decided anew.
    Running,
    /// There is a report.
    Done,
    /// There is none, for the reason given.
    Failed,
    /// A person ended it.
    Cancelled,
}

/// A replay that somebody asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Grows with every replay.
    pub number: u64,
    /// Where it stands.
    pub state: ReplayState,
    /// Which parts.
    pub(crate) range: Asked,
    /// Another model; none: the scores on record are decided anew.
    pub(crate) model: Option<ModelName>,
    /// Other thresholds.
    pub(crate) thresholds: BTreeMap<String, f32>,
    /// Who asked.
    pub by: Arc<str>,
    /// When.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why there is no report.
    pub reason: Option<String>,
    /// What it found.
    pub(crate) found: Option<Found>,
}

/// A replay's folder.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn of(dir: &Path, number: u64) -> Place {
        Place(dir.join(number.to_string()))
    }

    fn standing(&self) -> PathBuf {
        self.0.join("replay.json")
    }

    /// Where a model that is tried lies meanwhile.
    pub(super) fn bundle(&self) -> PathBuf {
        self.0.join("model.bundle")
    }

    pub(super) fn question(&self) -> PathBuf {
        self.0.join("question.json")
    }

    pub(super) fn report(&self) -> PathBuf {
        self.0.join(REPORT)
    }

    pub(super) fn table(&self) -> PathBuf {
        self.0.join(TABLE)
    }

    /// Makes the folder, with the question and the model that is tried.
    pub(super) fn begin(&self, question: &Question, bundle: Option<&mut Bundle>) -> anyhow::Result<()> {
        files::private_dir(&self.0)?;
        if let Some(bundle) = bundle {
            bundle.save(&self.bundle())?;
        }
        Ok(files::replace(&self.question(), &serde_json::to_vec_pretty(question)?)?)
    }

    pub(super) fn keep(&self, replay: &Replay) -> std::io::Result<()> {
        files::replace(&self.standing(), &serde_json::to_vec_pretty(replay)?)
    }

    /// Removes what only the worker needed, and what it left half written where there is no report.
    pub(super) fn tidy(&self, done: bool) {
        let needed = [self.question(), self.bundle()];
        let answer = [REPORT, TABLE, EXCERPT].map(|name| self.0.join(name));
        for path in needed.iter().chain(answer.iter().filter(|_| !done)) {
            // Most of them are not there.
            if let Err(error) = fs::remove_file(path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!("{}: {error}", path.display());
            }
        }
    }

    pub(super) fn remove(&self) -> std::io::Result<()> {
        fs::remove_dir_all(&self.0)
    }

    pub(super) fn excerpt(&self) -> anyhow::Result<Excerpt> {
        let path = self.0.join(EXCERPT);
        let read = || -> anyhow::Result<Excerpt> { Ok(serde_json::from_slice(&fs::read(&path)?)?) };
        read().with_context(|| format!("the report `{}`", path.display()))
    }

    pub(super) fn bytes(&self) -> u64 {
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }
}

/// Every replay that is kept in `dir`. What cannot be read is removed, and said: it can be asked again.
pub(super) fn load(dir: &Path) -> Vec<Replay> {
    let mut replays = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()) else { continue };
        let place = Place::of(dir, number);
        let read = || -> anyhow::Result<Replay> {
            let replay: Replay = serde_json::from_slice(&fs::read(place.standing())?)?;
            anyhow::ensure!(replay.number == number, "it says that it is number {}", replay.number);
            Ok(replay)
        };
        match read() {
            Ok(replay) => replays.push(replay),
            Err(error) => {
                tracing::warn!("replay {number} cannot be read, and is removed: {error:#}; ask it again");
                if let Err(error) = place.remove() {
                    tracing::warn!("replay {number} cannot be removed: {error}");
                }
            }
        }
    }
    replays
}
