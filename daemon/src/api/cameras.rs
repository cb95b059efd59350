//! `/api/v1/cameras`: cameras that answer, what they can be set to, one picture at a time.
//!
//! Each question is put by `inspectd cameras` in a process of its own: a driver that hangs or dies takes nothing of the line with it. The
//! line's own camera is its own: of that one the newest parts tell.

mod ask;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stages::capture::genicam::feature::{FeatureName, assignment};
use utoipa::{IntoParams, ToSchema};

use self::ask::{ask, lines};
use super::Api;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::Who;
use crate::audit::Deed;
use crate::store::StoredPicture;

/// Longest name of a camera.
const MAX_NAME: usize = 200;
/// Most features that are set at once.
const MAX_VALUES: usize = 100;
/// Longer side of a picture for a screen, pixels.
const SIDE: u32 = 1280;

/// The cameras that answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cameras)]
pub(super) struct CamerasView {
    cameras: Vec<CameraView>,
}

/// A camera that answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Camera)]
struct CameraView {
    /// What the configuration, and this interface, may name it by.
    id: String,
    /// Maker and model, as it says.
    model: String,
    /// Its serial number; none: it tells none.
    #[schema(required = true)]
    serial: Option<String>,
    /// `GigEVision`, `USB3Vision` or `V4L2`.
    protocol: String,
    /// IP address, or its place on a bus.
    address: String,
    state: CameraState,
    /// Why it cannot be opened.
    #[schema(required = true)]
    detail: Option<String>,
}

/// Whether a camera can be had.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CameraState {
    /// It can be opened.
    Free,
    /// A line on this machine has it.
    HeldHere,
    /// Another program or machine has it.
    HeldElsewhere,
    /// It cannot be opened.
    Closed,
}

/// What a camera can be set to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CameraFeatures)]
pub(super) struct FeaturesView {
    features: Vec<FeatureView>,
}

/// A feature, by its name in the SFNC or the vendor's.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = CameraFeature)]
struct FeatureView {
    name: String,
    /// The category that lists it.
    group: String,
    /// `integer`, `float`, `enumeration`, `boolean`, `string`, `command` or `other`.
    kind: String,
    /// None for commands, and for what cannot be read.
    #[schema(required = true)]
    value: Option<String>,
    #[schema(required = true)]
    unit: Option<String>,
    /// Least and greatest value of a number.
    #[schema(required = true)]
    range: Option<[f64; 2]>,
    /// A number moves in steps of this.
    #[schema(required = true)]
    step: Option<f64>,
    /// What may be chosen.
    entries: Vec<String>,
    /// `read`, `write`, `read_write`, or `none`: not in this mode of the camera.
    access: String,
    #[schema(required = true)]
    description: Option<String>,
}

/// Which camera.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Its id, serial number, MAC or IP address.
    camera: String,
}

/// Values to set, in this order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewValues {
    values: Vec<FeatureSetting>,
}

/// A feature and its value.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FeatureSetting {
    /// `Gain`, or `Gain[GainSelector=DigitalAll]` to set the selector first.
    name: String,
    /// In words; commands take `true`.
    value: String,
}

/// What the camera has after they were set, read back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CameraValues)]
pub(super) struct ValuesView {
    values: Vec<FeatureSetting>,
}

/// A picture, and how it was taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CameraPicture)]
pub(super) struct PictureView {
    /// Pixels, as the camera gave it.
    width: u32,
    height: u32,
    /// Mean grey level, 0 to 255.
    brightness: f32,
    /// Standard deviation of grey levels.
    contrast: f32,
    /// Variance of the Laplacian: turn the lens for the greatest.
    #[schema(required = true)]
    sharpness: Option<f32>,
    /// Pixels by grey level, in 64 steps.
    histogram: Vec<u32>,
    /// At most 1280 pixels a side, as a data URL.
    picture: String,
}

/// What `cameras snap --json` says.
#[derive(Deserialize)]
struct Snapped {
    width: u32,
    height: u32,
    brightness: f32,
    contrast: f32,
    sharpness: Option<f32>,
    histogram: Vec<u32>,
}

/// The cameras that answer now; looking for them takes some seconds.
#[utoipa::path(get, path = "/api/v1/cameras", operation_id = "list_cameras", responses(
    (status = 200, body = CamerasView),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "Cameras are asked already"),
))]
pub(super) async fn list() -> Result<Json<CamerasView>, Problem> {
    blocking(|| {
        let found: Vec<Value> = lines(&ask("list", &["--json"])?)?;
        Ok(Json(CamerasView { cameras: found.iter().filter_map(CameraView::of).collect() }))
    })
    .await
}

/// What a camera can be set to.
#[utoipa::path(get, path = "/api/v1/cameras/features", operation_id = "get_camera_features", params(Which), responses(
    (status = 200, body = FeaturesView),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "The camera cannot be opened"),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "Cameras are asked already"),
))]
pub(super) async fn features(which: Result<Query<Which>, QueryRejection>) -> Result<Json<FeaturesView>, Problem> {
    let camera = named(which)?;
    blocking(move || Ok(Json(FeaturesView { features: lines(&ask("show", &["--json", &camera])?)? }))).await
}

/// Sets features of a camera and reads them back. It stops at the first that the camera refuses.
#[utoipa::path(put, path = "/api/v1/cameras/features", operation_id = "set_camera_features", params(Which), request_body = NewValues, responses(
    (status = 200, body = ValuesView),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "The camera cannot be opened, or refuses a value"),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "Cameras are asked already"),
))]
pub(super) async fn set(
    State(api): State<Api>,
    who: Who,
    which: Result<Query<Which>, QueryRejection>,
    Sent(NewValues { values }): Sent<NewValues>,
) -> Result<Json<ValuesView>, Problem> {
    let camera = named(which)?;
    if !(1..=MAX_VALUES).contains(&values.len()) {
        return Err(Problem::unprocessable(format!(
            "{} values are given: set 1 to {MAX_VALUES} at once",
            values.len()
        )));
    }
    let assigned = |setting: &FeatureSetting| {
        let name: FeatureName = setting.name.parse().map_err(|bad| Problem::unprocessable(format!("{bad}")))?;
        let text = format!("{name}={}", setting.value);
        assignment(&text).map_err(|bad| Problem::unprocessable(format!("{name}: {bad}")))?;
        Ok(text)
    };
    let assigned = values.iter().map(assigned).collect::<Result<Vec<String>, Problem>>()?;
    blocking(move || {
        api.board.access.trail().append(&who, Deed::new("camera.set", &camera).after(&values))?;
        let mut arguments = vec!["--json", &camera, "--"];
        arguments.extend(assigned.iter().map(String::as_str));
        Ok(Json(ValuesView { values: lines(&ask("set", &arguments)?)? }))
    })
    .await
}

/// Takes one picture, the camera running freely.
#[utoipa::path(post, path = "/api/v1/cameras/picture", operation_id = "take_camera_picture", params(Which), responses(
    (status = 200, body = PictureView),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "The camera cannot be opened, or gives no picture"),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "Cameras are asked already"),
))]
pub(super) async fn picture(which: Result<Query<Which>, QueryRejection>) -> Result<Json<PictureView>, Problem> {
    let camera = named(which)?;
    blocking(move || {
        let failed = |what: &str, error: &dyn std::fmt::Display| Problem::internal(format!("{what}: {error}"));
        let folder = tempfile::tempdir().map_err(|error| failed("a folder for a camera's picture", &error))?;
        let file = folder.path().join("snap.png");
        let out = format!("--out={}", file.display());
        let said = ask("snap", &["--json", "--free", "--wait=5", &out, &camera])?;
        let Snapped { width, height, brightness, contrast, sharpness, histogram } = lines(&said)?
            .pop()
            .ok_or_else(|| Problem::internal("a camera's picture was taken, but nothing said of it"))?;
        let bytes = std::fs::read(&file).map_err(|error| failed("a camera's picture", &error))?;
        let StoredPicture { bytes, mime, .. } =
            StoredPicture { bytes: bytes.into(), mime: "image/png", evidence: false }.at_most(SIDE);
        let picture = format!("data:{mime};base64,{}", BASE64.encode(&bytes));
        Ok(Json(PictureView { width, height, brightness, contrast, sharpness, histogram, picture }))
    })
    .await
}

/// The camera's name as an argument. It cannot be taken for an option, whatever it is.
fn named(which: Result<Query<Which>, QueryRejection>) -> Result<String, Problem> {
    let Query(Which { camera }) = which.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    if camera.is_empty() || camera.len() > MAX_NAME || camera.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "`camera` names no camera: give an id, serial number or address of at most {MAX_NAME} bytes"
        )));
    }
    Ok(format!("--camera={camera}"))
}

impl CameraView {
    /// From a line of `cameras list --json`, of either kind.
    fn of(found: &Value) -> Option<CameraView> {
        let text = |key: &str| found[key].as_str().map(str::to_owned);
        if let Some(path) = text("path") {
            return Some(CameraView {
                id: path,
                model: text("card")?,
                serial: None,
                protocol: "V4L2".to_owned(),
                address: text("bus")?,
                state: CameraState::Free,
                detail: None,
            });
        }
        let closed = found["state"]["closed"].as_str();
        let state = match closed {
            Some(_) => CameraState::Closed,
            None => serde_json::from_value(found["state"].clone()).ok()?,
        };
        Some(CameraView {
            id: text("id")?,
            model: [text("vendor")?, text("model")?].join(" ").trim().to_owned(),
            serial: text("serial").filter(|serial| !serial.is_empty()),
            protocol: text("protocol")?,
            address: text("address")?,
            state,
            detail: closed.map(str::to_owned),
        })
    }
}
