//! `/api/v1/users`: who there is and what they may.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::address::At;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::{Role, User, Who};

/// All users, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserList)]
pub(super) struct UserList {
    items: Vec<UserView>,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserView {
    name: String,
    role: Role,
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// When the password was last set.
    #[schema(value_type = String, format = DateTime)]
    password_set: Timestamp,
}

impl UserView {
    fn of(name: &str, user: &User) -> UserView {
        UserView { name: name.to_owned(), role: user.role, created: user.created, password_set: user.password_set }
    }

    fn find(api: &Api, name: &str) -> Result<UserView, Problem> {
        let everyone = api.board.access.everyone()?;
        let name = name.trim().to_lowercase();
        let user = everyone.users.get(&name).ok_or_else(|| Problem::not_found(format!("there is no user `{name}`")))?;
        Ok(UserView::of(&name, user))
    }
}

/// A user to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser)]
pub(super) struct NewUser {
    /// Letters, digits, `.`, `-`, `_`, `@`; capital letters do not count.
    #[schema(max_length = 64)]
    name: String,
    /// 10 characters or more.
    #[schema(min_length = 10, max_length = 256)]
    password: String,
    /// `operator`, `engineer` or `admin`.
    role: Role,
    /// Why, for the audit trail.
    #[serde(default)]
    reason: Option<String>,
}

/// What is to be different.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserChange)]
pub(super) struct UserChange {
    #[serde(default)]
    role: Option<Role>,
    /// A new password.
    #[serde(default)]
    #[schema(min_length = 10, max_length = 256)]
    password: Option<String>,
    /// Why, for the audit trail.
    #[serde(default)]
    reason: Option<String>,
}

/// Why something is removed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Why {
    /// Why, for the audit trail.
    pub(super) reason: Option<String>,
}

/// All users.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "list_users", responses((status = 200, body = UserList)))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<UserList>, Problem> {
    let everyone = api.board.access.everyone()?;
    Ok(Json(UserList { items: everyone.users.iter().map(|(name, user)| UserView::of(name, user)).collect() }))
}

/// Adds a user.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "add_user", request_body = NewUser, responses(
    (status = 201, body = UserView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "There is one of that name"),
))]
pub(super) async fn add(
    State(api): State<Api>,
    who: Who,
    Sent(new): Sent<NewUser>,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let access = api.board.access.clone();
    let name = new.name.clone();
    let work = move || Ok(access.add_user(&who, &new.name, &new.password, new.role, new.reason)?);
    api.turnstile.pass(work).await?;
    Ok((StatusCode::CREATED, Json(UserView::find(&api, &name)?)))
}

/// Gives a user another role, or a new password.
#[utoipa::path(put, path = "/api/v1/users/{name}", operation_id = "change_user", request_body = UserChange,
    params(("name" = String, Path, description = "The user's name")), responses(
    (status = 200, body = UserView),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "No admin would be left"),
))]
pub(super) async fn change(
    State(api): State<Api>,
    At(name): At<String>,
    who: Who,
    Sent(wanted): Sent<UserChange>,
) -> Result<Json<UserView>, Problem> {
    let access = api.board.access.clone();
    let user = name.clone();
    let work = move || {
        if let Some(role) = wanted.role {
            access.set_role(&who, &user, role, wanted.reason.clone())?;
        }
        if let Some(password) = &wanted.password {
            access.set_password(&who, &user, password, wanted.reason)?;
        }
        Ok(())
    };
    api.turnstile.pass(work).await?;
    Ok(Json(UserView::find(&api, &name)?))
}

/// Removes a user. The sessions end.
#[utoipa::path(delete, path = "/api/v1/users/{name}", operation_id = "remove_user",
    params(("name" = String, Path, description = "The user's name"), Why), responses(
    (status = 204, description = "Removed"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "No admin would be left"),
))]
pub(super) async fn remove(
    State(api): State<Api>,
    At(name): At<String>,
    who: Who,
    why: Result<Query<Why>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(why) = why.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let access = api.board.access.clone();
    blocking(move || Ok(access.remove_user(&who, &name, why.reason)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}
