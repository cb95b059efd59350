//! `/api/v1/quality`: how good the parts were, and the report of a shift.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use models_train::evaluation::intervals::two_sided;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::inspections::{blocking, time};
use super::problem::Problem;
use crate::quality::{
    self, Beside, By, CONFIDENCE, Each, Group, Judged, Only, Overview, QualityError, Question, Rank, ShiftSpan, Totals,
    Wrong,
};
use crate::store::PLACES;

/// By what parts are put together.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = QualityBy)]
pub(super) enum ByWord {
    Shift,
    Lot,
    Recipe,
    Camera,
    Model,
}

/// What a point of the chart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = QualityEach)]
enum EachWord {
    Hour,
    Shift,
    Day,
}

/// Of which time, of which parts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// First moment, as 2026-11-24T08:00:00Z.
    from: String,
    /// The first moment after it; at most 400 days later.
    to: String,
    /// Groups: `shift`, `lot`, `recipe`, `camera` or `model`.
    by: Option<ByWord>,
    /// Points of the chart: `hour`, `shift` or `day`; default what suits the length.
    each: Option<EachWord>,
    /// Only this recipe: `name@version`, or the name for all its versions.
    recipe: Option<String>,
    /// Only the model whose digest begins so.
    model: Option<String>,
    /// Only this camera.
    camera: Option<String>,
    /// Only this lot.
    lot: Option<String>,
    /// Another time, to stand beside this one: its first moment.
    and_from: Option<String>,
    /// And the first moment after it.
    and_to: Option<String>,
}

/// How good the parts of a time were. What did not pass counts as a reject.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quality)]
pub(super) struct QualityView {
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    /// Name of the time zone of shifts and days.
    time_zone: String,
    totals: TotalsView,
    chart: ChartView,
    /// Since when it is otherwise than before, where that is clear.
    #[schema(required = true)]
    change: Option<ChangeView>,
    /// What kept parts from passing, the most frequent first.
    wrong: Vec<RankView>,
    places: PlacesView,
    /// By what was asked: shifts in their order, else the most parts first.
    groups: Vec<GroupView>,
    audit: AuditView,
    #[schema(required = true)]
    beside: Option<BesideView>,
    /// Shifts as they are set.
    shifts: Vec<String>,
    /// The index is being built: older parts are missing.
    rebuilding: bool,
    /// The oldest record, where the time that was asked for begins before it and older records were let go: they are not counted.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    records_since: Option<Timestamp>,
}

/// Parts by their verdicts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityTotals)]
struct TotalsView {
    parts: u64,
    pass: u64,
    fail: u64,
    review: u64,
    no_decision: u64,
    #[schema(required = true)]
    r#yield: Option<ShareView>,
}

/// A counted share with its interval (Clopper and Pearson, 95 %).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityShare)]
struct ShareView {
    seen: u64,
    of: u64,
    share: f64,
    low: f64,
    high: f64,
}

/// The share of rejects over time (p-chart).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityChart)]
struct ChartView {
    each: EachWord,
    /// Over all points; none without parts.
    #[schema(required = true)]
    mean: Option<f64>,
    points: Vec<PointView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityPoint)]
struct PointView {
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    parts: u64,
    rejects: u64,
    /// None without parts.
    #[schema(required = true)]
    share: Option<f64>,
    /// Control limits, three deviations from the mean.
    low: f64,
    high: f64,
    /// Western Electric rules that it breaks: 1 beyond three deviations, 2 two of three beyond two, 3 four of five beyond one, 4 eight on one side.
    rules: Vec<u8>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityChange)]
struct ChangeView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Share of rejects before and after.
    before: f64,
    after: f64,
}

/// What is named.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = QualityKind)]
enum KindWord {
    /// A label.
    Label,
    /// The cause of no decision.
    Cause,
    /// No label says.
    Unnamed,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityWrong)]
struct RankView {
    kind: KindWord,
    /// Label or cause.
    name: String,
    parts: u64,
    /// In the other time, where one was asked for.
    #[schema(required = true)]
    beside: Option<u64>,
}

/// Where defects were, on cells of the picture.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityPlaces)]
struct PlacesView {
    /// Cells across and down.
    side: u16,
    labels: Vec<PlaceView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityPlace)]
struct PlaceView {
    #[schema(required = true)]
    label: Option<String>,
    /// Parts in each cell, row by row.
    cells: Vec<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityGroup)]
struct GroupView {
    /// Empty: nothing says.
    name: String,
    /// Of a shift: the day on which it begins.
    #[schema(required = true)]
    date: Option<String>,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    totals: TotalsView,
}

/// From parts alone that were chosen by lot and labelled by a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityAudit)]
struct AuditView {
    parts: u64,
    /// Of the bad ones those that passed; none without a bad one.
    #[schema(required = true)]
    escapes: Option<ShareView>,
    /// Of the good ones those that failed; none without a good one.
    #[schema(required = true)]
    overkill: Option<ShareView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityBeside)]
struct BesideView {
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    totals: TotalsView,
    /// How far the share of rejects of the asked time lies above this one's (Newcombe, 95 %); none where one of them has no parts.
    #[schema(required = true)]
    difference: Option<DifferenceView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QualityDifference)]
struct DifferenceView {
    share: f64,
    low: f64,
    high: f64,
}

/// How good the parts of a time were.
#[utoipa::path(get, path = "/api/v1/quality", operation_id = "get_quality", params(Wanted), responses(
    (status = 200, body = QualityView),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "The index is being made"),
))]
pub(super) async fn quality(
    State(api): State<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<QualityView>, Problem> {
    let Query(wanted) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let question = wanted.question()?;
    blocking(move || {
        let shifts = api.board.quality.shifts.iter().map(|it| it.name.clone()).collect();
        Ok(Json(QualityView::of(Overview::of(&api.board, &question)?, shifts)))
    })
    .await
}

/// In which form.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReportForm)]
pub(super) enum FormWord {
    Pdf,
    Csv,
}

/// Of which shift.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfShift {
    /// Its name, as in the configuration.
    shift: String,
    /// The day on which it begins, as 2026-11-26.
    date: String,
    r#as: FormWord,
}

/// The report of a shift.
#[utoipa::path(get, path = "/api/v1/quality/report", operation_id = "shift_report", params(OfShift), responses(
    (status = 200, description = "The report", content((Vec<u8> = "application/pdf"), (Vec<u8> = "text/csv"))),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "No shift has that name"),
))]
pub(super) async fn report(
    State(api): State<Api>,
    wanted: Result<Query<OfShift>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let date: Date = wanted
        .date
        .parse()
        .map_err(|_| Problem::bad_request(format!("`date` is `{}`: give a day as 2026-11-26", wanted.date)))?;
    let board = api.board;
    let Some(shift) = board.quality.shift(&wanted.shift, date) else {
        let names: Vec<String> = board.quality.shifts.iter().map(|it| format!("`{}`", it.name)).collect();
        let words = format!("no shift is called `{}`; there are {}", wanted.shift, names.join(", "));
        return Err(Problem::not_found(words));
    };
    let (body, media, ending) = blocking(move || {
        let ShiftSpan { from, to, .. } = shift;
        let question =
            Question { from, to, by: Some(By::Lot), each: Some(Each::Hour), only: Only::default(), beside: None };
        let overview = Overview::of(&board, &question)?;
        Ok(match wanted.r#as {
            FormWord::Pdf => (quality::pdf(&board.name, &shift, &overview), "application/pdf", "pdf"),
            FormWord::Csv => (quality::csv(&board.name, &shift, &overview), "text/csv; charset=utf-8", "csv"),
        })
    })
    .await?;
    let headers = [
        (header::CONTENT_TYPE, media.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"shift-{date}.{ending}\"")),
    ];
    Ok((headers, body).into_response())
}

impl Wanted {
    fn question(self) -> Result<Question, Problem> {
        let at = |name: &str, text: Option<String>| -> Result<Timestamp, Problem> {
            time(name, text)?.ok_or_else(|| Problem::bad_request(format!("`{name}` is missing")))
        };
        let beside = match (self.and_from, self.and_to) {
            (None, None) => None,
            (from, to) => Some((at("and_from", from)?, at("and_to", to)?)),
        };
        Ok(Question {
            from: at("from", Some(self.from))?,
            to: at("to", Some(self.to))?,
            by: self.by.map(|by| match by {
                ByWord::Shift => By::Shift,
                ByWord::Lot => By::Lot,
                ByWord::Recipe => By::Recipe,
                ByWord::Camera => By::Camera,
                ByWord::Model => By::Model,
            }),
            each: self.each.map(|each| match each {
                EachWord::Hour => Each::Hour,
                EachWord::Shift => Each::Shift,
                EachWord::Day => Each::Day,
            }),
            only: Only { recipe: self.recipe, model: self.model, camera: self.camera, lot: self.lot },
            beside,
        })
    }
}

impl From<QualityError> for Problem {
    fn from(error: QualityError) -> Problem {
        match error {
            QualityError::Question(words) => Problem::bad_request(words),
            QualityError::Store(error) => error.into(),
        }
    }
}

impl QualityView {
    fn of(overview: Overview, shifts: Vec<String>) -> QualityView {
        let audited = overview.audited;
        QualityView {
            from: overview.from,
            to: overview.to,
            time_zone: overview.zone.iana_name().unwrap_or("local").to_owned(),
            totals: overview.totals.into(),
            chart: ChartView {
                each: match overview.each {
                    Each::Hour => EachWord::Hour,
                    Each::Shift => EachWord::Shift,
                    Each::Day => EachWord::Day,
                },
                mean: overview.chart.mean,
                points: overview.chart.points.into_iter().map(PointView::from).collect(),
            },
            change: overview.change.map(|it| ChangeView { at: it.at, before: it.before, after: it.after }),
            wrong: overview.ranks.into_iter().map(RankView::from).collect(),
            places: PlacesView {
                side: PLACES,
                labels: overview
                    .places
                    .into_iter()
                    .map(|it| PlaceView { label: it.label.map(|label| label.to_string()), cells: it.cells })
                    .collect(),
            },
            groups: overview.groups.into_iter().map(GroupView::from).collect(),
            audit: AuditView {
                parts: audited.parts,
                escapes: ShareView::of(audited.escapes, audited.bad),
                overkill: ShareView::of(audited.overkill, audited.good),
            },
            beside: overview.beside.map(BesideView::from),
            shifts,
            rebuilding: overview.rebuilding,
            records_since: overview.since,
        }
    }
}

impl ShareView {
    fn of(seen: u64, of: u64) -> Option<ShareView> {
        let [low, high] = two_sided(seen as usize, of as usize, CONFIDENCE);
        (of > 0).then(|| ShareView { seen, of, share: seen as f64 / of as f64, low, high })
    }
}

impl From<Totals> for TotalsView {
    fn from(totals: Totals) -> TotalsView {
        let Totals { parts, pass, fail, review, no_decision } = totals;
        TotalsView { parts, pass, fail, review, no_decision, r#yield: ShareView::of(pass, parts) }
    }
}

impl From<Judged> for PointView {
    fn from(judged: Judged) -> PointView {
        let Judged { point, share, low, high, rules } = judged;
        PointView {
            from: point.from,
            to: point.to,
            parts: point.parts,
            rejects: point.rejects,
            share,
            low,
            high,
            rules,
        }
    }
}

impl From<Rank> for RankView {
    fn from(rank: Rank) -> RankView {
        let (kind, name) = match rank.wrong {
            Wrong::Label(label) => (KindWord::Label, label.to_string()),
            Wrong::Cause(cause) => (KindWord::Cause, cause.to_owned()),
            Wrong::Unnamed => (KindWord::Unnamed, String::new()),
        };
        RankView { kind, name, parts: rank.parts, beside: rank.beside }
    }
}

impl From<Group> for GroupView {
    fn from(group: Group) -> GroupView {
        let shift = group.shift;
        GroupView {
            name: group.name,
            date: shift.as_ref().map(|it| it.date.to_string()),
            from: shift.as_ref().map(|it| it.from),
            to: shift.map(|it| it.to),
            totals: group.totals.into(),
        }
    }
}

impl From<Beside> for BesideView {
    fn from(beside: Beside) -> BesideView {
        let difference = beside.difference.map(|it| DifferenceView { share: it.share, low: it.low, high: it.high });
        BesideView { from: beside.from, to: beside.to, totals: beside.totals.into(), difference }
    }
}
