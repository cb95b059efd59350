//! Where a part lies, by a picture of one that lies as wanted: normalised correlation of the reference's region, first at every angle on a
//! coarse picture, then closer and closer on finer ones. [`Ecc`](super::Method::Ecc) goes on from the coarse pose with all grey levels
//! at once.

use opencv::core::{self, Mat, Point, Rect, Scalar, Size, TermCriteria};
use opencv::imgproc;
use opencv::prelude::*;
use opencv::video;

use super::affine::Affine;
use super::config::{Align, Method};
use super::pixels;
use super::{Placed, Refusal, not_aligned};

/// The longer side of the finest and of the coarsest picture that are compared.
const FINEST: f64 = 512.0;
const COARSEST: f64 = 128.0;
/// Shortest side of the region on the coarsest picture: less has nothing to compare.
const LEAST_SIDE: f64 = 16.0;
/// Deviation of the blur of each level, pixels.
const SOFT: f64 = 1.0;
/// Pixels that the edge of the region moves by from one angle of the coarse search to the next.
const STEP_PX: f64 = 1.5;
/// Pixels by which a guess may be off on the next finer picture.
const MARGIN: i32 = 4;
/// Grey levels of standard deviation below which there is nothing to compare.
const UNIFORM: f64 = 0.75;
/// Rounds of the finest method, and the gain of correlation that ends them.
const ECC_ROUNDS: i32 = 60;
const ECC_GAIN: f64 = 1e-6;
/// Side of the Gaussian that it smooths by.
const ECC_SMOOTH: i32 = 5;

/// A reference, at several scales.
pub(super) struct Template {
    method: Method,
    /// Coarsest first.
    levels: Vec<Level>,
    /// Middle of the region, counted from the centre of the first pixel.
    centre: [f64; 2],
    /// Of the reference, and of the prepared picture.
    pub(super) size: [u32; 2],
    max_shift: f64,
    max_angle: f64,
    least_score: f64,
}

struct Level {
    /// Of each axis, against the whole picture.
    scale: [f64; 2],
    size: Size,
    template: Mat,
    /// Middle of the template, in pixels of this level.
    centre: [f64; 2],
}

/// Scratch of one thread.
#[derive(Default)]
pub(super) struct Scratch {
    levels: Vec<Mat>,
    turned: Mat,
    found: Mat,
}

/// A pose on one level: the angle, and where the template's middle lies.
#[derive(Clone, Copy)]
struct Guess {
    angle: f64,
    at: [f64; 2],
    score: f64,
}

impl Template {
    /// From the grey reference.
    pub(super) fn new(settings: &Align, reference: &Mat) -> Result<Template, String> {
        let (width, height) = (reference.cols(), reference.rows());
        let longer = f64::from(width.max(height));
        let max_shift = settings.max_shift_px.unwrap_or(longer / 10.0);
        let region = match settings.region {
            Some(region) => within(region, [width, height])?,
            None => {
                let rim = |side: i32| (max_shift.ceil() as i32).min(side / 4);
                Rect::new(rim(width), rim(height), width - 2 * rim(width), height - 2 * rim(height))
            }
        };
        let words = |error: opencv::Error| format!("OpenCV cannot use the reference: {}", error.message);
        let shorter = f64::from(region.width.min(region.height));
        if shorter < LEAST_SIDE {
            return Err(format!("the reference has {width} x {height} pixels, too few to compare anything by"));
        }
        let finest = (FINEST / longer).min(1.0).max((LEAST_SIDE / shorter).min(1.0));
        let coarsest = (COARSEST / longer).max(LEAST_SIDE / shorter).min(finest);
        // From coarse to fine in steps of about two.
        let steps = (finest / coarsest).log2().ceil().max(0.0) as i32;
        let scales =
            (0..=steps).map(|step| coarsest * (finest / coarsest).powf(f64::from(step) / f64::from(steps.max(1))));
        let levels = scales.map(|scale| Level::new(reference, region, scale)).collect::<opencv::Result<Vec<_>>>();
        let levels = levels.map_err(words)?;
        if levels.iter().any(|level| level.template.cols() < 8 || level.template.rows() < 8) {
            return Err("the region to compare is too small: make `align.region` larger".into());
        }
        if levels.iter().any(|level| deviation(&level.template).is_ok_and(|it| it < UNIFORM)) {
            return Err("the region to compare is of one grey: choose another `align.region` or reference".into());
        }
        let half = |start: i32, side: i32| f64::from(start) + f64::from(side - 1) / 2.0;
        Ok(Template {
            method: settings.method,
            levels,
            centre: [half(region.x, region.width), half(region.y, region.height)],
            size: [width as u32, height as u32],
            max_shift,
            max_angle: settings.max_angle(),
            least_score: settings.least_score(),
        })
    }

    /// The map from the prepared picture to this one, which has the reference's size.
    pub(super) fn find(&self, grey: &Mat, own: &mut Scratch) -> Result<Placed, Refusal> {
        own.levels.resize_with(self.levels.len(), Mat::default);
        for (level, small) in self.levels.iter().zip(&mut own.levels) {
            shrink(grey, small, level.size, &mut own.turned)?;
        }
        if deviation(&own.levels[0])? < UNIFORM {
            return Err(not_aligned("the picture is of one grey: there is nothing to align by"));
        }
        let coarse = self.coarse(own)?;
        let placed = match self.method {
            Method::Ecc => self.by_all_levels(coarse, own)?,
            _ => self.closer(coarse, own)?,
        };
        self.check(placed)
    }

    /// Refuses what lies further away than the recipe allows, or is not like the reference.
    fn check(&self, placed: Placed) -> Result<Placed, Refusal> {
        if placed.score < self.least_score {
            return Err(not_aligned(format!(
                "nothing in the picture is like the reference: correlation {:.2}, the recipe asks for {:.2}",
                placed.score, self.least_score
            )));
        }
        let at = placed.map.apply(self.centre);
        let shift = (at[0] - self.centre[0]).hypot(at[1] - self.centre[1]);
        if shift > self.max_shift {
            let words = format!("the part is moved by {shift:.0} pixels, the recipe allows {:.0}", self.max_shift);
            return Err(not_aligned(words));
        }
        let (turn, most) = (placed.map.angle().to_degrees().abs(), self.max_angle.to_degrees());
        if turn > most {
            return Err(not_aligned(format!("the part is turned by {turn:.1} degrees, the recipe allows {most:.1}")));
        }
        Ok(placed)
    }

    /// The best of all angles and places, on the coarsest picture.
    fn coarse(&self, own: &mut Scratch) -> Result<Guess, Refusal> {
        let Scratch { levels, turned, found } = own;
        let (level, picture) = (&self.levels[0], &levels[0]);
        let (width, height) = (level.template.cols(), level.template.rows());
        let step = STEP_PX / (f64::from(width).hypot(f64::from(height)) / 2.0);
        let steps = (self.max_angle / step).ceil() as i32;
        let middle = [f64::from(level.size.width - 1) / 2.0, f64::from(level.size.height - 1) / 2.0];
        // A part that lies a little too far away is found there and refused, not sought elsewhere.
        let reach = [0, 1].map(|axis| self.max_shift * level.scale[axis] + 2.0);
        let mut best = Guess { angle: 0.0, at: level.centre, score: f64::NEG_INFINITY };
        for angle in (-steps..=steps).map(|at| f64::from(at) * step) {
            // Turned back by the angle, a part that is turned by it stands upright.
            let back = Affine::rigid(angle, middle, middle);
            warp(picture, turned, &back, level.size)?;
            // Where the template would lie if the part had not moved, in the turned picture.
            let home = Affine::rigid(-angle, middle, middle).apply(level.centre);
            let corner = |axis: usize, side: i32| home[axis] - f64::from(side - 1) / 2.0;
            let from = |axis: usize, side: i32| (corner(axis, side) - reach[axis]).floor().max(0.0) as i32;
            let to =
                |axis: usize, side: i32, full: i32| ((corner(axis, side) + reach[axis]).ceil() as i32).min(full - side);
            let (left, top) = (from(0, width), from(1, height));
            let (right, bottom) = (to(0, width, level.size.width), to(1, height, level.size.height));
            if right < left || bottom < top {
                continue;
            }
            let part = Mat::roi(turned, Rect::new(left, top, right - left + width, bottom - top + height))?;
            let (score, peak) = best_match(&part, &level.template, found)?;
            if score > best.score {
                let half = [f64::from(width - 1) / 2.0, f64::from(height - 1) / 2.0];
                let at = [f64::from(left + peak.x) + half[0], f64::from(top + peak.y) + half[1]];
                best = Guess { angle, at: back.apply(at), score };
            }
        }
        Ok(best)
    }

    /// Closer on each finer picture, to a fraction of a pixel and of the angle's step.
    fn closer(&self, coarse: Guess, own: &mut Scratch) -> Result<Placed, Refusal> {
        let Scratch { levels, turned, found } = own;
        let mut guess = coarse;
        for (number, level) in self.levels.iter().enumerate() {
            if number > 0 {
                guess.at = level.from(&self.levels[number - 1], guess.at);
            }
            let radius = f64::from(level.template.cols()).hypot(f64::from(level.template.rows())) / 2.0;
            let mut look = |angle: f64, at: [f64; 2]| level.look(&levels[number], angle, at, turned, found);
            let mut step = STEP_PX / radius;
            for _ in 0..2 {
                let mut middle = look(guess.angle, guess.at)?;
                let mut sides = [look(middle.angle - step, middle.at)?, look(middle.angle + step, middle.at)?];
                for _ in 0..4 {
                    let [left, right] = sides;
                    if left.score > middle.score && left.score >= right.score {
                        sides = [look(left.angle - step, left.at)?, middle];
                        middle = left;
                    } else if right.score > middle.score {
                        sides = [middle, look(right.angle + step, right.at)?];
                        middle = right;
                    } else {
                        break;
                    }
                }
                let vertex = peak_of([sides[0].score, middle.score, sides[1].score]);
                guess = look(middle.angle + vertex * step, middle.at)?;
                if guess.score < middle.score {
                    guess = middle;
                }
                step /= 3.0;
            }
        }
        Ok(self.placed(&self.levels[self.levels.len() - 1], guess))
    }

    /// By all grey levels at once, on the finer pictures.
    fn by_all_levels(&self, coarse: Guess, own: &Scratch) -> Result<Placed, Refusal> {
        let mut placed = self.placed(&self.levels[0], coarse);
        let skipped = usize::from(self.levels.len() > 1);
        for (level, picture) in self.levels.iter().zip(&own.levels).skip(skipped) {
            let start = level.narrowed(&placed.map);
            let m = start.0.map(|value| value as f32);
            let mut warp = Mat::from_slice_2d(&[[m[0], m[1], m[2]], [m[3], m[4], m[5]]])?;
            let criteria = TermCriteria::new(core::TermCriteria_COUNT + core::TermCriteria_EPS, ECC_ROUNDS, ECC_GAIN)?;
            let motion = video::MOTION_EUCLIDEAN;
            let none = core::no_array();
            let score =
                video::find_transform_ecc(&level.template, picture, &mut warp, motion, criteria, &none, ECC_SMOOTH);
            // It gives up where the two have nothing in common.
            let score = score
                .map_err(|_| not_aligned("nothing in the picture is like the reference: the search did not end"))?;
            let found: Vec<f64> = warp.data_typed::<f32>()?.iter().map(|&value| f64::from(value)).collect();
            let found: [f64; 6] = found.try_into().map_err(|_| Refusal::failed("ecc: a map of another shape"))?;
            if found.iter().any(|value| !value.is_finite()) {
                return Err(not_aligned("nothing in the picture is like the reference: the search ran away"));
            }
            placed = Placed { map: level.widened(&Affine(found)), score };
        }
        Ok(placed)
    }

    /// A guess on a level as a map of whole pictures.
    fn placed(&self, level: &Level, guess: Guess) -> Placed {
        let at = level.whole(guess.at);
        Placed { map: Affine::rigid(guess.angle, self.centre, at), score: guess.score }
    }
}

impl Level {
    fn new(reference: &Mat, region: Rect, scale: f64) -> opencv::Result<Level> {
        let (width, height) = (reference.cols(), reference.rows());
        let size = Size::new(pixels::scaled(width, scale), pixels::scaled(height, scale));
        let scale = [f64::from(size.width) / f64::from(width), f64::from(size.height) / f64::from(height)];
        let mut small = Mat::default();
        shrink(reference, &mut small, size, &mut Mat::default())?;
        // Cut out around the region's middle, which stays where it is: between pixels.
        let half = |start: i32, side: i32| f64::from(start) + f64::from(side - 1) / 2.0;
        let middle = [half(region.x, region.width), half(region.y, region.height)];
        let centre = [0, 1].map(|axis| (middle[axis] + 0.5) * scale[axis] - 0.5);
        let side = |side: i32, scale: f64| pixels::scaled(side, scale);
        let cut = Size::new(side(region.width, scale[0]), side(region.height, scale[1]));
        let mut template = Mat::default();
        let corner = [centre[0] - f64::from(cut.width - 1) / 2.0, centre[1] - f64::from(cut.height - 1) / 2.0];
        warp(&small, &mut template, &Affine([1.0, 0.0, corner[0], 0.0, 1.0, corner[1]]), cut)?;
        Ok(Level { scale, size, template, centre })
    }

    /// A place of another level on this one.
    fn from(&self, other: &Level, at: [f64; 2]) -> [f64; 2] {
        let whole = other.whole(at);
        [0, 1].map(|axis| (whole[axis] + 0.5) * self.scale[axis] - 0.5)
    }

    /// A place of this level on the whole picture.
    fn whole(&self, at: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|axis| (at[axis] + 0.5) / self.scale[axis] - 0.5)
    }

    /// From the template's own pixels to those of this level's picture, for a map of whole pictures.
    fn narrowed(&self, map: &Affine) -> Affine {
        let corner = self.corner();
        let up = self.up();
        let down =
            Affine([self.scale[0], 0.0, (self.scale[0] - 1.0) / 2.0, 0.0, self.scale[1], (self.scale[1] - 1.0) / 2.0]);
        down.after(map).after(&up).after(&Affine([1.0, 0.0, corner[0], 0.0, 1.0, corner[1]]))
    }

    /// The way back: a rigid map on this level as one of whole pictures. The two scales of a level differ by less than a pixel over the
    /// whole picture; the turn is taken as it is, so that the map stays rigid.
    fn widened(&self, map: &Affine) -> Affine {
        let middle = [f64::from(self.template.cols() - 1) / 2.0, f64::from(self.template.rows() - 1) / 2.0];
        Affine::rigid(map.angle(), self.whole(self.centre), self.whole(map.apply(middle)))
    }

    fn up(&self) -> Affine {
        let [x, y] = self.scale.map(|scale| 1.0 / scale);
        Affine([x, 0.0, (x - 1.0) / 2.0, 0.0, y, (y - 1.0) / 2.0])
    }

    /// Upper left pixel of the template on this level's reference.
    fn corner(&self) -> [f64; 2] {
        let half = [f64::from(self.template.cols() - 1) / 2.0, f64::from(self.template.rows() - 1) / 2.0];
        [self.centre[0] - half[0], self.centre[1] - half[1]]
    }

    /// The best place near a guess, at its angle, to a fraction of a pixel.
    fn look(
        &self,
        picture: &Mat,
        angle: f64,
        at: [f64; 2],
        turned: &mut Mat,
        found: &mut Mat,
    ) -> opencv::Result<Guess> {
        let size = Size::new(self.template.cols() + 2 * MARGIN, self.template.rows() + 2 * MARGIN);
        let middle = [f64::from(size.width - 1) / 2.0, f64::from(size.height - 1) / 2.0];
        let map = Affine::rigid(angle, middle, at);
        warp(picture, turned, &map, size)?;
        let (score, peak) = best_match(turned, &self.template, found)?;
        let mut off = [f64::from(peak.x - MARGIN), f64::from(peak.y - MARGIN)];
        let inner = 1..2 * MARGIN;
        if inner.contains(&peak.x) && inner.contains(&peak.y) {
            let value = |x: i32, y: i32| found.at_2d::<f32>(peak.y + y, peak.x + x).map(|&it| f64::from(it));
            off[0] += peak_of([value(-1, 0)?, score, value(1, 0)?]);
            off[1] += peak_of([value(0, -1)?, score, value(0, 1)?]);
        }
        Ok(Guess { angle, at: map.apply([middle[0] + off[0], middle[1] + off[1]]), score })
    }
}

/// Where the parabola through three neighbouring values has its peak, in steps from the middle one, the largest.
fn peak_of([left, middle, right]: [f64; 3]) -> f64 {
    let bend = left - 2.0 * middle + right;
    if bend < 0.0 { (0.5 * (left - right) / bend).clamp(-0.5, 0.5) } else { 0.0 }
}

fn warp(picture: &Mat, out: &mut Mat, map: &Affine, size: Size) -> opencv::Result<()> {
    let flags = imgproc::INTER_LINEAR + imgproc::WARP_INVERSE_MAP;
    imgproc::warp_affine(picture, out, &map.to_mat()?, size, flags, core::BORDER_REPLICATE, Scalar::default())
}

/// The largest correlation and where it is.
/// A level's picture, a little soft: turning and shifting by parts of a pixel averages noise away, and of a sharp picture a place between
/// pixels would look better than the true one for that alone.
fn shrink(grey: &Mat, out: &mut Mat, size: Size, sharp: &mut Mat) -> opencv::Result<()> {
    imgproc::resize(grey, sharp, size, 0.0, 0.0, imgproc::INTER_AREA)?;
    imgproc::gaussian_blur_def(sharp, out, Size::new(0, 0), SOFT)
}

fn best_match(picture: &impl core::ToInputArray, template: &Mat, found: &mut Mat) -> opencv::Result<(f64, Point)> {
    imgproc::match_template_def(picture, template, found, imgproc::TM_CCOEFF_NORMED)?;
    let (mut most, mut at) = (0.0, Point::default());
    core::min_max_loc(found, None, Some(&mut most), None, Some(&mut at), &core::no_array())?;
    Ok((most, at))
}

fn deviation(grey: &Mat) -> opencv::Result<f64> {
    let (mut mean, mut deviation) = (Scalar::default(), Scalar::default());
    core::mean_std_dev(grey, &mut mean, &mut deviation, &core::no_array())?;
    Ok(deviation[0])
}

/// The region as OpenCV has it, if it lies in the picture.
fn within(region: [u32; 4], [width, height]: [i32; 2]) -> Result<Rect, String> {
    let [left, top, across, down] = region.map(|side| i32::try_from(side).unwrap_or(i32::MAX));
    match left.checked_add(across).is_some_and(|right| right <= width)
        && top.checked_add(down).is_some_and(|bottom| bottom <= height)
    {
        true => Ok(Rect::new(left, top, across, down)),
        false => Err(format!("`align.region` reaches beyond the reference of {width} x {height} pixels")),
    }
}
