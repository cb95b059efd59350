//! What is inspected: parts of the synthetic line as a small camera, a camera of five megapixels and its JPEG files give them.
#![allow(dead_code)] // the benchmarks that share this use each its own part

use std::time::Duration;

use inspectd::config::parse_recipe;
use inspectd::supervise::{DEMO_RECIPE, Kitchen};
use models::image::{ImageView, PixelFormat, encode_jpeg};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stages::capture::synthetic::{Synthetic, SyntheticConfig};
use stages::capture::{Event, Source, Trigger};
use stages::frame::{Content, Frame};
use stages::line::Limits;
use stages::recipe::{Decoding, RecipeInForce};
use std::path::Path;
use std::sync::Arc;

/// A camera of five megapixels.
const LARGE: [u32; 2] = [2448, 2048];
/// The synthetic line's own size.
const SMALL: u32 = 512;

/// What the parts come as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Raw, 512 x 512.
    Small,
    /// Raw, 2448 x 2048.
    Large,
    /// The same as JPEG files.
    Jpeg,
    /// The same, decoded at a fraction of the size.
    Reduced,
}

impl Case {
    pub(crate) const ALL: [(&str, Case); 4] = [
        ("raw-512", Case::Small),
        ("raw-5mp", Case::Large),
        ("jpeg-5mp", Case::Jpeg),
        ("jpeg-5mp-reduced", Case::Reduced),
    ];

    /// The demo's recipe with the shipped model, without a deadline that a slow machine could miss.
    pub(crate) fn recipe(self) -> Arc<RecipeInForce> {
        let mut recipe =
            parse_recipe(Path::new("the demo's recipe"), DEMO_RECIPE).expect("the shipped recipe is sound");
        recipe.deadline_ms = 60_000;
        // Pictures of what did not pass are kept and no others, so that whoever stands beside the line can keep the same.
        recipe.evidence.pass_fraction = 0.0;
        (recipe.review.per_hour, recipe.review.audit_fraction) = (0, 0.0);
        recipe.quality = SyntheticConfig::default().quality();
        if self != Case::Small {
            recipe.quality.size = Some(LARGE);
            // Where a picture was enlarged nothing is sharp; and whoever asks for sharpness asks for every pixel.
            recipe.quality.min_sharpness = 0.0;
        }
        if self == Case::Reduced {
            recipe.quality.decode = Decoding::Reduced;
        }
        let kitchen = Kitchen { workers: Limits::default().worker_threads(), ..Kitchen::default() };
        kitchen.prepare(recipe, None).expect("the shipped model runs here").in_force
    }

    /// Parts with the line's usual share of defects.
    pub(crate) fn frames(self) -> Vec<Frame> {
        let config = SyntheticConfig { seed: 4711, bad_frame_rate: 0.0, ..SyntheticConfig::default() };
        let mut source = Synthetic::open(config).expect("the synthetic line opens");
        let mut grain = ChaCha8Rng::seed_from_u64(4711);
        // As many as fit into memory beside everything else.
        let wanted = if self == Case::Small { 64 } else { 16 };
        let mut frames = Vec::new();
        while frames.len() < wanted {
            if let Ok(Event::Trigger(Trigger { frame: Ok(frame), .. })) = source.next(Duration::from_secs(1)) {
                // A copy: the source's pool is smaller than what is kept here.
                let (content, bytes) = self.as_captured(frame.content(), frame.bytes(), &mut grain);
                frames.push(Frame::from_vec(content, bytes, frame.sequence(), None));
            }
        }
        frames
    }

    fn as_captured(self, content: Content, pixels: &[u8], grain: &mut ChaCha8Rng) -> (Content, Vec<u8>) {
        if self == Case::Small {
            return (content, pixels.to_vec());
        }
        let [width, height] = LARGE;
        let data = enlarged(pixels, grain);
        let format = PixelFormat::Rgb8;
        if self == Case::Large {
            return (Content::Pixels { width, height, format }, data);
        }
        let view = ImageView { width, height, format, data: &data };
        (Content::Encoded, encode_jpeg(view, 90).expect("a sane picture"))
    }
}

/// A picture in colour at the large camera's size, with the fine grain that a sensor adds: without it a JPEG would be unusually small.
fn enlarged(pixels: &[u8], grain: &mut ChaCha8Rng) -> Vec<u8> {
    let [width, height] = LARGE;
    let mut data = Vec::with_capacity((width * height * 3) as usize);
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        // Between which four pixels, and how far.
        let place = |at: u32, of: u32| {
            let at = at * (SMALL - 1) * 256 / (of - 1);
            ((at / 256).min(SMALL - 2), at - (at / 256).min(SMALL - 2) * 256)
        };
        let ((left, right_by), (top, down_by)) = (place(x, width), place(y, height));
        let noise = grain.random_range(-2..=2);
        for channel in 0..3 {
            let at = |x: u32, y: u32| u32::from(pixels[((y * SMALL + x) * 3 + channel) as usize]);
            let row = |y: u32| at(left, y) * (256 - right_by) + at(left + 1, y) * right_by;
            let value = (row(top) * (256 - down_by) + row(top + 1) * down_by) >> 16;
            data.push((value as i32 + noise).clamp(0, 255) as u8);
        }
    }
    data
}
