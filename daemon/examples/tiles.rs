//! Small defects in a large picture: what the shipped model finds in frames of 4000 x 3000 pixels with one inclusion of at most 24, shrunk
//! whole to its input and cut into tiles of the scale that it learned at (docs/REGIONS.md).
//!
//!     cargo run -p inspectd --example tiles -- FRAMES
//!
//! As many good frames beside them: more looks are more chances of a false alarm.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use std::sync::Arc;
use std::time::Instant;

use inspectd::supervise::Kitchen;
use models::image::PixelFormat;
use stages::capture::synthetic::{Ask, Defect, Mix, Renderer, Stream};
use stages::frame::{Content, Frame};
use stages::line::{Limits, standard};
use stages::part::Part;
use stages::recipe::{Recipe, RecipeInForce};
use stages::recycle::Buffers;
use stages::stage::{Decision, run_chain};
use stages::verdict::Verdict;

const SIZE: [u32; 2] = [4000, 3000];
const LONGEST: f32 = 24.0;

fn main() -> anyhow::Result<()> {
    let frames: usize = std::env::args().nth(1).unwrap_or_else(|| "20".to_owned()).parse()?;
    let recipe = |tiles: &str| -> anyhow::Result<Arc<RecipeInForce>> {
        let recipe: Recipe = toml::from_str(&format!("name = 'tiles'\nversion = 1\ndeadline_ms = 60000\n{tiles}"))?;
        Ok(Kitchen { workers: 2, ..Kitchen::default() }.prepare(recipe, None)?.in_force)
    };
    let ways = [("whole", recipe("")?), ("tiles of 512", recipe("[tiles]\nsize = 512\noverlap = 64")?)];
    let mix = Mix { second_rate: 0.0, bad_frame_rate: 0.0, ..Mix::default() };
    let mut renderer = Renderer::new(Stream::Line, 20, 2, mix);
    let mut pixels = Vec::new();
    let (mut good, mut bad, mut index) = (0, 0, 0);
    let mut counts = [[0; 4]; 2];
    let mut times = [0.0; 2];
    while good < frames || bad < frames {
        index += 1;
        let ask = if good < frames { Ask::Good } else { Ask::With(Defect::Inclusion) };
        let drawn = renderer.render(index, ask, SIZE, &mut pixels);
        let defect = drawn.truth.defects.first();
        let small = |bbox: [f32; 4]| bbox[2].max(bbox[3]) <= LONGEST;
        if defect.is_some_and(|defect| !small(defect.bbox) || defect.cnr < 5.0) {
            continue;
        }
        *(if defect.is_some() { &mut bad } else { &mut good }) += 1;
        for (way, (_, recipe)) in ways.iter().enumerate() {
            let started = Instant::now();
            let Decision { verdict, regions, detail, .. } = decided(recipe, &pixels);
            anyhow::ensure!(
                !matches!(verdict, Verdict::NoDecision(_)),
                "frame {index}: {}",
                detail.unwrap_or_default()
            );
            times[way] += started.elapsed().as_secs_f64();
            let held = verdict != Verdict::Pass;
            // Held for the right reason: the tile that decided has the defect in it.
            let right = defect.zip(regions.first()).is_none_or(|(defect, region)| {
                let [x, y, width, height] = region.tile.map(|side| side as f32);
                let [left, top, ..] = defect.bbox;
                (x..x + width).contains(&left) && (y..y + height).contains(&top)
            });
            counts[way][usize::from(defect.is_none())] += usize::from(held);
            counts[way][2] += usize::from(defect.is_some() && held && right);
            counts[way][3] += usize::from(verdict == Verdict::Fail && defect.is_none());
        }
    }
    println!("way            inclusions held   held for it   good held (failed)   ms a frame");
    for ((name, _), ([held, false_alarms, right, failed], seconds)) in ways.iter().zip(counts.iter().zip(times)) {
        let ms = seconds * 1000.0 / (2 * frames) as f64;
        println!(
            "{name:<14} {held:>7} of {frames:<5} {right:>13} {false_alarms:>13} ({failed}) of {frames} {ms:>10.0}"
        );
    }
    Ok(())
}

fn decided(recipe: &Arc<RecipeInForce>, pixels: &[u8]) -> Decision {
    let content = Content::Pixels { width: SIZE[0], height: SIZE[1], format: PixelFormat::Rgb8 };
    let frame = Frame::from_vec(content, pixels.to_vec(), 0, None);
    let mut chain: Vec<_> =
        standard(&Limits { workers: 2, ..Limits::default() }).iter().map(|stage| stage.build()).collect();
    run_chain(&mut chain, Part::new(1, frame, recipe.clone(), Buffers::new(4))).1
}
