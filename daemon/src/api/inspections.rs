//! `/api/v1/inspections`: what is on record.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::address::At;
use super::problem::Problem;
use super::view::InspectionView;
use crate::store::{Filter, Known, PurposeKind, Store, Stored, VerdictKind};

/// Items of a page when nobody says how many.
const DEFAULT_LIMIT: usize = 24;
/// Most items of a page.
const MAX_LIMIT: usize = 200;

/// Which inspections. Conditions that are given must all hold.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
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
    /// What parts were sent through for: `production`, `golden_sample`, `gauge` or `set_up`.
    purpose: Option<String>,
    /// The label the verdict rests on, or one of those found.
    label: Option<String>,
    /// Lowest score, 0 to 1: of `label`, else of the label that the verdict rests on.
    #[param(minimum = 0, maximum = 1)]
    score_from: Option<f32>,
    /// Highest score.
    #[param(minimum = 0, maximum = 1)]
    score_to: Option<f32>,
    /// Exactly this serial number.
    serial: Option<String>,
    /// Exactly this lot.
    lot: Option<String>,
    /// `name@version`, or the name for all its versions.
    recipe: Option<String>,
    /// The model whose digest begins so: at least 4 hexadecimal digits.
    model: Option<String>,
    /// This camera.
    camera: Option<String>,
    /// The region that the verdict rests on.
    region: Option<String>,
    /// Triggered at or after this, as 2026-11-24T08:00:00Z.
    from: Option<String>,
    /// Triggered before this.
    to: Option<String>,
    /// For `found` alone: what is looked for, as `long scratch near the edge`; English, German or Chinese.
    pub(super) words: Option<String>,
    /// For `found` alone: the part that the others shall be like.
    pub(super) like: Option<u64>,
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

/// How many inspections match.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InspectionCount)]
pub(super) struct CountView {
    /// Counted by the index: exact but for the score of a named label, and for a serial number together with other conditions.
    parts: u64,
    /// The index is being built: older inspections are not counted yet.
    rebuilding: bool,
}

/// How many inspections match; `limit` has no meaning here.
#[utoipa::path(get, path = "/api/v1/inspections/count", operation_id = "count_inspections", params(Wanted), responses(
    (status = 200, body = CountView),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn count(
    State(api): State<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<CountView>, Problem> {
    let Query(wanted) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let filter = wanted.filter()?;
    let store = api.board.store.clone();
    blocking(move || {
        let parts = store.count(&filter)?;
        Ok(Json(CountView { parts, rebuilding: store.rebuilding().is_some() }))
    })
    .await
}

/// What can be asked for: names that occur in records.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KnownNames)]
pub(super) struct KnownView {
    #[schema(value_type = Vec<String>)]
    labels: Vec<Arc<str>>,
    /// As `name@version`, the newest last.
    #[schema(value_type = Vec<String>)]
    recipes: Vec<Arc<str>>,
    /// Digests, the newest last.
    #[schema(value_type = Vec<String>)]
    models: Vec<Arc<str>>,
    #[schema(value_type = Vec<String>)]
    cameras: Vec<Arc<str>>,
    /// Regions that decided a part.
    #[schema(value_type = Vec<String>)]
    regions: Vec<Arc<str>>,
    /// The newest 200, the newest last.
    #[schema(value_type = Vec<String>)]
    lots: Vec<Arc<str>>,
}

/// Names that occur in records.
#[utoipa::path(get, path = "/api/v1/inspections/known", operation_id = "known_names", responses((status = 200, body = KnownView)))]
pub(super) async fn known(State(api): State<Api>) -> Result<Json<KnownView>, Problem> {
    blocking(move || {
        let Known { labels, recipes, models, cameras, regions, lots } = api.board.store.known();
        Ok(Json(KnownView { labels, recipes, models, cameras, regions, lots }))
    })
    .await
}

/// One inspection.
#[utoipa::path(get, path = "/api/v1/inspections/{id}", params(("id" = u64, Path, description = "Part id")), responses(
    (status = 200, body = InspectionView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn one(State(api): State<Api>, At(id): At<u64>) -> Result<Json<InspectionView>, Problem> {
    let store = api.board.store.clone();
    blocking(move || Ok(Json(InspectionView::of(find(&store, id)?, &store)))).await
}

fn find(store: &Store, id: u64) -> Result<Stored, Problem> {
    store.get(id)?.ok_or_else(|| Problem::not_found(format!("no part {id} is on record")))
}

/// Reads of the store wait for the disk, so they run on threads for that.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|died| Err(Problem::internal(died.to_string())))
}

impl Wanted {
    pub(super) fn filter(self) -> Result<Filter, Problem> {
        if self.words.is_some() || self.like.is_some() {
            let text = "`words` and `like` are asked of /api/v1/inspections/found: here parts come by their time";
            return Err(Problem::bad_request(text));
        }
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::bad_request(format!("`limit` is {limit}: give 1 to {MAX_LIMIT}")));
        }
        let verdict = self.verdict.map(|word| word.parse::<VerdictKind>());
        let verdict = verdict.transpose().map_err(|words| Problem::bad_request(format!("`verdict`: {words}")))?;
        let purpose = self.purpose.map(|word| word.parse::<PurposeKind>());
        let purpose = purpose.transpose().map_err(|words| Problem::bad_request(format!("`purpose`: {words}")))?;
        let model = self.model.map(|digest| digest.to_ascii_lowercase());
        if let Some(digest) = &model
            && (digest.len() < 4 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(Problem::bad_request(format!("`model` is `{digest}`: give at least 4 hexadecimal digits")));
        }
        Ok(Filter {
            from: time("from", self.from)?,
            to: time("to", self.to)?,
            verdict,
            purpose,
            label: self.label,
            serial: self.serial,
            lot: self.lot,
            recipe: self.recipe,
            model,
            camera: self.camera,
            region: self.region,
            score: (score("score_from", self.score_from)?, score("score_to", self.score_to)?),
            before_id: self.before,
            after_id: self.after,
            limit,
        })
    }
}

fn score(name: &str, score: Option<f32>) -> Result<Option<f32>, Problem> {
    match score {
        Some(score) if !(0.0..=1.0).contains(&score) => {
            Err(Problem::bad_request(format!("`{name}` is {score}: give 0 to 1")))
        }
        score => Ok(score),
    }
}

pub(super) fn time(name: &str, text: Option<String>) -> Result<Option<Timestamp>, Problem> {
    let parse = |text: String| {
        // In a query `+` means a space, so an offset arrives without its sign.
        text.replace(' ', "+").parse::<Timestamp>().map_err(|_| {
            Problem::bad_request(format!("`{name}` is `{text}`: give a time as 2026-11-24T08:00:00Z (RFC 3339)"))
        })
    };
    text.map(parse).transpose()
}
