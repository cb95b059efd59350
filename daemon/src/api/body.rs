//! What a request brings with it: bounded in bytes and in time, and JSON.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use tokio_stream::StreamExt;

use super::problem::Problem;

/// Longest body. Nothing that is sent here is larger, but for pictures.
pub(super) const MAX_BODY_BYTES: usize = 64 << 10;
/// The largest picture, and where it may be sent.
pub(super) const MAX_PICTURE_BYTES: usize = 4 << 20;
const PICTURES: &str = "/api/v1/inspections/found";
/// Whoever has not sent its body by then is not served.
const WITHIN: Duration = Duration::from_secs(10);

/// Reads the body of a request that changes something, before anybody works on it.
pub(super) async fn read(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let most = if parts.uri.path() == PICTURES { MAX_PICTURE_BYTES } else { MAX_BODY_BYTES };
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most as u64) {
        return too_large(most).into_response();
    }
    match tokio::time::timeout(WITHIN, collect(body, most)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::too_slow(format!("the body did not arrive within {} s", WITHIN.as_secs())).into_response(),
    }
}

async fn collect(body: Body, most: usize) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        if bytes.len() + chunk.len() > most {
            return Err(too_large(most));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

fn too_large(most: usize) -> Problem {
    Problem::too_large(format!("a body of more than {most} bytes is not taken"))
}

/// JSON that somebody sent.
pub(super) struct Sent<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Sent<T>, Problem> {
        let read = Json::<T>::from_request(request, state).await;
        read.map(|Json(sent)| Sent(sent)).map_err(|refused| {
            let words = refused.body_text();
            match refused {
                JsonRejection::MissingJsonContentType(_) => {
                    Problem::wrong_media("send JSON, and say so with `Content-Type: application/json`")
                }
                JsonRejection::JsonDataError(_) => Problem::unprocessable(words),
                _ => Problem::bad_request(words),
            }
        })
    }
}
