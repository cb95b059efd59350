//! The recording thread: hands verdicts and late results to the recorder, in order, off the hot path.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, select};

use super::Stop;
use super::guard::{Post, guarded};
use super::keeper::Keeper;
use crate::inspection::Inspection;
use crate::record::{LateResult, Picture, RecordError, Recorder};

/// What the recorder is to keep.
pub(super) enum Job {
    Verdict(Box<Inspection>, Option<Picture>),
    Late(Box<LateResult>),
}

pub(super) struct Recording {
    pub(super) jobs: Receiver<Job>,
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) post: Arc<Post>,
    pub(super) allowed: Duration,
    pub(super) stop: Stop,
}

impl Recording {
    pub(super) fn run(&self) {
        loop {
            let job = select! {
                recv(self.jobs) -> job => job.ok(),
                recv(self.stop) -> _ => None,
            };
            match job {
                Some(job) => self.keep(job),
                None => break,
            }
        }
        while let Ok(job) = self.jobs.try_recv() {
            self.keep(job);
        }
    }

    fn keep(&self, job: Job) {
        let is_verdict = matches!(job, Job::Verdict(..));
        let part = match &job {
            Job::Verdict(inspection, _) => inspection.id,
            Job::Late(late) => late.id,
        };
        self.post.begin(Some(part), self.allowed);
        let kept = record_guarded(|| match job {
            Job::Verdict(inspection, picture) => self.recorder.record(*inspection, picture),
            Job::Late(late) => self.recorder.late(*late),
        });
        self.post.end(0);
        if let Err(error) = kept {
            self.keeper.record_failed(&format!("part {part}: {error}"));
        }
        if is_verdict {
            self.keeper.recorded();
        }
    }
}

/// Calls the recorder; its panic is its error.
pub(super) fn record_guarded(call: impl FnOnce() -> Result<(), RecordError>) -> Result<(), RecordError> {
    guarded(call).unwrap_or_else(|panic| Err(RecordError(format!("it panicked: {panic}"))))
}
