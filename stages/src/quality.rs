//! The `quality` stage: decodes what came encoded and refuses pictures that are not fit to be judged. Each limit stands
//! in the recipe; a refused picture is `NoDecision` with its cause, never a guess.

use models::image::{self, Image, ImageError, ImageView};
use models::levels::Levels;
use opencv::core;

use crate::frame::{Content, View};
use crate::inspection::ImageHealth;
use crate::part::Part;
use crate::recipe::{Decoding, Quality as Limits, RecipeInForce};
use crate::sample::drawn_by_lot;
use crate::stage::{Decision, Flow, Stage, StageFactory};
use crate::verdict::Cause;

pub mod golden;
mod sharpness;

use golden::Golden;
use sharpness::Sharpness;

/// Share of the parts whose sharpness is measured for the trend where the recipe has no limit for it: it alone looks at every pixel.
const SHARPNESS_SHARE: f32 = 0.1;

/// Why a picture is refused: the cause, and in words.
type Refusal = (Cause, String);

/// Makes the `quality` stage.
pub struct Quality {
    /// Threads that decode and check at once.
    pub workers: usize,
}

impl StageFactory for Quality {
    fn name(&self) -> &'static str {
        "quality"
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn build(&self) -> Box<dyn Stage> {
        Box::new(Worker::default())
    }
}

/// Scratch images live as long as the worker, so that a part costs no allocation.
struct Worker {
    sharpness: Sharpness,
    cut: Image,
}

impl Default for Worker {
    fn default() -> Worker {
        Worker { sharpness: Sharpness::default(), cut: Image::empty() }
    }
}

impl Stage for Worker {
    fn process(&mut self, mut part: Part) -> Flow {
        let recipe = part.recipe.clone();
        let mut size = part.captured().map(|view| [view.width, view.height]).unwrap_or_default();
        if part.frame.content() == Content::Encoded {
            let mut image = part.buffers.image();
            match decode(part.frame.bytes(), &recipe, &mut image) {
                Ok(captured) => size = captured,
                Err(error) => return refuse(part, cause_of(&error), error.to_string()),
            }
            part.decoded = Some(image);
        }
        let golden = recipe.golden.as_ref();
        let by_lot = drawn_by_lot(part.id, SHARPNESS_SHARE) || golden.is_some_and(Golden::asks_focus);
        let verdict = match part
            .view()
            .map(|view| self.look_at_all(view, size, part.frame.views(), &recipe.recipe.quality, by_lot))
        {
            Some((health, verdict)) => {
                part.image = Some(health);
                verdict.and_then(|()| match (golden, part.view()) {
                    (Some(golden), Some(view)) => golden.check(view, health.brightness, health.sharpness),
                    _ => Ok(()),
                })
            }
            None => Err((Cause::Unreadable, "the frame has no pixels".to_owned())),
        };
        match verdict {
            Ok(()) => Flow::Next(part),
            Err((cause, detail)) => refuse(part, cause, detail),
        }
    }
}

/// Decodes a file; gives how large its picture was captured, which `out` may be smaller than.
fn decode(bytes: &[u8], recipe: &RecipeInForce, out: &mut Image) -> Result<[u32; 2], ImageError> {
    if recipe.recipe.quality.decode == Decoding::Reduced && !recipe.recipe.asks_for_all_pixels() {
        let input = recipe.model.preprocess();
        return image::decode_reduced_into(
            bytes,
            |[width, height]| width >= input.width && height >= input.height,
            out,
        );
    }
    image::decode_into(bytes, out)?;
    Ok([out.width, out.height])
}

fn refuse(part: Part, cause: Cause, detail: String) -> Flow {
    Flow::Decided(part, Decision::none(cause, detail))
}

/// What a picture that cannot be decoded means for its part.
pub(crate) fn cause_of(error: &ImageError) -> Cause {
    match error {
        ImageError::Truncated(_) => Cause::Truncated,
        _ => Cause::Unreadable,
    }
}

fn check_size(captured: [u32; 2], limits: &Limits) -> Result<(), Refusal> {
    match limits.size {
        Some(asked) if asked != captured => {
            let ([width, height], [across, down]) = (asked, captured);
            let detail = format!("picture is {across} x {down}, the recipe asks for {width} x {height}");
            Err((Cause::WrongSize, detail))
        }
        _ => Ok(()),
    }
}

/// The first limit that a picture breaks.
fn check(captured: [u32; 2], health: &ImageHealth, saturated: f32, limits: &Limits) -> Result<(), Refusal> {
    check_size(captured, limits)?;
    if saturated > limits.max_saturated {
        let detail = format!(
            "{:.0} % of the picture is black or white, the recipe allows {:.0} %: check exposure and light",
            saturated * 100.0,
            limits.max_saturated * 100.0
        );
        return Err((Cause::Saturated, detail));
    }
    if health.contrast < limits.min_deviation {
        let detail = format!(
            "picture is blank: grey levels vary by {:.1}, the recipe asks for at least {:.1}",
            health.contrast, limits.min_deviation
        );
        return Err((Cause::Blank, detail));
    }
    match health.sharpness {
        Some(sharpness) if sharpness < limits.min_sharpness => {
            let detail = format!(
                "picture is out of focus: sharpness {sharpness:.1}, the recipe asks for at least {:.1}",
                limits.min_sharpness
            );
            Err((Cause::OutOfFocus, detail))
        }
        _ => Ok(()),
    }
}

impl Worker {
    /// As [`look`](Self::look), at each view of a part that several cameras see. What is kept of how they were taken is the first one's.
    fn look_at_all(
        &mut self,
        view: ImageView<'_>,
        captured: [u32; 2],
        views: &[View],
        limits: &Limits,
        by_lot: bool,
    ) -> (ImageHealth, Result<(), Refusal>) {
        if views.is_empty() {
            return self.look(view, captured, limits, by_lot);
        }
        let of_each = Limits { size: None, ..limits.clone() };
        let mut cut = std::mem::replace(&mut self.cut, Image::empty());
        let mut looks = Vec::with_capacity(views.len());
        for View { name, area } in views {
            let look = match area.cut(view, &mut cut) {
                Ok(()) => self.look(cut.view(), [area.width, area.height], &of_each, by_lot),
                Err(error) => (ImageHealth::default(), Err((Cause::WrongSize, error.to_string()))),
            };
            looks.push((look.0, look.1.map_err(|(cause, words)| (cause, format!("view `{name}`: {words}")))));
        }
        self.cut = cut;
        let health = looks[0].0;
        let size = check_size(captured, limits);
        (health, looks.into_iter().fold(size, |so_far, (_, look)| so_far.and(look)))
    }

    /// How a picture was taken, and whether it is fit to be judged. `captured`: its size as it came. `by_lot`: its sharpness is
    /// wanted for the trend.
    fn look(
        &mut self,
        view: ImageView<'_>,
        captured: [u32; 2],
        limits: &Limits,
        by_lot: bool,
    ) -> (ImageHealth, Result<(), Refusal>) {
        let Levels { mean, deviation, saturated } = Levels::of(view);
        let wanted = limits.min_sharpness > 0.0 || by_lot;
        let sharpness = wanted.then(|| self.sharpness.of(view));
        let health = ImageHealth { brightness: mean, contrast: deviation, sharpness };
        (health, check(captured, &health, saturated, limits))
    }
}

/// How a picture was taken, outside any line.
pub fn health_of(view: ImageView<'_>) -> ImageHealth {
    Worker::default().look(view, [view.width, view.height], &Limits::default(), true).0
}

/// Pixels by grey level (the mean of the channels), in 64 steps.
pub fn histogram_of(view: ImageView<'_>) -> Vec<u32> {
    let channels = view.format.channels();
    let mut steps = vec![0; 64];
    for pixel in view.data.chunks_exact(channels) {
        let level = pixel.iter().map(|&value| usize::from(value)).sum::<usize>() / channels;
        steps[level / 4] += 1;
    }
    steps
}

/// OpenCV's own threads would fight with the line's workers for cores.
pub fn one_thread_per_worker() {
    if let Err(error) = core::set_num_threads(1) {
        tracing::warn!("OpenCV keeps its own threads: {}", error.message);
    }
}

#[cfg(test)]
mod tests {
    use models::image::PixelFormat;

    use super::*;

    fn textured(width: u32, height: u32, format: PixelFormat) -> Image {
        let data = (0..width * height)
            .flat_map(|i| {
                let value = ((u64::from(i) * 7919) % 97 + 60) as u8;
                std::iter::repeat_n(value, format.channels())
            })
            .collect();
        Image { width, height, format, data }
    }

    fn check(image: &Image, limits: &Limits) -> Result<(), Refusal> {
        Worker::default().look(image.view(), [image.width, image.height], limits, false).1
    }

    #[test]
    fn a_textured_picture_passes_in_grey_and_colour() {
        let limits = Limits { size: Some([640, 480]), min_sharpness: 50.0, ..Limits::default() };
        for format in [PixelFormat::Mono8, PixelFormat::Rgb8] {
            assert_eq!(check(&textured(640, 480, format), &limits), Ok(()));
        }
    }

    #[test]
    fn each_limit_names_its_cause_and_both_numbers() {
        let good = textured(64, 48, PixelFormat::Rgb8);
        let mut blank = good.clone();
        blank.data.fill(128);
        let mut white = good.clone();
        white.data.iter_mut().skip(64 * 48).for_each(|value| *value = 255);
        let blurred = {
            let ramp = (0..64 * 48).flat_map(|i| [(i % 64 * 3) as u8; 3]).collect();
            Image { data: ramp, ..good.clone() }
        };
        let limits = Limits { size: Some([64, 48]), min_sharpness: 100.0, ..Limits::default() };
        let other_size = Limits { size: Some([32, 32]), ..Limits::default() };
        for (image, limits, cause, words) in [
            (&good, &other_size, Cause::WrongSize, "64 x 48, the recipe asks for 32 x 32"),
            (&blank, &limits, Cause::Blank, "vary by 0.0, the recipe asks for at least 2.0"),
            (&white, &limits, Cause::Saturated, "the recipe allows 50 %"),
            (&blurred, &limits, Cause::OutOfFocus, "the recipe asks for at least 100.0"),
        ] {
            let (found, detail) = check(image, limits).expect_err("this picture must be refused");
            assert_eq!(found, cause);
            assert!(detail.contains(words), "{detail}");
        }
    }

    #[test]
    fn every_picture_is_measured_whether_it_is_refused_or_not() {
        let mut worker = Worker::default();
        for (width, height) in [(1, 1), (1, 7), (64, 48)] {
            for format in [PixelFormat::Mono8, PixelFormat::Rgb8] {
                let image = textured(width, height, format);
                let levels: Vec<f32> = image.data.iter().map(|&value| f32::from(value)).collect();
                let mean = levels.iter().sum::<f32>() / levels.len() as f32;
                let limits = Limits { size: Some([2, 2]), ..Limits::default() };
                let (health, verdict) = worker.look(image.view(), [width, height], &limits, true);
                assert_eq!(verdict.expect_err("another size").0, Cause::WrongSize);
                assert!((health.brightness - mean).abs() < 0.01, "{health:?}");
                assert!(health.sharpness.is_some());
                assert_eq!(
                    worker.look(image.view(), [width, height], &limits, false).0.sharpness,
                    None,
                    "nobody asked"
                );
            }
        }
    }

    #[test]
    fn sharpness_is_measured_at_native_resolution_on_large_frames() {
        let sharp = textured(2448, 2048, PixelFormat::Mono8);
        assert!(Sharpness::default().of(sharp.view()) > 1000.0);
    }
}
