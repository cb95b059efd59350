//! Draws sheets of synthetic parts, to be looked at: `cargo run -p stages --example contact_sheet -- DIR [SEED]`.
//!
//! One sheet for each class of defects (severity grows to the right, a surface a row), three with every class at the severity
//! where acceptance begins (CNR 3 to 4: a class a row, a surface a column), one of good parts, one of spoilt frames, and two with
//! masks and boxes drawn over the parts.

#![allow(clippy::print_stdout)] // a tool for the terminal

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use stages::capture::synthetic::{Ask, Defect, Mix, Renderer, Stream, Surface};

const SIDE: u32 = 320;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("usage: contact_sheet DIR [SEED]")?);
    let seed = args.next().map_or(Ok(1), |s| s.parse())?;
    std::fs::create_dir_all(&dir)?;
    let renderer = Renderer::new(Stream::Line, seed, 2, Mix::default());
    for defect in Defect::ALL {
        sheet(&renderer, Ask::With(defect), false, &dir.join(format!("{}.png", defect.label())))?;
    }
    for (k, classes) in Defect::ALL.chunks(3).enumerate() {
        faint(&renderer, classes, &dir.join(format!("faint_{k}.png")))?;
    }
    sheet(&renderer, Ask::With(Defect::Crack), true, &dir.join("truth_crack.png"))?;
    sheet(&renderer, Ask::With(Defect::EdgeChip), true, &dir.join("truth_edge_chip.png"))?;
    sheet(&renderer, Ask::Good, false, &dir.join("good.png"))?;
    spoilt(&renderer, &dir.join("spoilt.png"))
}

/// A surface a row, four parts each, sorted by severity.
fn sheet(renderer: &Renderer, ask: Ask, outlined: bool, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut canvas = RgbImage::new(4 * SIDE, 4 * SIDE);
    for (row, surface) in Surface::ALL.into_iter().enumerate() {
        let mut renderer = renderer.clone().with_mix(Mix { surfaces: vec![surface], ..Mix::default() });
        let mut parts: Vec<(f32, RgbImage)> = (0..4)
            .map(|index| {
                let mut pixels = Vec::new();
                let drawn = renderer.render(index * 7 + row as u64, ask, [SIDE; 2], &mut pixels);
                let mut image = RgbImage::from_raw(drawn.width, drawn.height, pixels).expect("three bytes a pixel");
                if outlined {
                    outline(&mut image, renderer.mask(), &drawn.truth.defects[0].bbox);
                }
                (drawn.truth.defects.first().map_or(0.0, |d| d.cnr), image)
            })
            .collect();
        parts.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (column, (_, part)) in parts.iter().enumerate() {
            image::imageops::replace(&mut canvas, part, i64::from(SIDE) * column as i64, i64::from(SIDE) * row as i64);
        }
        let severities: Vec<String> = parts.iter().map(|(cnr, _)| format!("{cnr:.1}")).collect();
        println!("{} {surface:?}: CNR {}", path.display(), severities.join(" "));
    }
    Ok(canvas.save(path)?)
}

/// A class a row, a surface a column: the first part whose defect lies between CNR 3 and 4.
fn faint(renderer: &Renderer, classes: &[Defect], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut canvas = RgbImage::new(4 * SIDE, classes.len() as u32 * SIDE);
    for (column, surface) in (0..).zip(Surface::ALL) {
        let mut renderer = renderer.clone().with_mix(Mix { surfaces: vec![surface], ..Mix::default() });
        for (row, defect) in (0..).zip(classes) {
            let mut pixels = Vec::new();
            let found = (500 * column as u64..500 * (column as u64 + 1)).find(|index| {
                let drawn = renderer.render(*index, Ask::With(*defect), [SIDE; 2], &mut pixels);
                (3.0..4.0).contains(&drawn.truth.defects[0].cnr)
            });
            found.ok_or_else(|| format!("{defect:?} on {surface:?} never came out between CNR 3 and 4"))?;
            let part = RgbImage::from_raw(SIDE, SIDE, pixels).expect("three bytes a pixel");
            image::imageops::replace(&mut canvas, &part, i64::from(SIDE) * column, i64::from(SIDE) * row);
        }
    }
    Ok(canvas.save(path)?)
}

/// Paints the mask's outline red and the box yellow.
fn outline(image: &mut RgbImage, mask: &[u8], bbox: &[f32; 4]) {
    let width = image.width();
    let at = |x: u32, y: u32| mask[(y * width + x) as usize];
    for y in 1..image.height() - 1 {
        for x in 1..width - 1 {
            if at(x, y) == 0 && [at(x - 1, y), at(x + 1, y), at(x, y - 1), at(x, y + 1)].iter().any(|&m| m > 0) {
                image.put_pixel(x, y, Rgb([255, 0, 0]));
            }
        }
    }
    let [left, top, w, h] = bbox.map(|v| v as u32);
    for x in left..left + w {
        image.put_pixel(x, top, Rgb([255, 230, 0]));
        image.put_pixel(x, top + h - 1, Rgb([255, 230, 0]));
    }
    for y in top..top + h {
        image.put_pixel(left, y, Rgb([255, 230, 0]));
        image.put_pixel(left + w - 1, y, Rgb([255, 230, 0]));
    }
}

fn spoilt(renderer: &Renderer, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut renderer = renderer.clone().with_mix(Mix { bad_frame_rate: 1.0, ..Mix::default() });
    let mut canvas = RgbImage::new(4 * SIDE, 2 * SIDE);
    for index in 0..8_u32 {
        let mut pixels = Vec::new();
        let drawn = renderer.render(u64::from(index), Ask::AsItComes, [SIDE; 2], &mut pixels);
        let image = RgbImage::from_raw(drawn.width, drawn.height, pixels).expect("three bytes a pixel");
        image::imageops::replace(&mut canvas, &image, i64::from(index % 4 * SIDE), i64::from(index / 4 * SIDE));
        println!("{} {}: {:?}", path.display(), index, drawn.bad);
    }
    Ok(canvas.save(path)?)
}
