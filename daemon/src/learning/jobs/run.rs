//! Runs the job that waits: freeze, learn, judge, and put the candidate into the register.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use jiff::Timestamp;
use models::bundle::Bundle;
use models_train::gate::Terms;
use models_train::progress::Progress;
use serde_json::Value;
use stages::sample::{audited, drawn_by_lot};

use super::dataset;
use super::job::{Job, JobState, Place, Point};
use super::judge::Case;
use super::{Active, Wish, ended_by, place};
use crate::learning::config::{Promote, Where};
use crate::learning::promote::{CHAMPION, entry_of};
use crate::learning::registry::Origin;
use crate::learning::{Learning, seen};
use crate::store::Filter;
use crate::supervise::Board;
use crate::words;
use crate::worker::{self, Stopper, UnitWorker, Worker, WorkerError};

/// Points of the curve are at least so far apart, looks at the selection set apart.
const APART: Duration = Duration::from_secs(1);

/// How a step of a job ended.
enum Step {
    Done,
    /// It was stopped from outside.
    Halted,
}

impl Learning {
    /// One round: begins what a rule asks for, and runs what waits to its end.
    pub(in crate::learning) fn run_jobs(&self, board: &Arc<Board>) {
        self.start_by_rule();
        let waiting = {
            let mut state = self.jobs.lock();
            let waiting = state.jobs.values().find(|job| job.state == JobState::Waiting && !state.closing).cloned();
            state.active = waiting.as_ref().map(|job| Active {
                number: job.number,
                wish: Wish::GoOn,
                stopper: None,
                progress: None,
            });
            waiting
        };
        let Some(mut job) = waiting else { return };
        let place = place(&self.jobs.dir, job.number);
        let ended = self.run(board, &mut job, &place);
        let mut state = self.jobs.lock();
        let wish = state.active.take().map_or(Wish::GoOn, |active| active.wish);
        job = match ended {
            Ok(Step::Done) => Job { state: JobState::Done, ended_at: Some(Timestamp::now()), ..job },
            Ok(Step::Halted) => ended_by(job, wish),
            Err(error) if job.judged > 0 => {
                let reason = words::of(&error);
                tracing::error!("the candidate of training job {} was not judged again: {reason}", job.number);
                place.note(&format!("not judged again: {reason}"));
                Job { state: JobState::Done, ..job }
            }
            Err(error) => {
                let reason = words::of(&error);
                tracing::error!("training job {} failed: {reason}", job.number);
                Job { state: JobState::Failed, ended_at: Some(Timestamp::now()), reason: Some(reason), ..job }
            }
        };
        place.note(&format!("{:?}{}", job.state, job.reason.as_ref().map_or(String::new(), |it| format!(": {it}"))));
        if let Err(error) = self.jobs.keep(&mut state, job) {
            tracing::error!("{error}");
        }
        drop(state);
        self.tidy(board);
    }

    /// Ends what runs as a child, or leaves what runs in a unit, so that it goes on when the program does.
    pub(in crate::learning) fn close_jobs(&self) {
        let mut state = self.jobs.lock();
        state.closing = true;
        if let Some(stopper) = state.active.as_ref().and_then(|active| active.stopper.clone()) {
            stopper.leave();
        }
    }

    fn start_by_rule(&self) {
        let jobs = self.jobs.list();
        if jobs.first().is_some_and(|(job, _)| !job.state.has_ended()) {
            return;
        }
        let known = jobs.first().map_or(0, |(job, _)| job.answers);
        let desk = self.desk.lock();
        let fresh = || desk.labels.all().filter(|(_, labelled)| labelled.given.answered.number > known);
        let rare = |most: usize| {
            let mut of_label = std::collections::BTreeMap::new();
            for (_, labelled) in fresh() {
                *of_label.entry(labelled.label.clone()).or_insert(0) += 1;
            }
            // Rare: of which there were fewer before than have come since.
            let all = desk.labels.counts();
            of_label.into_iter().find(|(label, new)| *new >= most && all.get(label).copied().unwrap_or(0) < 2 * *new)
        };
        let why = match (self.section.after_labels, self.section.after_rare) {
            (Some(most), _) if fresh().count() >= most => Some(format!("{most} new labels")),
            (_, Some(most)) => rare(most).map(|(label, new)| format!("{new} new labels of the rare `{label}`")),
            _ => None,
        };
        let answers = desk.labels.next_number() - 1;
        drop(desk);
        if let Some(why) = why
            && let Err(error) = self.jobs.start(&crate::access::Who::program().name, &why, answers)
        {
            tracing::error!("{error}");
        }
    }

    fn run(&self, board: &Arc<Board>, job: &mut Job, place: &Place) -> anyhow::Result<Step> {
        job.state = JobState::Running;
        job.started_at.get_or_insert_with(Timestamp::now);
        job.p99_before_us = job.p99_before_us.or_else(|| board.trend.usual_p99_us(60));
        self.jobs.keep(&mut self.jobs.lock(), job.clone())?;
        if job.dataset.is_none() {
            let _ = fs::remove_dir_all(place.data());
            let dataset = dataset::freeze(self, &board.store, &board.recipe.load().in_force, &place.data())?;
            place.note(&format!(
                "{} pictures, {} of them labelled on the line, digest {}",
                dataset.images, dataset.labelled, dataset.digest
            ));
            job.dataset = Some(dataset);
            self.jobs.keep(&mut self.jobs.lock(), job.clone())?;
        }
        if !place.candidate().is_file()
            && let Step::Halted = self.learn(board, job, place)?
        {
            return Ok(Step::Halted);
        }
        job.p99_during_us = board.trend.usual_p99_us(60).or(job.p99_during_us);
        job.state = JobState::Judging;
        self.jobs.keep(&mut self.jobs.lock(), job.clone())?;
        self.judge(board, job, place)
    }

    fn learn(&self, board: &Arc<Board>, job: &mut Job, place: &Place) -> anyhow::Result<Step> {
        let path = |path: PathBuf| path.into_os_string();
        let mut arguments = vec!["train".into(), "--data".into(), path(place.data())];
        arguments.extend(["--split".into(), path(place.data().join(dataset::LIST))]);
        arguments.extend(["--out".into(), path(place.candidate()), "--resume".into()]);
        let in_force = board.recipe.load().in_force.clone();
        if in_force.preparation.is_some() && !seen::is_cut(&in_force.recipe) {
            // As it is in force: the file that it came from may have changed since.
            let text = toml::to_string(&in_force.recipe).context("the recipe in force")?;
            fs::write(place.recipe(), text).context("the recipe for the training")?;
            arguments.extend(["--recipe".into(), path(place.recipe())]);
        }
        arguments.extend(self.section.train.iter().map(Into::into));
        let started = Instant::now();
        let mut last: Option<Instant> = None;
        let ended = self.work(job.number, arguments, &mut |progress| {
            if progress.selection.is_some() || last.is_none_or(|at| at.elapsed() >= APART) {
                last = Some(Instant::now());
                place.point(&Point { at_s: started.elapsed().as_secs_f64(), progress: *progress });
            }
            if let Some(active) = self.jobs.lock().active.as_mut() {
                active.progress = Some(*progress);
            }
        })?;
        job.p99_during_us = board.trend.usual_p99_us(60);
        match ended {
            Some(result) => {
                place.note(&format!(
                    "trained in {:.0} s: {}",
                    started.elapsed().as_secs_f64(),
                    result["text"].as_str().unwrap_or_default()
                ));
                Ok(Step::Done)
            }
            None => Ok(Step::Halted),
        }
    }

    fn judge(&self, board: &Arc<Board>, job: &mut Job, place: &Place) -> anyhow::Result<Step> {
        let prepared = board.recipe.load_full();
        let model = self.registry.find(prepared.in_force.model.digest())?;
        ensure!(job.candidate != Some(model.digest.clone()), "it is in force: there is nothing to compare it with");
        let mut champion = self.bundle_of(&prepared, &model)?;
        champion.save(&place.champion())?;
        let later = self.labelled_later(board, job, place)?;
        let case = Case {
            champion: place.champion(),
            champion_digest: model.digest.to_string(),
            candidate: place.candidate(),
            data: place.data(),
            later,
            shadow: drawn_parts(board),
            recipe: prepared.in_force.recipe.clone(),
            terms: terms_of_look(self.section.gate, job.judged),
        };
        fs::write(place.case(), serde_json::to_vec_pretty(&case)?).context("the case for the gate")?;
        let identity = case.identity().context("the case for the gate")?.into();
        let arguments =
            vec!["judge".into(), "--case".into(), place.case().into_os_string(), "--identity".into(), identity];
        let Some(mut gate) = self.work(job.number, arguments, &mut |_| {})? else { return Ok(Step::Halted) };
        // A gate that was passed against one champion says nothing of the next.
        gate[CHAMPION] = model.digest.as_ref().into();
        let mut bundle = Bundle::open(&place.candidate())?;
        let digest: Arc<str> = bundle.manifest.graph_sha256.as_str().into();
        let dataset = job.dataset.as_ref().map(|dataset| dataset.digest.clone()).unwrap_or_default();
        let origin = Origin::Job { number: job.number, dataset };
        let entry = entry_of(&bundle.manifest, origin, Some(model.digest.clone()), job.by.clone());
        self.registry.add(&mut bundle, entry)?;
        let passed = gate["passed"] == true;
        self.registry.judged(&digest, gate)?;
        job.candidate = Some(digest.clone());
        job.champion = Some(model.digest);
        job.judged += 1;
        place.note(if passed { "the gate has passed" } else { "the gate has not passed" });
        if passed && self.section.promote == Promote::OnPass {
            let reason = Some(format!("the gate has passed (training job {})", job.number));
            let promoted = self.promote(board, &digest, &crate::access::Who::program(), reason);
            place.note(&promoted.map_or_else(|error| format!("not promoted: {error}"), |_| "promoted".into()));
        }
        Ok(Step::Done)
    }

    /// For a further look: what was labelled since the data set was frozen.
    fn labelled_later(&self, board: &Board, job: &Job, place: &Place) -> anyhow::Result<Option<PathBuf>> {
        if job.judged == 0 {
            return Ok(None);
        }
        let _ = fs::remove_dir_all(place.later());
        let parts =
            dataset::freeze_later(self, &board.store, &board.recipe.load().in_force, job.answers, &place.later())?;
        place.note(&format!("judged again, with {parts} parts that were labelled since"));
        Ok((parts > 0).then(|| place.later()))
    }

    /// Runs a worker to its end. `None`: it was stopped.
    fn work(
        &self,
        number: u64,
        arguments: Vec<std::ffi::OsString>,
        tell: &mut dyn FnMut(&Progress),
    ) -> anyhow::Result<Option<Value>> {
        let job = worker::Job { arguments, memory_ceiling_mib: worker::usual_ceiling_mib()?, idle: true };
        let (stopper, wait): (Stopper, Wait) = match self.section.worker {
            Where::Child => {
                let worker = Worker::spawn(&job)?;
                (worker.stopper(), Box::new(|tell| worker.wait(tell)))
            }
            Where::Unit => {
                let worker = UnitWorker::new(&self.jobs.mailbox, &job)?;
                (worker.stopper(), Box::new(|tell| worker.wait(tell)))
            }
        };
        {
            let mut state = self.jobs.lock();
            let closing = state.closing;
            let active = state.active.as_mut().ok_or_else(|| anyhow!("job {number} is not the one that runs"))?;
            active.stopper = Some(stopper.clone());
            if active.wish != Wish::GoOn {
                stopper.ask();
            }
            if closing {
                stopper.leave();
            }
        }
        let ended = wait(tell);
        let mut state = self.jobs.lock();
        let closing = state.closing;
        let active = state.active.as_mut().ok_or_else(|| anyhow!("job {number} is not the one that runs"))?;
        active.stopper = None;
        let asked = closing || active.wish != Wish::GoOn;
        match ended {
            Ok(result) => Ok(Some(result)),
            // However it ended: it was asked to.
            Err(WorkerError::Stopped(_) | WorkerError::Died { .. } | WorkerError::Lost | WorkerError::Left)
                if asked =>
            {
                Ok(None)
            }
            // Somebody stopped the unit, who will know why: it waits for a person.
            Err(WorkerError::Stopped(_)) if self.section.worker == Where::Unit => {
                active.wish = Wish::Pause;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What a look asks for: half of what chance may do at the look before, so that all looks at one candidate together let a worse one pass at
/// most twice as often as the first alone.
pub(super) fn terms_of_look(terms: Terms, judged: u32) -> Terms {
    Terms { alpha: terms.alpha / f64::from(1_u32 << judged.min(16)), ..terms }
}

/// Waits for a worker's end.
type Wait = Box<dyn FnOnce(&mut dyn FnMut(&Progress)) -> Result<Value, WorkerError>>;

/// Parts of the shadow run, at most; and fewer than these would change their shares by accident.
const SHADOW: usize = 500;
const SHADOW_LEAST: usize = 50;
/// Records that are looked through for them.
const LOOKED_AT: usize = 50_000;

/// Pictures of the newest parts whose pictures were kept because of the lot, whatever the model said of them: the line as it is.
fn drawn_parts(board: &Board) -> Vec<PathBuf> {
    let recipe = board.recipe.load().in_force.recipe.clone();
    let drawn = |id: u64| drawn_by_lot(id, recipe.evidence.pass_fraction) || audited(id, recipe.review.audit_fraction);
    let (mut paths, mut filter, mut looked) = (Vec::new(), Filter { limit: Filter::MAX_LIMIT, ..Filter::default() }, 0);
    while looked < LOOKED_AT {
        let page = board.store.query(&filter);
        looked += page.items.len();
        let parts =
            page.items.iter().map(|stored| &stored.inspection).filter(|part| part.check.is_none() && drawn(part.id));
        // A part without a decision tells nothing of the models; nor does a whole picture of those that see tiles.
        let parts = parts.filter(|part| !part.scores.is_empty() && part.regions.is_empty());
        paths.extend(parts.filter_map(|part| Some(board.store.evidence_dir().join(part.evidence.as_ref()?))));
        match page.next {
            Some(next) if paths.len() < SHADOW => filter.before_id = Some(next),
            _ => break,
        }
    }
    paths.truncate(SHADOW);
    if paths.len() < SHADOW_LEAST { Vec::new() } else { paths }
}
