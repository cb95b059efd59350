//! `/api/v1/drift`: whether the line still is what it was.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::Who;
use crate::audit::Deed;
use crate::learning::drift::{Gathered, Hour, Measure, Reading};
use crate::supervise::Board;

/// The course of the product on the line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DriftCourse)]
pub(super) struct DriftView {
    /// The recipe's name; empty before the first part.
    product: String,
    /// SHA-256 of the graph whose scores count, registered kinds aside.
    #[schema(value_type = String)]
    model: Arc<str>,
    /// Whether the model says what it learned from. Otherwise parts are held against its own first ones.
    knows_its_training: bool,
    usual: UsualView,
    /// How things are, by the parts of the present hour or, where these are too few yet, the hour before. A measure of which nothing
    /// can be said is not there.
    now: Vec<ReadingView>,
    /// Two weeks, hour by hour; an hour with too few parts goes on until there are enough.
    hours: Vec<HourView>,
}

/// How far what is usual is known.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DriftUsual)]
struct UsualView {
    model: GatheredView,
    pictures: GatheredView,
    /// Parts that it takes at least.
    parts: u64,
    /// Minutes over which they come at least.
    minutes: u32,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DriftGathered)]
struct GatheredView {
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    parts: u64,
    /// Whether that is enough.
    known: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DriftReading)]
struct ReadingView {
    measure: Measure,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Parts that it rests on.
    parts: u64,
    value: f64,
    usual: f64,
    /// Below this the line has changed; none: there is no too little.
    #[schema(required = true)]
    low: Option<f64>,
    /// Above this the line has changed.
    high: f64,
    beyond: bool,
    /// All of it in words.
    words: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DriftHour)]
struct HourView {
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    parts: u64,
    /// Median distance from the nearest picture that the model learned from, 0 to 2.
    #[schema(required = true)]
    distance: Option<f64>,
    readings: Vec<ReadingView>,
}

/// The course of the product on the line: how it usually is, how it is now, and hour by hour.
#[utoipa::path(get, path = "/api/v1/drift", operation_id = "get_drift", responses((status = 200, body = DriftView)))]
pub(super) async fn drift(State(api): State<Api>) -> Result<Json<DriftView>, Problem> {
    blocking(move || Ok(Json(DriftView::of(&api.board)))).await
}

/// From now on the line counts as it usually is: after a change that is meant to stay, as of the light or of the material.
#[utoipa::path(post, path = "/api/v1/drift/usual", operation_id = "begin_drift_anew", responses((status = 200, body = DriftView)))]
pub(super) async fn begin_anew(State(api): State<Api>, who: Who) -> Result<Json<DriftView>, Problem> {
    blocking(move || {
        let drift = &api.board.learning.drift;
        let product = drift.view(Timestamp::now()).product;
        api.board.access.trail().append(&who, Deed::new("drift.begin_anew", &product))?;
        drift.begin_anew();
        Ok(Json(DriftView::of(&api.board)))
    })
    .await
}

impl DriftView {
    fn of(board: &Board) -> DriftView {
        let drift = &board.learning.drift;
        let view = drift.view(Timestamp::now());
        DriftView {
            product: view.product,
            model: view.model,
            knows_its_training: board.recipe.load().in_force.model.reference().is_some(),
            usual: UsualView {
                model: view.by_model.into(),
                pictures: view.by_image.into(),
                parts: drift.section().usual_parts,
                minutes: drift.section().usual_min,
            },
            now: view.now.into_iter().map(ReadingView::from).collect(),
            hours: view.hours.into_iter().map(HourView::from).collect(),
        }
    }
}

impl From<Gathered> for GatheredView {
    fn from(Gathered { since, parts, whole }: Gathered) -> GatheredView {
        GatheredView { since, parts, known: whole }
    }
}

impl From<Reading> for ReadingView {
    fn from(reading: Reading) -> ReadingView {
        let (beyond, words) = (reading.is_beyond(), reading.words());
        let Reading { measure, from, to, parts, value, usual, low, high } = reading;
        ReadingView { measure, from, to, parts, value, usual, low, high, beyond, words }
    }
}

impl From<Hour> for HourView {
    fn from(Hour { from, to, parts, distance, readings }: Hour) -> HourView {
        HourView { from, to, parts, distance, readings: readings.into_iter().map(ReadingView::from).collect() }
    }
}
