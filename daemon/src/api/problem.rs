//! Errors as `application/problem+json`. Source: RFC 9457.

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{AccessError, LoginError};
use crate::audit::AuditError;
use crate::store::StoreError;

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Kind of problem, a relative reference; the same kind always has the same title.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// Short, for people, without this request's particulars.
    pub(super) title: &'static str,
    /// The HTTP status, once more.
    pub(super) status: u16,
    /// This request's particulars and the way out.
    pub(super) detail: String,
    /// Seconds after which to try again.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem { kind, title, status: status.as_u16(), detail: detail.into(), retry_after: None }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "/problems/bad-request", "The request cannot be understood", detail)
    }

    pub(super) fn unauthorized(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "/problems/unauthorized", "Nobody is signed in", detail)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "/problems/forbidden", "This is not allowed", detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "/problems/not-found", "There is no such thing", detail)
    }

    pub(super) fn too_slow(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "/problems/too-slow", "The request did not arrive in time", detail)
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "/problems/conflict", "This contradicts what is there", detail)
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "/problems/too-large", "The request is too large", detail)
    }

    pub(super) fn wrong_media(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "/problems/wrong-media", "This form is not understood", detail)
    }

    pub(super) fn unprocessable(detail: impl Into<String>) -> Problem {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "/problems/unprocessable",
            "This cannot be done as it stands",
            detail,
        )
    }

    pub(super) fn too_many(detail: impl Into<String>, retry_after: u64) -> Problem {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "/problems/too-many", "Too many attempts", detail);
        Problem { retry_after: Some(retry_after), ..problem }
    }

    pub(super) fn later(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "/problems/later", "Not now", detail)
    }

    pub(super) fn foreign_host(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::MISDIRECTED_REQUEST, "/problems/foreign-host", "This is another host", detail)
    }

    pub(super) fn internal(detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        tracing::error!("a request failed: {detail}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "/problems/internal", "The program or its disk failed", detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::NoIndex => Problem::later(error.to_string()),
            error => Problem::internal(error.to_string()),
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Problem {
        Problem::internal(error.to_string())
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Problem {
        let words = error.to_string();
        match error {
            AccessError::Io { .. } | AccessError::Damaged { .. } | AccessError::Random(_) | AccessError::Audit(_) => {
                Problem::internal(words)
            }
            AccessError::Unknown { .. } => Problem::not_found(words),
            AccessError::Taken { .. } | AccessError::LastAdmin(_) | AccessError::Full(..) => Problem::conflict(words),
            AccessError::Name(_) | AccessError::KioskUser | AccessError::Token(_) | AccessError::Password(_) => {
                Problem::unprocessable(words)
            }
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Problem {
        let words = error.to_string();
        match error {
            LoginError::Wrong | LoginError::WrongToken | LoginError::NoSetup => Problem::unauthorized(words),
            LoginError::Wait(seconds) => Problem::too_many(words, seconds),
            LoginError::Busy => Problem::too_many(words, 3),
            LoginError::Access(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(self)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            // Not `Basic`: browsers would ask with a window of their own.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} is not possible on {}: see /api/v1/openapi.json for what is", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "/problems/wrong-method", "This cannot be done here", detail)
}
