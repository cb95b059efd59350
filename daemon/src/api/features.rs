//! `/api/v1/features`: a map of what parts look like, drawn on demand beside the line. docs/LEARNING.md.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::Api;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use super::view::VerdictWord;
use crate::access::Who;
use crate::audit::Deed;
use crate::features::map::{Found, LEAST, MOST};
use crate::features::{Map, MapError, MapState};

/// Parts of a map when nobody says how many.
const DEFAULT_LIMIT: usize = 2000;

/// The newest map, without its points.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeatureMap)]
pub(super) struct MapView {
    state: MapState,
    /// Parts that were asked for.
    limit: usize,
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Why there is no map.
    #[schema(required = true)]
    reason: Option<String>,
    #[schema(required = true)]
    progress: Option<DrawnView>,
    #[schema(required = true)]
    found: Option<Found>,
}

/// How far the drawing is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeatureMapProgress)]
struct DrawnView {
    /// 0 to 1.
    done: f64,
    eta_s: f64,
}

/// The map that there is, if any.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeatureMapStatus)]
pub(super) struct StatusView {
    /// Null: nobody has asked for one yet.
    #[schema(required = true)]
    map: Option<MapView>,
}

impl MapView {
    fn of(map: Map, progress: Option<(f64, std::time::Duration)>) -> MapView {
        let Map { state, limit, by, created_at, ended_at, reason, found } = map;
        let progress = progress.map(|(done, eta)| DrawnView { done, eta_s: eta.as_secs_f64() });
        MapView { state, limit, by, created_at, ended_at, reason, progress, found }
    }
}

/// Where the newest map stands.
#[utoipa::path(get, path = "/api/v1/features", operation_id = "get_feature_map", responses((status = 200, body = StatusView)))]
pub(super) async fn status(State(api): State<Api>) -> Json<StatusView> {
    let (map, progress) = api.board.learning.maps.newest();
    Json(StatusView { map: map.map(|map| MapView::of(map, progress)) })
}

/// What is to be drawn.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = NewFeatureMap)]
pub(super) struct Wanted {
    /// So many of the newest parts. Default: 2000.
    #[schema(minimum = 20, maximum = 10_000)]
    limit: Option<usize>,
}

/// Draws a map of the newest parts, in a process beside the line. It takes the place of the one before.
#[utoipa::path(post, path = "/api/v1/features", operation_id = "draw_feature_map", request_body = Wanted, responses(
    (status = 201, body = MapView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "One is being drawn"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn start(
    State(api): State<Api>,
    who: Who,
    Sent(wanted): Sent<Wanted>,
) -> Result<(StatusCode, Json<MapView>), Problem> {
    let limit = wanted.limit.unwrap_or(DEFAULT_LIMIT);
    if !(LEAST..=MOST).contains(&limit) {
        return Err(Problem::unprocessable(format!("`limit` is {limit}: give {LEAST} to {MOST}")));
    }
    blocking(move || {
        let learning = &api.board.learning;
        let in_force = api.board.recipe.load().in_force.model.digest().clone();
        // Sketches of two trunks must not be compared.
        let trunk = learning.registry.trunk_of(&in_force);
        let known = learning.registry.models().into_iter().map(|model| model.digest);
        let same = known.filter(|digest| learning.registry.trunk_of(digest) == trunk);
        let models = same.chain([in_force]).collect();
        api.board.access.trail().append(&who, Deed::new("features.draw", limit.to_string()))?;
        let map = learning.maps.start(&who.name, models, limit)?;
        Ok((StatusCode::CREATED, Json(MapView::of(map, None))))
    })
    .await
}

/// Ends the drawing of a map.
#[utoipa::path(post, path = "/api/v1/features/cancel", operation_id = "cancel_feature_map", responses(
    (status = 204, description = "It ends"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Nothing is being drawn"),
))]
pub(super) async fn cancel(State(api): State<Api>, who: Who) -> Result<StatusCode, Problem> {
    blocking(move || {
        let maps = &api.board.learning.maps;
        if maps.newest().0.is_none_or(|map| map.state != MapState::Running) {
            return Err(MapError::Idle.into());
        }
        api.board.access.trail().append(&who, Deed::new("features.cancel", String::new()))?;
        maps.cancel()?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// A map's parts, a list a column, oldest part first.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = FeaturePoints)]
pub(super) struct PointsView {
    ids: Vec<u64>,
    /// -1 to 1.
    x: Vec<f32>,
    /// -1 to 1.
    y: Vec<f32>,
    /// When each was triggered: milliseconds since 1970.
    at_ms: Vec<i64>,
    verdicts: Vec<VerdictWord>,
    /// What the model says: the label that the verdict rests on.
    #[schema(value_type = Vec<Option<String>>)]
    said: Vec<Option<Arc<str>>>,
    /// What people say, as of now.
    #[schema(value_type = Vec<Option<String>>)]
    labels: Vec<Option<Arc<str>>>,
    /// Whether it waits for a person's look, as of now.
    waiting: Vec<bool>,
    /// Whether a picture was kept.
    pictures: Vec<bool>,
}

/// The newest map's parts.
#[utoipa::path(get, path = "/api/v1/features/points", operation_id = "get_feature_points", responses(
    (status = 200, body = PointsView),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "There is no map"),
))]
pub(super) async fn points(State(api): State<Api>) -> Result<Json<PointsView>, Problem> {
    blocking(move || {
        let learning = &api.board.learning;
        let points = learning.maps.points()?;
        let desk = learning.desk.lock();
        let mut view = PointsView::default();
        for point in points {
            view.labels.push(desk.labels.of(point.id).map(|labelled| labelled.label.clone()));
            view.waiting.push(desk.queue.get(point.id).is_some());
            view.ids.push(point.id);
            view.x.push(point.x);
            view.y.push(point.y);
            view.at_ms.push(point.at.as_millisecond());
            view.verdicts.push(VerdictWord::split(point.verdict).0);
            view.said.push(point.label);
            view.pictures.push(point.evidence.is_some());
        }
        Ok(Json(view))
    })
    .await
}

/// Parts that somebody wants looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PartsToReview)]
pub(super) struct Asked {
    /// 1 to 500.
    #[schema(min_items = 1, max_items = 500)]
    ids: Vec<u64>,
}

/// What became of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SentToReview)]
pub(super) struct SentView {
    /// Wait from now on.
    queued: usize,
    /// Waited already.
    waiting: usize,
    /// Have no picture that could be looked at.
    without_picture: usize,
    /// Were sent through to check the line: what they are is known.
    checks: usize,
    /// Are on record no more.
    unknown: usize,
}

/// Puts parts before people: they wait in the review queue, among the worthiest, whatever its budget.
#[utoipa::path(post, path = "/api/v1/queue", operation_id = "send_to_review", request_body = Asked, responses(
    (status = 200, body = SentView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Too many wait already"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn review(
    State(api): State<Api>,
    who: Who,
    Sent(Asked { mut ids }): Sent<Asked>,
) -> Result<Json<SentView>, Problem> {
    const AT_ONCE: usize = 500;
    if ids.is_empty() || ids.len() > AT_ONCE {
        return Err(Problem::unprocessable(format!("`ids` has {} parts: give 1 to {AT_ONCE}", ids.len())));
    }
    ids.sort_unstable();
    ids.dedup();
    blocking(move || {
        let desk = &api.board.learning.desk;
        desk.has_room(ids.len())?;
        api.board
            .access
            .trail()
            .append(&who, Deed::new("queue.send", format!("{} parts", ids.len())).after(json!({ "ids": ids })))?;
        let sent = desk.ask(&api.board.store, &ids, &who.name)?;
        let [queued, waiting, without_picture, checks, unknown] = sent;
        Ok(Json(SentView { queued, waiting, without_picture, checks, unknown }))
    })
    .await
}

impl From<MapError> for Problem {
    fn from(error: MapError) -> Problem {
        let words = error.to_string();
        match error {
            MapError::None => Problem::not_found(words),
            MapError::Busy | MapError::Idle | MapError::Closing => Problem::conflict(words),
            MapError::Disk(_) => Problem::internal(words),
        }
    }
}
