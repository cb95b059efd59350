//! Calibration images and what the model said of them when it was made.

use std::collections::BTreeMap;

use super::archive::Entry;
use super::manifest::OutputShape;
use super::{Bundle, BundleError};
use crate::image::{self, Image};

/// Pixels of all calibration images together; a small PNG can hold a very large picture.
const MAX_PIXELS: u64 = 64 << 20;

/// A calibration image with what the model said of it when it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The image, stored losslessly.
    pub image: Image,
    /// Expected probabilities, one per label.
    pub scores: Vec<f32>,
    /// Expected cell-wise logits, `labels * height * width`.
    pub heat: Vec<f32>,
    /// Expected values of the outputs that the manifest's heads read, by the output's name.
    pub named: BTreeMap<String, Vec<f32>>,
}

fn image_name(index: usize) -> String {
    format!("calibration/{index:02}.png")
}

fn values_name(index: usize) -> String {
    format!("calibration/{index:02}.f32")
}

/// `calibration/NN.png` and `calibration/NN.f32` with two digits.
pub(super) fn is_known_name(name: &str) -> bool {
    (0..Bundle::MAX_EXPECTATIONS).any(|index| name == image_name(index) || name == values_name(index))
}

/// Reads what is left of a bundle's files when all others are taken: pairs, numbered from 0 without a gap.
pub(super) fn read(mut files: BTreeMap<&str, &[u8]>, shape: &OutputShape) -> Result<Vec<Expectation>, BundleError> {
    let mut pixels = 0;
    let mut all = Vec::new();
    for index in 0..files.len().div_ceil(2) {
        let (image_name, values_name) = (image_name(index), values_name(index));
        let mut take = |name: &String| files.remove(name.as_str()).ok_or(BundleError::MissingFile(name.clone()));
        let (png, values) = (take(&image_name)?, take(&values_name)?);
        pixels += png_pixels(png).ok_or_else(|| refused(&image_name, "it is not a PNG"))?;
        bound_pixels(pixels)?;
        let image = image::decode(png).map_err(|error| refused(&image_name, error.to_string()))?;
        let Values { scores, heat, named } = read_values(&values_name, values, shape)?;
        all.push(Expectation { image, scores, heat, named });
    }
    check_count(all.len())?;
    Ok(all)
}

/// The files of these expectations.
pub(super) fn write(expectations: &[Expectation], shape: &OutputShape) -> Result<Vec<Entry>, BundleError> {
    check_count(expectations.len())?;
    let mut pixels = 0;
    let mut files = Vec::new();
    for (index, expectation) in expectations.iter().enumerate() {
        let (image_name, values_name) = (image_name(index), values_name(index));
        let Expectation { image, scores, heat, named } = expectation;
        pixels += u64::from(image.width) * u64::from(image.height);
        bound_pixels(pixels)?;
        let png = image::encode_png(image.view()).map_err(|error| refused(&image_name, error.to_string()))?;
        let further = named.values().flatten();
        let values: Vec<u8> = scores.iter().chain(heat).chain(further).flat_map(|value| value.to_le_bytes()).collect();
        let counts = named.iter().map(|(name, values)| (name, values.len()));
        let fits = (scores.len(), heat.len()) == (shape.labels, shape.heat_len())
            && counts.eq(shape.named.iter().map(|(name, &count)| (name, count)));
        if !fits {
            return Err(wrong_length(&values_name, values.len() / size_of::<f32>(), shape));
        }
        read_values(&values_name, &values, shape)?;
        files.push(Entry::new(image_name, png));
        files.push(Entry::new(values_name, values));
    }
    Ok(files)
}

fn check_count(count: usize) -> Result<(), BundleError> {
    match (1..=Bundle::MAX_EXPECTATIONS).contains(&count) {
        true => Ok(()),
        false => Err(BundleError::Manifest(format!(
            "{count} calibration images, needed are 1 to {}",
            Bundle::MAX_EXPECTATIONS
        ))),
    }
}

fn bound_pixels(found: u64) -> Result<(), BundleError> {
    match found > MAX_PIXELS {
        true => Err(BundleError::TooLarge { what: "the calibration images' pixels".into(), found, limit: MAX_PIXELS }),
        false => Ok(()),
    }
}

/// What one file of values holds.
struct Values {
    scores: Vec<f32>,
    heat: Vec<f32>,
    named: BTreeMap<String, Vec<f32>>,
}

fn read_values(name: &str, bytes: &[u8], shape: &OutputShape) -> Result<Values, BundleError> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    let mut scores: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    if scores.len() != shape.values() || !rest.is_empty() {
        return Err(wrong_length(name, scores.len(), shape));
    }
    if !scores.iter().all(|value| value.is_finite()) {
        return Err(refused(name, "an expected value is not a finite number"));
    }
    let mut heat = scores.split_off(shape.labels);
    let mut further = heat.split_off(shape.heat_len()).into_iter();
    let named =
        shape.named.iter().map(|(name, &count)| (name.clone(), further.by_ref().take(count).collect())).collect();
    match scores.iter().all(|score| (0.0..=1.0).contains(score)) {
        true => Ok(Values { scores, heat, named }),
        false => Err(refused(name, "an expected probability is not between 0 and 1")),
    }
}

fn wrong_length(name: &str, found: usize, shape: &OutputShape) -> BundleError {
    let further: Vec<String> = shape.named.iter().map(|(name, count)| format!("{count} of `{name}`")).collect();
    let further = if further.is_empty() { String::new() } else { format!(", last {}", further.join(", ")) };
    refused(
        name,
        format!(
            "{found} expected values, the graph gives {} ({} probabilities first{further})",
            shape.values(),
            shape.labels
        ),
    )
}

fn refused(name: &str, reason: impl Into<String>) -> BundleError {
    BundleError::File { name: name.into(), reason: reason.into() }
}

/// Pixels that a PNG's header claims, which comes first (PNG specification, section 11.2.1).
fn png_pixels(bytes: &[u8]) -> Option<u64> {
    let header = bytes.get(..24)?;
    let side = |at: usize| u64::from(u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
    (header.starts_with(b"\x89PNG\r\n\x1a\n") && &header[12..16] == b"IHDR").then(|| side(16) * side(20))
}
