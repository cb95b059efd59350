//! The gate before every route: was it a page of ours that asked, who asks, and may they?
//!
//! Against forged requests from other sites stand, one behind the other: cookies with `SameSite=Strict`; `Sec-Fetch-Site` and
//! `Origin`, which every current browser sends and no page can change; and a header that no form can send. Source: OWASP
//! Cross-Site Request Forgery Prevention Cheat Sheet.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::routes::Rules;
use crate::access::{Access, Credential, Need, Via, Who};

/// Any value will do: what counts is that a form cannot send it and a script of another origin may not.
pub(super) const OWN_HEADER: &str = "x-inspectd";

/// What the gate knows.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) access: Arc<Access>,
    pub(super) rules: Rules,
    pub(super) proxies: Arc<[IpAddr]>,
    /// Port, for the cookie's name: cookies do not tell ports apart, and a machine may have several lines.
    pub(super) port: u16,
}

/// Who is at the other end, as the connection says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) tls: bool,
}

/// Where a request comes from, after proxies that are trusted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// The caller's address.
    pub(super) from: IpAddr,
    /// Whether the caller's browser speaks TLS.
    pub(super) tls: bool,
}

/// Checks a request, and lets it through with [`Who`] and [`Origin`] beside it.
pub(super) async fn gate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match gate.check(&request) {
        Ok((who, origin)) => {
            request.extensions_mut().insert(origin);
            request.extensions_mut().insert(Caller(who));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl Gate {
    fn check(&self, request: &Request) -> Result<(Option<Who>, Origin), Problem> {
        let headers = request.headers();
        let peer = request.extensions().get::<Peer>().copied();
        let peer = peer.ok_or_else(|| Problem::internal("a connection without an address"))?;
        let origin = self.origin(peer, headers);
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let Some(need) = matched.and_then(|path| self.rules.need(request.method(), path)) else {
            // A file of the page, or nothing that is here: no data and no deed.
            return Ok((None, origin));
        };
        from_our_page(headers)?;
        let shown = self.shown(headers, origin);
        let credential = shown.credential();
        let who = self.access.who(credential, origin.from)?;
        if writes && !matches!(credential, Credential::Bearer(_)) && !headers.contains_key(OWN_HEADER) {
            return Err(Problem::forbidden(format!(
                "a request that changes something needs the header `{OWN_HEADER}: 1`, or a token: no foreign page can send them"
            )));
        }
        match (&who, need) {
            (None, Need::Role(..)) => Err(self.nobody(credential)),
            (Some(who), need) if !who.may(need, writes) => Err(refuse(who, need, writes)),
            _ => Ok((who, origin)),
        }
    }

    fn nobody(&self, credential: Credential<'_>) -> Problem {
        Problem::unauthorized(match credential {
            Credential::Bearer(_) => "the token is not known, was withdrawn, or has expired",
            Credential::Cookie(_) => "the session has ended: sign in again",
            Credential::Nothing => "sign in, or send a token as `Authorization: Bearer TOKEN`",
        })
    }

    /// The caller's address and connection, as a trusted proxy says, or as they are.
    fn origin(&self, peer: Peer, headers: &HeaderMap) -> Origin {
        if !self.proxies.contains(&peer.address) {
            return Origin { from: peer.address, tls: peer.tls };
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // The proxy adds to the end; what stands before may be the caller's invention.
        let last = text("x-forwarded-for").rsplit(',').find_map(|part| part.trim().parse::<IpAddr>().ok());
        Origin { from: last.unwrap_or(peer.address), tls: text("x-forwarded-proto").eq_ignore_ascii_case("https") }
    }

    fn shown(&self, headers: &HeaderMap, origin: Origin) -> Shown {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        if let Some(token) = bearer {
            return Shown::Bearer(token);
        }
        let name = cookie_name(origin.tls, self.port);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let ours = cookies.flat_map(|line| line.split(';')).find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then(|| value.to_owned())
        });
        ours.map_or(Shown::Nothing, Shown::Cookie)
    }
}

enum Shown {
    Cookie(String),
    Bearer(String),
    Nothing,
}

impl Shown {
    fn credential(&self) -> Credential<'_> {
        match self {
            Shown::Cookie(value) => Credential::Cookie(value),
            Shown::Bearer(value) => Credential::Bearer(value),
            Shown::Nothing => Credential::Nothing,
        }
    }
}

/// `__Host-` binds a cookie to this host and to TLS; without TLS browsers refuse it, and only this machine is served then.
pub(super) fn cookie_name(tls: bool, port: u16) -> String {
    if tls { format!("__Host-inspectd-{port}") } else { format!("inspectd-{port}") }
}

/// Refuses what a page of another origin has caused. Programs send neither header.
fn from_our_page(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    if let Some(site) = text("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        return Err(Problem::forbidden(format!("a page of another site asked (`Sec-Fetch-Site: {site}`)")));
    }
    if let Some(origin) = text("origin") {
        let host = text("host").unwrap_or_default();
        let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
        if !authority.eq_ignore_ascii_case(host) {
            return Err(Problem::forbidden(format!("a page of `{origin}` asked, which is not this server's own")));
        }
    }
    Ok(())
}

fn refuse(who: &Who, need: Need, writes: bool) -> Problem {
    let Need::Role(role, area) = need else { return Problem::forbidden("not allowed") };
    let scope = crate::access::Scope { area, write: writes };
    let own = who.role.map_or("nobody", crate::access::Role::word);
    Problem::forbidden(match who.via {
        Via::Token => format!(
            "the token `{}` ({own}) does not reach this: it needs the role {role} and the scope `{scope}`",
            who.name
        ),
        _ => format!("`{}` is {own}, and this needs the role {role}", who.name),
    })
}

/// Who asked, beside the request.
#[derive(Clone)]
pub(super) struct Caller(pub(super) Option<Who>);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Who, Response> {
        let caller = parts.extensions.get::<Caller>().and_then(|caller| caller.0.clone());
        caller.ok_or_else(|| Problem::unauthorized("sign in first").into_response())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        Ok(parts.extensions.get::<Caller>().cloned().unwrap_or(Caller(None)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Origin, Problem> {
        parts.extensions.get::<Origin>().copied().ok_or_else(|| Problem::internal("a request that passed no gate"))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_our_own_pages_and_programs_pass() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs
                .iter()
                .map(|&(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)))
                .collect::<HeaderMap>()
        };
        for ours in [
            headers(&[("host", "10.0.0.7:8787")]),
            headers(&[
                ("host", "10.0.0.7:8787"),
                ("origin", "http://10.0.0.7:8787"),
                ("sec-fetch-site", "same-origin"),
            ]),
            headers(&[("host", "line.plant"), ("origin", "https://LINE.plant")]),
            headers(&[("host", "line.plant"), ("sec-fetch-site", "none")]),
        ] {
            assert!(from_our_page(&ours).is_ok(), "{ours:?}");
        }
        for foreign in [
            headers(&[("host", "10.0.0.7:8787"), ("origin", "http://10.0.0.7:9999")]),
            headers(&[("host", "10.0.0.7:8787"), ("origin", "http://evil.example")]),
            headers(&[("host", "10.0.0.7:8787"), ("origin", "null")]),
            headers(&[("host", "line.plant"), ("sec-fetch-site", "cross-site")]),
            headers(&[("host", "line.plant"), ("sec-fetch-site", "same-site")]),
            headers(&[("host", "line.plant"), ("origin", "https://line.plant.evil.example")]),
        ] {
            assert!(from_our_page(&foreign).is_err(), "{foreign:?}");
        }
    }
}
