//! `/`: the live page, from inside the program.

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::problem::Problem;

/// The page as `npm run build` left it. `build.rs` makes the folder, so that a build without Node has an empty one.
#[derive(RustEmbed)]
#[folder = "../web-ui/dist"]
struct Dashboard;

/// Served until a page is built in.
const PLACEHOLDER: &str = include_str!("placeholder.html");

/// A file of the page, for every path that is nothing else.
pub(super) async fn page(method: Method, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") || !(method == Method::GET || method == Method::HEAD) {
        return Problem::not_found(format!("{method} {} does not exist: see /api/v1/openapi.json", uri.path()))
            .into_response();
    }
    let name = if path.is_empty() { "index.html" } else { path };
    match Dashboard::get(name) {
        Some(file) => {
            // The build puts a digest of the content into the names of assets.
            let caching = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
            let mime = mime_guess::from_path(name).first_or_octet_stream();
            let headers =
                [(header::CONTENT_TYPE, mime.as_ref().to_owned()), (header::CACHE_CONTROL, caching.to_owned())];
            (headers, file.data).into_response()
        }
        None if path.is_empty() => {
            let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
            (StatusCode::OK, headers, PLACEHOLDER).into_response()
        }
        None => Problem::not_found(format!("there is no page {}", uri.path())).into_response(),
    }
}
