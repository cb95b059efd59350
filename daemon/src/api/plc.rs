//! `/api/v1/plc`: the PLC that calls for parts, and what the two have said to each other.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::problem::Problem;
use crate::io::exchange::Report;
use crate::io::handshake::{Done, Tally};
use crate::io::signals::{Outcome, Said};

/// The way to the PLC.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plc)]
pub(super) struct PlcView {
    /// Protocol and address.
    link: String,
    state: StateWord,
    /// What is wrong, in words.
    #[schema(required = true)]
    detail: Option<String>,
    /// What the PLC is told now.
    outputs: Said,
    /// `triggered` is the sum of the four kinds of results and `in_flight`.
    counts: Tally,
    /// Calls whose picture did not come in time.
    without_frame: u64,
    /// Pictures that nobody had called for: they were dropped.
    stale_frames: u64,
    /// Connections that are open.
    connections: u32,
    /// Connections that were turned away, and attempts that failed.
    refused_connections: u64,
    /// Requests that were answered by an exception, and bytes that were no request.
    wrong_requests: u64,
    /// Milliseconds since the PLC was last heard of; none: never.
    #[schema(required = true)]
    heard_ms_ago: Option<u64>,
    /// The newest handshakes, newest first.
    recent: Vec<HandshakeView>,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PlcState)]
enum StateWord {
    /// A trigger would be taken, or one is being taken.
    Ready,
    /// As many results as may wait do wait.
    Busy,
    /// The line takes no triggers.
    NotReady,
    /// A result is not acknowledged.
    NoAck,
    /// The PLC is not heard of.
    Lost,
}

/// A handshake that is over.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlcHandshake)]
struct HandshakeView {
    result: Outcome,
    /// Milliseconds since it was acknowledged.
    ms_ago: u64,
    /// From the trigger to the result.
    decided_ms: f64,
    /// From the result to its acknowledgement.
    acknowledged_ms: f64,
}

/// The PLC that calls for parts, and what the two have said to each other.
#[utoipa::path(get, path = "/api/v1/plc", operation_id = "get_plc", responses(
    (status = 200, body = PlcView),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "This line has no PLC"),
))]
pub(super) async fn plc(State(api): State<Api>) -> Result<Json<PlcView>, Problem> {
    let none = || Problem::not_found("this line has no PLC: its configuration has no `[plc]` (docs/PLC.md)");
    PlcView::now(&api).map(Json).ok_or_else(none)
}

impl PlcView {
    /// None: this line has none.
    pub(super) fn now(api: &Api) -> Option<PlcView> {
        api.board.plc.as_ref().map(|link| PlcView::of(link.description.clone(), link.report()))
    }

    fn of(link: String, report: Report) -> PlcView {
        let now = Instant::now();
        let ms_ago = |at: Instant| whole_ms(now.saturating_duration_since(at));
        let Report { said, tally, calls, contact, lost_for, overdue, done } = report;
        let (state, detail) = match (lost_for, overdue) {
            (Some(silent), _) => {
                let trouble = contact.trouble.map(|why| format!("; the last trouble was: {why}")).unwrap_or_default();
                (StateWord::Lost, Some(format!("nothing was heard for {} ms{trouble}", whole_ms(silent))))
            }
            (None, Some((id, waits))) => {
                let text = format!("the result of part {id} waits for its acknowledgement for {} ms", whole_ms(waits));
                (StateWord::NoAck, Some(text))
            }
            (None, None) if said.busy => (StateWord::Busy, None),
            // While a trigger is held the line is not ready for another.
            (None, None) if said.trigger_ready || said.trigger_ack => (StateWord::Ready, None),
            (None, None) => (StateWord::NotReady, None),
        };
        let view = |done: &Done| HandshakeView {
            result: done.outcome,
            ms_ago: ms_ago(done.acknowledged),
            decided_ms: (done.decided - done.triggered).as_secs_f64() * 1e3,
            acknowledged_ms: (done.acknowledged - done.decided).as_secs_f64() * 1e3,
        };
        PlcView {
            link,
            state,
            detail,
            outputs: said,
            counts: tally,
            without_frame: calls.without_frame,
            stale_frames: calls.stale,
            connections: contact.connections,
            refused_connections: contact.refused,
            wrong_requests: contact.wrong,
            heard_ms_ago: contact.heard_at.map(ms_ago),
            recent: done.iter().rev().map(view).collect(),
        }
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
