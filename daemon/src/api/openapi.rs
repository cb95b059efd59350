//! The API's description. It is committed as `daemon/openapi.json`; a test compares the two, and the page's types are made
//! from it.

use axum::Json;
use utoipa::OpenApi;

use super::{events, health, inspections, line, picture};

/// Everything that can be asked.
#[derive(OpenApi)]
#[openapi(
    info(title = "inspectd", description = "The inspection daemon of a factory-line PC."),
    paths(
        line::line,
        line::trend,
        inspections::list,
        inspections::one,
        picture::image,
        events::events,
        openapi,
        health::healthz,
        health::readyz,
    )
)]
struct Document;

/// The description, as `inspectd openapi` prints it.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses((status = 200, content_type = "application/json")))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
