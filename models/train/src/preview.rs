//! Contact sheets: what training sees, to be looked at before an hour is spent on it.

use models::image::{Image, PixelFormat};
use models::preprocess::Preprocess;

use crate::augment::Augment;
use crate::error::TrainError;
use crate::mask::UNKNOWN;
use crate::samples::{Sample, Samples};

/// Longest side of a picture on a sheet, in pixels.
pub const TILE: u32 = 192;
/// Between pictures that belong together, and between the others.
const GAPS: [usize; 2] = [2, 14];
/// Below each picture, in its label's colour.
const BAR: usize = 6;
const PAPER: [u8; 3] = [24, 26, 29];

/// Colours that people with any colour vision tell apart, with their names. Source: Okabe and Ito, "Color Universal Design", 2008.
pub const COLOURS: [([u8; 3], &str); 7] = [
    ([86, 180, 233], "sky blue"),
    ([230, 159, 0], "orange"),
    ([0, 158, 115], "green"),
    ([240, 228, 66], "yellow"),
    ([213, 94, 0], "vermilion"),
    ([204, 121, 167], "purple"),
    ([0, 114, 178], "blue"),
];

/// The colour of a label and its name; beyond seven labels they come again.
pub fn colour(label: usize) -> ([u8; 3], &'static str) {
    COLOURS[label % COLOURS.len()]
}

/// Samples as they are, each followed by random views of it, as the trainer draws them: by seed and place in the order of all training.
///
/// # Errors
/// When a sample cannot be loaded.
pub fn with_views(
    samples: &dyn Samples,
    (augment, seed): (&Augment, u64),
    indices: &[usize],
    views: usize,
) -> Result<Vec<Sample>, TrainError> {
    let mut all = Vec::new();
    for (ticket, &index) in (0..).step_by(views.max(1)).zip(indices) {
        let sample = samples.load(index)?;
        all.push(sample.clone());
        for view in 0..views as u64 {
            let mut changed = sample.clone();
            augment.apply_at(&mut changed, seed, ticket + view);
            all.push(changed);
        }
    }
    Ok(all)
}

/// Draws samples in rows. `columns` go beside each other; every `together` of them stand close, as one picture and what became of
/// it. Defects whose place is known are outlined, in their label's colour.
///
/// # Panics
/// When `columns` or `together` is zero.
pub fn sheet(samples: &[Sample], columns: usize, together: usize) -> Image {
    let tiles: Vec<Tile> = samples.iter().map(Tile::of).collect();
    let wide = tiles.iter().map(|tile| tile.width).max().unwrap_or(1);
    let high = tiles.iter().map(|tile| tile.height).max().unwrap_or(1) + BAR;
    let left = |column: usize| GAPS[1] + column * (wide + GAPS[0]) + column / together * (GAPS[1] - GAPS[0]);
    let top = |row: usize| GAPS[1] + row * (high + GAPS[1]);
    let used = columns.min(samples.len().max(1));
    let (width, height) = (left(used - 1) + wide + GAPS[1], top(samples.len().div_ceil(columns)));
    let mut data = PAPER.repeat(width * height);
    for (index, tile) in tiles.iter().enumerate() {
        let (x, y) = (left(index % columns), top(index / columns));
        for (row, line) in tile.pixels.chunks_exact(tile.width * 3).enumerate() {
            data[((y + row) * width + x) * 3..][..line.len()].copy_from_slice(line);
        }
        for row in tile.height..tile.height + BAR {
            let line = &mut data[((y + row) * width + x) * 3..][..tile.width * 3];
            line.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&colour(tile.label).0));
        }
    }
    Image { width: width as u32, height: height as u32, format: PixelFormat::Rgb8, data }
}

struct Tile {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    label: usize,
}

impl Tile {
    fn of(sample: &Sample) -> Tile {
        let image = &sample.image;
        let scale = (TILE as f32 / image.width.max(image.height) as f32).min(1.0);
        let side = |side: u32| ((side as f32 * scale).round() as u32).max(1);
        let recipe = Preprocess { width: side(image.width), height: side(image.height), ..Preprocess::imagenet(TILE) };
        let mut small = Image::empty();
        recipe.fill_image(image.view(), &mut small);
        let mut pixels = match small.format {
            PixelFormat::Rgb8 => small.data,
            PixelFormat::Mono8 => small.data.iter().flat_map(|&grey| [grey; 3]).collect(),
        };
        let (width, height) = (small.width as usize, small.height as usize);
        if let Some(mask) = &sample.mask {
            let from = [image.width as usize, image.height as usize];
            let at = |x: usize, y: usize| mask[(y * from[1] / height) * from[0] + x * from[0] / width];
            // Where no label passes a part, what lies outside of all boxes is unknown; else it is label 0.
            let outside = if mask.contains(&UNKNOWN) { UNKNOWN } else { 0 };
            outline(&mut pixels, [width, height], outside, at);
        }
        Tile { width, height, pixels, label: sample.labels.first().copied().unwrap_or(0) }
    }
}

/// Paints the pixels where a defect's area begins.
fn outline(pixels: &mut [u8], [width, height]: [usize; 2], outside: u8, at: impl Fn(usize, usize) -> u8) {
    for y in 0..height {
        for x in 0..width {
            let label = at(x, y);
            let inside = |x: usize, y: usize| at(x, y) == label;
            let rim = x == 0 || y == 0 || x + 1 == width || y + 1 == height;
            let whole = !rim && inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1);
            if label != outside && !whole {
                pixels[(y * width + x) * 3..][..3].copy_from_slice(&colour(usize::from(label)).0);
            }
        }
    }
}
