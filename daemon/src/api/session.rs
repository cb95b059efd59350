//! `/api/v1/session`: signing in and out, and who one is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::Api;
use super::body::Sent;
use super::gate::{Caller, Origin, cookie_name};
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::{Access, LoginError, Role, Secret, Via, Who};

/// A screen's cookie lasts as long as its token, which can be withdrawn.
const KIOSK_COOKIE_S: u32 = 365 * 24 * 3600;

/// Who one is, and whether anybody is asked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionView {
    /// Whoever reaches the port may do everything: nobody is asked who it is.
    open: bool,
    /// There are no users yet: the first one is made with the token on the daemon's console.
    needs_setup: bool,
    /// Nobody is signed in: null.
    #[schema(required = true)]
    who: Option<WhoView>,
}

/// Somebody who is let in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Who)]
struct WhoView {
    #[schema(value_type = String)]
    name: Arc<str>,
    role: Role,
    via: Via,
}

impl SessionView {
    fn of(access: &Access, who: Option<&Who>) -> Result<SessionView, Problem> {
        let view = |who: &Who| Some(WhoView { name: who.name.clone(), role: who.role?, via: who.via });
        Ok(SessionView { open: access.is_open(), needs_setup: access.needs_setup()?, who: who.and_then(view) })
    }
}

/// Computing a password's hash takes a processor and 19 MiB for a while, so it is done for one caller at a time and few wait:
/// people who sign in must never be felt by the line.
#[derive(Clone)]
pub(super) struct Turnstile {
    waiting: Arc<Semaphore>,
    inside: Arc<Semaphore>,
}

impl Default for Turnstile {
    fn default() -> Turnstile {
        Turnstile { waiting: Arc::new(Semaphore::new(8)), inside: Arc::new(Semaphore::new(1)) }
    }
}

impl Turnstile {
    /// Runs `work` when it is its turn.
    pub(super) async fn pass<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let _place = self.waiting.clone().try_acquire_owned().map_err(|_| LoginError::Busy)?;
        let turn = self.inside.clone().acquire_owned().await.map_err(|closed| Problem::internal(closed.to_string()))?;
        // The turn goes with the work: a caller that hangs up does not let the next one in early.
        blocking(move || {
            let _turn = turn;
            work()
        })
        .await
    }
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignIn)]
pub(super) struct SignIn {
    #[schema(max_length = 64)]
    name: String,
    #[schema(max_length = 256)]
    password: String,
}

/// The token of a screen.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KioskSignIn)]
pub(super) struct KioskSignIn {
    #[schema(max_length = 256)]
    token: String,
}

/// The first user: an admin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Setup)]
pub(super) struct Setup {
    /// From the daemon's console.
    #[schema(max_length = 256)]
    token: String,
    #[schema(max_length = 64)]
    name: String,
    #[schema(max_length = 256)]
    password: String,
}

/// One's own password, old and new.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPassword)]
pub(super) struct NewPassword {
    #[schema(max_length = 256)]
    old: String,
    #[schema(max_length = 256)]
    new: String,
}

type Cookie = [(HeaderName, String); 1];

fn cookie(api: &Api, origin: Origin, secret: &Secret, who: &Who) -> Cookie {
    let name = cookie_name(origin.tls, api.port);
    let secure = if origin.tls { "; Secure" } else { "" };
    // A person's cookie goes when the browser is closed.
    let age = if who.via == Via::Token { format!("; Max-Age={KIOSK_COOKIE_S}") } else { String::new() };
    [(header::SET_COOKIE, format!("{name}={}; Path=/; HttpOnly; SameSite=Strict{secure}{age}", secret.reveal()))]
}

/// A cookie, and who one is from now on.
type LetIn = (Cookie, Json<SessionView>);

fn let_in(api: &Api, origin: Origin, (who, secret): (Who, Secret)) -> Result<LetIn, Problem> {
    Ok((cookie(api, origin, &secret, &who), Json(SessionView::of(&api.board.access, Some(&who))?)))
}

fn no_cookie(api: &Api, origin: Origin) -> Cookie {
    let name = cookie_name(origin.tls, api.port);
    let secure = if origin.tls { "; Secure" } else { "" };
    [(header::SET_COOKIE, format!("{name}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}"))]
}

/// Who one is.
#[utoipa::path(get, path = "/api/v1/session", responses((status = 200, body = SessionView)))]
pub(super) async fn read(State(api): State<Api>, Caller(who): Caller) -> Result<Json<SessionView>, Problem> {
    Ok(Json(SessionView::of(&api.board.access, who.as_ref())?))
}

/// Signs in with name and password; the answer sets a cookie.
///
/// After five failures one must wait, longer each time.
#[utoipa::path(post, path = "/api/v1/session", request_body = SignIn, responses(
    (status = 200, body = SessionView),
    (status = 401, body = Problem, content_type = "application/problem+json", description = "Name or password is wrong"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Nobody needs to sign in here"),
    (status = 429, body = Problem, content_type = "application/problem+json", description = "Too many attempts have failed"),
))]
pub(super) async fn sign_in(
    State(api): State<Api>,
    origin: Origin,
    Sent(shown): Sent<SignIn>,
) -> Result<LetIn, Problem> {
    asked(&api)?;
    let access = api.board.access.clone();
    let work = move || Ok(access.sign_in(&shown.name, &shown.password, origin.from)?);
    let session = api.turnstile.pass(work).await?;
    let_in(&api, origin, session)
}

/// Lets a screen in that shows a kiosk's token; the answer sets a cookie.
#[utoipa::path(post, path = "/api/v1/session/kiosk", request_body = KioskSignIn, responses(
    (status = 200, body = SessionView),
    (status = 401, body = Problem, content_type = "application/problem+json", description = "The token is not a kiosk's, or not valid"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Nobody needs to sign in here"),
    (status = 429, body = Problem, content_type = "application/problem+json", description = "Too many attempts have failed"),
))]
pub(super) async fn kiosk(
    State(api): State<Api>,
    origin: Origin,
    Sent(shown): Sent<KioskSignIn>,
) -> Result<LetIn, Problem> {
    asked(&api)?;
    let access = api.board.access.clone();
    let session = blocking(move || Ok(access.sign_in_with_token(&shown.token, origin.from)?)).await?;
    let_in(&api, origin, session)
}

/// Makes the first admin, with the token that the daemon has printed on its console, and signs them in.
#[utoipa::path(post, path = "/api/v1/session/setup", request_body = Setup, responses(
    (status = 200, body = SessionView),
    (status = 401, body = Problem, content_type = "application/problem+json", description = "The token is wrong, or there are users already"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Nobody needs to sign in here"),
    (status = 429, body = Problem, content_type = "application/problem+json", description = "Too many attempts have failed"),
))]
pub(super) async fn set_up(State(api): State<Api>, origin: Origin, Sent(setup): Sent<Setup>) -> Result<LetIn, Problem> {
    asked(&api)?;
    let access = api.board.access.clone();
    let work = move || Ok(access.set_up(&setup.token, &setup.name, &setup.password, origin.from)?);
    let session = api.turnstile.pass(work).await?;
    let_in(&api, origin, session)
}

/// Signs out. Nobody signed in: nothing happens.
#[utoipa::path(delete, path = "/api/v1/session", responses((status = 204, description = "Signed out")))]
pub(super) async fn sign_out(
    State(api): State<Api>,
    origin: Origin,
    Caller(who): Caller,
) -> Result<(StatusCode, Cookie), Problem> {
    if let Some(who) = who.filter(|_| !api.board.access.is_open()) {
        let access = api.board.access.clone();
        blocking(move || Ok(access.sign_out(&who)?)).await?;
    }
    Ok((StatusCode::NO_CONTENT, no_cookie(&api, origin)))
}

/// Changes one's own password. Other sessions of the same user end.
#[utoipa::path(put, path = "/api/v1/session/password", request_body = NewPassword, responses(
    (status = 200, body = SessionView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Only a user who has signed in has a password"),
    (status = 429, body = Problem, content_type = "application/problem+json", description = "Too many attempts have failed"),
))]
pub(super) async fn password(
    State(api): State<Api>,
    origin: Origin,
    who: Who,
    Sent(shown): Sent<NewPassword>,
) -> Result<LetIn, Problem> {
    if who.via != Via::Session {
        return Err(Problem::conflict("only a user who has signed in has a password"));
    }
    let access = api.board.access.clone();
    let work = move || Ok(access.change_own_password(&who, &shown.old, &shown.new, origin.from)?);
    let session = api.turnstile.pass(work).await?;
    let_in(&api, origin, session)
}

fn asked(api: &Api) -> Result<(), Problem> {
    if api.board.access.is_open() {
        return Err(Problem::conflict("everything is open here (`access.mode`): nobody needs to sign in"));
    }
    Ok(())
}
