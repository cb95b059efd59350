//! Retention: pictures make room for newer ones, and records end, by the limits of `[store.retention]`. docs/RETENTION.md has the whole picture.
//!
//! - [`config`]: the limits.
//! - [`shelf`]: which picture goes next.
//! - [`holds`]: what must not go.
//! - [`walk`]: every kept picture, found on the disk at a start.
//! - [`work`]: the thread that lets go, in small steps, at the lowest priority.
//! - [`rate`]: how fast pictures come, and how long that goes on.
//!
//! The line is never waited for and never waits: what is removed is a whole file at a time, found through the same doors as everybody's.

mod config;
mod holds;
mod rate;
mod shelf;
mod walk;
mod work;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use config::{PictureLimits, PicturesByVerdict, RecordLimits, RecordsByVerdict, RetentionSection};
pub use holds::{Hold, HoldError, Holds, Selection, State as HoldsNow};
pub use shelf::Rank;
pub use work::AtWork;

use crate::access::files;
use crate::store::VerdictKind;

/// Retention of one line.
pub struct Retention {
    section: RetentionSection,
    /// What must not go.
    pub holds: Holds,
    dir: PathBuf,
    standing: Mutex<Standing>,
}

/// How it stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Pictures were counted; before that, nothing is let go.
    pub counted: bool,
    /// All kept pictures.
    pub pictures: u64,
    /// Their size.
    pub bytes: u64,
    /// By verdict.
    pub by_verdict: Vec<OfVerdict>,
    /// Of parts that wait for people.
    pub waiting: u64,
    /// That are held, as far as they were to go.
    pub held: u64,
    /// Bytes of pictures that come in a day; none: too little is known.
    pub bytes_a_day: Option<f64>,
    /// Days until pictures have to be let go to make room; 0: they are. None: no limit asks for it, or too little is known.
    pub days_left: Option<f64>,
    /// What was let go so far.
    pub gone: LetGo,
    /// Pictures are let go just now.
    pub busy: bool,
    /// Why nothing is, or not all that should be.
    pub trouble: Option<String>,
}

/// Kept pictures of one verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfVerdict {
    /// Which.
    pub verdict: VerdictKind,
    /// How many.
    pub pictures: u64,
    /// Their size.
    pub bytes: u64,
    /// The trigger of the oldest.
    pub oldest: Option<Timestamp>,
}

/// What was let go since the line first ran; a crash may cost the last seconds of these figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LetGo {
    /// Pictures.
    pub pictures: u64,
    /// Their size.
    pub bytes: u64,
    /// Up to this part.
    pub up_to: u64,
    /// Records.
    pub records: u64,
}

impl Retention {
    /// Opens what is kept below a state directory.
    ///
    /// # Errors
    /// Something there cannot be read or written, or another process has it.
    pub fn open(state: &Path, section: RetentionSection) -> anyhow::Result<Retention> {
        let dir = state.join("retention");
        let holds = Holds::open(&dir).context("the holds")?;
        let gone = std::fs::read(figures(&dir)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let standing = Standing { gone: gone.unwrap_or_default(), ..Standing::default() };
        Ok(Retention { section, holds, dir, standing: Mutex::new(standing) })
    }

    /// The limits.
    pub fn section(&self) -> &RetentionSection {
        &self.section
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stands(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Figures only: what was let go is let go, whether they can be kept or not.
    fn keep_figures(&self) {
        let gone = self.standing().gone;
        let kept = serde_json::to_vec(&gone).map_err(std::io::Error::other);
        if let Err(error) = kept.and_then(|bytes| files::replace(&figures(&self.dir), &bytes)) {
            tracing::debug!("figures of what was let go are not kept: {error}");
        }
    }
}

fn figures(dir: &Path) -> PathBuf {
    dir.join("let-go.json")
}
