//! What keeps foreign web pages out: a check of the host name, and headers that browsers obey.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Only our own files and data; no foreign page may frame ours. Charts set inline styles; the heat map is drawn from data.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Names under which this server may be asked, besides `localhost` and IP addresses.
#[derive(Debug, Clone)]
pub(super) struct Hosts(pub(super) Arc<[String]>);

impl Hosts {
    /// Whether a `Host` header names this server. DNS rebinding needs a name of the attacker's own, so a bare address is
    /// never one. Source: Jackson et al., Protecting Browsers from DNS Rebinding Attacks, CCS 2007.
    fn include(&self, host: &str) -> bool {
        let name = without_port(host);
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.0.iter().any(|ours| name.eq_ignore_ascii_case(ours))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Refuses a request for another host.
pub(super) async fn host(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    match named {
        Some(host) if hosts.include(host) => next.run(request).await,
        Some(host) => Problem::foreign_host(format!(
            "`{host}` is not a name of this server; use its address, or add the name to `api.hosts`"
        ))
        .into_response(),
        None => Problem::bad_request("there is no `Host` header: HTTP/1.1 needs one").into_response(),
    }
}

/// Adds the headers to every answer.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_our_own_names_are_let_in() {
        let hosts = Hosts(Arc::from(["line-3.plant".to_owned()]));
        for ours in
            ["localhost", "LOCALHOST:8787", "127.0.0.1:8787", "[::1]:8787", "[::1]", "10.0.0.7", "Line-3.plant:80"]
        {
            assert!(hosts.include(ours), "{ours}");
        }
        for foreign in
            ["evil.example", "evil.example:8787", "localhost.evil.example", "127.0.0.1.evil.example", "", ":80"]
        {
            assert!(!hosts.include(foreign), "{foreign}");
        }
    }
}
