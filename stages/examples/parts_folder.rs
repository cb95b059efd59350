//! Draws a folder of synthetic parts of one surface, as a good-only training wants it:
//! `cargo run -p stages --example parts_folder -- DIR SURFACE SEED GOOD TEST_GOOD BAD`.
//!
//! `DIR/train/good` holds GOOD parts, `DIR/test/good` TEST_GOOD others, `DIR/test/LABEL` BAD defective parts in all, each with its
//! strongest defect at a contrast-to-noise ratio of 3 or more. Parts are those of [`Stream::Line`]: no model ever learned from them.

#![allow(clippy::print_stdout)] // a tool for the terminal

use std::path::Path;

use models::image::{ImageView, PixelFormat, encode_png};
use stages::capture::synthetic::{Ask, Defect, Mix, Renderer, Stream, Surface};

const SIDE: u32 = 512;
/// A careful person sees a defect from here on.
const VISIBLE: f32 = 3.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, surface, seed, good, test_good, bad] = args.as_slice() else {
        return Err("usage: parts_folder DIR SURFACE SEED GOOD TEST_GOOD BAD".into());
    };
    let named = Surface::ALL.into_iter().find(|known| format!("{known:?}") == *surface);
    let surface = named.ok_or_else(|| format!("`{surface}` is no surface; there are {:?}", Surface::ALL))?;
    let [good, test_good, bad]: [u64; 3] = [good.parse()?, test_good.parse()?, bad.parse()?];
    let mix = Mix { surfaces: vec![surface], second_rate: 0.0, bad_frame_rate: 0.0, ..Mix::default() };
    let mut renderer = Renderer::new(Stream::Line, seed.parse()?, 2, mix);
    let dir = Path::new(dir);
    let mut pixels = Vec::new();
    for index in 0..good + test_good {
        renderer.render(index, Ask::Good, [SIDE; 2], &mut pixels);
        let side = if index < good { "train" } else { "test" };
        write(&dir.join(side).join("good"), index, &pixels)?;
    }
    let mut written = 0;
    for (index, defect) in (good + test_good..).zip(Defect::ALL.into_iter().cycle()) {
        if written == bad {
            break;
        }
        let drawn = renderer.render(index, Ask::With(defect), [SIDE; 2], &mut pixels);
        let strongest = drawn.truth.defects.iter().max_by(|a, b| a.cnr.total_cmp(&b.cnr));
        if let Some(strongest) = strongest.filter(|defect| defect.cnr >= VISIBLE) {
            write(&dir.join("test").join(&*strongest.label), index, &pixels)?;
            written += 1;
        }
    }
    println!(
        "{good} parts to learn from, {test_good} good and {bad} defective ones to measure on in {}",
        dir.display()
    );
    Ok(())
}

fn write(folder: &Path, index: u64, pixels: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    let view = ImageView { width: SIDE, height: SIDE, format: PixelFormat::Rgb8, data: pixels };
    Ok(std::fs::write(folder.join(format!("{index:05}.png")), encode_png(view)?)?)
}
