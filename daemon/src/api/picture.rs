//! `/api/v1/inspections/{id}/image`: the part's picture, the evidence if it is kept, else the recent preview.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::inspections::{blocking, part_id};
use super::problem::Problem;
use crate::store::PictureError;

/// The part's picture.
#[utoipa::path(get, path = "/api/v1/inspections/{id}/image", params(("id" = u64, Path, description = "Part id")), responses(
    (status = 200, description = "The picture as it came from the camera, or a preview of it", content_type = "image/jpeg"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn image(State(api): State<Api>, id: Result<Path<u64>, PathRejection>) -> Result<Response, Problem> {
    let id = part_id(id)?;
    let store = api.board.store.clone();
    let picture = blocking(move || store.picture(id).map_err(Problem::from)).await?;
    // Evidence never changes; a preview is replaced by nothing and soon forgotten.
    let caching = if picture.evidence { "private, max-age=31536000, immutable" } else { "private, max-age=60" };
    let bytes = axum::body::Bytes::from_owner(picture.bytes);
    Ok(([(header::CONTENT_TYPE, picture.mime), (header::CACHE_CONTROL, caching)], bytes).into_response())
}

impl From<PictureError> for Problem {
    fn from(error: PictureError) -> Problem {
        let words = error.to_string();
        match error {
            PictureError::Store(_) => Problem::internal(words),
            PictureError::StillWriting(_) => Problem::later(words),
            _ => Problem::not_found(words),
        }
    }
}
