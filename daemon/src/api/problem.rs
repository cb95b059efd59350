//! Errors as `application/problem+json`. Source: RFC 9457.

use axum::Json;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

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
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem { kind, title, status: status.as_u16(), detail: detail.into() }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "/problems/bad-request", "The request cannot be understood", detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "/problems/not-found", "There is no such thing", detail)
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
        Problem::internal(error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(self)).into_response()
    }
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} is not possible on {}: use GET", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "/problems/wrong-method", "This cannot be done here", detail)
}
