//! HTTP: the live page at `/`, its data under `/api/v1`, one file a resource. A new resource is a file with its handlers, a
//! `mod` line, and a line each in [`router`] and [`openapi::Document`].
//!
//! Everything is read-only for now, and there are no users yet: the server listens on this machine only unless told
//! otherwise.

mod events;
mod guard;
mod health;
mod inspections;
mod line;
mod openapi;
mod page;
mod picture;
mod problem;
mod server;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tokio::sync::watch;

pub use openapi::document;
pub use server::{ApiError, Bound, Server};

use crate::supervise::Board;
use guard::Hosts;

/// No request has a body yet.
const MAX_BODY_BYTES: usize = 16 << 10;

/// What every handler can reach.
#[derive(Clone)]
struct Api {
    board: Arc<Board>,
    /// Becomes true when the server stops: streams end then.
    stopping: watch::Receiver<bool>,
}

fn router(board: Arc<Board>, hosts: Hosts, stopping: watch::Receiver<bool>) -> Router {
    let v1 = Router::new()
        .route("/line", get(line::line))
        .route("/line/trend", get(line::trend))
        .route("/inspections", get(inspections::list))
        .route("/inspections/{id}", get(inspections::one))
        .route("/inspections/{id}/image", get(picture::image))
        .route("/events", get(events::events))
        .route("/openapi.json", get(openapi::openapi));
    Router::new()
        .nest("/api/v1", v1)
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(page::page)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(guard::headers))
        .layer(from_fn_with_state(hosts, guard::host))
        .with_state(Api { board, stopping })
}
