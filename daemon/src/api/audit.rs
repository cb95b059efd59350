//! `/api/v1/audit`: who changed what.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::{Role, Via};
use crate::audit::{Entry, Hash};

/// Entries of a page when nobody says how many.
const DEFAULT_LIMIT: usize = 50;
/// Most entries of a page.
const MAX_LIMIT: usize = 200;

/// Which entries. Conditions that are given must all hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Entries at most, 1 to 200; default 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Numbers below this: `next` of the page before.
    before: Option<u64>,
    /// Exactly this name.
    who: Option<String>,
    /// `noun.verb`, or the noun alone.
    what: Option<String>,
}

/// Entries, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(super) struct PageView {
    items: Vec<EntryView>,
    /// `before` of the next page; null if there is nothing more.
    #[schema(required = true)]
    next: Option<u64>,
}

/// One thing that somebody did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct EntryView {
    /// From 1, without gaps.
    n: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    who: String,
    /// Null: nobody was signed in.
    #[schema(required = true)]
    role: Option<Role>,
    via: Via,
    /// Address, where there is one.
    #[schema(required = true)]
    from: Option<String>,
    /// `noun.verb`, as `user.add`.
    what: String,
    subject: String,
    /// Any JSON; null if there was nothing.
    #[schema(required = true, value_type = Option<Object>)]
    before: Option<serde_json::Value>,
    /// Any JSON; null if there is nothing.
    #[schema(required = true, value_type = Option<Object>)]
    after: Option<serde_json::Value>,
    #[schema(required = true)]
    reason: Option<String>,
    /// SHA-256, hexadecimal, over this entry and all before it.
    hash: String,
}

impl EntryView {
    fn of((entry, hash): (Entry, Hash)) -> EntryView {
        EntryView {
            n: entry.n,
            at: entry.at,
            who: entry.who,
            role: entry.role,
            via: entry.via,
            from: entry.from,
            what: entry.what,
            subject: entry.subject,
            before: entry.before,
            after: entry.after,
            reason: entry.reason,
            hash: hash.to_string(),
        }
    }
}

/// The newest entry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditHead)]
pub(super) struct HeadView {
    /// `NUMBER:HASH`. Kept elsewhere, it proves later that nothing up to it was changed: `inspectd audit verify --head`.
    head: String,
}

/// The audit trail, newest first.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "list_audit", params(Wanted), responses(
    (status = 200, body = PageView),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<PageView>, Problem> {
    let Query(wanted) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let limit = wanted.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}: give 1 to {MAX_LIMIT}")));
    }
    let access = api.board.access.clone();
    blocking(move || {
        let matches = |entry: &Entry| {
            let noun = |what: &String| entry.what == *what || entry.what.split('.').next() == Some(what);
            wanted.who.as_ref().is_none_or(|who| entry.who == *who) && wanted.what.as_ref().is_none_or(noun)
        };
        let found = access.trail().list(wanted.before, limit, matches)?;
        let next = found.last().filter(|(entry, _)| found.len() == limit && entry.n > 1).map(|(entry, _)| entry.n);
        Ok(Json(PageView { items: found.into_iter().map(EntryView::of).collect(), next }))
    })
    .await
}

/// Number and hash of the newest entry, for whoever keeps watch over the trail from elsewhere.
#[utoipa::path(get, path = "/api/v1/audit/head", operation_id = "audit_head", responses((status = 200, body = HeadView)))]
pub(super) async fn head(State(api): State<Api>) -> Result<Json<HeadView>, Problem> {
    let access = api.board.access.clone();
    blocking(move || Ok(Json(HeadView { head: access.trail().head()?.to_string() }))).await
}
