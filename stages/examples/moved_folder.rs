//! Writes a copy of a folder of pictures, each turned by up to 15 degrees and shifted by up to 5 % of its sides, as a careless fixture
//! would lay its parts: `cargo run -p stages --example moved_folder -- FROM TO SEED`.

#![allow(clippy::print_stdout)] // a tool for the terminal

use std::path::Path;

use models::image::{Image, decode, encode_png};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TURN_DEG: f64 = 15.0;
const SHIFT: f64 = 0.05;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, seed] = args.as_slice() else { return Err("usage: moved_folder FROM TO SEED".into()) };
    let mut random = ChaCha8Rng::seed_from_u64(seed.parse()?);
    let count = folder(Path::new(from), Path::new(to), &mut random)?;
    println!("{count} pictures, turned by up to {TURN_DEG} degrees and shifted by up to {} %", 100.0 * SHIFT);
    Ok(())
}

fn folder(from: &Path, to: &Path, random: &mut ChaCha8Rng) -> Result<usize, Box<dyn std::error::Error>> {
    std::fs::create_dir_all(to)?;
    let mut paths = std::fs::read_dir(from)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    let mut count = 0;
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            count += folder(&path, &to.join(name), random)?;
        } else if let Ok(picture) = decode(&std::fs::read(&path)?) {
            let moved = moved(&picture, random);
            std::fs::write(to.join(name).with_extension("png"), encode_png(moved.view())?)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Between four pixels, the rim carried on outwards.
fn moved(picture: &Image, random: &mut ChaCha8Rng) -> Image {
    let (width, height, channels) = (picture.width as usize, picture.height as usize, picture.format.channels());
    let (sin, cos) = random.random_range(-TURN_DEG..TURN_DEG).to_radians().sin_cos();
    let mut shift = |side: usize| random.random_range(-SHIFT..SHIFT) * side as f64;
    let (dx, dy) = (shift(width), shift(height));
    let (cx, cy) = ((width - 1) as f64 / 2.0, (height - 1) as f64 / 2.0);
    let mut out = picture.clone();
    for (at, pixel) in out.data.chunks_exact_mut(channels).enumerate() {
        let (x, y) = ((at % width) as f64 - cx - dx, (at / width) as f64 - cy - dy);
        let u = (cos * x + sin * y + cx).clamp(0.0, (width - 1) as f64);
        let v = (cos * y - sin * x + cy).clamp(0.0, (height - 1) as f64);
        let (left, top) = (u as usize, v as usize);
        let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
        let (fu, fv) = (u.fract(), v.fract());
        for (channel, value) in pixel.iter_mut().enumerate() {
            let level = |x: usize, y: usize| f64::from(picture.data[(y * width + x) * channels + channel]);
            let upper = (1.0 - fu) * level(left, top) + fu * level(right, top);
            let lower = (1.0 - fu) * level(left, bottom) + fu * level(right, bottom);
            *value = ((1.0 - fv) * upper + fv * lower).round() as u8;
        }
    }
    out
}
