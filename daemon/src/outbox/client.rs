//! One HTTP POST to a receiver that is not trusted: no redirects, no proxy, bounded times and sizes, checked addresses.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use ureq::http::{HeaderMap, StatusCode, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, Resolver};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Error};

use super::guard::{AllowList, Guarded};
use super::queue::Outcome;
use super::sign::{Secret, signature};

/// Of an answer's body, so much is read, for the reason of a refusal.
const ANSWER_BYTES: u64 = 4 << 10;
/// Larger headers are no answer.
const HEADER_BYTES: usize = 16 << 10;
/// To find and reach the receiver.
const CONNECT: Duration = Duration::from_secs(5);

/// Speaks HTTP to one receiver.
pub(super) struct HttpClient {
    agent: Agent,
    url: String,
    secrets: Vec<Secret>,
    bearer: Option<String>,
}

/// What a receiver is spoken to with.
pub(super) struct HttpOptions<'a> {
    pub(super) url: &'a str,
    pub(super) secrets: Vec<Secret>,
    pub(super) bearer: Option<String>,
    pub(super) ca_file: Option<&'a Path>,
    pub(super) timeout: Duration,
    pub(super) allowed: AllowList,
}

impl HttpClient {
    /// # Errors
    /// The CA's file cannot be used.
    pub(super) fn new(options: HttpOptions<'_>) -> Result<HttpClient, String> {
        HttpClient::with_resolver(options, DefaultResolver::default())
    }

    fn with_resolver(options: HttpOptions<'_>, inner: impl Resolver) -> Result<HttpClient, String> {
        let own = options.ca_file.map(own_roots).transpose()?;
        let roots = own.map_or(RootCerts::WebPki, |own| RootCerts::new_with_certs(&own));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(options.timeout))
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .max_response_header_size(HEADER_BYTES)
            .max_idle_connections(1)
            .user_agent(concat!("inspectd/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        let resolver = Guarded { inner, allowed: options.allowed };
        let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
        Ok(HttpClient { agent, url: options.url.to_owned(), secrets: options.secrets, bearer: options.bearer })
    }

    /// Sends a body, once.
    pub(super) fn post(&self, id: &str, body: &str, now: Timestamp) -> Outcome {
        let at = now.as_second();
        let mut request =
            self.agent.post(&self.url).header("content-type", "application/json").header("webhook-id", id);
        request = request.header("webhook-timestamp", at.to_string());
        if !self.secrets.is_empty() {
            request = request.header("webhook-signature", signature(&self.secrets, id, at, body.as_bytes()));
        }
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        match request.send(body) {
            Ok(mut answer) => {
                let status = answer.status();
                if status.is_success() {
                    return Outcome::Delivered;
                }
                let wait = retry_after(answer.headers());
                let said = answer.body_mut().with_config().limit(ANSWER_BYTES).lossy_utf8(true).read_to_string();
                judge(status, &said.unwrap_or_default(), wait)
            }
            Err(error) => Outcome::Away(reason(&error), None),
        }
    }
}

/// What is wrong with a URL, if something is. Plain HTTP is for the plant's own network: its host must be allowed by name.
pub(super) fn problem(url: &str, allowed: &AllowList) -> Option<String> {
    let Ok(uri) = url.parse::<Uri>() else { return Some(format!("is `{url}`, which is no URL")) };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host().filter(|host| !host.is_empty())) else {
        return Some(format!("is `{url}`: give a whole URL, as https://mes.example/hook"));
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Some("has a user name in it: leave it out, and use `bearer`".to_owned());
    }
    if host.contains('%') {
        return Some(format!("is `{url}`: an address with a zone or an escape in it is none of a receiver"));
    }
    match scheme {
        "https" => None,
        "http" if allowed.includes(host, uri.port_u16().unwrap_or(80)) => None,
        "http" => Some(format!(
            "is not encrypted: use https, or add \"{host}:{}\" to `alerts.allow` if it is inside the plant",
            uri.port_u16().unwrap_or(80)
        )),
        other => Some(format!("has the scheme `{other}`: use https")),
    }
}

/// The certificates of the plant's own authority.
pub(crate) fn own_roots(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(format!("`{}` has no certificate in it: give a PEM file", path.display()));
    }
    Ok(certificates)
}

fn judge(status: StatusCode, said: &str, wait: Option<Duration>) -> Outcome {
    let said = said.trim().chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let reason = if said.is_empty() { format!("it answers {status}") } else { format!("it answers {status}: {said}") };
    match status.as_u16() {
        410 => Outcome::Gone(reason),
        300..=399 => Outcome::Refused(format!("{reason}; redirects are not followed: give the final URL")),
        408 | 425 | 429 | 500.. => Outcome::Away(reason, wait),
        _ => Outcome::Refused(reason),
    }
}

/// RFC 9110, seconds only: a date would need trust in the receiver's clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get("retry-after")?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn reason(error: &Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        Error::Timeout(which) => format!("it does not answer in time ({which})"),
        Error::HostNotFound => "its name is not known".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
