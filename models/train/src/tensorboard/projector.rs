//! A map of what pictures look like to a finished bundle: files for TensorBoard's embedding projector.

use std::fmt::Write;
use std::path::Path;

use models::bundle::Bundle;
use models::image::{Image, PixelFormat, encode_png};
use models::prediction::Model;
use models::predictor::Predictor;
use models::preprocess::Preprocess;
use models::runtime::{Provider, SessionOptions};
use rayon::prelude::*;

use crate::error::TrainError;
use crate::samples::Samples;

/// Pictures on the map at most: a sheet of so many thumbnails is a picture that a browser still takes.
const MOST: usize = 2000;
/// Pixels of a thumbnail each way.
const TILE: usize = 48;

/// The files. The one that TensorBoard looks for comes last, when those that it names are there.
const TENSORS: &str = "tensors.tsv";
const METADATA: &str = "metadata.tsv";
const SPRITE: &str = "sprite.png";
const CONFIG: &str = "projector_config.pbtxt";

/// One picture on the map.
struct Point {
    embedding: Vec<f32>,
    /// A line of [`METADATA`].
    words: String,
    /// RGB.
    tile: Vec<u8>,
}

/// Writes the map of the samples, thinned out evenly where they are too many. Nothing where the bundle gives no embedding.
pub(super) fn write(
    folder: &Path,
    bundle: &Bundle,
    samples: &dyn Samples,
    threads: Option<usize>,
) -> Result<(), TrainError> {
    if bundle.manifest.heads.embedding.is_none() || samples.is_empty() {
        return Ok(());
    }
    let options = SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() };
    let model = Predictor::load(bundle.clone(), &options)?;
    let count = samples.len().min(MOST);
    let look = |tensor: &mut Vec<f32>, at: usize| point(&model, samples, at * samples.len() / count, tensor);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build();
    let pool = pool.map_err(|error| TrainError::Settings(format!("threads: {error}")))?;
    let points: Vec<Point> =
        pool.install(|| (0..count).into_par_iter().map_init(Vec::new, look).collect::<Result<_, _>>())?;
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(TrainError::io(&path))
    };
    put(TENSORS, tensors(&points).as_bytes())?;
    put(METADATA, metadata(&points).as_bytes())?;
    let sheet = encode_png(sprite(&points).view());
    put(SPRITE, &sheet.map_err(|source| TrainError::Image { path: folder.join(SPRITE), source })?)?;
    let dimensions = points.first().map_or(0, |point| point.embedding.len());
    put(CONFIG, config(points.len(), dimensions).as_bytes())
}

/// What the bundle makes of a sample.
fn point(model: &Predictor, samples: &dyn Samples, index: usize, tensor: &mut Vec<f32>) -> Result<Point, TrainError> {
    let sample = samples.load(index)?;
    tensor.resize(model.tensor_len(), 0.0);
    model.manifest().fill(sample.image.view(), tensor);
    let said = model.predict(tensor)?;
    let best = (0..said.scores.len()).max_by(|&a, &b| said.scores[a].total_cmp(&said.scores[b]));
    let labels = &model.manifest().labels;
    let label = |at: Option<usize>| at.and_then(|at| labels.get(at)).map_or("", |label| label.name.as_str());
    let right = if best.is_some_and(|best| sample.labels.contains(&best)) { "right" } else { "wrong" };
    let words = [label(sample.labels.first().copied()), label(best), right, &samples.name(index)].map(one_cell);
    Ok(Point { embedding: said.embedding.unwrap_or_default(), words: words.join("\t"), tile: tile(&sample.image) })
}

/// Without what ends a cell or a line.
fn one_cell(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

/// A thumbnail. The projector's are square, so a picture that is not is squeezed, as the network sees it.
fn tile(image: &Image) -> Vec<u8> {
    let mut small = Image::empty();
    Preprocess::imagenet(TILE as u32).fill_image(image.view(), &mut small);
    match small.format {
        PixelFormat::Rgb8 => small.data,
        PixelFormat::Mono8 => small.data.iter().flat_map(|&grey| [grey; 3]).collect(),
    }
}

/// A line of numbers for each picture.
fn tensors(points: &[Point]) -> String {
    let mut text = String::new();
    for point in points {
        for (at, value) in point.embedding.iter().enumerate() {
            let gap = if at == 0 { "" } else { "\t" };
            // Writing into a text cannot fail.
            let _ = write!(text, "{gap}{value}");
        }
        text.push('\n');
    }
    text
}

/// A head and a line for each picture.
fn metadata(points: &[Point]) -> String {
    let lines = points.iter().map(|point| point.words.as_str());
    std::iter::once("label\tsaid\tverdict\timage").chain(lines).map(|line| format!("{line}\n")).collect()
}

/// All thumbnails, row by row, in as many columns as make a square.
fn sprite(points: &[Point]) -> Image {
    let columns = points.len().isqrt() + usize::from(points.len().isqrt().pow(2) < points.len());
    let (width, height) = (columns * TILE, points.len().div_ceil(columns) * TILE);
    let mut data = vec![0; width * height * 3];
    for (at, point) in points.iter().enumerate() {
        let (left, top) = (at % columns * TILE, at / columns * TILE);
        for (row, line) in point.tile.chunks_exact(TILE * 3).enumerate() {
            data[((top + row) * width + left) * 3..][..line.len()].copy_from_slice(line);
        }
    }
    Image { width: width as u32, height: height as u32, format: PixelFormat::Rgb8, data }
}

fn config(count: usize, dimensions: usize) -> String {
    format!(
        "embeddings {{\n  tensor_name: \"selection\"\n  tensor_path: \"{TENSORS}\"\n  tensor_shape: {count}\n  tensor_shape: \
         {dimensions}\n  metadata_path: \"{METADATA}\"\n  sprite {{\n    image_path: \"{SPRITE}\"\n    single_image_dim: {TILE}\n    \
         single_image_dim: {TILE}\n  }}\n}}\n"
    )
}
