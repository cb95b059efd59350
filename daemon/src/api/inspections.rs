//! `/api/v1/inspections`: what is on record.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::problem::Problem;
use super::view::InspectionView;
use crate::store::{Filter, Store, Stored, VerdictKind};

/// Items of a page when nobody says how many.
const DEFAULT_LIMIT: usize = 24;
/// Most items of a page.
const MAX_LIMIT: usize = 200;

/// Which inspections. Conditions that are given must all hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Items at most, 1 to 200; default 24.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Ids below this: `next` of the page before.
    before: Option<u64>,
    /// Ids above this.
    after: Option<u64>,
    /// `pass`, `fail`, `review` or `no_decision`.
    verdict: Option<String>,
    /// The label the verdict rests on, or one of those found.
    label: Option<String>,
    /// Exactly this serial number.
    serial: Option<String>,
    /// Triggered at or after this, as 2026-11-24T08:00:00Z.
    from: Option<String>,
    /// Triggered before this.
    to: Option<String>,
}

/// Inspections, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InspectionPage)]
pub(super) struct PageView {
    items: Vec<InspectionView>,
    /// `before` of the next page; null if there is nothing more. A page may be short, even empty, and yet have a next.
    #[schema(required = true)]
    next: Option<u64>,
    /// The index is being built: older inspections may be missing.
    rebuilding: bool,
}

/// What is on record, newest first.
#[utoipa::path(get, path = "/api/v1/inspections", params(Wanted), responses(
    (status = 200, body = PageView),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<PageView>, Problem> {
    let Query(wanted) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let filter = wanted.filter()?;
    let store = api.board.store.clone();
    blocking(move || {
        let page = store.query(&filter);
        let items = page.items.into_iter().map(|stored| InspectionView::of(stored, &store)).collect();
        Ok(Json(PageView { items, next: page.next, rebuilding: page.rebuilding.is_some() }))
    })
    .await
}

/// One inspection.
#[utoipa::path(get, path = "/api/v1/inspections/{id}", params(("id" = u64, Path, description = "Part id")), responses(
    (status = 200, body = InspectionView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn one(
    State(api): State<Api>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<InspectionView>, Problem> {
    let id = part_id(id)?;
    let store = api.board.store.clone();
    blocking(move || Ok(Json(InspectionView::of(find(&store, id)?, &store)))).await
}

fn find(store: &Store, id: u64) -> Result<Stored, Problem> {
    store.get(id)?.ok_or_else(|| Problem::not_found(format!("no part {id} is on record")))
}

pub(super) fn part_id(id: Result<Path<u64>, PathRejection>) -> Result<u64, Problem> {
    id.map(|Path(id)| id).map_err(|refused| Problem::bad_request(refused.body_text()))
}

/// Reads of the store wait for the disk, so they run on threads for that.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|died| Err(Problem::internal(died.to_string())))
}

impl Wanted {
    fn filter(self) -> Result<Filter, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::bad_request(format!("`limit` is {limit}: give 1 to {MAX_LIMIT}")));
        }
        let verdict = self.verdict.map(|word| word.parse::<VerdictKind>());
        let verdict = verdict.transpose().map_err(|words| Problem::bad_request(format!("`verdict`: {words}")))?;
        Ok(Filter {
            from: time("from", self.from)?,
            to: time("to", self.to)?,
            verdict,
            label: self.label,
            serial: self.serial,
            before_id: self.before,
            after_id: self.after,
            limit,
        })
    }
}

fn time(name: &str, text: Option<String>) -> Result<Option<Timestamp>, Problem> {
    let parse = |text: String| {
        // In a query `+` means a space, so an offset arrives without its sign.
        text.replace(' ', "+").parse::<Timestamp>().map_err(|_| {
            Problem::bad_request(format!("`{name}` is `{text}`: give a time as 2026-11-24T08:00:00Z (RFC 3339)"))
        })
    };
    text.map(parse).transpose()
}
