//! `/api/v1/tokens`: keys of programs and screens.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::address::At;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use super::users::Why;
use crate::access::{NewToken, Role, Scope, Token, Who};

/// All tokens, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TokenList)]
pub(super) struct TokenList {
    items: Vec<TokenView>,
}

/// A token, without its secret, which nobody knows but its holder.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenView {
    name: String,
    role: Role,
    /// `area:read` or `area:write`.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    created_by: String,
    /// Null: until it is withdrawn.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
}

impl TokenView {
    fn of(name: &str, token: &Token) -> TokenView {
        TokenView {
            name: name.to_owned(),
            role: token.role,
            scopes: token.scopes.clone(),
            created: token.created,
            created_by: token.created_by.clone(),
            expires: token.expires,
        }
    }
}

/// A token to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken)]
pub(super) struct TokenWish {
    /// Letters, digits, `.`, `-`, `_`, `@`.
    #[schema(max_length = 64)]
    name: String,
    /// What it may at most.
    role: Role,
    /// And of that only this, as `records:read`; left out: everything that only looks.
    #[serde(default)]
    scopes: Vec<String>,
    /// Not valid any more from then on; left out: until it is withdrawn.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
    /// Why, for the audit trail.
    #[serde(default)]
    reason: Option<String>,
}

/// A new token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FreshToken)]
pub(super) struct FreshToken {
    /// Shown this once.
    secret: String,
    token: TokenView,
}

/// All tokens.
#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "list_tokens", responses((status = 200, body = TokenList)))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<TokenList>, Problem> {
    let everyone = api.board.access.everyone()?;
    Ok(Json(TokenList { items: everyone.tokens.iter().map(|(name, token)| TokenView::of(name, token)).collect() }))
}

/// Makes a token.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "add_token", request_body = TokenWish, responses(
    (status = 201, body = FreshToken),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "There is one of that name"),
))]
pub(super) async fn add(
    State(api): State<Api>,
    who: Who,
    Sent(wish): Sent<TokenWish>,
) -> Result<(StatusCode, Json<FreshToken>), Problem> {
    let scopes = wish.scopes.iter().map(|scope| scope.parse()).collect::<Result<Vec<Scope>, String>>();
    let scopes = scopes.map_err(|words| Problem::unprocessable(format!("`scopes`: {words}")))?;
    let access = api.board.access.clone();
    let name = wish.name.trim().to_lowercase();
    let new = NewToken { name: wish.name, role: wish.role, scopes, expires: wish.expires };
    let secret = blocking(move || Ok(access.add_token(&who, new, wish.reason)?)).await?;
    let everyone = api.board.access.everyone()?;
    let token =
        everyone.tokens.get(&name).ok_or_else(|| Problem::conflict("the token was withdrawn at this moment"))?;
    let fresh = FreshToken { secret: secret.reveal().to_owned(), token: TokenView::of(&name, token) };
    Ok((StatusCode::CREATED, Json(fresh)))
}

/// Withdraws a token. Sessions that began with it end.
#[utoipa::path(delete, path = "/api/v1/tokens/{name}", operation_id = "revoke_token",
    params(("name" = String, Path, description = "The token's name"), Why), responses(
    (status = 204, description = "Withdrawn"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn revoke(
    State(api): State<Api>,
    At(name): At<String>,
    who: Who,
    why: Result<Query<Why>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(why) = why.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let access = api.board.access.clone();
    blocking(move || Ok(access.remove_token(&who, &name, why.reason)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}
