//! `/api/v1/jobs`: trainings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use models_train::progress::{Progress, Stage};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::address::At;
use super::body::Sent;
use super::inspections::blocking;
use super::models::pictured;
use super::problem::Problem;
use crate::access::Who;
use crate::audit::Deed;
use crate::learning::{Dataset, Detail, Job, JobError, JobState, Jobs, Point};

/// Trainings, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jobs)]
pub(super) struct JobsView {
    jobs: Vec<JobView>,
}

/// A training.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(super) struct JobView {
    id: u64,
    state: JobState,
    /// What made it: a person, or a rule.
    why: String,
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Why there is no candidate.
    #[schema(required = true)]
    reason: Option<String>,
    #[schema(required = true)]
    dataset: Option<DatasetView>,
    #[schema(required = true)]
    progress: Option<ProgressView>,
    /// Digest of the model that came of it.
    #[schema(required = true, value_type = Option<String>)]
    candidate: Option<Arc<str>>,
    /// How that did against the model in force.
    #[schema(required = true, value_type = Option<Object>)]
    gate: Option<serde_json::Value>,
    /// How often the two were compared.
    judged: u32,
    line_p99_us: P99View,
}

/// What a training learns from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Dataset)]
struct DatasetView {
    digest: String,
    images: usize,
    /// Labelled on the line, and learned from.
    labelled: usize,
    /// The newest labelled ones, not learned from.
    held_out: usize,
    /// Test side of the configured data.
    golden: usize,
    /// Labelled, but the picture is gone.
    gone: usize,
    /// Pictures of each label.
    labels: Vec<LabelImages>,
}

/// Pictures of a label.
#[derive(Debug, Serialize, ToSchema)]
struct LabelImages {
    name: String,
    count: usize,
}

/// What a training does.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TrainingStage)]
enum StageWord {
    Features,
    Head,
    AllLayers,
}

/// How far it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrainingProgress)]
struct ProgressView {
    stage: StageWord,
    /// Of this stage, 0 to 1.
    done: f64,
    epoch: usize,
    loss: f32,
    accuracy: f32,
    /// On the selection set, where it has just been looked at.
    #[schema(required = true)]
    selection_accuracy: Option<f32>,
    #[schema(required = true)]
    selection_loss: Option<f32>,
    /// Of this stage.
    eta_s: f64,
}

/// Trigger to verdict, 99th percentile, the median over seconds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = P99BesideTraining)]
struct P99View {
    #[schema(required = true)]
    before: Option<u32>,
    #[schema(required = true)]
    during: Option<u32>,
}

/// A training with its curve and log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobDetail)]
pub(super) struct JobDetailView {
    #[serde(flatten)]
    job: JobView,
    curve: Vec<CurvePoint>,
    /// The last 200 lines.
    log: Vec<String>,
}

/// A point of the curve.
#[derive(Debug, Serialize, ToSchema)]
struct CurvePoint {
    /// Since its worker started.
    at_s: f64,
    #[serde(flatten)]
    progress: ProgressView,
}

impl From<Progress> for ProgressView {
    fn from(progress: Progress) -> ProgressView {
        ProgressView {
            stage: match progress.stage {
                Stage::Features => StageWord::Features,
                Stage::Head => StageWord::Head,
                Stage::All => StageWord::AllLayers,
            },
            done: progress.done,
            epoch: progress.epoch,
            loss: progress.loss,
            accuracy: progress.accuracy,
            selection_accuracy: progress.selection.map(|score| score.accuracy()),
            selection_loss: progress.selection.map(|score| score.mean_loss()),
            eta_s: progress.eta.as_secs_f64(),
        }
    }
}

impl From<Dataset> for DatasetView {
    fn from(dataset: Dataset) -> DatasetView {
        let Dataset { digest, images, labelled, held_out, golden, labels, gone } = dataset;
        let labels = labels.into_iter().map(|(name, count)| LabelImages { name, count }).collect();
        DatasetView { digest, images, labelled, held_out, golden, gone, labels }
    }
}

impl JobView {
    fn of(api: &Api, job: Job, progress: Option<Progress>) -> JobView {
        let registry = &api.board.learning.registry;
        let gate = job.candidate.as_ref().and_then(|candidate| registry.find(candidate).ok()?.gate).map(pictured);
        let during = match job.state {
            JobState::Running => api.board.trend.usual_p99_us(60),
            _ => job.p99_during_us,
        };
        JobView {
            id: job.number,
            state: job.state,
            why: job.why,
            by: job.by,
            created_at: job.created_at,
            started_at: job.started_at,
            ended_at: job.ended_at,
            reason: job.reason,
            dataset: job.dataset.map(DatasetView::from),
            progress: progress.map(ProgressView::from),
            candidate: job.candidate,
            gate,
            judged: job.judged,
            line_p99_us: P99View { before: job.p99_before_us, during },
        }
    }
}

/// Every training.
#[utoipa::path(get, path = "/api/v1/jobs", operation_id = "list_jobs", responses((status = 200, body = JobsView)))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<JobsView>, Problem> {
    blocking(move || {
        let jobs = api.board.learning.jobs.list();
        let jobs = jobs.into_iter().map(|(job, progress)| JobView::of(&api, job, progress)).collect();
        Ok(Json(JobsView { jobs }))
    })
    .await
}

/// One training, with its curve and the end of its log.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", operation_id = "get_job",
    params(("id" = u64, Path, description = "Job")), responses(
    (status = 200, body = JobDetailView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn one(State(api): State<Api>, At(id): At<u64>) -> Result<Json<JobDetailView>, Problem> {
    blocking(move || {
        let Detail { job, progress, curve, log } = api.board.learning.jobs.detail(id)?;
        let point = |Point { at_s, progress }| CurvePoint { at_s, progress: progress.into() };
        let curve = curve.into_iter().map(point).collect();
        Ok(Json(JobDetailView { job: JobView::of(&api, job, progress), curve, log }))
    })
    .await
}

/// Why somebody starts a training.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = NewJob)]
pub(super) struct Start {
    /// For the audit trail; 1000 characters at most.
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// Starts a training from all that is labelled. One runs at a time.
#[utoipa::path(post, path = "/api/v1/jobs", operation_id = "start_job", request_body = Start, responses(
    (status = 201, body = JobView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Another has not ended"),
))]
pub(super) async fn start(
    State(api): State<Api>,
    who: Who,
    Sent(start): Sent<Start>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    if start.reason.as_ref().is_some_and(|text| text.chars().count() > 1000) {
        return Err(Problem::unprocessable("`reason` has more than 1000 characters"));
    }
    blocking(move || {
        api.board.access.trail().append(&who, Deed::new("job.start", "training").because(start.reason))?;
        let learning = &api.board.learning;
        let answers = learning.desk.lock().labels.next_number() - 1;
        let job = learning.jobs.start(&who.name, "by hand", answers)?;
        Ok((StatusCode::CREATED, Json(JobView::of(&api, job, None))))
    })
    .await
}

/// Ends a training for good.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/cancel", operation_id = "cancel_job",
    params(("id" = u64, Path, description = "Job")), responses(
    (status = 200, body = JobView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It has ended"),
))]
pub(super) async fn cancel(State(api): State<Api>, At(id): At<u64>, who: Who) -> Result<Json<JobView>, Problem> {
    change(api, id, who, ("job.cancel", Jobs::cancel)).await
}

/// Halts a training: it keeps its checkpoint.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/pause", operation_id = "pause_job",
    params(("id" = u64, Path, description = "Job")), responses(
    (status = 200, body = JobView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It has ended, or is paused"),
))]
pub(super) async fn pause(State(api): State<Api>, At(id): At<u64>, who: Who) -> Result<Json<JobView>, Problem> {
    change(api, id, who, ("job.pause", Jobs::pause)).await
}

/// Lets a halted training go on.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/resume", operation_id = "resume_job",
    params(("id" = u64, Path, description = "Job")), responses(
    (status = 200, body = JobView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It is not paused"),
))]
pub(super) async fn resume(State(api): State<Api>, At(id): At<u64>, who: Who) -> Result<Json<JobView>, Problem> {
    change(api, id, who, ("job.resume", Jobs::resume)).await
}

/// Compares the candidate of a training that is done with the champion once more: on the same parts, on all that were labelled since, and on
/// the newest of the live line. Each look asks for stronger evidence than the one before; there are five at most.
#[utoipa::path(post, path = "/api/v1/jobs/{id}/judge", operation_id = "judge_job_again",
    params(("id" = u64, Path, description = "Job")), responses(
    (status = 200, body = JobView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It is not done, or was judged too often"),
))]
pub(super) async fn judge(State(api): State<Api>, At(id): At<u64>, who: Who) -> Result<Json<JobView>, Problem> {
    change(api, id, who, ("job.judge", Jobs::judge_again)).await
}

/// What can be done to a job by its number.
type Changing = fn(&Jobs, u64) -> Result<Job, JobError>;

async fn change(api: Api, id: u64, who: Who, (deed, how): (&'static str, Changing)) -> Result<Json<JobView>, Problem> {
    blocking(move || {
        let jobs = &api.board.learning.jobs;
        jobs.detail(id)?;
        api.board.access.trail().append(&who, Deed::new(deed, id.to_string()))?;
        let job = how(jobs, id)?;
        Ok(Json(JobView::of(&api, job, None)))
    })
    .await
}

/// Removes a training that has ended; its candidate stays.
#[utoipa::path(delete, path = "/api/v1/jobs/{id}", operation_id = "delete_job",
    params(("id" = u64, Path, description = "Job")), responses(
    (status = 204, description = "Gone"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It has not ended"),
))]
pub(super) async fn remove(State(api): State<Api>, At(id): At<u64>, who: Who) -> Result<StatusCode, Problem> {
    blocking(move || {
        let jobs = &api.board.learning.jobs;
        jobs.detail(id)?;
        api.board.access.trail().append(&who, Deed::new("job.delete", id.to_string()))?;
        jobs.delete(id)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Problem {
        let words = error.to_string();
        match error {
            JobError::Unknown(_) => Problem::not_found(words),
            JobError::Busy(_) | JobError::State { .. } => Problem::conflict(words),
            JobError::Io { .. } => Problem::internal(words),
        }
    }
}
