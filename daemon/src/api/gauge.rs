//! `/api/v1/gauge`: gauge studies: plans, what is shown to the line, what people say, figures, reports.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stages::check::Known;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::address::At;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use super::view::KnownWord;
use crate::access::Who;
use crate::audit::Deed;
use crate::gauge::figures::Figures;
use crate::gauge::study::{Plan, Study, StudyPart};
use crate::gauge::{GaugeError, report};
use crate::supervise::Board;

/// Ratings that may be sent at once.
const MOST_RATINGS: usize = 1000;

/// Every study, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GaugeStudies)]
pub(super) struct StudiesView {
    studies: Vec<HeadView>,
    /// The study that takes the parts that come.
    #[schema(required = true)]
    on: Option<u64>,
    /// Why a study takes no parts any more, where it stopped by itself.
    #[schema(required = true)]
    halted: Option<String>,
}

/// A study at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GaugeStudyHead)]
struct HeadView {
    number: u64,
    name: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String)]
    by: Arc<str>,
    parts: usize,
    repeats: usize,
    by_serial: bool,
    /// Ratings of the line.
    seen: usize,
    /// How many there will be.
    of: usize,
    /// It takes the parts that come.
    on: bool,
}

/// A study with its figures.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GaugeStudy)]
pub(super) struct StudyView {
    #[serde(flatten)]
    head: HeadView,
    /// `name@version` of the recipe that the line's ratings are of.
    #[schema(required = true, value_type = Option<String>)]
    recipe: Option<Arc<str>>,
    #[schema(required = true, value_type = Option<String>)]
    model: Option<Arc<str>>,
    /// What the line is to see next; none: it has seen all.
    #[schema(required = true)]
    next: Option<NextView>,
    parts_list: Vec<PartView>,
    figures: Figures,
    /// Why it takes no parts any more, where it stopped by itself.
    #[schema(required = true)]
    halted: Option<String>,
}

/// A part and the time that it is to be seen.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GaugeNext)]
struct NextView {
    /// Its place, from 1.
    part: usize,
    name: String,
    /// From 1.
    repeat: usize,
}

/// A part with everything that was said of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GaugePart)]
struct PartView {
    name: String,
    master: KnownWord,
    said: Vec<SaidView>,
}

/// What one said of a part, repeat by repeat; none: nothing yet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GaugeSaid)]
struct SaidView {
    appraiser: String,
    ratings: Vec<Option<KnownWord>>,
}

/// A new study.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GaugePlan)]
pub(super) struct NewStudy {
    name: String,
    /// 2 to 500, good and bad ones.
    parts: Vec<NewPart>,
    /// 2 to 20.
    repeats: usize,
    /// Parts are known by their serial numbers, which are their names, and may come in any order.
    #[serde(default)]
    by_serial: bool,
}

/// A part with its truth.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GaugePlanPart)]
struct NewPart {
    name: String,
    master: KnownWord,
}

/// Whether the study takes the parts that come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GaugeCollect)]
pub(super) struct Collect {
    on: bool,
}

/// What a person says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GaugeRatings)]
pub(super) struct NewRatings {
    /// Who.
    appraiser: String,
    /// 1 to 1000; one of the same part at the same repeat replaces the one before.
    ratings: Vec<NewRating>,
}

/// What a person says of a part.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GaugeRating)]
struct NewRating {
    /// Its place, from 1.
    part: usize,
    /// From 1.
    repeat: usize,
    rating: KnownWord,
}

/// In which form.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Form {
    /// `html` (default) or `csv`.
    format: Option<String>,
}

/// Every study, the newest first.
#[utoipa::path(get, path = "/api/v1/gauge", operation_id = "list_gauge_studies", responses((status = 200, body = StudiesView)))]
pub(super) async fn list(State(api): State<Api>) -> Json<StudiesView> {
    let studies = api.board.checks.gauge.lock();
    let on = studies.on().map(|study| study.number);
    Json(StudiesView {
        studies: studies.all().map(|study| HeadView::of(study, on)).collect(),
        on,
        halted: studies.halted().map(str::to_owned),
    })
}

/// Plans a study. It takes no parts yet.
#[utoipa::path(post, path = "/api/v1/gauge", operation_id = "plan_gauge_study", request_body = NewStudy, responses(
    (status = 200, body = StudyView),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "Such a study would say nothing"),
))]
pub(super) async fn plan(
    State(api): State<Api>,
    who: Who,
    Sent(NewStudy { name, parts, repeats, by_serial }): Sent<NewStudy>,
) -> Result<Json<StudyView>, Problem> {
    let part = |NewPart { name, master }: NewPart| StudyPart { name: name.trim().to_owned(), master: master.into() };
    let plan = Plan { name: name.trim().to_owned(), parts: parts.into_iter().map(part).collect(), repeats, by_serial };
    if let Some(problem) = plan.problem() {
        return Err(GaugeError::Unfit(problem).into());
    }
    blocking(move || {
        api.board.access.trail().append(&who, Deed::new("gauge.plan", plan.name.as_str()))?;
        let number = api.board.checks.gauge.plan(plan, &who.name)?;
        StudyView::of(&api.board, number)
    })
    .await
}

/// A study with its figures.
#[utoipa::path(get, path = "/api/v1/gauge/{number}", operation_id = "get_gauge_study", params(("number" = u64, Path)), responses(
    (status = 200, body = StudyView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn one(State(api): State<Api>, At(number): At<u64>) -> Result<Json<StudyView>, Problem> {
    blocking(move || StudyView::of(&api.board, number)).await
}

/// Lets the study take the parts that come, or pauses it.
#[utoipa::path(post, path = "/api/v1/gauge/{number}/collect", operation_id = "collect_gauge_study", params(("number" = u64, Path)),
    request_body = Collect, responses(
    (status = 200, body = StudyView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Something else takes them, or it is complete"),
))]
pub(super) async fn collect(
    State(api): State<Api>,
    At(number): At<u64>,
    who: Who,
    Sent(Collect { on }): Sent<Collect>,
) -> Result<Json<StudyView>, Problem> {
    blocking(move || {
        let (board, gauge) = (&api.board, &api.board.checks.gauge);
        gauge.lock().get(number)?;
        if on
            && gauge.lock().on().is_none_or(|study| study.number != number)
            && let Some(words) = board.checks.taken()
        {
            return Err(Problem::conflict(words));
        }
        let what = if on { "gauge.collect" } else { "gauge.pause" };
        board.access.trail().append(&who, Deed::new(what, number.to_string()))?;
        match on {
            true => gauge.collect(number, &board.recipe.load().in_force)?,
            false if gauge.lock().on().is_some_and(|study| study.number == number) => gauge.pause(),
            false => {}
        }
        StudyView::of(board, number)
    })
    .await
}

/// Takes back the line's last rating: another part was shown.
#[utoipa::path(post, path = "/api/v1/gauge/{number}/void", operation_id = "void_gauge_rating", params(("number" = u64, Path)), responses(
    (status = 200, body = StudyView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "There is none"),
))]
pub(super) async fn void(State(api): State<Api>, At(number): At<u64>, who: Who) -> Result<Json<StudyView>, Problem> {
    blocking(move || {
        api.board.checks.gauge.lock().get(number)?;
        api.board.access.trail().append(&who, Deed::new("gauge.void", number.to_string()))?;
        api.board.checks.gauge.void(number, &who.name)?;
        StudyView::of(&api.board, number)
    })
    .await
}

/// What a person says of parts of a study.
#[utoipa::path(post, path = "/api/v1/gauge/{number}/ratings", operation_id = "rate_gauge_parts", params(("number" = u64, Path)),
    request_body = NewRatings, responses(
    (status = 200, body = StudyView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "A name, a part or a repeat that is none"),
))]
pub(super) async fn rate(
    State(api): State<Api>,
    who: Who,
    At(number): At<u64>,
    Sent(NewRatings { appraiser, ratings }): Sent<NewRatings>,
) -> Result<Json<StudyView>, Problem> {
    if ratings.is_empty() || ratings.len() > MOST_RATINGS {
        return Err(Problem::unprocessable(format!("`ratings`: give 1 to {MOST_RATINGS}")));
    }
    let one = |NewRating { part, repeat, rating }: NewRating| {
        let (part, repeat) = part.checked_sub(1).zip(repeat.checked_sub(1))?;
        Some((part, repeat, Known::from(rating) == Known::Good))
    };
    let said = ratings.into_iter().map(one).collect::<Option<Vec<_>>>();
    let said = said.ok_or_else(|| Problem::unprocessable("`part` and `repeat` count from 1"))?;
    blocking(move || {
        let appraiser = appraiser.trim();
        let deed = Deed::new("gauge.rate", number.to_string());
        let deed =
            deed.after(json!({ "appraiser": appraiser.chars().take(64).collect::<String>(), "ratings": said.len() }));
        api.board.access.trail().append(&who, deed)?;
        api.board.checks.gauge.rate(number, appraiser, &said)?;
        StudyView::of(&api.board, number)
    })
    .await
}

/// Removes a study with all its ratings.
#[utoipa::path(delete, path = "/api/v1/gauge/{number}", operation_id = "remove_gauge_study", params(("number" = u64, Path)), responses(
    (status = 204),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It takes the parts that come"),
))]
pub(super) async fn remove(State(api): State<Api>, At(number): At<u64>, who: Who) -> Result<StatusCode, Problem> {
    blocking(move || {
        let name = api.board.checks.gauge.lock().get(number)?.plan.name.clone();
        api.board.access.trail().append(&who, Deed::new("gauge.remove", number.to_string()).before(name))?;
        api.board.checks.gauge.remove(number, &who.name)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// A study to hand on: a page to print, or every rating.
#[utoipa::path(get, path = "/api/v1/gauge/{number}/report", operation_id = "gauge_report", params(("number" = u64, Path), Form), responses(
    (status = 200, description = "A page without a script, or CSV", content_type = "text/html", body = String),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn report(
    State(api): State<Api>,
    At(number): At<u64>,
    form: Result<Query<Form>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Form { format }) = form.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let as_csv = match format.as_deref() {
        None | Some("html") => false,
        Some("csv") => true,
        Some(_) => return Err(Problem::bad_request("`format`: give `html` or `csv`")),
    };
    blocking(move || {
        let study = api.board.checks.gauge.lock().get(number)?.clone();
        let (kind, bytes) = match as_csv {
            true => {
                ("text/csv; charset=utf-8", report::csv(&study).map_err(|error| Problem::internal(error.to_string()))?)
            }
            false => ("text/html; charset=utf-8", report::html(&api.board.name, &study, Timestamp::now()).into_bytes()),
        };
        let ending = if as_csv { "csv" } else { "html" };
        let name = format!("attachment; filename=\"gauge-study-{number}.{ending}\"");
        Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)], bytes).into_response())
    })
    .await
}

impl HeadView {
    fn of(study: &Study, on: Option<u64>) -> HeadView {
        let (seen, of) = study.progress();
        HeadView {
            number: study.number,
            name: study.plan.name.clone(),
            at: study.at,
            by: study.by.clone(),
            parts: study.plan.parts.len(),
            repeats: study.plan.repeats,
            by_serial: study.plan.by_serial,
            seen,
            of,
            on: on == Some(study.number),
        }
    }
}

impl StudyView {
    fn of(board: &Board, number: u64) -> Result<Json<StudyView>, Problem> {
        let (study, on, halted) = {
            let studies = board.checks.gauge.lock();
            let on = studies.on().map(|study| study.number);
            (studies.get(number)?.clone(), on, studies.halted().map(str::to_owned))
        };
        let appraisers = study.appraisers();
        let word = |good: bool| if good { KnownWord::Good } else { KnownWord::Bad };
        let said = |part: usize| {
            let of = |one: &crate::gauge::figures::Appraiser| SaidView {
                appraiser: one.name.clone(),
                ratings: one.ratings[part].iter().map(|rating| rating.map(word)).collect(),
            };
            appraisers.iter().map(of).collect()
        };
        let parts = study.plan.parts.iter().enumerate().map(|(at, part)| PartView {
            name: part.name.clone(),
            master: part.master.into(),
            said: said(at),
        });
        let next = study.next().map(|(part, repeat)| NextView {
            part: part + 1,
            name: study.plan.parts[part].name.clone(),
            repeat: repeat + 1,
        });
        Ok(Json(StudyView {
            head: HeadView::of(&study, on),
            recipe: study.under.as_ref().map(|(recipe, _)| recipe.clone()),
            model: study.under.as_ref().map(|(_, model)| model.clone()),
            next,
            parts_list: parts.collect(),
            figures: study.figures(),
            halted: halted.filter(|words| words.starts_with(&format!("study {number} "))),
        }))
    }
}

impl From<KnownWord> for Known {
    fn from(word: KnownWord) -> Known {
        match word {
            KnownWord::Good => Known::Good,
            KnownWord::Bad => Known::Bad,
        }
    }
}

impl From<GaugeError> for Problem {
    fn from(error: GaugeError) -> Problem {
        let words = error.to_string();
        match error {
            GaugeError::Unknown(_) => Problem::not_found(words),
            GaugeError::Unfit(_) => Problem::unprocessable(words),
            GaugeError::Conflict(_) => Problem::conflict(words),
            GaugeError::Log(_) => Problem::internal(words),
        }
    }
}
