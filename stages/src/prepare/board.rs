//! Calibrates a camera by pictures of a chessboard (Zhang, 2000, as OpenCV computes it).

use models::image::Image;
use opencv::calib3d;
use opencv::core::{self, Mat, Point2f, Point3f, Size, TermCriteria, Vector};
use opencv::prelude::*;
use thiserror::Error;

use super::lens::{Calibration, FORMAT, Plane, Quality};
use super::pixels;

/// Fewer pictures determine nothing.
pub const FEWEST: usize = 3;
/// Fewer pictures are worth a warning.
const FEW: usize = 8;
/// Fields across and down in which corners are counted.
const FIELDS: usize = 8;
/// Share of fields with a corner below which the rim of the picture is guessed at.
const LEAST_COVERAGE: f64 = 0.5;
/// Boards that are all tilted alike leave the focal length open.
const LEAST_TILT_DEG: f64 = 10.0;
/// Reprojection error above which something is wrong: a wavy board, a moved camera, blur.
const MOST_ERROR_PX: f64 = 0.5;
/// Two pictures whose corners differ by less than this share of the picture's diagonal show the same.
const ALIKE: f64 = 0.01;
/// Millimetres per pixel that differ by more over the picture: the camera does not look straight down.
const SKEWED: f64 = 1.03;

/// A chessboard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Board {
    /// Inner corners across: one less than squares.
    pub columns: u32,
    /// Inner corners down.
    pub rows: u32,
    /// Side of a square.
    pub square_mm: f64,
}

/// Why there is no calibration.
#[derive(Debug, Error)]
pub enum BoardError {
    /// The board is none.
    #[error("a board of {columns} x {rows} inner corners: give at least 3 x 3, and one less than there are squares")]
    NoBoard {
        /// As given.
        columns: u32,
        /// As given.
        rows: u32,
    },
    /// The squares have no size.
    #[error("squares of {0} mm: give the side of a square, measured with a calliper")]
    NoSquare(f64),
    /// Pictures of several sizes.
    #[error(
        "`{name}` has {found:?} pixels, the first picture {wanted:?}: all must come from one camera at one setting"
    )]
    Sizes {
        /// The picture.
        name: String,
        /// Its size.
        found: [u32; 2],
        /// The first picture's.
        wanted: [u32; 2],
    },
    /// The board is on too few.
    #[error(
        "the board was found on {found} of {all} pictures, at least {FEWEST} are needed: are {columns} x {rows} inner corners right, \
         is the whole board in the picture, sharp and without glare?"
    )]
    Few {
        /// With a board.
        found: usize,
        /// Pictures.
        all: usize,
        /// As given.
        columns: u32,
        /// As given.
        rows: u32,
    },
    /// The plane's picture shows none.
    #[error(
        "no board was found on `{0}`, which shows the plane where parts lie: take it again, or name another with --plane"
    )]
    NoPlane(String),
    /// OpenCV.
    #[error("OpenCV: {0}")]
    OpenCv(String),
}

impl From<opencv::Error> for BoardError {
    fn from(error: opencv::Error) -> Self {
        BoardError::OpenCv(error.message)
    }
}

/// A calibration and what there is to say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// For the file.
    pub calibration: Calibration,
    /// Each picture: its name, and its reprojection error in pixels; none without a board.
    pub pictures: Vec<(String, Option<f64>)>,
    /// What a person should do better.
    pub warnings: Vec<String>,
}

/// Corners of the board on a picture, row by row.
type Corners = Vector<Point2f>;

/// Calibrates by pictures with their names. `plane` is the number of the picture on which the board lies where parts lie.
///
/// # Errors
/// Too few boards, pictures of several sizes, a board that is none.
pub fn calibrate(pictures: &[(String, Image)], board: Board, plane: usize) -> Result<Calibrated, BoardError> {
    let Board { columns, rows, square_mm } = board;
    if columns < 3 || rows < 3 || columns > 100 || rows > 100 {
        return Err(BoardError::NoBoard { columns, rows });
    }
    if !(square_mm.is_finite() && square_mm > 0.0) {
        return Err(BoardError::NoSquare(square_mm));
    }
    let few = |found| BoardError::Few { found, all: pictures.len(), columns, rows };
    let Some((_, first)) = pictures.first() else { return Err(few(0)) };
    let size = [first.width, first.height];
    let mut seen = Vec::new();
    for (name, image) in pictures {
        if [image.width, image.height] != size {
            let name = name.clone();
            return Err(BoardError::Sizes { name, found: [image.width, image.height], wanted: size });
        }
        seen.push(find(image, board)?);
    }
    let found: Vec<usize> = (0..seen.len()).filter(|&at| seen[at].is_some()).collect();
    if found.len() < FEWEST {
        return Err(few(found.len()));
    }
    let boards: Vec<&Corners> = found.iter().filter_map(|&at| seen[at].as_ref()).collect();
    let Fit { camera, distortion, error, errors, tilt } = fit(&boards, board, size)?;
    let coverage = coverage(&boards, size);
    let mut calibration = Calibration {
        format: FORMAT,
        size,
        camera,
        distortion,
        plane: Plane {
            picture: pictures.get(plane).map(|(name, _)| name.clone()).unwrap_or_default(),
            mm_per_pixel: 0.0,
            mm_per_pixel_range: [0.0; 2],
            homography: [0.0; 9],
        },
        quality: Quality { pictures: found.len(), reprojection_px: error, coverage },
    };
    let on_plane = seen.get(plane).and_then(Option::as_ref);
    let on_plane = on_plane.ok_or_else(|| BoardError::NoPlane(calibration.plane.picture.clone()))?;
    calibration.plane = measure_plane(&calibration, on_plane, board)?;
    let mut warnings = warnings(&calibration, tilt);
    warnings.extend(alike(pictures, &found, &boards, size));
    let error_of = |at: usize| found.iter().position(|&it| it == at).map(|at| errors[at]);
    let pictures = pictures.iter().enumerate().map(|(at, (name, _))| (name.clone(), error_of(at))).collect();
    Ok(Calibrated { calibration, pictures, warnings })
}

/// The corners of the board, to a fraction of a pixel (Duda and Frese, 2018).
fn find(image: &Image, board: Board) -> opencv::Result<Option<Corners>> {
    let mut grey = Mat::default();
    if !image.view().is_consistent() {
        return Ok(None);
    }
    pixels::with_mat(image.view(), |pixels| pixels::grey(pixels, &mut grey))?;
    let mut corners = Corners::new();
    let size = Size::new(board.columns as i32, board.rows as i32);
    let flags = calib3d::CALIB_CB_NORMALIZE_IMAGE | calib3d::CALIB_CB_EXHAUSTIVE | calib3d::CALIB_CB_ACCURACY;
    let found = calib3d::find_chessboard_corners_sb(&grey, size, &mut corners, flags)?;
    Ok((found && corners.len() == (board.columns * board.rows) as usize).then_some(corners))
}

/// The board's corners in millimetres, row by row.
fn corners_mm(board: Board) -> Vec<[f64; 2]> {
    let at = |row: u32, column: u32| [f64::from(column) * board.square_mm, f64::from(row) * board.square_mm];
    (0..board.rows).flat_map(|row| (0..board.columns).map(move |column| at(row, column))).collect()
}

struct Fit {
    camera: [f64; 4],
    distortion: [f64; 5],
    error: f64,
    /// Of each picture.
    errors: Vec<f64>,
    /// The largest angle between two boards, degrees.
    tilt: f64,
}

fn fit(boards: &[&Corners], board: Board, size: [u32; 2]) -> opencv::Result<Fit> {
    let mm = corners_mm(board);
    let flat: Vector<Point3f> = mm.iter().map(|[x, y]| Point3f::new(*x as f32, *y as f32, 0.0)).collect();
    let objects: Vector<Vector<Point3f>> = boards.iter().map(|_| flat.clone()).collect();
    let images: Vector<Corners> = boards.iter().map(|&corners| corners.clone()).collect();
    let size = Size::new(size[0] as i32, size[1] as i32);
    let (mut camera, mut distortion) = (Mat::default(), Mat::default());
    let (mut turns, mut shifts) = (Vector::<Mat>::new(), Vector::<Mat>::new());
    let criteria = TermCriteria::new(core::TermCriteria_COUNT + core::TermCriteria_EPS, 100, 1e-9)?;
    // k3 is for fish-eyes: on a board it follows the noise of the corners.
    let flags = calib3d::CALIB_FIX_K3;
    let error = calib3d::calibrate_camera(
        &objects,
        &images,
        size,
        &mut camera,
        &mut distortion,
        &mut turns,
        &mut shifts,
        flags,
        criteria,
    )?;
    let mut errors = Vec::new();
    let mut normals = Vec::new();
    for (at, corners) in boards.iter().enumerate() {
        let (turn, shift) = (turns.get(at)?, shifts.get(at)?);
        let mut computed = Corners::new();
        calib3d::project_points_def(&flat, &turn, &shift, &camera, &distortion, &mut computed)?;
        let squared =
            computed.iter().zip(corners.iter()).map(|(a, b)| f64::from((a.x - b.x).powi(2) + (a.y - b.y).powi(2)));
        errors.push((squared.sum::<f64>() / mm.len() as f64).sqrt());
        let mut matrix = Mat::default();
        calib3d::rodrigues_def(&turn, &mut matrix)?;
        normals.push([*matrix.at_2d::<f64>(0, 2)?, *matrix.at_2d::<f64>(1, 2)?, *matrix.at_2d::<f64>(2, 2)?]);
    }
    let between = |a: &[f64; 3], b: &[f64; 3]| {
        let dot: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        dot.clamp(-1.0, 1.0).acos().to_degrees()
    };
    let tilt = normals.iter().flat_map(|a| normals.iter().map(|b| between(a, b))).fold(0.0, f64::max);
    let k = |row, column| camera.at_2d::<f64>(row, column).copied();
    let d: Vec<f64> = distortion.data_typed::<f64>()?.to_vec();
    let d = |at: usize| d.get(at).copied().unwrap_or(0.0);
    Ok(Fit {
        camera: [k(0, 0)?, k(1, 1)?, k(0, 2)?, k(1, 2)?],
        distortion: [d(0), d(1), d(2), d(3), d(4)],
        error,
        errors,
        tilt,
    })
}

/// Share of fields in which a corner lies.
fn coverage(boards: &[&Corners], [width, height]: [u32; 2]) -> f64 {
    let mut fields = [[false; FIELDS]; FIELDS];
    let field = |at: f32, side: u32| ((at.max(0.0) * FIELDS as f32 / side as f32) as usize).min(FIELDS - 1);
    for corner in boards.iter().flat_map(|corners| corners.iter()) {
        fields[field(corner.y, height)][field(corner.x, width)] = true;
    }
    fields.iter().flatten().filter(|&&seen| seen).count() as f64 / (FIELDS * FIELDS) as f64
}

/// Millimetres per pixel on the board's plane.
fn measure_plane(calibration: &Calibration, corners: &Corners, board: Board) -> opencv::Result<Plane> {
    let mut straight = Corners::new();
    let camera = calibration.camera_mat()?;
    let distortion = calibration.distortion_mat()?;
    let same = core::no_array();
    calib3d::undistort_points(corners, &mut straight, &camera, &distortion, &same, &camera)?;
    let mm: Corners = corners_mm(board).iter().map(|[x, y]| Point2f::new(*x as f32, *y as f32)).collect();
    let found = calib3d::find_homography_def(&straight, &mm, &mut core::no_array())?;
    let homography: Vec<f64> = found.data_typed::<f64>()?.to_vec();
    let homography: [f64; 9] = homography
        .try_into()
        .map_err(|_| opencv::Error::new(core::StsError, "the board's corners give no plane".to_string()))?;
    let [width, height] = calibration.size.map(|side| f64::from(side) - 1.0);
    let corners = [[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]];
    let scales = corners.map(|at| scale(&homography, at));
    let middle = scale(&homography, [width / 2.0, height / 2.0]);
    let least = scales.iter().copied().fold(middle, f64::min);
    let most = scales.iter().copied().fold(middle, f64::max);
    let picture = calibration.plane.picture.clone();
    Ok(Plane { picture, mm_per_pixel: middle, mm_per_pixel_range: [least, most], homography })
}

/// Side of a pixel on the plane: the root of the area that the homography makes of it.
fn scale(h: &[f64; 9], [x, y]: [f64; 2]) -> f64 {
    let w = h[6] * x + h[7] * y + h[8];
    let (u, v) = ((h[0] * x + h[1] * y + h[2]) / w, (h[3] * x + h[4] * y + h[5]) / w);
    let (ux, uy) = ((h[0] - u * h[6]) / w, (h[1] - u * h[7]) / w);
    let (vx, vy) = ((h[3] - v * h[6]) / w, (h[4] - v * h[7]) / w);
    (ux * vy - uy * vx).abs().sqrt()
}

fn warnings(calibration: &Calibration, tilt: f64) -> Vec<String> {
    let Quality { pictures, reprojection_px, coverage } = calibration.quality;
    let [least, most] = calibration.plane.mm_per_pixel_range;
    let all = [
        (pictures < FEW, format!("the board was found on {pictures} pictures only: take at least {FEW}, better 15")),
        (
            coverage < LEAST_COVERAGE,
            format!(
                "corners lie in {:.0} % of the picture: hold the board into its corners as well, or the rim stays bent",
                100.0 * coverage
            ),
        ),
        (
            tilt < LEAST_TILT_DEG,
            format!("the boards are tilted against each other by {tilt:.0} degrees at most: tilt some by 20 to 40"),
        ),
        (
            reprojection_px > MOST_ERROR_PX,
            format!(
                "the corners are off by {reprojection_px:.2} pixels: is the board flat, the focus and the camera fixed?"
            ),
        ),
        (
            most > SKEWED * least,
            format!(
                "a pixel is from {least:.4} to {most:.4} mm long on the plane: the camera does not look straight down, so a size in mm \
                 holds for the picture's middle"
            ),
        ),
    ];
    all.into_iter().filter_map(|(wrong, words)| wrong.then_some(words)).collect()
}

/// Pictures that show the board in the same place.
fn alike(pictures: &[(String, Image)], found: &[usize], boards: &[&Corners], [width, height]: [u32; 2]) -> Vec<String> {
    let near = ALIKE * f64::from(width).hypot(f64::from(height));
    let mut words = Vec::new();
    for (at, corners) in boards.iter().enumerate() {
        let same = boards[..at].iter().position(|other| {
            let off = corners.iter().zip(other.iter()).map(|(a, b)| f64::from((a.x - b.x).hypot(a.y - b.y)));
            off.sum::<f64>() / (corners.len() as f64) < near
        });
        if let Some(other) = same {
            let [one, other] = [found[at], found[other]].map(|at| &pictures[at].0);
            words.push(format!("`{one}` shows the board where `{other}` does: it adds nothing"));
        }
    }
    words
}
