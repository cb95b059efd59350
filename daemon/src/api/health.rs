//! `/healthz` and `/readyz`, for service managers and load balancers: text for people, status for machines. `/api/v1/health`: how
//! the machine is, and how much waits where.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use stages::line::{LineState, StageQueue};
use utoipa::ToSchema;

use super::Api;
use super::inspections::blocking;
use super::kept::KeptView;
use super::plc::PlcView;
use super::problem::Problem;
use crate::health::HealthReport;

/// The process answers.
#[utoipa::path(get, path = "/healthz", responses((status = 200, content_type = "text/plain", body = String)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Parts are inspected and kept.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, content_type = "text/plain", body = String),
    (status = 503, content_type = "text/plain", body = String, description = "Why not, in words"),
))]
pub(super) async fn readyz(State(api): State<Api>) -> (StatusCode, String) {
    let board = &api.board;
    let reason = match board.line.status().state {
        LineState::SafeHold(reason) => Some(format!("safe hold: {reason}")),
        LineState::NotReady(reason) => Some(format!("not ready: {reason}")),
        LineState::Draining => Some("draining: no new parts are taken".to_owned()),
        LineState::Stopped => Some("stopped: the source has ended".to_owned()),
        LineState::Ready | LineState::Running => {
            let failed = board.store.stats().failed.map(|reason| format!("the store fails: {reason}"));
            let hung = (!board.line.healthy()).then(|| "a thread of the line hangs".to_owned());
            failed.or(hung)
        }
    };
    match reason {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// How the machine is, and how much waits where.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MachineHealth)]
pub(super) struct HealthView {
    #[serde(flatten)]
    machine: HealthReport,
    queues: QueuesView,
    /// Null: this line has none.
    #[schema(required = true)]
    plc: Option<PlcView>,
    /// What is kept, and for how long it goes on so.
    kept: KeptView,
}

/// How much waits where.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queues)]
struct QueuesView {
    /// Parts without a verdict yet.
    parts_in_flight: u64,
    /// In front of each stage of the line.
    stages: Vec<StageQueueView>,
    /// Records that wait for the disk.
    records_pending: usize,
    /// Messages to others that wait.
    messages_waiting: usize,
    /// Messages to others that were given up.
    dead_letters: usize,
}

/// How much waits in front of a stage.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StageQueue)]
struct StageQueueView {
    stage: &'static str,
    /// Parts that wait.
    waiting: usize,
    /// Parts that fit.
    capacity: usize,
}

/// How the machine is, looked at every five seconds.
#[utoipa::path(get, path = "/api/v1/health", operation_id = "machine_health", responses((status = 200, body = HealthView)))]
pub(super) async fn health(State(api): State<Api>) -> Result<Json<HealthView>, Problem> {
    let board = api.board.clone();
    let kept = blocking(move || Ok(KeptView::of(&board))).await?;
    let board = &api.board;
    let outbox = board.alerts.outbox();
    let line = board.line.status();
    let stage = |StageQueue { stage, waiting, capacity }: StageQueue| StageQueueView { stage, waiting, capacity };
    let queues = QueuesView {
        parts_in_flight: line.counts.in_flight,
        stages: line.queues.into_iter().map(stage).collect(),
        records_pending: board.store.stats().pending,
        messages_waiting: outbox.standings().iter().map(|(_, standing)| standing.waiting).sum(),
        dead_letters: outbox.dead_letters(),
    };
    let machine = HealthReport::clone(&board.alerts.health());
    Ok(Json(HealthView { machine, queues, plc: PlcView::now(&api), kept }))
}
