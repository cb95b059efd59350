//! `Idempotency-Key`: a client that lost the answer to a POST may send it again, and it is done once. Answers are kept for
//! an hour, in memory. Source: IETF draft-ietf-httpapi-idempotency-key-header.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::body::MAX_BODY_BYTES;
use super::gate::Caller;
use super::problem::Problem;

pub(super) const HEADER: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

const KEPT_FOR: Duration = Duration::from_secs(3600);
const MAX_KEPT: usize = 256;
/// Answers to POSTs are short.
const MAX_ANSWER_BYTES: usize = 128 << 10;

/// Who, and the key they chose.
type Key = (String, String);

/// Answers that may be asked for again.
#[derive(Clone, Default)]
pub(super) struct Replies(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    by_key: HashMap<Key, Attempt>,
    order: VecDeque<(Instant, Key)>,
}

struct Attempt {
    /// Of method, address and body: the same key is for the same request only.
    request: [u8; 32],
    /// None: it is being worked on.
    answer: Option<Answer>,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Does a request once for each key.
pub(super) async fn once(State(replies): State<Replies>, request: Request, next: Next) -> Response {
    match replies.serve(request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

impl Replies {
    async fn serve(self, request: Request, next: Next) -> Result<Response, Problem> {
        let key = request.headers().get(HEADER).cloned();
        let caller = request.extensions().get::<Caller>().and_then(|caller| caller.0.clone());
        let (Some(key), Some(who), &Method::POST) = (key, caller, request.method()) else {
            return Ok(next.run(request).await);
        };
        let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
        let key = key.ok_or_else(|| Problem::bad_request("`Idempotency-Key`: give 1 to 255 visible characters"))?;
        let key = (format!("{:?} {}", who.via, who.name), key.to_owned());
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|error| Problem::bad_request(error.to_string()))?;
        let mut digest = Sha256::new();
        digest.update(parts.uri.to_string());
        digest.update([0]);
        digest.update(&body);
        if let Some(answer) = self.begin(&key, digest.finalize().into())? {
            return Ok(answer.replay());
        }
        // On a task of its own: a caller that hangs up must not leave half a deed behind the key.
        let request = Request::from_parts(parts, Body::from(body));
        let work = async move {
            let answer = Answer::of(next.run(request).await).await;
            self.end(&key, answer.clone());
            answer
        };
        let done = tokio::spawn(work).await.map_err(|died| Problem::internal(died.to_string()))?;
        Ok(done.into_response())
    }

    /// Takes the key, or gives the answer that is there.
    fn begin(&self, key: &Key, request: [u8; 32]) -> Result<Option<Answer>, Problem> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget_old();
        if let Some(attempt) = kept.by_key.get(key) {
            if attempt.request != request {
                return Err(Problem::unprocessable(
                    "this `Idempotency-Key` was used for another request: choose a new one",
                ));
            }
            let working =
                || Problem::conflict("the first request with this `Idempotency-Key` is still being worked on");
            return attempt.answer.clone().map(Some).ok_or_else(working);
        }
        kept.by_key.insert(key.clone(), Attempt { request, answer: None });
        kept.order.push_back((Instant::now(), key.clone()));
        Ok(None)
    }

    /// Keeps an answer. One that says "not now" is not kept: the next attempt may do better.
    fn end(&self, key: &Key, answer: Answer) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passing = answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS;
        if passing {
            kept.by_key.remove(key);
            kept.order.retain(|(_, other)| other != key);
        } else if let Some(attempt) = kept.by_key.get_mut(key) {
            attempt.answer = Some(answer);
        }
    }
}

impl Kept {
    fn forget_old(&mut self) {
        while let Some((at, key)) = self.order.front() {
            if at.elapsed() < KEPT_FOR && self.order.len() < MAX_KEPT {
                return;
            }
            self.by_key.remove(key);
            self.order.pop_front();
        }
    }
}

impl Answer {
    async fn of(response: Response) -> Answer {
        let (parts, body) = response.into_parts();
        match to_bytes(body, MAX_ANSWER_BYTES).await {
            Ok(body) => Answer { status: parts.status, headers: parts.headers, body },
            Err(error) => {
                let (parts, _) =
                    Problem::internal(format!("an answer could not be kept: {error}")).into_response().into_parts();
                Answer { status: parts.status, headers: parts.headers, body: Bytes::new() }
            }
        }
    }

    fn replay(self) -> Response {
        let mut response = self.into_response();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.status, self.headers, self.body).into_response()
    }
}
