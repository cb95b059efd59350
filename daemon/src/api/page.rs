//! `/`: the live page, from inside the program.

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::problem::Problem;

/// The page as `npm run build` left it. `build.rs` makes the folder, so that a build without Node has an empty one.
#[derive(RustEmbed)]
#[folder = "../web-ui/dist"]
struct Dashboard;

/// Served until a page is built in.
const PLACEHOLDER: &str = include_str!("placeholder.html");

/// A file of the page, for every path that is nothing else. The build left each a second time, packed.
pub(super) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
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
            let about = [
                (header::CONTENT_TYPE, mime.as_ref().to_owned()),
                (header::CACHE_CONTROL, caching.to_owned()),
                (header::VARY, "accept-encoding".to_owned()),
            ];
            match takes_gzip(&headers).then(|| Dashboard::get(&format!("{name}.gz"))).flatten() {
                Some(packed) => (about, [(header::CONTENT_ENCODING, "gzip")], packed.data).into_response(),
                None => (about, file.data).into_response(),
            }
        }
        None if path.is_empty() => {
            let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
            (StatusCode::OK, headers, PLACEHOLDER).into_response()
        }
        None => Problem::not_found(format!("there is no page {}", uri.path())).into_response(),
    }
}

/// Whether the answer may come packed (RFC 9110, 12.5.3): `gzip` is named, and not with the weight 0.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|offer| {
        let mut words = offer.split(';').map(str::trim);
        let named = words.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = words.find_map(|word| word.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        named && weight > 0.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_files_go_to_those_who_ask_for_them() {
        let takes = |value: &str| {
            let value = value.parse().expect("a header's value");
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.5") && takes("deflate,gzip ;q=1"));
        assert!(
            !takes("br") && !takes("gzip;q=0") && !takes("gzip; q=0.0, br") && !takes("") && !takes("x-gzip;q=nan")
        );
        assert!(!takes_gzip(&HeaderMap::new()), "who says nothing gets the plain file");
    }
}
