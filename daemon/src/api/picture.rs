//! `/api/v1/inspections/{id}/image`: the part's picture, the evidence if it is kept, else the recent preview.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};

use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::address::At;
use super::inspections::blocking;
use super::problem::Problem;
use crate::store::PictureError;

/// Says `evidence` of a picture as it was taken, `preview` of one that was made smaller.
const PICTURE: &str = "x-inspectd-picture";

/// How large the picture should be.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The longer side's pixels, at most: 32 to 2048. A larger picture is made smaller, as a JPEG. Absent: as it is.
    side: Option<u32>,
}

/// The part's picture.
#[utoipa::path(get, path = "/api/v1/inspections/{id}/image", params(("id" = u64, Path, description = "Part id"), Wanted), responses(
    (status = 200, description = "The picture as it came from the camera, or a preview of it", content_type = "image/jpeg"),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn image(
    State(api): State<Api>,
    At(id): At<u64>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Wanted { side }) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    if let Some(side) = side.filter(|side| !(32..=2048).contains(side)) {
        return Err(Problem::bad_request(format!("`side` is {side}: give 32 to 2048")));
    }
    let store = api.board.store.clone();
    let picture = blocking(move || {
        Ok(match side {
            Some(side) => store.picture_at_most(id, side)?,
            None => store.picture(id)?,
        })
    });
    let picture = picture.await?;
    // Evidence never changes; a preview is replaced by nothing and soon forgotten.
    let caching = if picture.evidence { "private, max-age=31536000, immutable" } else { "private, max-age=60" };
    let bytes = axum::body::Bytes::from_owner(picture.bytes);
    let as_taken = if picture.evidence { "evidence" } else { "preview" };
    let headers = [
        (header::CONTENT_TYPE, picture.mime),
        (header::CACHE_CONTROL, caching),
        (HeaderName::from_static(PICTURE), as_taken),
    ];
    Ok((headers, bytes).into_response())
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
