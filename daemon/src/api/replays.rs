//! `/api/v1/replays`: stored parts decided anew, under another model or other thresholds. docs/REPLAY.md.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use models::bundle::Bundle;
use serde::{Deserialize, Serialize};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use super::Api;
use super::address::At;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::Who;
use crate::audit::Deed;
use crate::learning::RegistryError;
use crate::replay::file::{Excerpt, Found, LeftOut};
use crate::replay::report::{Asked, ModelName, Report};
use crate::replay::{Asking, Progress, Replay, ReplayError, ReplayState, label_of};
use crate::store::VerdictKind;
use crate::words;

/// Parts that are looked at when nobody says how many, and at most. A report of so many changes is some hundred megabytes.
const DEFAULT_LIMIT: u64 = 250_000;
const MAX_LIMIT: u64 = 1_000_000;
/// Longest range.
const MAX_DAYS: i64 = 400;
/// Longest serial number, and longest label.
const MAX_SERIAL: usize = 255;
const MAX_LABEL: usize = 64;
/// Most thresholds: more labels than any model has.
const MAX_THRESHOLDS: usize = 256;
/// Bytes of a download that wait for its reader.
const CHUNK: usize = 64 << 10;

/// Replays, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayRuns)]
pub(super) struct ReplaysView {
    replays: Vec<ReplayView>,
}

/// Stored parts decided anew.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayRun)]
pub(super) struct ReplayView {
    id: u64,
    state: ReplayState,
    /// Which parts.
    range: Asked,
    /// The other model, by which kept pictures are decided; null: the scores on record are.
    #[schema(required = true)]
    model: Option<ModelName>,
    /// Other thresholds, by label.
    thresholds: BTreeMap<String, f32>,
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Why there is no report.
    #[schema(required = true)]
    reason: Option<String>,
    #[schema(required = true)]
    progress: Option<ProgressView>,
    /// What was found, in a few numbers.
    #[schema(required = true)]
    found: Option<Found>,
}

/// How far it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayProgress)]
struct ProgressView {
    /// Of all parts, 0 to 1.
    done: f64,
    eta_s: f64,
}

/// A replay with its report.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayDetail)]
pub(super) struct DetailView {
    #[serde(flatten)]
    replay: ReplayView,
    /// Null before it is done. Long lists are cut: `left_out` says how much of each; `/report` has all.
    #[schema(required = true)]
    report: Option<Report>,
    #[schema(required = true)]
    left_out: Option<LeftOut>,
}

impl ReplayView {
    fn of(replay: Replay, progress: Option<Progress>) -> ReplayView {
        let Replay { number, state, range, model, thresholds, by, created_at, ended_at, reason, found } = replay;
        let progress = progress.map(|it| ProgressView { done: it.done, eta_s: it.eta.as_secs_f64() });
        ReplayView { id: number, state, range, model, thresholds, by, created_at, ended_at, reason, progress, found }
    }
}

/// Every replay that is kept.
#[utoipa::path(get, path = "/api/v1/replays", operation_id = "list_replays",
    responses((status = 200, body = ReplaysView)))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<ReplaysView>, Problem> {
    blocking(move || {
        let replays = api.board.learning.replays.list();
        let replays = replays.into_iter().map(|(replay, progress)| ReplayView::of(replay, progress)).collect();
        Ok(Json(ReplaysView { replays }))
    })
    .await
}

/// One replay, with what can be shown of its report.
#[utoipa::path(get, path = "/api/v1/replays/{id}", operation_id = "get_replay",
    params(("id" = u64, Path, description = "Replay")), responses(
    (status = 200, body = DetailView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn one(State(api): State<Api>, At(id): At<u64>) -> Result<Json<DetailView>, Problem> {
    blocking(move || {
        let (replay, progress, excerpt) = api.board.learning.replays.detail(id)?;
        let (report, left_out) = excerpt.map(|Excerpt { report, left_out }| (report, left_out)).unzip();
        Ok(Json(DetailView { replay: ReplayView::of(replay, progress), report, left_out }))
    })
    .await
}

/// What is to be decided anew, and with what. One of `model` and `thresholds` is needed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReplay)]
pub(super) struct Wanted {
    /// Triggered at or after this, as 2026-11-24T08:00:00Z.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Triggered before this; 400 days later at most.
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Digest of a model of the register, or its beginning: the pictures that were kept are decided by it. Absent: the scores on
    /// record are decided anew.
    #[serde(default)]
    model: Option<String>,
    /// Other thresholds, 0 to 1, by label.
    #[serde(default)]
    thresholds: BTreeMap<String, f32>,
    /// Exactly this serial number.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    serial: Option<String>,
    /// A label that was found.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    label: Option<String>,
    /// `pass`, `fail`, `review` or `no_decision`, as on record.
    #[serde(default)]
    verdict: Option<String>,
    /// So many parts at most, the oldest; the others are counted. Default: 250000.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    limit: Option<u64>,
}

/// Decides stored parts anew, beside the line. One runs at a time.
#[utoipa::path(post, path = "/api/v1/replays", operation_id = "start_replay", request_body = Wanted, responses(
    (status = 201, body = ReplayView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Another has not ended"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "It cannot be asked like this; the field is named"),
))]
pub(super) async fn start(
    State(api): State<Api>,
    who: Who,
    Sent(wanted): Sent<Wanted>,
) -> Result<(StatusCode, Json<ReplayView>), Problem> {
    blocking(move || {
        let asking = wanted.checked(&api)?;
        let deed = Deed::new("replay.start", format!("{} to {}", asking.range.from, asking.range.to)).after(
            serde_json::json!({
                "range": asking.range,
                "model": asking.bundle.as_ref().map(|bundle| bundle.manifest.graph_sha256.clone()),
                "thresholds": asking.thresholds,
            }),
        );
        api.board.access.trail().append(&who, deed)?;
        let replay = api.board.learning.replays.start(&who.name, asking)?;
        Ok((StatusCode::CREATED, Json(ReplayView::of(replay, None))))
    })
    .await
}

impl Wanted {
    /// All that can be said without looking at a record; the rest the replay says itself.
    fn checked(self, api: &Api) -> Result<Asking, Problem> {
        let Wanted { from, to, model, thresholds, serial, label, verdict, limit } = self;
        let refused = |words: String| Err(Problem::unprocessable(words));
        if from >= to {
            return refused(format!("`from` {from} is not before `to` {to}: the range has no time in it"));
        }
        if to.duration_since(from) > SignedDuration::from_hours(24 * MAX_DAYS) {
            return refused(format!("`to` {to} is more than {MAX_DAYS} days after `from`: ask for a shorter range"));
        }
        if model.is_none() && thresholds.is_empty() {
            return refused("neither `model` nor `thresholds` is given: nothing would be decided otherwise".to_owned());
        }
        for (name, text, most) in [("serial", &serial, MAX_SERIAL), ("label", &label, MAX_LABEL)] {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.chars().count() > most) {
                return refused(format!("`{name}` must have 1 to {most} characters"));
            }
        }
        if let Some(Err(words)) = verdict.as_ref().map(|word| word.parse::<VerdictKind>()) {
            return refused(format!("`verdict`: {words}"));
        }
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return refused(format!("`limit` is {limit}: give 1 to {MAX_LIMIT}"));
        }
        if thresholds.len() > MAX_THRESHOLDS {
            return refused(format!("`thresholds` has more than {MAX_THRESHOLDS} entries"));
        }
        // Not a number lies in no range.
        if let Some((label, value)) = thresholds.iter().find(|(_, value)| !(0.0..=1.0).contains(*value)) {
            return refused(format!("`thresholds.{label}` is {value}: scores lie between 0 and 1, so it must too"));
        }
        let bundle = model.map(|digest| bundle_of(api, &digest)).transpose()?;
        check_labels(api, &thresholds, bundle.as_ref())?;
        let recipe = api.board.recipe.load().in_force.recipe.clone();
        let range = Asked { from, to, serial, label, verdict, limit: Some(limit) };
        Ok(Asking { range, thresholds, bundle, recipe })
    }
}

/// The bundle of a model of the register.
fn bundle_of(api: &Api, digest: &str) -> Result<Bundle, Problem> {
    let learning = &api.board.learning;
    if digest.is_empty() || digest.len() > 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Problem::unprocessable(
            "`model` is no digest: give 1 to 64 hexadecimal digits, as the register has them",
        ));
    }
    let model = learning.registry.find(&digest.to_ascii_lowercase()).map_err(|error| match error {
        RegistryError::Unknown(_) | RegistryError::Ambiguous(_) => Problem::unprocessable(format!("`model`: {error}")),
        other => other.into(),
    })?;
    learning.bundle_of(&api.board.recipe.load(), &model).map_err(|error| {
        Problem::unprocessable(format!("`model`: it cannot be used: {}; choose another", words::of(&error)))
    })
}

/// Refuses thresholds that nobody has a label for. Without another model any of the register may have decided the parts.
fn check_labels(api: &Api, thresholds: &BTreeMap<String, f32>, bundle: Option<&Bundle>) -> Result<(), Problem> {
    let prepared = api.board.recipe.load();
    let manifest = bundle.map_or_else(|| prepared.manifest(), |bundle| &bundle.manifest);
    let former: Vec<String> = match bundle {
        Some(_) => Vec::new(),
        None => api.board.learning.registry.models().into_iter().flat_map(|model| model.labels).collect(),
    };
    for label in thresholds.keys() {
        let known = label_of(label, std::iter::once(manifest));
        let kind = manifest.heads.prototypes.iter().any(|spec| spec.registered().any(|(_, kind)| kind.name == *label));
        if let Err(words) = known
            && (kind || !former.contains(label))
        {
            return Err(Problem::unprocessable(format!("`thresholds.{label}`: {words}")));
        }
    }
    Ok(())
}

/// Ends a replay.
#[utoipa::path(post, path = "/api/v1/replays/{id}/cancel", operation_id = "cancel_replay",
    params(("id" = u64, Path, description = "Replay")), responses(
    (status = 200, body = ReplayView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It has ended"),
))]
pub(super) async fn cancel(State(api): State<Api>, At(id): At<u64>, who: Who) -> Result<Json<ReplayView>, Problem> {
    blocking(move || {
        let replays = &api.board.learning.replays;
        replays.detail(id)?;
        api.board.access.trail().append(&who, Deed::new("replay.cancel", id.to_string()))?;
        let replay = replays.cancel(id)?;
        Ok(Json(ReplayView::of(replay, None)))
    })
    .await
}

/// Removes a replay that has ended, with its report.
#[utoipa::path(delete, path = "/api/v1/replays/{id}", operation_id = "delete_replay",
    params(("id" = u64, Path, description = "Replay")), responses(
    (status = 204, description = "Gone"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It has not ended"),
))]
pub(super) async fn remove(State(api): State<Api>, At(id): At<u64>, who: Who) -> Result<StatusCode, Problem> {
    blocking(move || {
        let replays = &api.board.learning.replays;
        replays.detail(id)?;
        api.board.access.trail().append(&who, Deed::new("replay.delete", id.to_string()))?;
        replays.delete(id)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// The whole report, to be kept: the object that `inspectd replay --json` prints.
#[utoipa::path(get, path = "/api/v1/replays/{id}/report", operation_id = "replay_report",
    params(("id" = u64, Path, description = "Replay")), responses(
    (status = 200, body = Report, content_type = "application/json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It is not done"),
))]
pub(super) async fn report(State(api): State<Api>, At(id): At<u64>) -> Result<Response, Problem> {
    download(api.board.learning.replays.report(id)?, "application/json", format!("replay-{id}.json")).await
}

/// Every part whose verdict changes, with its serial number, as comma-separated values.
#[utoipa::path(get, path = "/api/v1/replays/{id}/serials", operation_id = "replay_serials",
    params(("id" = u64, Path, description = "Replay")), responses(
    (status = 200, description = "One line a part, oldest first", content_type = "text/csv"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It is not done"),
))]
pub(super) async fn serials(State(api): State<Api>, At(id): At<u64>) -> Result<Response, Problem> {
    download(api.board.learning.replays.table(id)?, "text/csv; charset=utf-8", format!("replay-{id}.csv")).await
}

/// A file as it is, in pieces: it may be larger than what this program should take of the memory.
async fn download(path: PathBuf, kind: &'static str, name: String) -> Result<Response, Problem> {
    let unreadable = |path: &Path, error| Problem::internal(format!("{}: {error}", path.display()));
    let (mut file, bytes) = blocking(move || {
        let open = || -> std::io::Result<(File, u64)> {
            let file = File::open(&path)?;
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        };
        open().map_err(|error| unreadable(&path, error))
    })
    .await?;
    let (to_reader, pieces) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(1);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut buffer = vec![0; CHUNK];
            let piece = file.read(&mut buffer).map(|length| {
                buffer.truncate(length);
                Bytes::from(buffer)
            });
            let last = piece.as_ref().map_or(true, Bytes::is_empty);
            // Whoever reads may have seen enough of it.
            if to_reader.blocking_send(piece).is_err() || last {
                break;
            }
        }
    });
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(ReceiverStream::new(pieces))).into_response())
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Problem {
        let words = error.to_string();
        match error {
            ReplayError::Unknown(_) => Problem::not_found(words),
            ReplayError::Busy(_)
            | ReplayError::Running(_)
            | ReplayError::Ended(_)
            | ReplayError::NoReport(_)
            | ReplayError::Closing => Problem::conflict(words),
            ReplayError::Disk { .. } => Problem::internal(words),
        }
    }
}
