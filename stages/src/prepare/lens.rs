//! A calibrated lens: straight lines of the world made straight in the picture, and millimetres per pixel on the plane where parts lie.

use std::path::Path;

use opencv::calib3d;
use opencv::core::{self, Mat, Scalar, Size};
use opencv::imgproc;
use serde::{Deserialize, Serialize};

use super::affine::Affine;

/// Version of the file.
pub const FORMAT: u32 = 1;
/// A calibration's file is a page of text.
const MAX_BYTES: u64 = 1 << 20;
const MOST_SIDE: u32 = 32_767;

/// What `inspectd calibrate` writes and a recipe names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`FORMAT`].
    pub format: u32,
    /// Width and height of the pictures that it was made from, and of those that it is for.
    pub size: [u32; 2],
    /// Focal lengths and principal point, in pixels: fx, fy, cx, cy.
    pub camera: [f64; 4],
    /// Distortion after Brown: k1, k2, p1, p2, k3.
    pub distortion: [f64; 5],
    /// The plane on which parts lie.
    pub plane: Plane,
    /// How it came about.
    pub quality: Quality,
}

/// The plane on which parts lie, as one picture of the board shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plane {
    /// The board's picture.
    pub picture: String,
    /// Millimetres that a pixel is long at the picture's middle.
    pub mm_per_pixel: f64,
    /// The least and the most in the picture: they differ where the camera does not look straight down.
    pub mm_per_pixel_range: [f64; 2],
    /// From pixels of the undistorted picture (counted from the centre of the first) to millimetres on the plane; row by row.
    pub homography: [f64; 9],
}

/// How well a calibration fits its pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Pictures on which the board was found.
    pub pictures: usize,
    /// Root of the mean squared distance between corners as found and as computed, in pixels.
    pub reprojection_px: f64,
    /// Share of the picture's fields (8 x 8) in which a corner lay.
    pub coverage: f64,
}

impl Calibration {
    /// Reads a calibration.
    ///
    /// # Errors
    /// In words: it cannot be read, or is none.
    pub fn load(path: &Path) -> Result<Calibration, String> {
        let refuse = |reason: String| format!("`{}` {reason}", path.display());
        let meta = std::fs::metadata(path).map_err(|e| refuse(format!("cannot be read: {e}; check the path")))?;
        if !meta.is_file() || meta.len() > MAX_BYTES {
            return Err(refuse("is no calibration: `inspectd calibrate` writes one".into()));
        }
        let text = std::fs::read_to_string(path).map_err(|e| refuse(format!("cannot be read: {e}")))?;
        let calibration: Calibration = serde_json::from_str(&text)
            .map_err(|e| refuse(format!("is no calibration of this program ({e}); `inspectd calibrate` writes one")))?;
        match calibration.problem() {
            Some(problem) => Err(refuse(format!("{problem}: calibrate again"))),
            None => Ok(calibration),
        }
    }

    fn problem(&self) -> Option<String> {
        let Calibration { format, size, camera, distortion, plane, .. } = self;
        let numbers = camera.iter().chain(distortion).chain(&plane.homography);
        let [fx, fy, ..] = camera;
        if *format != FORMAT {
            return Some(format!("has format {format}, this program reads {FORMAT}"));
        }
        if size.iter().any(|side| !(1..=MOST_SIDE).contains(side)) {
            return Some(format!("is for pictures of {} x {} pixels", size[0], size[1]));
        }
        if !(numbers.clone().all(|value| value.is_finite()) && *fx > 0.0 && *fy > 0.0) {
            return Some("has a number in it that no camera has".into());
        }
        if !(plane.mm_per_pixel.is_finite() && plane.mm_per_pixel > 0.0) {
            return Some(format!("has {} mm per pixel", plane.mm_per_pixel));
        }
        None
    }

    pub(super) fn camera_mat(&self) -> opencv::Result<Mat> {
        let [fx, fy, cx, cy] = self.camera;
        Mat::from_slice_2d(&[[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    }

    pub(super) fn distortion_mat(&self) -> opencv::Result<Mat> {
        Mat::from_slice_2d(&[self.distortion])
    }

    /// Where a place of the undistorted picture was in the captured one.
    pub(super) fn captured(&self, [u, v]: [f64; 2]) -> [f64; 2] {
        let [fx, fy, cx, cy] = self.camera;
        let [k1, k2, p1, p2, k3] = self.distortion;
        let (x, y) = ((u - cx) / fx, (v - cy) / fy);
        let r2 = x * x + y * y;
        let radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
        let dx = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x);
        let dy = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y;
        [fx * dx + cx, fy * dy + cy]
    }
}

/// A lens, ready: for each pixel where its light fell.
pub(super) struct Lens {
    pub(super) size: [u32; 2],
    maps: [Mat; 2],
    /// What comes nearest to the whole map among affine ones: a heat map of a few hundred cells needs no more.
    pub(super) to_captured: Affine,
}

impl Lens {
    pub(super) fn new(calibration: &Calibration) -> Result<Lens, String> {
        let [width, height] = calibration.size;
        let maps = || -> opencv::Result<[Mat; 2]> {
            let (mut whole, mut fraction) = (Mat::default(), Mat::default());
            let camera = calibration.camera_mat()?;
            let (size, kind) = (Size::new(width as i32, height as i32), core::CV_16SC2);
            let upright = core::no_array();
            let distortion = calibration.distortion_mat()?;
            let (one, two) = (&mut whole, &mut fraction);
            calib3d::init_undistort_rectify_map(&camera, &distortion, &upright, &camera, size, kind, one, two)?;
            Ok([whole, fraction])
        };
        let steps = |side: u32| (0..=8).map(move |step| f64::from(side.saturating_sub(1)) * f64::from(step) / 8.0);
        let points: Vec<_> = steps(width).flat_map(|x| steps(height).map(move |y| [x, y])).collect();
        let pairs: Vec<_> = points.into_iter().map(|at| (at, calibration.captured(at))).collect();
        Ok(Lens {
            size: calibration.size,
            maps: maps().map_err(|error| format!("OpenCV cannot use the calibration: {}", error.message))?,
            to_captured: Affine::fit(&pairs).unwrap_or(Affine::IDENTITY),
        })
    }

    /// Undistorts into `out`, whose buffer is used again.
    pub(super) fn undistort(
        &self,
        picture: &impl core::ToInputArray,
        out: &mut impl core::ToOutputArray,
    ) -> opencv::Result<()> {
        let [whole, fraction] = &self.maps;
        let (how, border) = (imgproc::INTER_LINEAR, core::BORDER_REPLICATE);
        imgproc::remap(picture, out, whole, fraction, how, border, Scalar::default())
    }
}
