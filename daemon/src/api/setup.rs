//! `/api/v1/setup`: a new line learns from good parts that are shown to it; and what another threshold would cost.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use models_train::evaluation::intervals::Interval;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::address::At;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::Who;
use crate::audit::Deed;
use crate::setup::{LessonView, Point, SetupError, Standing, Tradeoff, tradeoff};
use crate::supervise::Board;

/// Parts that may be shown.
const MOST: usize = 500;

/// How the set-up of a line stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SetUp)]
pub(super) struct SetupView {
    lesson: Lesson,
    learning: LearningWord,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// What came of it, or why nothing did.
    #[schema(required = true)]
    words: Option<String>,
    /// The version of the recipe that came of it.
    #[schema(required = true)]
    recipe: Option<String>,
}

/// Good parts that are shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SetupLesson)]
struct Lesson {
    /// The parts that come are taken as good ones.
    on: bool,
    wanted: usize,
    /// Those that were taken, by their number on record.
    parts: Vec<u64>,
    /// Parts whose picture was no good; they are not learned from.
    spoilt: usize,
}

/// Whether the line learns.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SetupLearning)]
enum LearningWord {
    Idle,
    Learning,
    Done,
    Failed,
}

/// How many good parts come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewLesson)]
pub(super) struct NewLesson {
    /// 10 to 500.
    parts: usize,
}

/// Which label.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// One of the model's.
    label: String,
}

/// What another threshold would do to the parts that people have labelled.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tradeoff)]
pub(super) struct TradeoffView {
    label: String,
    /// In force.
    threshold: f32,
    /// Labelled parts that are good.
    good: usize,
    /// Labelled parts that are bad.
    bad: usize,
    /// Labelled parts that another model has judged, and which say nothing here.
    others: usize,
    /// From threshold 0 to 1.
    points: Vec<PointView>,
}

/// What one threshold would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TradeoffPoint)]
struct PointView {
    threshold: f32,
    /// Bad parts that would pass.
    escapes: usize,
    /// Their share of the bad ones: Clopper and Pearson, 95 %.
    #[schema(required = true, value_type = Option<Vec<f64>>)]
    escapes_ci: Option<Interval>,
    /// Good parts that would fail.
    overkill: usize,
    #[schema(required = true, value_type = Option<Vec<f64>>)]
    overkill_ci: Option<Interval>,
    /// Parts that would go to a person.
    review: usize,
}

/// How the set-up of a line stands.
#[utoipa::path(get, path = "/api/v1/setup", operation_id = "get_setup", responses((status = 200, body = SetupView)))]
pub(super) async fn setup(State(api): State<Api>) -> Json<SetupView> {
    Json(SetupView::of(&api.board))
}

/// The parts that come next are good ones. What was shown before is forgotten.
#[utoipa::path(post, path = "/api/v1/setup/lesson", operation_id = "begin_lesson", request_body = NewLesson, responses(
    (status = 200, body = SetupView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Something else takes the parts that come"),
    (status = 422, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn begin(
    State(api): State<Api>,
    who: Who,
    Sent(NewLesson { parts }): Sent<NewLesson>,
) -> Result<Json<SetupView>, Problem> {
    if !(10..=MOST).contains(&parts) {
        return Err(Problem::unprocessable(format!("`parts` is {parts}: give 10 to {MOST}; 20 are usual")));
    }
    blocking(move || {
        let checks = &api.board.checks;
        if let Some(words) = checks.taken().filter(|_| !checks.lesson.is_on()) {
            return Err(Problem::conflict(words));
        }
        api.board.access.trail().append(&who, Deed::new("setup.lesson", parts.to_string()))?;
        checks.lesson.begin(parts);
        Ok(Json(SetupView::of(&api.board)))
    })
    .await
}

/// The parts that come are production again; what was shown stays.
#[utoipa::path(delete, path = "/api/v1/setup/lesson", operation_id = "end_lesson", responses((status = 200, body = SetupView)))]
pub(super) async fn end(State(api): State<Api>, who: Who) -> Result<Json<SetupView>, Problem> {
    blocking(move || {
        api.board.access.trail().append(&who, Deed::new("setup.lesson_end", ""))?;
        api.board.checks.lesson.end();
        Ok(Json(SetupView::of(&api.board)))
    })
    .await
}

/// Leaves out a part that should not have been shown.
#[utoipa::path(delete, path = "/api/v1/setup/lesson/{id}", operation_id = "leave_out_part", params(("id" = u64, Path)), responses(
    (status = 200, body = SetupView),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "It was not shown"),
))]
pub(super) async fn leave_out(State(api): State<Api>, who: Who, At(id): At<u64>) -> Result<Json<SetupView>, Problem> {
    blocking(move || {
        let lesson = &api.board.checks.lesson;
        let none = || Problem::not_found(format!("part {id} is none of those that were shown as good"));
        if !lesson.view().parts.contains(&id) {
            return Err(none());
        }
        api.board.access.trail().append(&who, Deed::new("setup.leave_out", id.to_string()))?;
        if !lesson.leave_out(id) {
            return Err(none());
        }
        Ok(Json(SetupView::of(&api.board)))
    })
    .await
}

/// Learns what good parts look like from those that were shown, and puts a version of the recipe with that in force. Takes minutes.
#[utoipa::path(post, path = "/api/v1/setup/learn", operation_id = "learn_good_parts", responses(
    (status = 200, body = SetupView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It learns already"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "Too few parts were shown, or the recipe has regions"),
))]
pub(super) async fn learn(State(api): State<Api>, who: Who) -> Result<Json<SetupView>, Problem> {
    blocking(move || {
        let board = &api.board;
        let parts = board.checks.lesson.view().parts;
        // Refused, it takes nothing from the lesson that may still be on.
        board.learner.may_begin(board, parts.len())?;
        board.access.trail().append(&who, Deed::new("setup.learn", parts.len().to_string()))?;
        board.checks.lesson.end();
        board.learner.begin(board, parts, &who)?;
        Ok(Json(SetupView::of(board)))
    })
    .await
}

/// What another threshold of a label would do to the parts that people have labelled.
#[utoipa::path(get, path = "/api/v1/setup/tradeoff", operation_id = "get_tradeoff", params(Wanted), responses(
    (status = 200, body = TradeoffView),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "The model has no such label"),
))]
pub(super) async fn trade(
    State(api): State<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<TradeoffView>, Problem> {
    let Query(Wanted { label }) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    blocking(move || {
        let none =
            || Problem::not_found("the model in force has no such label: `GET /api/v1/line` lists those that it has");
        let Tradeoff { threshold, good, bad, others, points } = tradeoff(&api.board, &label).ok_or_else(none)?;
        let points = points.into_iter().map(PointView::from).collect();
        Ok(Json(TradeoffView { label, threshold, good, bad, others, points }))
    })
    .await
}

impl SetupView {
    fn of(board: &Board) -> SetupView {
        let LessonView { on, wanted, parts, spoilt } = board.checks.lesson.view();
        let (learning, since, words, recipe) = match board.learner.standing() {
            Standing::Idle => (LearningWord::Idle, None, None, None),
            Standing::Learning { since, parts } => {
                (LearningWord::Learning, Some(since), Some(format!("from {parts} good parts")), None)
            }
            Standing::Done { at, recipe, words } => (LearningWord::Done, Some(at), Some(words), Some(recipe)),
            Standing::Failed { at, words } => (LearningWord::Failed, Some(at), Some(words), None),
        };
        SetupView { lesson: Lesson { on, wanted, parts, spoilt }, learning, since, words, recipe }
    }
}

impl From<Point> for PointView {
    fn from(Point { threshold, escapes, escapes_ci, overkill, overkill_ci, review }: Point) -> PointView {
        PointView { threshold, escapes, escapes_ci, overkill, overkill_ci, review }
    }
}

impl From<SetupError> for Problem {
    fn from(error: SetupError) -> Problem {
        let words = error.to_string();
        match error {
            SetupError::Busy => Problem::conflict(words),
            SetupError::TooFew(_) | SetupError::Regions => Problem::unprocessable(words),
            SetupError::Thread(_) => Problem::internal(words),
        }
    }
}
