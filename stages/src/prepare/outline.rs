//! Where a part lies, by its outline: what differs from the background that is seen all around it. Centre and long axis follow from the
//! moments of the filled outline, so what is inside of it (a defect, a reflection) has no say; which end is the thicker one from its
//! third moment along the axis.
//!
//! The picture is made smaller and smoothed first, so that a part of three times the noise's deviation is as clear as a plain one.

use opencv::core::{self, Mat, Point, Size, Vector};
use opencv::imgproc;
use opencv::prelude::*;

use super::affine::{Affine, wrapped};
use super::config::{Align, Direction, Take, Tone};
use super::pixels;
use super::{Placed, Refusal, not_aligned};

/// The longer side on which a part is looked for.
const LOOKED_AT: f64 = 640.0;
/// A small picture is made larger by this at most: the outline runs from pixel to pixel.
const MOST_SCALE: f64 = 2.0;
/// Deviation of the Gaussian that quiets noise, in pixels of that, or of the picture where that is smaller.
const SMOOTH: f64 = 1.5;
/// A pixel stands out from the background by so many of its deviations at least.
const STANDS_OUT: f32 = 4.0;
/// A background without any noise (a drawing) still has its steps of grey.
const LEAST_DEVIATION: f32 = 0.25;
/// Shortest side on which there is an outline to speak of.
const LEAST_SIDE: i32 = 12;
/// Longest over shortest extent of a part from which it has a long axis.
const LEAST_ELONGATION: f64 = 1.05;
/// Skewness along the axis from which one end is the thicker one.
const LEAST_SKEW: f64 = 0.02;

/// Finds parts by their outline.
pub(super) struct Outline {
    settings: Align,
    /// Where the centre goes, counted from the centre of the first pixel.
    centre: [f64; 2],
    pub(super) size: [u32; 2],
}

/// Scratch of one thread.
#[derive(Default)]
pub(super) struct Scratch {
    small: Mat,
    levels: Mat,
    smooth: Mat,
    rim: Vec<[f32; 3]>,
    values: Vec<f32>,
    mask: Vec<u8>,
}

impl Outline {
    pub(super) fn new(settings: &Align) -> Outline {
        // Without a size the recipe is refused before it comes to this.
        let size = settings.size.unwrap_or([1, 1]);
        let middle = size.map(|side| f64::from(side) / 2.0);
        let centre = settings.centre.unwrap_or(middle).map(|at| at - 0.5);
        Outline { settings: settings.clone(), centre, size }
    }

    /// The map from the prepared picture to this one.
    pub(super) fn find(&self, grey: &Mat, own: &mut Scratch) -> Result<Placed, Refusal> {
        let found = self.look(grey, own)?;
        let Found { centre, angle, contrast } = found;
        let least = self.settings.least_score();
        if contrast < least {
            return Err(not_aligned(format!(
                "the part stands out from the background by {contrast:.1} of its deviations, the recipe asks for {least:.1}"
            )));
        }
        let middle = [grey.cols(), grey.rows()].map(|side| f64::from(side - 1) / 2.0);
        let shift = (centre[0] - middle[0]).hypot(centre[1] - middle[1]);
        if let Some(most) = self.settings.max_shift_px
            && shift > most
        {
            let words =
                format!("the part lies {shift:.0} pixels from the picture's middle, the recipe allows {most:.0}");
            return Err(not_aligned(words));
        }
        let (turn, most) = (angle.to_degrees().abs(), self.settings.max_angle().to_degrees());
        if turn > most + 1e-6 {
            return Err(not_aligned(format!("the part is turned by {turn:.0} degrees, the recipe allows {most:.0}")));
        }
        Ok(Placed { map: Affine::rigid(angle, self.centre, centre), score: contrast })
    }

    fn look(&self, grey: &Mat, own: &mut Scratch) -> Result<Found, Refusal> {
        let (width, height) = (grey.cols(), grey.rows());
        let scale = (LOOKED_AT / f64::from(width.max(height))).min(MOST_SCALE);
        let small = Size::new(pixels::scaled(width, scale), pixels::scaled(height, scale));
        if width.min(height) < LEAST_SIDE {
            return Err(not_aligned(format!("a picture of {width} x {height} pixels is too small for an outline")));
        }
        imgproc::resize(
            grey,
            &mut own.small,
            small,
            0.0,
            0.0,
            if scale > 1.0 { imgproc::INTER_LINEAR } else { imgproc::INTER_AREA },
        )?;
        own.small.convert_to_def(&mut own.levels, core::CV_32F)?;
        imgproc::gaussian_blur_def(&own.levels, &mut own.smooth, Size::new(0, 0), SMOOTH * scale.max(1.0))?;
        let (w, h) = (small.width as usize, small.height as usize);
        let threshold = self.separate([w, h], own)?;
        let outlines = self.outlines([w, h], own)?;
        let moments = self.moments(&outlines, [w, h])?;
        let angle = self.angle(&moments)?;
        let at = |at: f64, full: i32, small: usize| (at + 0.5) * f64::from(full) / small as f64 - 0.5;
        let centre = [at(moments.x, width, w), at(moments.y, height, h)];
        Ok(Found { centre, angle, contrast: f64::from(threshold.contrast) })
    }

    /// Fills `mask` with what differs from the background.
    fn separate(&self, [w, h]: [usize; 2], own: &mut Scratch) -> Result<Threshold, Refusal> {
        let Scratch { smooth, rim, values, mask, .. } = own;
        let smooth = smooth.data_typed::<f32>()?;
        let (plane, deviation) = background(smooth, [w, h], rim, values);
        let deviation = deviation.max(LEAST_DEVIATION);
        let sign = self.settings.part;
        let difference = |at: usize| {
            let (x, y) = ((at % w) as f32, (at / w) as f32);
            let off = smooth[at] - (plane[0] + plane[1] * x + plane[2] * y);
            match sign {
                Tone::Auto => off.abs(),
                Tone::Bright => off,
                Tone::Dark => -off,
            }
        };
        let least = STANDS_OUT * deviation;
        values.clear();
        values.reserve(w * h);
        values.extend((0..w * h).map(difference).filter(|&off| off > least));
        if (values.len() as f64) < self.settings.min_area * (w * h) as f64 {
            return Err(not_aligned(
                "nothing in the picture stands out from the background: no part, or too little contrast",
            ));
        }
        // Half of the part's own contrast: there a blurred edge lies where the sharp one did.
        let contrast = median(values);
        let threshold = least.max(contrast / 2.0);
        mask.clear();
        mask.extend((0..w * h).map(|at| if difference(at) > threshold { 255 } else { 0 }));
        Ok(Threshold { contrast: contrast / deviation })
    }

    /// The outlines of what is large enough, largest first.
    fn outlines(&self, [w, h]: [usize; 2], own: &mut Scratch) -> Result<Vec<Vector<Point>>, Refusal> {
        let mask = Mat::new_rows_cols_with_data(h as i32, w as i32, &own.mask)?;
        let mut all: Vector<Vector<Point>> = Vector::new();
        imgproc::find_contours_def(&mask, &mut all, imgproc::RETR_EXTERNAL, imgproc::CHAIN_APPROX_NONE)?;
        let least = self.settings.min_area * (w * h) as f64;
        let mut sized = Vec::new();
        for outline in all {
            let area = imgproc::contour_area_def(&outline)?;
            if area >= least {
                sized.push((area, outline));
            }
        }
        sized.sort_by(|a, b| b.0.total_cmp(&a.0));
        match (sized.as_slice(), self.settings.take) {
            ([], _) => {
                return Err(not_aligned(
                    "what stands out from the background is too small for a part (`align.min_area`)",
                ));
            }
            ([first, second, ..], Take::Largest) if second.0 >= first.0 / 2.0 => {
                return Err(not_aligned("there are two parts in the picture, or one in pieces (`align.take`)"));
            }
            _ => {}
        }
        if self.settings.take == Take::Largest {
            sized.truncate(1);
        }
        Ok(sized.into_iter().map(|(_, outline)| outline).collect())
    }

    fn moments(&self, outlines: &[Vector<Point>], [w, h]: [usize; 2]) -> Result<Moments, Refusal> {
        let mut sum = [0.0; 10];
        for outline in outlines {
            let cut = |at: Point| at.x == 0 || at.y == 0 || at.x + 1 == w as i32 || at.y + 1 == h as i32;
            if outline.iter().any(cut) {
                return Err(not_aligned("the part reaches the picture's edge, so it is not seen whole"));
            }
            let m = imgproc::moments_def(outline)?;
            let own = [m.m00, m.m10, m.m01, m.m20, m.m11, m.m02, m.m30, m.m21, m.m12, m.m03];
            sum.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
        }
        Ok(Moments::central(&sum))
    }

    /// By how much the part is turned from where it is wanted.
    fn angle(&self, moments: &Moments) -> Result<f64, Refusal> {
        let wanted = self.settings.axis_deg.to_radians();
        if self.settings.direction == Direction::None {
            return Ok(0.0);
        }
        if moments.elongation() < LEAST_ELONGATION {
            return Err(not_aligned(
                "the part is round: it has no long axis (`align.direction = \"none\"` does not turn it)",
            ));
        }
        let axis = moments.axis();
        let turn = wrapped(axis - wanted);
        if self.settings.direction == Direction::Either {
            let other = wrapped(turn + std::f64::consts::PI);
            return Ok(if other.abs() < turn.abs() { other } else { turn });
        }
        let skew = moments.skew(axis);
        if skew.abs() < LEAST_SKEW {
            return Err(not_aligned(
                "both ends of the part are equally thick (`align.direction = \"either\"` takes them alike)",
            ));
        }
        // The long tail is on the thin side.
        Ok(if skew > 0.0 { wrapped(turn + std::f64::consts::PI) } else { turn })
    }
}

/// A part, in pixels of the whole picture.
struct Found {
    centre: [f64; 2],
    angle: f64,
    contrast: f64,
}

struct Threshold {
    /// The part's contrast in deviations of the background.
    contrast: f32,
}

/// Central moments of an area, by its area.
struct Moments {
    x: f64,
    y: f64,
    second: [f64; 3],
    third: [f64; 4],
}

impl Moments {
    /// From raw ones: m00, m10, m01, m20, m11, m02, m30, m21, m12, m03.
    fn central(m: &[f64; 10]) -> Moments {
        let [m00, rest @ ..] = m;
        let [x, y, xx, xy, yy, xxx, xxy, xyy, yyy] = rest.map(|value| value / m00.max(f64::MIN_POSITIVE));
        Moments {
            x,
            y,
            second: [xx - x * x, xy - x * y, yy - y * y],
            third: [
                xxx - 3.0 * x * xx + 2.0 * x.powi(3),
                xxy - 2.0 * x * xy - y * xx + 2.0 * x * x * y,
                xyy - 2.0 * y * xy - x * yy + 2.0 * x * y * y,
                yyy - 3.0 * y * yy + 2.0 * y.powi(3),
            ],
        }
    }

    fn axis(&self) -> f64 {
        let [xx, xy, yy] = self.second;
        0.5 * (2.0 * xy).atan2(xx - yy)
    }

    /// Deviation along the long axis over that across.
    fn elongation(&self) -> f64 {
        let [xx, xy, yy] = self.second;
        let (mean, spread) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
        ((mean + spread) / (mean - spread).max(1e-9)).sqrt()
    }

    fn skew(&self, axis: f64) -> f64 {
        let (s, c) = axis.sin_cos();
        let ([xx, xy, yy], [xxx, xxy, xyy, yyy]) = (self.second, self.third);
        let variance = c * c * xx + 2.0 * s * c * xy + s * s * yy;
        let third = c.powi(3) * xxx + 3.0 * c * c * s * xxy + 3.0 * c * s * s * xyy + s.powi(3) * yyy;
        third / variance.max(1e-9).powf(1.5)
    }
}

/// The plane of grey levels that the picture's rim lies on, and how far its pixels are off it. What is not background there (a part
/// that reaches the edge) is left out, as long as it is the lesser share.
fn background(smooth: &[f32], [w, h]: [usize; 2], rim: &mut Vec<[f32; 3]>, values: &mut Vec<f32>) -> ([f32; 3], f32) {
    let wide = (w.min(h) / 40).max(2);
    rim.clear();
    for y in 0..h {
        let whole = y < wide || y + wide >= h;
        let within = |x: &usize| whole || *x < wide || *x + wide >= w;
        rim.extend((0..w).filter(within).map(|x| [x as f32, y as f32, smooth[y * w + x]]));
    }
    let mut median_of = |of: &dyn Fn(&[f32; 3]) -> f32| {
        values.clear();
        values.extend(rim.iter().map(of));
        median(values)
    };
    let mut plane = [median_of(&|it| it[2]), 0.0, 0.0];
    let mut deviation = 0.0;
    for round in 0..4 {
        let off = |it: &[f32; 3]| (it[2] - (plane[0] + plane[1] * it[0] + plane[2] * it[1])).abs();
        // The median of absolute deviations of normal noise is 0.6745 of its deviation.
        deviation = median_of(&off) / 0.6745;
        if round < 3 {
            let most = 3.0 * deviation + 0.5;
            let Some(fitted) = fit_plane(&rim.iter().filter(|it| off(it) <= most)) else { break };
            plane = fitted;
        }
    }
    (plane, deviation)
}

fn fit_plane<'a>(points: &(impl Iterator<Item = &'a [f32; 3]> + Clone)) -> Option<[f32; 3]> {
    let n = points.clone().count() as f64;
    let mean = |of: &dyn Fn([f64; 3]) -> f64| points.clone().map(|it| of(it.map(f64::from))).sum::<f64>() / n;
    let (mx, my, mz) = (mean(&|p| p[0]), mean(&|p| p[1]), mean(&|p| p[2]));
    let of = |a: usize, b: usize, ma: f64, mb: f64| mean(&|p| (p[a] - ma) * (p[b] - mb));
    let (xx, xy, yy) = (of(0, 0, mx, mx), of(0, 1, mx, my), of(1, 1, my, my));
    let (xz, yz) = (of(0, 2, mx, mz), of(1, 2, my, mz));
    let det = xx * yy - xy * xy;
    if det.is_nan() || det <= 1e-9 {
        return None;
    }
    let (a, b) = ((xz * yy - yz * xy) / det, (yz * xx - xz * xy) / det);
    Some([(mz - a * mx - b * my) as f32, a as f32, b as f32])
}

/// Of values in any order, which it leaves in another.
fn median(values: &mut [f32]) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}
