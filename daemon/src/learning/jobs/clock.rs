//! Starts trainings by the clock. What was dealt with is on disk before anything begins: a kill costs a training, never makes two.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{JobError, JobState};
use crate::access::{Who, files};
use crate::learning::Learning;
use crate::learning::schedule::{self, Due, Entry, MAKE_UP_H, Seen, When};
use crate::supervise::Board;

/// Between two looks at the clock.
const LOOK: Duration = Duration::from_secs(1);

/// What the clock had to say.
pub(super) struct Clock {
    /// Where it is kept.
    path: PathBuf,
    seen: Option<Seen>,
    looked: Option<Instant>,
    /// It cannot be kept, which was said.
    stuck: bool,
}

impl Learning {
    /// One round: starts a training whose time has come.
    pub(in crate::learning) fn start_by_clock(&self, board: &Arc<Board>) {
        let mut clock = self.jobs.clock.lock().unwrap_or_else(PoisonError::into_inner);
        if clock.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        clock.looked = Some(Instant::now());
        let times = self.section.times();
        if times.is_empty() && clock.seen.is_none() && !clock.path.exists() {
            return;
        }
        match clock.look(|seen| schedule::look(&times, &board.alerts.zone(), seen, Timestamp::now())) {
            Ok(None) => {}
            Ok(Some(Due { entry, at, when })) => tracing::info!("{}", self.begin_by_clock(entry, at, when)),
            // Without it the same time would come again after a restart.
            Err(error) if !clock.stuck => {
                let path = clock.path.display();
                tracing::error!("trainings by the clock wait: {path} cannot be written: {error}; check the disk");
                clock.stuck = true;
            }
            Err(_) => {}
        }
    }

    /// Begins what is due, unless there is a reason not to; what became of it, in words.
    fn begin_by_clock(&self, entry: Entry, at: Timestamp, when: When) -> String {
        let no = format!("no training by the clock ({entry}):");
        if when == When::TooLate {
            return format!("{no} its time, {at}, passed while nothing ran here, more than {MAKE_UP_H} hours ago");
        }
        let jobs = self.jobs.list();
        // What a job that failed or was cancelled knew is still to be learned.
        let learned = jobs.iter().filter(|(job, _)| job.state == JobState::Done).map(|(job, _)| job.answers).max();
        let (fresh, answers) = {
            let labels = &self.desk.lock().labels;
            let fresh = labels.all().filter(|(_, it)| it.given.answered.number > learned.unwrap_or(0)).count();
            (fresh, labels.next_number() - 1)
        };
        if fresh == 0 {
            return match learned {
                Some(_) => format!("{no} no part was labelled since the last one"),
                None => format!("{no} no part was labelled yet"),
            };
        }
        let late = if when == When::MadeUp { ", made up for" } else { "" };
        match self.jobs.start(&Who::program().name, &format!("by the clock: {entry}{late}"), answers) {
            Ok(job) => {
                format!("training job {} begins by the clock ({entry}{late}), {fresh} labels are new", job.number)
            }
            Err(JobError::Busy(number)) => format!("{no} job {number} has not ended yet"),
            Err(error) => format!("{no} {error}"),
        }
    }
}

impl Clock {
    pub(super) fn new(path: PathBuf) -> Clock {
        Clock { path, seen: None, looked: None, stuck: false }
    }

    /// Looks, and keeps what was dealt with. Nothing has happened where it cannot be kept.
    fn look(&mut self, look: impl FnOnce(&mut Seen) -> Option<Due>) -> io::Result<Option<Due>> {
        let before = self.seen.take().or_else(|| read(&self.path));
        let mut seen = before.clone().unwrap_or_default();
        let due = look(&mut seen);
        if before.as_ref() != Some(&seen) {
            let kept = fs::create_dir_all(self.path.parent().unwrap_or(Path::new(".")))
                .and_then(|()| files::replace(&self.path, &serde_json::to_vec(&seen)?));
            if let Err(error) = kept {
                self.seen = before;
                return Err(error);
            }
        }
        (self.seen, self.stuck) = (Some(seen), false);
        Ok(due)
    }
}

/// What was dealt with; none: nothing is known.
fn read(path: &Path) -> Option<Seen> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        read => read.map_err(|error| error.to_string()),
    };
    let seen = text.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
    seen.map_err(|error| tracing::error!("{}: {error}; the schedule begins anew", path.display())).ok()
}
