//! HTTP: the live page at `/`, its data under `/api/v1`, one file a resource. A new resource is a file with its handlers, a
//! `mod` line, and a line each in [`routes`] (with what it asks of its caller) and [`openapi::Document`].
//!
//! A request passes, in this order: the host check, the gate (another site's page? who asks? may they?), the bound on bodies,
//! the idempotency keys, its handler. Every answer passes the headers on its way out.

mod address;
mod alerts;
mod audit;
mod body;
mod cameras;
mod connection;
mod drift;
mod events;
mod export;
mod features;
mod found;
mod gate;
mod gauge;
mod golden;
mod guard;
mod health;
mod holds;
mod idempotency;
mod inspections;
mod jobs;
mod kept;
mod learning;
mod line;
mod metrics;
mod models;
mod openapi;
mod page;
mod picture;
mod plc;
mod problem;
mod quality;
mod recipes;
mod replays;
mod review;
mod routes;
mod serials;
mod server;
mod session;
mod setup;
mod tokens;
mod users;
mod view;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::sync::watch;

pub use openapi::document;
pub use server::{ApiError, Bound, Server};

use crate::access::{Area, Need, Role};
use crate::supervise::Board;
use gate::Gate;
use guard::Hosts;
use routes::{Routes, Rules};

/// What every handler can reach.
#[derive(Clone)]
struct Api {
    board: Arc<Board>,
    turnstile: session::Turnstile,
    exports: export::Exports,
    /// For the cookie's name.
    port: u16,
    /// Becomes true when the server stops: streams end then.
    stopping: watch::Receiver<bool>,
}

/// Every route, each with what it asks of its caller.
fn routes() -> (Router<Api>, Rules) {
    let look = |area| Need::Role(Role::Kiosk, area);
    let admin = Need::Role(Role::Admin, Area::Access);
    let label = Need::Role(Role::Operator, Area::Models);
    let train = Need::Role(Role::Engineer, Area::Models);
    let set_up = Need::Role(Role::Engineer, Area::Line);
    Routes::default()
        .get("/api/v1/line", look(Area::Line), line::line)
        .get("/api/v1/line/trend", look(Area::Line), line::trend)
        .get("/api/v1/inspections", look(Area::Records), inspections::list)
        .get("/api/v1/inspections/count", look(Area::Records), inspections::count)
        .get("/api/v1/inspections/found", look(Area::Records), found::find)
        .post("/api/v1/inspections/found", Need::Role(Role::Operator, Area::Records), found::find_like_picture)
        .get("/api/v1/inspections/known", look(Area::Records), inspections::known)
        .get("/api/v1/inspections/{id}", look(Area::Records), inspections::one)
        .get("/api/v1/inspections/{id}/image", look(Area::Records), picture::image)
        .get("/api/v1/inspections/{id}/label", look(Area::Models), review::labels)
        .post("/api/v1/inspections/{id}/label", label, review::label)
        .post("/api/v1/labels/undo", label, review::undo)
        .get("/api/v1/queue", look(Area::Models), review::queue)
        .get("/api/v1/queue/{id}", look(Area::Models), review::item)
        .post("/api/v1/queue", label, features::review)
        .get("/api/v1/features", look(Area::Models), features::status)
        .post("/api/v1/features", label, features::start)
        .post("/api/v1/features/cancel", label, features::cancel)
        .get("/api/v1/features/points", look(Area::Models), features::points)
        .get("/api/v1/learning", look(Area::Models), learning::learning)
        .get("/api/v1/drift", look(Area::Models), drift::drift)
        .post("/api/v1/drift/usual", train, drift::begin_anew)
        .get("/api/v1/plc", look(Area::Line), plc::plc)
        .get("/api/v1/cameras", set_up, cameras::list)
        .get("/api/v1/cameras/features", set_up, cameras::features)
        .put("/api/v1/cameras/features", set_up, cameras::set)
        .post("/api/v1/cameras/picture", set_up, cameras::picture)
        .get("/api/v1/golden", look(Area::Line), golden::golden)
        .get("/api/v1/golden/runs", look(Area::Line), golden::runs)
        .post("/api/v1/golden/runs", Need::Role(Role::Operator, Area::Line), golden::start)
        .post("/api/v1/golden/cancel", Need::Role(Role::Operator, Area::Line), golden::cancel)
        .post("/api/v1/golden/override", Need::Role(Role::Engineer, Area::Line), golden::overrule)
        .get("/api/v1/gauge", look(Area::Line), gauge::list)
        .post("/api/v1/gauge", Need::Role(Role::Engineer, Area::Line), gauge::plan)
        .get("/api/v1/gauge/{number}", look(Area::Line), gauge::one)
        .delete("/api/v1/gauge/{number}", Need::Role(Role::Engineer, Area::Line), gauge::remove)
        .post("/api/v1/gauge/{number}/collect", Need::Role(Role::Operator, Area::Line), gauge::collect)
        .post("/api/v1/gauge/{number}/void", Need::Role(Role::Operator, Area::Line), gauge::void)
        .post("/api/v1/gauge/{number}/ratings", Need::Role(Role::Operator, Area::Line), gauge::rate)
        .get("/api/v1/gauge/{number}/report", look(Area::Line), gauge::report)
        .get("/api/v1/recipes", look(Area::Line), recipes::list)
        .post("/api/v1/recipes", Need::Role(Role::Engineer, Area::Line), recipes::make)
        .get("/api/v1/recipes/{tag}", look(Area::Line), recipes::one)
        .post("/api/v1/recipes/{tag}/enforce", Need::Role(Role::Engineer, Area::Line), recipes::enforce)
        .get("/api/v1/setup", look(Area::Line), setup::setup)
        .post("/api/v1/setup/lesson", Need::Role(Role::Engineer, Area::Line), setup::begin)
        .delete("/api/v1/setup/lesson", Need::Role(Role::Engineer, Area::Line), setup::end)
        .delete("/api/v1/setup/lesson/{id}", Need::Role(Role::Engineer, Area::Line), setup::leave_out)
        .post("/api/v1/setup/learn", Need::Role(Role::Engineer, Area::Line), setup::learn)
        .get("/api/v1/setup/tradeoff", look(Area::Models), setup::trade)
        .get("/api/v1/serials", look(Area::Line), serials::waiting)
        .post("/api/v1/serials", Need::Role(Role::Operator, Area::Line), serials::send)
        .delete("/api/v1/serials", Need::Role(Role::Operator, Area::Line), serials::forget)
        .get("/api/v1/jobs", look(Area::Models), jobs::list)
        .post("/api/v1/jobs", train, jobs::start)
        .get("/api/v1/jobs/{id}", look(Area::Models), jobs::one)
        .delete("/api/v1/jobs/{id}", train, jobs::remove)
        .post("/api/v1/jobs/{id}/cancel", train, jobs::cancel)
        .post("/api/v1/jobs/{id}/pause", train, jobs::pause)
        .post("/api/v1/jobs/{id}/resume", train, jobs::resume)
        .post("/api/v1/jobs/{id}/judge", train, jobs::judge)
        .get("/api/v1/models", look(Area::Models), models::list)
        .get("/api/v1/models/{digest}", look(Area::Models), models::one)
        .post("/api/v1/models/{digest}/promote", train, models::promote)
        .post("/api/v1/models/rollback", train, models::rollback)
        .get("/api/v1/replays", look(Area::Models), replays::list)
        .post("/api/v1/replays", train, replays::start)
        .get("/api/v1/replays/{id}", look(Area::Models), replays::one)
        .delete("/api/v1/replays/{id}", train, replays::remove)
        .post("/api/v1/replays/{id}/cancel", train, replays::cancel)
        .get("/api/v1/replays/{id}/report", look(Area::Models), replays::report)
        .get("/api/v1/replays/{id}/serials", look(Area::Models), replays::serials)
        .get("/api/v1/export", look(Area::Records), export::export)
        .get("/api/v1/exports/{ticket}", look(Area::Records), export::progress)
        .get("/api/v1/quality", look(Area::Records), quality::quality)
        .get("/api/v1/quality/report", look(Area::Records), quality::report)
        .get("/api/v1/events", look(Area::Records), events::events)
        .get("/api/v1/alerts", look(Area::Alerts), alerts::list)
        .post("/api/v1/alerts/{id}/acknowledge", Need::Role(Role::Operator, Area::Alerts), alerts::acknowledge)
        .post("/api/v1/alerts/{id}/resolve", Need::Role(Role::Operator, Area::Alerts), alerts::resolve)
        .get("/api/v1/alerts/rules", look(Area::Alerts), alerts::rules)
        .put("/api/v1/alerts/rules/{name}", Need::Role(Role::Engineer, Area::Alerts), alerts::put_rule)
        .delete("/api/v1/alerts/rules/{name}", Need::Role(Role::Engineer, Area::Alerts), alerts::delete_rule)
        .get("/api/v1/outbox", Need::Role(Role::Operator, Area::Alerts), alerts::outbox)
        .post("/api/v1/outbox/replay", Need::Role(Role::Engineer, Area::Alerts), alerts::replay)
        .get("/api/v1/health", look(Area::Line), health::health)
        .get("/api/v1/holds", look(Area::Records), holds::list)
        .post("/api/v1/holds", Need::Role(Role::Engineer, Area::Records), holds::put)
        .post("/api/v1/holds/{number}/lift", Need::Role(Role::Engineer, Area::Records), holds::lift)
        .get("/api/v1/session", Need::Nothing, session::read)
        .post("/api/v1/session", Need::Nothing, session::sign_in)
        .delete("/api/v1/session", Need::Nothing, session::sign_out)
        .post("/api/v1/session/kiosk", Need::Nothing, session::kiosk)
        .post("/api/v1/session/setup", Need::Nothing, session::set_up)
        .put("/api/v1/session/password", Need::Role(Role::Operator, Area::Access), session::password)
        .get("/api/v1/users", admin, users::list)
        .post("/api/v1/users", admin, users::add)
        .put("/api/v1/users/{name}", admin, users::change)
        .delete("/api/v1/users/{name}", admin, users::remove)
        .get("/api/v1/tokens", admin, tokens::list)
        .post("/api/v1/tokens", admin, tokens::add)
        .delete("/api/v1/tokens/{name}", admin, tokens::revoke)
        .get("/api/v1/audit", Need::Role(Role::Admin, Area::Audit), audit::list)
        .get("/api/v1/audit/head", look(Area::Audit), audit::head)
        .get("/api/v1/openapi.json", Need::Nothing, openapi::openapi)
        .get("/metrics", look(Area::Line), metrics::metrics)
        .get("/healthz", Need::Nothing, health::healthz)
        .get("/readyz", Need::Nothing, health::readyz)
        .finish()
}

/// What the server knows besides the line.
struct Setting {
    hosts: Hosts,
    proxies: Arc<[IpAddr]>,
    port: u16,
    stopping: watch::Receiver<bool>,
}

fn router(board: Arc<Board>, setting: Setting) -> Router {
    let Setting { hosts, proxies, port, stopping } = setting;
    let (router, rules) = routes();
    let gate = Gate { access: board.access.clone(), rules, proxies, port };
    router
        .fallback(page::page)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(from_fn_with_state(idempotency::Replies::default(), idempotency::once))
        .layer(DefaultBodyLimit::max(body::MAX_PICTURE_BYTES))
        .layer(from_fn(body::read))
        .layer(from_fn_with_state(gate, gate::gate))
        .layer(from_fn_with_state(hosts, guard::host))
        .layer(from_fn(guard::headers))
        .with_state(Api {
            board,
            turnstile: session::Turnstile::default(),
            exports: export::Exports::default(),
            port,
            stopping,
        })
}
