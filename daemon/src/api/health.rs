//! `/healthz` and `/readyz`, for service managers and load balancers: text for people, status for machines.

use axum::extract::State;
use axum::http::StatusCode;
use stages::line::LineState;

use super::Api;

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
