//! `/api/v1/models`: the models of this machine, which one decides, and the way forward and back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::address::At;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::Who;
use crate::learning::{Model, Origin, PromoteError, Promotion, RegistryError};
use crate::supervise::Board;

/// Longest reason.
const MAX_REASON: usize = 1000;

/// The models of this machine.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Models)]
pub(super) struct ModelsView {
    /// Digest of the model that decides.
    #[schema(value_type = String)]
    champion: Arc<str>,
    /// The one before, to which there is a way back.
    #[schema(required = true, value_type = Option<String>)]
    previous: Option<Arc<str>>,
    /// The newest first.
    models: Vec<RegisteredView>,
}

/// Where a model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ModelState)]
enum StateWord {
    /// It decides.
    Champion,
    /// It decided before.
    Previous,
    /// It never did.
    Candidate,
    /// It did once.
    Retired,
}

/// A model of the register.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RegisteredModel)]
pub(super) struct RegisteredView {
    /// SHA-256 of its graph.
    #[schema(value_type = String)]
    digest: Arc<str>,
    name: String,
    /// Its labels, then its registered kinds.
    labels: Vec<String>,
    state: StateWord,
    #[schema(value_type = String, format = DateTime)]
    made_at: Timestamp,
    /// In words.
    made_by: String,
    /// Whose doing it was.
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(required = true, value_type = Option<String>)]
    parent: Option<Arc<str>>,
    /// Digest of what it learned from, of a training job's.
    #[schema(required = true)]
    dataset: Option<String>,
    /// How it did against its champion.
    #[schema(required = true, value_type = Option<Object>)]
    gate: Option<serde_json::Value>,
    /// When its file made room for newer ones: it cannot be put in force any more.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    removed_at: Option<Timestamp>,
    /// Each time that it was put in force, oldest first.
    promotions: Vec<PromotionView>,
}

/// A time that a model was put in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Promotion)]
pub(super) struct PromotionView {
    #[schema(value_type = String)]
    digest: Arc<str>,
    #[schema(value_type = String)]
    previous: Arc<str>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(required = true)]
    reason: Option<String>,
    /// The gate had not passed.
    forced: bool,
    /// A way back.
    rollback: bool,
    /// When another model took its place; none: it decides still.
    #[schema(required = true)]
    ended: Option<EndView>,
}

/// The end of a model's time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PromotionEnd)]
struct EndView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String)]
    by: Arc<str>,
    why: String,
}

impl From<&Promotion> for PromotionView {
    fn from(promotion: &Promotion) -> PromotionView {
        let Promotion { digest, previous, at, by, reason, forced, rollback, .. } = promotion.clone();
        PromotionView { digest, previous, at, by, reason, forced, rollback, ended: None }
    }
}

/// The gate's findings, with the addresses of the pictures of parts that are judged otherwise.
pub(super) fn pictured(mut gate: serde_json::Value) -> serde_json::Value {
    for flip in gate["flips"].as_array_mut().into_iter().flatten() {
        let id = flip["key"].as_str().and_then(|key| key.strip_prefix("line/")?.split('.').next()?.parse::<u64>().ok());
        flip["image"] = id.map(|id| format!("/api/v1/inspections/{id}/image")).into();
    }
    gate
}

impl ModelsView {
    fn of(board: &Board) -> ModelsView {
        let registry = &board.learning.registry;
        let champion = board.recipe.load().in_force.model.digest().clone();
        let promotions = registry.promotions();
        let last = promotions.iter().rev().find(|promotion| promotion.digest == champion && !promotion.rollback);
        let previous = last.map(|last| last.previous.clone());
        let view = |model: Model| RegisteredView::of(model, &champion, previous.as_ref(), &promotions);
        let models = registry.models().into_iter().map(view).collect();
        ModelsView { champion: champion.clone(), previous: previous.clone(), models }
    }
}

impl RegisteredView {
    fn of(model: Model, champion: &Arc<str>, previous: Option<&Arc<str>>, promotions: &[Promotion]) -> RegisteredView {
        let own = promotions.iter().enumerate().filter(|(_, it)| it.digest == model.digest);
        let own: Vec<PromotionView> = own
            .map(|(at, it)| {
                let ended = promotions.get(at + 1).map(|next| EndView {
                    at: next.at,
                    by: next.by.clone(),
                    why: next.reason.clone().unwrap_or_else(|| "another model was promoted".into()),
                });
                PromotionView { ended, ..PromotionView::from(it) }
            })
            .collect();
        let state = match (&model.digest == champion, Some(&model.digest) == previous) {
            (true, _) => StateWord::Champion,
            (false, true) => StateWord::Previous,
            (false, false) if own.is_empty() && model.origin != Origin::Recipe => StateWord::Candidate,
            (false, false) => StateWord::Retired,
        };
        let (made_by, dataset) = match &model.origin {
            Origin::Recipe => ("the recipe's own".to_owned(), None),
            Origin::FewShot { label, shots } => (format!("kind `{label}` from {shots} labelled parts"), None),
            Origin::Job { number, dataset } => (format!("training job {number}"), Some(dataset.clone())),
        };
        let gate = model.gate.clone().map(pictured);
        let Model { digest, name, labels, parent, at, by, removed_at, .. } = model;
        RegisteredView {
            digest,
            name,
            labels,
            state,
            made_at: at,
            made_by,
            by,
            parent,
            dataset,
            gate,
            removed_at,
            promotions: own,
        }
    }
}

/// Every model of this machine.
#[utoipa::path(get, path = "/api/v1/models", operation_id = "list_models", responses((status = 200, body = ModelsView)))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<ModelsView>, Problem> {
    blocking(move || Ok(Json(ModelsView::of(&api.board)))).await
}

/// One model, by its digest or enough of its beginning.
#[utoipa::path(get, path = "/api/v1/models/{digest}", operation_id = "get_model",
    params(("digest" = String, Path, description = "Digest, or its beginning")), responses(
    (status = 200, body = RegisteredView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn one(State(api): State<Api>, At(digest): At<String>) -> Result<Json<RegisteredView>, Problem> {
    blocking(move || {
        let digest = api.board.learning.registry.find(&digest)?.digest;
        let found = ModelsView::of(&api.board).models.into_iter().find(|model| model.digest == digest);
        found.map(Json).ok_or_else(|| Problem::not_found(format!("no model `{digest}`")))
    })
    .await
}

/// Why somebody puts another model in force.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ModelChange)]
pub(super) struct Change {
    /// For the register and the audit trail; 1000 characters at most. Needed where the gate has not passed.
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

impl Change {
    fn checked(self) -> Result<Option<String>, Problem> {
        if self.reason.as_ref().is_some_and(|text| text.chars().count() > MAX_REASON) {
            return Err(Problem::unprocessable(format!("`reason` has more than {MAX_REASON} characters")));
        }
        Ok(self.reason)
    }
}

/// Puts a model in force from the next part on.
#[utoipa::path(post, path = "/api/v1/models/{digest}/promote", operation_id = "promote_model",
    params(("digest" = String, Path, description = "Digest, or its beginning")), request_body = Change,
    responses(
        (status = 200, body = PromotionView),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "It is in force, its file is removed, or it has not passed the gate and no reason is given"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "It cannot be used here"),
    ))]
pub(super) async fn promote(
    State(api): State<Api>,
    At(digest): At<String>,
    who: Who,
    Sent(change): Sent<Change>,
) -> Result<Json<PromotionView>, Problem> {
    let reason = change.checked()?;
    blocking(move || {
        let promotion = api.board.learning.promote(&api.board, &digest, &who, reason)?;
        Ok(Json(PromotionView::from(&promotion)))
    })
    .await
}

/// Goes back to the model before, from the next part on.
#[utoipa::path(post, path = "/api/v1/models/rollback", operation_id = "rollback_model", request_body = Change,
    responses(
        (status = 200, body = PromotionView),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "There is none"),
    ))]
pub(super) async fn rollback(
    State(api): State<Api>,
    who: Who,
    Sent(change): Sent<Change>,
) -> Result<Json<PromotionView>, Problem> {
    let reason = change.checked()?;
    blocking(move || {
        let promotion = api.board.learning.rollback(&api.board, &who, reason)?;
        Ok(Json(PromotionView::from(&promotion)))
    })
    .await
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Problem {
        let words = error.to_string();
        match error {
            RegistryError::Unknown(_) => Problem::not_found(words),
            RegistryError::Ambiguous(_) => Problem::bad_request(words),
            RegistryError::Io { .. }
            | RegistryError::Remove { .. }
            | RegistryError::Bundle(_)
            | RegistryError::Log(_) => Problem::internal(words),
        }
    }
}

impl From<PromoteError> for Problem {
    fn from(error: PromoteError) -> Problem {
        let words = error.to_string();
        match error {
            PromoteError::InForce(_)
            | PromoteError::NotPassed(_)
            | PromoteError::NoWayBack
            | PromoteError::Removed { .. } => Problem::conflict(words),
            PromoteError::Unfit(_) => Problem::unprocessable(words),
            PromoteError::Registry(error) => error.into(),
            PromoteError::Audit(error) => error.into(),
        }
    }
}
