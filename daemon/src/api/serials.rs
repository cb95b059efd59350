//! `/api/v1/serials`: serial numbers for the coming parts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use stages::identify::Origin;
use utoipa::ToSchema;

use super::Api;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::Who;
use crate::audit::Deed;
use crate::serials::{Queued, Refused, WAITING};
use crate::supervise::Board;

/// Serial numbers that wait for their parts, and what became of the others since the program started.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Serials)]
pub(super) struct SerialsView {
    /// Whether parts take their serial numbers from here: the recipe's `identity.from` is `api`.
    in_use: bool,
    /// In the order in which parts will get them.
    #[schema(value_type = Vec<String>)]
    waiting: Vec<Arc<str>>,
    /// How many may wait.
    room: usize,
    /// Taken from messages.
    sent: u64,
    /// Given to parts.
    given: u64,
    /// In messages that were refused.
    refused: u64,
    /// Forgotten on request.
    forgotten: u64,
    /// Parts that came while none waited.
    without: u64,
}

/// Serial numbers, for the coming parts in turn.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSerials)]
pub(super) struct NewSerials {
    /// 1 to 1000: letters A to Z, digits and `-_.:/+#*,=()[]$%@`, 64 characters at most each.
    serials: Vec<String>,
}

/// Serial numbers that wait for their parts.
#[utoipa::path(get, path = "/api/v1/serials", operation_id = "get_serials", responses((status = 200, body = SerialsView)))]
pub(super) async fn waiting(State(api): State<Api>) -> Json<SerialsView> {
    Json(SerialsView::of(&api.board))
}

/// Puts serial numbers behind those that wait: all of them, or none. Each part that is triggered from then on takes one.
#[utoipa::path(post, path = "/api/v1/serials", operation_id = "send_serials", request_body = NewSerials, responses(
    (status = 200, body = SerialsView),
    (status = 409, body = Problem, content_type = "application/problem+json",
        description = "The recipe in force takes its serial numbers from elsewhere, or there is no room"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "One of them is no serial number"),
))]
pub(super) async fn send(
    State(api): State<Api>,
    who: Who,
    Sent(NewSerials { serials }): Sent<NewSerials>,
) -> Result<Json<SerialsView>, Problem> {
    blocking(move || {
        if !in_use(&api.board) {
            let tag = &api.board.recipe.load().in_force.tag;
            return Err(Problem::conflict(format!(
                "recipe {tag} takes no serial numbers from here: write `from = \"api\"` under its `[identity]` (docs/IDENTITY.md)"
            )));
        }
        if serials.is_empty() {
            return Err(Problem::unprocessable("`serials` is empty: give 1 to 1000 serial numbers"));
        }
        // What is refused is no deed, and its words never reach the trail.
        let refused = |why: Refused| match why {
            Refused::Bad { .. } => Problem::unprocessable(why.to_string()),
            Refused::Full { .. } => Problem::conflict(why.to_string()),
        };
        api.board.access.trail().append(&who, Deed::new("serials.send", serials.len().to_string()))?;
        api.board.serials.send(&serials).map_err(refused)?;
        Ok(Json(SerialsView::of(&api.board)))
    })
    .await
}

/// Forgets the serial numbers that wait.
#[utoipa::path(delete, path = "/api/v1/serials", operation_id = "forget_serials", responses((status = 200, body = SerialsView)))]
pub(super) async fn forget(State(api): State<Api>, who: Who) -> Result<Json<SerialsView>, Problem> {
    blocking(move || {
        let waiting = api.board.serials.queued().waiting.len();
        api.board.access.trail().append(&who, Deed::new("serials.forget", waiting.to_string()))?;
        api.board.serials.clear();
        Ok(Json(SerialsView::of(&api.board)))
    })
    .await
}

fn in_use(board: &Board) -> bool {
    board.recipe.load().in_force.recipe.identity.from == Origin::Api
}

impl SerialsView {
    fn of(board: &Board) -> SerialsView {
        let Queued { waiting, sent, given, refused, forgotten, without } = board.serials.queued();
        let room = WAITING.saturating_sub(waiting.len());
        SerialsView { in_use: in_use(board), waiting, room, sent, given, refused, forgotten, without }
    }
}
