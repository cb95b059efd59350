//! `/api/v1/holds`: what must not be let go, whatever retention's limits say.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::address::At;
use super::body::Sent;
use super::golden::reason_of;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::Who;
use crate::audit::Deed;
use crate::retention::{Hold, HoldError, Selection};

/// Which holds.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only those that hold this part.
    part: Option<u64>,
}

/// Holds that stand, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Holds)]
pub(super) struct HoldsView {
    holds: Vec<HoldView>,
}

/// A hold that stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub(super) struct HoldView {
    /// Never given twice.
    number: u64,
    /// What it holds; all conditions that are given must hold. Without any: everything.
    of: Selection,
    /// The same in words.
    words: String,
    reason: String,
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// A new hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewHold)]
pub(super) struct NewHold {
    /// At least one condition. Parts that come later are held, too.
    of: Selection,
    /// 1 to 500 characters, for the audit trail.
    reason: String,
}

/// Why a hold is lifted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LiftHold)]
pub(super) struct Lift {
    /// 1 to 500 characters, for the audit trail.
    reason: String,
}

impl From<Hold> for HoldView {
    fn from(hold: Hold) -> HoldView {
        let words = hold.of.words();
        let Hold { number, of, reason, by, at } = hold;
        HoldView { number, of, words, reason, by, at }
    }
}

impl From<HoldError> for Problem {
    fn from(error: HoldError) -> Problem {
        let words = error.to_string();
        match error {
            HoldError::Empty | HoldError::Condition { .. } => Problem::unprocessable(words),
            HoldError::Full => Problem::conflict(words),
            HoldError::Unknown(_) => Problem::not_found(words),
            HoldError::Log(_) => Problem::internal(words),
        }
    }
}

/// Holds that stand: all, or those over a part.
#[utoipa::path(get, path = "/api/v1/holds", operation_id = "list_holds", params(Wanted), responses(
    (status = 200, body = HoldsView),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "No such part"),
))]
pub(super) async fn list(
    State(api): State<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<HoldsView>, Problem> {
    let Query(Wanted { part }) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    blocking(move || {
        let board = &api.board;
        let Some(id) = part else {
            let holds = board.retention.holds.read().all().cloned().map(HoldView::from).collect();
            return Ok(Json(HoldsView { holds }));
        };
        let stored = board.store.get(id)?.ok_or_else(|| Problem::not_found(format!("no part {id} is on record")))?;
        let holds = board.retention.holds.read().over(&stored.inspection).cloned().map(HoldView::from).collect();
        Ok(Json(HoldsView { holds }))
    })
    .await
}

/// Holds a part, a lot, or whatever the conditions take: neither pictures nor records of it are let go until the hold is lifted.
#[utoipa::path(post, path = "/api/v1/holds", operation_id = "put_hold", request_body = NewHold, responses(
    (status = 200, body = HoldView),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "No such part"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Too many holds stand"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "It holds nothing in particular, or a condition or the reason is not understood"),
))]
pub(super) async fn put(
    State(api): State<Api>,
    who: Who,
    Sent(NewHold { of, reason }): Sent<NewHold>,
) -> Result<Json<HoldView>, Problem> {
    let reason = reason_of(&reason)?;
    of.filter()?;
    if of == Selection::default() {
        return Err(HoldError::Empty.into());
    }
    blocking(move || {
        let board = &api.board;
        if let Some(id) = of.part
            && board.store.get(id)?.is_none()
        {
            return Err(Problem::not_found(format!("no part {id} is on record")));
        }
        let deed = Deed::new("hold.put", of.words()).after(&of).because(Some(reason.clone()));
        board.access.trail().append(&who, deed)?;
        Ok(Json(board.retention.holds.put(of, reason, &who.name)?.into()))
    })
    .await
}

/// Lifts a hold; what it was.
#[utoipa::path(post, path = "/api/v1/holds/{number}/lift", operation_id = "lift_hold", request_body = Lift,
    params(("number" = u64, Path, description = "Of the hold")), responses(
    (status = 200, body = HoldView),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "No such hold stands"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "The reason is not understood"),
))]
pub(super) async fn lift(
    State(api): State<Api>,
    who: Who,
    At(number): At<u64>,
    Sent(Lift { reason }): Sent<Lift>,
) -> Result<Json<HoldView>, Problem> {
    let reason = reason_of(&reason)?;
    blocking(move || {
        let board = &api.board;
        let hold = board.retention.holds.read().find(number).cloned().ok_or(HoldError::Unknown(number))?;
        let deed = Deed::new("hold.lift", hold.of.words()).before(&hold).because(Some(reason));
        board.access.trail().append(&who, deed)?;
        Ok(Json(board.retention.holds.lift(number)?.into()))
    })
    .await
}
