//! Geometry before the model: the lens made straight, the part brought into one pose, places that are not inspected painted over. What
//! the recipe asks for is loaded once; a picture then costs no allocation. Training takes the very same pictures through
//! [`models::prepare::Prepare`]. docs/ALIGNMENT.md.

mod affine;
pub mod board;
mod config;
pub mod lens;
mod mask;
mod outline;
mod pixels;
mod template;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use models::image::{self, Image, ImageView};
use models::prepare::{Prepare, Prepared};
use opencv::core::{self, Mat, Scalar, Size};
use opencv::imgproc;
use opencv::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use affine::Affine;
pub use config::{Align, Direction, Method, Take, Tone};
pub use mask::{Mask, NEUTRAL};

use self::lens::{Calibration, Lens};
use self::mask::Masks;
use self::outline::Outline;
use self::template::Template;
use crate::recipe::Recipe;
use crate::verdict::Cause;

/// How the picture that the model sees lies in the one that was captured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pose {
    /// From the prepared to the captured picture: `x' = m[0] x + m[1] y + m[2]`, `y' = m[3] x + m[4] y + m[5]`, in pixels from the
    /// upper left corner. The bend of a lens is left out.
    pub to_captured: [f64; 6],
    /// Width and height of the prepared picture.
    pub size: [u32; 2],
    /// Width and height of the captured one.
    pub captured: [u32; 2],
    /// How clearly the part was found; see the recipe's `align.least_score`. None where nothing was aligned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Millimetres that a pixel of the prepared picture is long on the plane where parts lie, with a calibrated camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mm_per_pixel: Option<f64>,
}

/// Why a picture is not prepared: the part gets no decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The cause on record.
    pub cause: Cause,
    /// In words.
    pub detail: String,
}

impl Refusal {
    fn failed(words: impl Into<String>) -> Refusal {
        Refusal { cause: Cause::StageFailed, detail: words.into() }
    }
}

impl From<opencv::Error> for Refusal {
    fn from(error: opencv::Error) -> Refusal {
        Refusal::failed(format!("align: OpenCV: {}", error.message))
    }
}

fn not_aligned(words: impl Into<String>) -> Refusal {
    Refusal { cause: Cause::NotAligned, detail: words.into() }
}

/// Where a part was found.
struct Placed {
    /// From the prepared picture to the one it was found on, counted from the centre of the first pixel.
    map: Affine,
    score: f64,
}

/// All that a recipe asks for, ready. Shared by the threads of a line.
pub struct Preparation {
    lens: Option<Lens>,
    aligner: Option<Aligner>,
    masks: Masks,
    mm_per_pixel: Option<f64>,
    digest: String,
}

enum Aligner {
    Outline(Outline),
    Template(Box<Template>),
}

/// What one thread needs besides: kept, so that a picture costs no allocation.
#[derive(Default)]
pub struct Scratch {
    straight: Mat,
    grey: Mat,
    outline: outline::Scratch,
    template: template::Scratch,
    crossings: Vec<f64>,
}

/// Everything wrong with what a recipe says of the geometry, without touching a file.
pub(crate) fn problems(recipe: &Recipe) -> Vec<String> {
    let mut problems = recipe.align.as_ref().map(Align::problems).unwrap_or_default();
    let outlined = recipe.align.as_ref().and_then(|align| align.size);
    for (number, mask) in (1..).zip(&recipe.mask) {
        if let Some(problem) = mask.problem() {
            problems.push(format!("`mask` number {number} {problem}"));
        } else if let Some(size) = outlined
            && mask.is_outside(size)
        {
            problems.push(outside(number, size));
        }
    }
    problems
}

fn outside(number: usize, [width, height]: [u32; 2]) -> String {
    format!("`mask` number {number} lies outside of the prepared picture of {width} x {height} pixels")
}

impl Preparation {
    /// Loads what the recipe names; `None` where it asks for nothing.
    ///
    /// # Errors
    /// Every problem, in words: a file that cannot be read or used, a mask beside the picture.
    pub fn load(recipe: &Recipe) -> Result<Option<Preparation>, Vec<String>> {
        if recipe.align.is_none() && recipe.mask.is_empty() && recipe.calibration.is_none() {
            return Ok(None);
        }
        let problems = problems(recipe);
        if !problems.is_empty() {
            return Err(problems);
        }
        let one = |words: String| vec![words];
        let calibration = recipe.calibration.as_deref().map(Calibration::load).transpose();
        let calibration = calibration.map_err(|words| one(format!("`calibration`: {words}")))?;
        let lens = calibration.as_ref().map(Lens::new).transpose();
        let lens = lens.map_err(|words| one(format!("`calibration`: {words}")))?;
        let mut digest = Sha256::new();
        let mut add = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        if let Some(calibration) = &calibration {
            // The numbers that move pixels, and not how they came about.
            add(&json(&(calibration.size, calibration.camera, calibration.distortion)));
        }
        let aligner = match &recipe.align {
            None => None,
            Some(align) => {
                add(&json(&align.without_limits()));
                let reference = align.reference.as_deref().map(|path| reference(path, lens.as_ref())).transpose();
                let reference = reference.map_err(|words| one(format!("`align.reference`: {words}")))?;
                if let Some(reference) = &reference {
                    add(reference.data_bytes().unwrap_or_default());
                }
                Some(Aligner::new(align, reference.as_ref()).map_err(|words| one(format!("`align`: {words}")))?)
            }
        };
        add(&json(&recipe.mask));
        let size =
            aligner.as_ref().map(Aligner::size).or(calibration.as_ref().map(|it| it.size)).or(recipe.quality.size);
        if let Some(size) = size {
            let beside = (1..).zip(&recipe.mask).filter(|(_, mask)| mask.is_outside(size));
            let beside: Vec<String> = beside.map(|(number, _)| outside(number, size)).collect();
            if !beside.is_empty() {
                return Err(beside);
            }
        }
        Ok(Some(Preparation {
            lens,
            aligner,
            masks: Masks::new(&recipe.mask),
            mm_per_pixel: calibration.map(|calibration| calibration.plane.mm_per_pixel),
            digest: digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        }))
    }

    /// Prepares a picture into `out`, whose buffer is used again.
    ///
    /// # Errors
    /// The part cannot be aligned, or the picture has not the size of the calibration or the reference.
    pub fn apply(&self, view: ImageView<'_>, own: &mut Scratch, out: &mut Image) -> Result<Pose, Refusal> {
        if !view.is_consistent() {
            return Err(Refusal::failed("align: the picture has not as many pixels as its size says"));
        }
        let Scratch { straight, .. } = own;
        let mut straight = std::mem::take(straight);
        let done = pixels::with_mat(view, |captured| {
            Ok(match &self.lens {
                None => self.apply_to(captured, view, own, out),
                Some(lens) => self
                    .check_size(view, lens.size, "calibration")
                    .and_then(|()| Ok(lens.undistort(captured, &mut straight)?))
                    .and_then(|()| self.apply_to(&straight, view, own, out)),
            })
        });
        own.straight = straight;
        done?
    }

    /// From the picture that is straight already.
    fn apply_to(
        &self,
        picture: &(impl MatTraitConst + core::ToInputArray),
        view: ImageView<'_>,
        own: &mut Scratch,
        out: &mut Image,
    ) -> Result<Pose, Refusal> {
        let captured = [view.width, view.height];
        let placed = match &self.aligner {
            None => None,
            Some(Aligner::Outline(outline)) => {
                pixels::grey(picture, &mut own.grey)?;
                Some(outline.find(&own.grey, &mut own.outline)?)
            }
            Some(Aligner::Template(template)) => {
                self.check_size(view, template.size, "reference")?;
                pixels::grey(picture, &mut own.grey)?;
                Some(template.find(&own.grey, &mut own.template)?)
            }
        };
        let size = self.aligner.as_ref().map_or(captured, Aligner::size);
        pixels::fill(out, size, view.format, |pixels| match &placed {
            None => picture.copy_to(pixels),
            Some(placed) => {
                let size = Size::new(size[0] as i32, size[1] as i32);
                let flags = imgproc::INTER_LINEAR + imgproc::WARP_INVERSE_MAP;
                let map = placed.map.to_mat()?;
                imgproc::warp_affine(picture, pixels, &map, size, flags, core::BORDER_REPLICATE, Scalar::default())
            }
        })?;
        self.masks.paint(out, &mut own.crossings);
        let map = placed.as_ref().map_or(Affine::IDENTITY, |placed| placed.map);
        let map = self.lens.as_ref().map_or(map, |lens| lens.to_captured.after(&map));
        Ok(Pose {
            to_captured: map.moved_origin(0.5).0,
            size,
            captured,
            score: placed.map(|placed| placed.score),
            mm_per_pixel: self.mm_per_pixel,
        })
    }

    fn check_size(&self, view: ImageView<'_>, size: [u32; 2], of: &str) -> Result<(), Refusal> {
        if [view.width, view.height] == size {
            return Ok(());
        }
        let detail =
            format!("picture is {} x {}, the recipe's {of} is {} x {}", view.width, view.height, size[0], size[1]);
        Err(Refusal { cause: Cause::WrongSize, detail })
    }
}

impl std::fmt::Debug for Preparation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preparation").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Prepare for Preparation {
    fn prepare(&self, picture: ImageView<'_>) -> Result<Prepared, String> {
        let mut image = Image::empty();
        let pose = self.apply(picture, &mut Scratch::default(), &mut image).map_err(|refusal| refusal.detail)?;
        Ok(Prepared { image, to_captured: pose.to_captured })
    }

    fn digest(&self) -> &str {
        &self.digest
    }
}

impl Aligner {
    fn new(align: &Align, reference: Option<&Mat>) -> Result<Aligner, String> {
        match (align.method, reference) {
            (Method::Outline, _) => Ok(Aligner::Outline(Outline::new(align))),
            (_, Some(reference)) => Ok(Aligner::Template(Box::new(Template::new(align, reference)?))),
            (_, None) => Err("there is no reference".into()),
        }
    }

    /// Of the prepared picture.
    fn size(&self) -> [u32; 2] {
        match self {
            Aligner::Outline(outline) => outline.size,
            Aligner::Template(template) => template.size,
        }
    }
}

/// The grey reference, undistorted as every picture will be.
fn reference(path: &Path, lens: Option<&Lens>) -> Result<Mat, String> {
    let words = |reason: String| format!("`{}` {reason}", path.display());
    let bytes = std::fs::read(path).map_err(|error| words(format!("cannot be read: {error}; check the path")))?;
    let picture = image::decode(&bytes).map_err(|error| words(format!("is no picture to align by: {error}")))?;
    if let Some(lens) = lens
        && lens.size != [picture.width, picture.height]
    {
        let [width, height] = lens.size;
        return Err(words(format!(
            "has {} x {} pixels, the calibration {width} x {height}",
            picture.width, picture.height
        )));
    }
    let (mut straight, mut grey) = (Mat::default(), Mat::default());
    let made = pixels::with_mat(picture.view(), |captured| match lens {
        None => pixels::grey(captured, &mut grey),
        Some(lens) => {
            lens.undistort(captured, &mut straight)?;
            pixels::grey(&straight, &mut grey)
        }
    });
    made.map_err(|error| words(format!("cannot be used: {}", error.message)))?;
    Ok(grey)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers and names are always JSON")
}

/// Files of a recipe become relative to its folder.
pub(crate) fn relative_to(recipe: &mut Recipe, folder: &Path) {
    let place = |path: &mut Option<PathBuf>| *path = path.take().map(|path| folder.join(path));
    place(&mut recipe.calibration);
    if let Some(align) = &mut recipe.align {
        place(&mut align.reference);
    }
}
