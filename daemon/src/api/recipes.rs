//! `/api/v1/recipes`: versions of recipes: what each changed, and the changeover from one to another.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Api;
use super::address::At;
use super::body::Sent;
use super::golden::reason_of;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::Who;
use crate::audit::Deed;
use crate::recipes::{Change, RecipesError, Version, changed, merged};
use crate::supervise::{Board, ChangeoverError, changeover};

/// Changeovers that are listed.
const CHANGEOVERS: usize = 50;

/// Every version, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recipes)]
pub(super) struct RecipesView {
    /// `name@version` of the one in force.
    #[schema(value_type = String)]
    in_force: Arc<str>,
    versions: Vec<VersionView>,
    /// The newest changeovers, the newest first.
    changeovers: Vec<ChangeoverView>,
}

/// A version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecipeVersion)]
struct VersionView {
    /// `name@version`.
    tag: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(required = true)]
    reason: Option<String>,
    /// The version that it was made of.
    #[schema(required = true)]
    from: Option<String>,
    in_force: bool,
    /// What differs from the version that it was made of.
    changes: Vec<Change>,
}

/// A version came into force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecipeChangeover)]
struct ChangeoverView {
    tag: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(required = true)]
    reason: Option<String>,
}

/// A version with its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecipeDetail)]
pub(super) struct DetailView {
    #[serde(flatten)]
    version: VersionView,
    /// As TOML.
    text: String,
    /// The same as JSON.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    recipe: Value,
    /// What differs from the recipe in force.
    against_in_force: Vec<Change>,
}

/// A version to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRecipe)]
pub(super) struct NewVersion {
    /// The version that it is made of.
    from: String,
    /// Keys of a recipe in the place of its own, as a recipe's file has them; null takes a key away.
    #[schema(value_type = Object)]
    change: Map<String, Value>,
    /// Why, in the person's words.
    #[serde(default)]
    reason: Option<String>,
}

/// Why a version comes into force.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = EnforceRecipe)]
pub(super) struct Enforce {
    reason: Option<String>,
}

/// Every version, the newest first.
#[utoipa::path(get, path = "/api/v1/recipes", operation_id = "list_recipes", responses((status = 200, body = RecipesView)))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<RecipesView>, Problem> {
    blocking(move || Ok(Json(RecipesView::of(&api.board)))).await
}

/// A version with its text, and what differs from the recipe in force.
#[utoipa::path(get, path = "/api/v1/recipes/{tag}", operation_id = "get_recipe", params(("tag" = String, Path)), responses(
    (status = 200, body = DetailView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn one(State(api): State<Api>, At(tag): At<String>) -> Result<Json<DetailView>, Problem> {
    blocking(move || DetailView::of(&api.board, &tag)).await
}

/// Makes a version of another one. It is checked, and not in force yet.
#[utoipa::path(post, path = "/api/v1/recipes", operation_id = "make_recipe", request_body = NewVersion, responses(
    (status = 200, body = DetailView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "It is not sound"),
))]
pub(super) async fn make(
    State(api): State<Api>,
    who: Who,
    Sent(NewVersion { from, change, reason }): Sent<NewVersion>,
) -> Result<Json<DetailView>, Problem> {
    let reason = reason.filter(|reason| !reason.trim().is_empty()).as_deref().map(reason_of).transpose()?;
    blocking(move || {
        if change.is_empty() {
            return Err(Problem::unprocessable("`change` is empty: name the keys that are to be otherwise"));
        }
        for fixed in ["name", "version"] {
            if change.contains_key(fixed) {
                return Err(Problem::unprocessable(format!(
                    "`change` has `{fixed}`: a version keeps its product's name, and gets its number by itself"
                )));
            }
        }
        let recipes = &api.board.recipes;
        let base = table_of(&recipes.lock().get(&from)?.text)?;
        let table = merged(base, &change).map_err(Problem::unprocessable)?;
        let deed = Deed::new("recipe.make", from.as_str()).after(&change).because(reason.clone());
        api.board.access.trail().append(&who, deed)?;
        let version = recipes.save(table, Some(from), &who.name, reason)?;
        DetailView::of(&api.board, &version.tag)
    })
    .await
}

/// Puts a version in force: from the next part on, without a restart, and after a restart too.
#[utoipa::path(post, path = "/api/v1/recipes/{tag}/enforce", operation_id = "enforce_recipe", params(("tag" = String, Path)),
    request_body = Enforce, responses(
    (status = 200, body = RecipesView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "It is in force, or other parts are being taken"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "It does not fit its model, or that cannot be used"),
))]
pub(super) async fn enforce(
    State(api): State<Api>,
    At(tag): At<String>,
    who: Who,
    Sent(Enforce { reason }): Sent<Enforce>,
) -> Result<Json<RecipesView>, Problem> {
    let reason = reason.filter(|reason| !reason.trim().is_empty()).as_deref().map(reason_of).transpose()?;
    blocking(move || {
        if let Some(words) = api.board.checks.taken() {
            return Err(Problem::conflict(words));
        }
        changeover(&api.board, &tag, &who, reason)?;
        Ok(Json(RecipesView::of(&api.board)))
    })
    .await
}

fn table_of(text: &str) -> Result<toml::Table, Problem> {
    text.parse().map_err(|error| Problem::internal(format!("a version is no TOML any more: {error}")))
}

impl VersionView {
    fn of(version: &Version, all: &[Version], in_force: &str) -> VersionView {
        let before = version.from.as_ref().and_then(|from| all.iter().find(|other| other.tag == *from));
        let pair = before.map(|before| (before.text.parse::<toml::Table>(), version.text.parse::<toml::Table>()));
        let mut changes = match pair {
            Some((Ok(before), Ok(after))) => changed(&before, &after),
            _ => Vec::new(),
        };
        changes.retain(|change| change.key != "version");
        VersionView {
            tag: version.tag.clone(),
            at: version.at,
            by: version.by.clone(),
            reason: version.reason.clone(),
            from: version.from.clone(),
            in_force: version.tag == *in_force,
            changes,
        }
    }
}

impl RecipesView {
    fn of(board: &Board) -> RecipesView {
        let in_force = board.recipe.load().in_force.tag.clone();
        let state = board.recipes.lock();
        let all = state.versions();
        let changeovers = state.changeovers().iter().rev().take(CHANGEOVERS);
        RecipesView {
            versions: all.iter().rev().map(|version| VersionView::of(version, all, &in_force)).collect(),
            changeovers: changeovers
                .map(|it| ChangeoverView {
                    tag: it.tag.clone(),
                    at: it.at,
                    by: it.by.clone(),
                    reason: it.reason.clone(),
                })
                .collect(),
            in_force,
        }
    }
}

impl DetailView {
    fn of(board: &Board, tag: &str) -> Result<Json<DetailView>, Problem> {
        let in_force = board.recipe.load().in_force.tag.clone();
        let state = board.recipes.lock();
        let version = state.get(tag)?;
        let table = table_of(&version.text)?;
        let against = match state.get(&in_force) {
            Ok(now) => changed(&table_of(&now.text)?, &table),
            Err(_) => Vec::new(),
        };
        let recipe = serde_json::to_value(&table).map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Json(DetailView {
            version: VersionView::of(version, state.versions(), &in_force),
            text: version.text.clone(),
            recipe,
            against_in_force: against,
        }))
    }
}

impl From<RecipesError> for Problem {
    fn from(error: RecipesError) -> Problem {
        let words = error.to_string();
        match error {
            RecipesError::Unknown(_) => Problem::not_found(words),
            RecipesError::Unfit(_) => Problem::unprocessable(words),
            RecipesError::InForce(_) | RecipesError::Taken(_) | RecipesError::Full => Problem::conflict(words),
            RecipesError::Log(_) => Problem::internal(words),
        }
    }
}

impl From<ChangeoverError> for Problem {
    fn from(error: ChangeoverError) -> Problem {
        match error {
            ChangeoverError::Recipes(error) => error.into(),
            ChangeoverError::Unfit(words) => Problem::unprocessable(words),
            ChangeoverError::Audit(error) => error.into(),
        }
    }
}
