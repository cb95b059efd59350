//! Draws a folder of pins that lie at any angle, as a good-only training wants it:
//! `cargo run -p stages --example pins_folder -- DIR SEED GOOD TEST_GOOD BAD`.
//!
//! `DIR/train/good` holds GOOD pins, `DIR/test/good` TEST_GOOD others, `DIR/test/spot` BAD ones with a spot of contrast-to-noise ratio 3
//! to 6.

#![allow(clippy::print_stdout)] // a tool for the terminal

use std::path::Path;

use models::image::encode_png;
use stages::capture::synthetic::pin;

/// Ratios that are gone through in turn: 3 is what a careful person just sees.
const RATIOS: [f64; 4] = [3.0, 4.0, 5.0, 6.0];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, seed, good, test_good, bad] = args.as_slice() else {
        return Err("usage: pins_folder DIR SEED GOOD TEST_GOOD BAD".into());
    };
    let [seed, good, test_good, bad]: [u64; 4] = [seed.parse()?, good.parse()?, test_good.parse()?, bad.parse()?];
    let dir = Path::new(dir);
    for number in 0..good + test_good + bad {
        let (place, ratio) = match number {
            it if it < good => ("train/good", None),
            it if it < good + test_good => ("test/good", None),
            it => ("test/spot", Some(RATIOS[(it % 4) as usize])),
        };
        let folder = dir.join(place);
        std::fs::create_dir_all(&folder)?;
        let picture = pin::draw(seed, number, ratio);
        std::fs::write(folder.join(format!("{number:05}.png")), encode_png(picture.view())?)?;
    }
    println!("{good} pins to learn from, {test_good} good ones and {bad} with a spot to measure on");
    Ok(())
}
