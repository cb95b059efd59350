//! A training job as it is kept: one small file, replaced as a whole at each change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use models_train::progress::Progress;
use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use crate::access::files;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobState)]
pub enum JobState {
    /// It begins, or goes on, when no other runs.
    Waiting,
    /// It learns.
    Running,
    /// A person halted it; it goes on from its checkpoint.
    Paused,
    /// Candidate and champion are compared.
    Judging,
    /// There is a candidate, judged.
    Done,
    /// There is none, for the reason given.
    Failed,
    /// A person ended it.
    Cancelled,
}

impl JobState {
    /// Nothing will happen any more.
    pub fn has_ended(self) -> bool {
        matches!(self, JobState::Done | JobState::Failed | JobState::Cancelled)
    }
}

/// A training job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Grows with every job.
    pub number: u64,
    /// Where it stands.
    pub state: JobState,
    /// What made it: a person, or a rule.
    pub why: String,
    /// On whose word.
    pub by: Arc<str>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it first ran.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why there is no candidate.
    pub reason: Option<String>,
    /// What it learns from.
    pub dataset: Option<Dataset>,
    /// The candidate.
    pub candidate: Option<Arc<str>>,
    /// The model that it is compared with.
    pub champion: Option<Arc<str>>,
    /// How often candidate and champion were compared. Each time asks for stronger evidence than the one before: see `judge`.
    #[serde(default)]
    pub judged: u32,
    /// Number of the last answer that it knew: rules count from there.
    pub answers: u64,
    /// The line's 99th percentile of trigger to verdict before it, median over seconds, in microseconds.
    pub p99_before_us: Option<u32>,
    /// The same while it ran.
    pub p99_during_us: Option<u32>,
}

/// A point of the curve, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Seconds since the worker started.
    pub at_s: f64,
    /// How far it was.
    pub progress: Progress,
}

/// The file of a job.
const RECORD: &str = "job.json";

/// A job's folder.
#[derive(Debug, Clone)]
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    pub(super) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Parts that were labelled after the data set was frozen, for a further look at the candidate.
    pub(super) fn later(&self) -> PathBuf {
        self.0.join("later")
    }

    pub(super) fn candidate(&self) -> PathBuf {
        self.0.join("candidate.bundle")
    }

    /// The recipe by which pictures are prepared.
    pub(super) fn recipe(&self) -> PathBuf {
        self.0.join("recipe.toml")
    }

    pub(super) fn champion(&self) -> PathBuf {
        self.0.join("champion.bundle")
    }

    pub(super) fn case(&self) -> PathBuf {
        self.0.join("case.json")
    }

    pub(super) fn curve(&self) -> PathBuf {
        self.0.join("curve.jsonl")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log.txt")
    }

    /// Removes all but what tells of the job. Whether there was anything.
    pub(super) fn clear(&self) -> std::io::Result<bool> {
        let record = [RECORD.into(), self.case(), self.curve(), self.log()].map(|path: PathBuf| self.0.join(path));
        let mut any = false;
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if record.contains(&path) {
                continue;
            }
            any = true;
            // Not through a link: what it names is not ours.
            if fs::symlink_metadata(&path)?.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
        }
        if any {
            self.note("its data and bundles made room for newer jobs; this record stays");
        }
        Ok(any)
    }

    pub(super) fn save(&self, job: &Job) -> std::io::Result<()> {
        fs::create_dir_all(&self.0)?;
        files::replace(&self.0.join(RECORD), &serde_json::to_vec_pretty(job)?)
    }

    /// Adds a line for people.
    pub(super) fn note(&self, words: &str) {
        use std::io::Write;
        let line = format!("{} {words}\n", Timestamp::now().strftime("%Y-%m-%d %H:%M:%S"));
        let file = fs::OpenOptions::new().create(true).append(true).open(self.log());
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            tracing::warn!("{}: {error}", self.log().display());
        }
    }

    /// Adds a point to the curve.
    pub(super) fn point(&self, point: &Point) {
        use std::io::Write;
        let Ok(mut line) = serde_json::to_vec(point) else { return };
        line.push(b'\n');
        let file = fs::OpenOptions::new().create(true).append(true).open(self.curve());
        if let Err(error) = file.and_then(|mut file| file.write_all(&line)) {
            tracing::warn!("{}: {error}", self.curve().display());
        }
    }
}

/// Every job that is kept in `dir`, by number. What cannot be read is left where it is, and said.
pub(super) fn load(dir: &Path) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path().join(RECORD);
        match fs::read(&path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
        {
            Ok(job) => jobs.push(job),
            Err(error) => tracing::error!("training job {}: {error}", path.display()),
        }
    }
    jobs.sort_by_key(|job| job.number);
    jobs
}
