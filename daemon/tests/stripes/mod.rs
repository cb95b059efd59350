//! Drawn pictures that trainings through the real program learn from.

use std::fs;
use std::path::Path;

use models::image::{Image, PixelFormat, encode_png};

/// Stripes up and down against stripes across, a folder each, so many in all.
pub(crate) fn stripes(folder: &Path, count: usize) {
    for index in 0..count {
        let label = folder.join("stripes").join(["across", "upright"][index % 2]);
        fs::create_dir_all(&label).expect("a folder");
        let pixel = |at: usize| {
            let along = if index % 2 == 0 { at / 48 } else { at % 48 };
            (60 + 3 * index + if (along + index) / 4 % 2 == 1 { 70 } else { 0 } + at * 7919 % 13) as u8
        };
        let image =
            Image { width: 48, height: 48, format: PixelFormat::Mono8, data: (0..48 * 48).map(pixel).collect() };
        fs::write(label.join(format!("{index}.png")), encode_png(image.view()).expect("an image")).expect("written");
    }
}
