//! The HTTP under `object_store`: the blocking client of the webhooks, on threads of its runtime, so that the program has one TLS and no second client.

use std::io::ErrorKind;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use ureq::http::{Method, Request, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error, Timeout};

/// To find and reach the store.
const CONNECT: Duration = Duration::from_secs(10);
/// A store that takes or gives nothing for so long is away.
const SILENT: Duration = Duration::from_secs(30);
/// Larger answers are none of an archive.
const ANSWER_BYTES: u64 = 4 << 30;

/// Makes clients.
#[derive(Debug)]
pub(super) struct Connector(Agent);

impl Connector {
    /// `roots`: of the plant's own authority.
    pub(super) fn new(roots: Option<&[Certificate<'static>]>) -> Connector {
        let roots = roots.map_or(RootCerts::WebPki, RootCerts::new_with_certs);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENT))
            .timeout_per_write(Some(SILENT))
            .user_agent(concat!("inspectd/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Connector(config.into())
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(self.0.clone())))
    }
}

#[derive(Debug)]
struct Service(Agent);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let agent = self.0.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let bodiless = matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE);
            let answer = match bodiless {
                true => agent.run(Request::from_parts(parts, ())),
                false => agent.run(Request::from_parts(parts, &*body)),
            };
            let (parts, mut body) = answer?.into_parts();
            Ok((parts, body.with_config().limit(ANSWER_BYTES).read_to_vec()?))
        });
        match asked.await {
            Ok(Ok((parts, body))) => Ok(Response::from_parts(parts, body.into())),
            Ok(Err(error)) => Err(HttpError::new(kind(&error), error)),
            Err(error) => Err(HttpError::new(HttpErrorKind::Unknown, error)),
        }
    }
}

/// What decides whether a request is tried again.
fn kind(error: &Error) -> HttpErrorKind {
    match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect) | Error::HostNotFound | Error::ConnectionFailed => {
            HttpErrorKind::Connect
        }
        Error::Timeout(_) => HttpErrorKind::Timeout,
        Error::Io(error) => match error.kind() {
            // What TLS says of a certificate.
            ErrorKind::InvalidData => HttpErrorKind::Unknown,
            ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                HttpErrorKind::Connect
            }
            _ => HttpErrorKind::Interrupted,
        },
        Error::Protocol(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    }
}
