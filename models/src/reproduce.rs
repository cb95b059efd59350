//! Whether a bundle's own scores come out again: the comparison alone, whoever runs the graph.
//!
//! [`Predictor`](crate::predictor::Predictor) asks it of ONNX Runtime, `inspect-lite` of another runtime. Both use what this file
//! says, so that no program is less strict than the line.

use crate::bundle::{Bundle, Expectation, Manifest};
use crate::precision::Precision;
use crate::prediction::HeatMap;
use crate::runtime::{Outputs, RuntimeError};

/// How far a calibration image's probabilities may sum from 1 before they are no probabilities.
const SUM_TOLERANCE: f32 = 1e-2;

/// The largest difference between what was expected and what was given, among values of one kind of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Index of the calibration image.
    pub image: usize,
    /// Which value, in words.
    pub what: String,
    /// From the bundle.
    pub expected: f32,
    /// From the runtime.
    pub got: f32,
}

impl Difference {
    /// Their distance. What is no number is infinitely far.
    pub fn size(&self) -> f32 {
        distance(self.expected, self.got)
    }
}

/// The largest difference that a bundle allows a runtime that computes graphs in 32-bit floats with `precision`: the coarser of this and
/// of what the graph is in counts.
pub fn tolerance(manifest: &Manifest, precision: Precision) -> f32 {
    match manifest.precision.max(precision) {
        Precision::Fp32 => manifest.tolerance.fp32,
        Precision::Fp16 | Precision::Int8 => manifest.tolerance.fp16,
    }
}

/// Runs the calibration images through `run` and shows `judge` the largest differences: for each image of its probabilities, of the heat
/// map's probabilities cell by cell, and of each of the heads' outputs, as shares of the largest value expected of it.
///
/// # Errors
/// Those of `run` and `judge`; [`RuntimeError::NotFinite`]; [`RuntimeError::GraphRefused`] where what comes out is not of the bundle's shape.
pub fn replay(
    bundle: &Bundle,
    mut run: impl FnMut(&[f32]) -> Result<Outputs, RuntimeError>,
    mut judge: impl FnMut(Difference) -> Result<(), RuntimeError>,
) -> Result<(), RuntimeError> {
    if bundle.expectations.is_empty() {
        return Err(RuntimeError::GraphRefused("the bundle has no calibration images to verify it with".to_owned()));
    }
    let manifest = &bundle.manifest;
    let mut tensor = vec![0.0; manifest.tensor_len()];
    for (image, expectation) in bundle.expectations.iter().enumerate() {
        if !expectation.image.view().is_consistent() {
            return Err(RuntimeError::GraphRefused(format!("calibration image {image} contradicts its own size")));
        }
        manifest.fill(expectation.image.view(), &mut tensor);
        let outputs = run(&tensor)?;
        finite(&outputs)?;
        check_probabilities(&outputs.scores)?;
        check_shape(image, expectation, &outputs)?;
        differences(&bundle.manifest, image, expectation, outputs).try_for_each(&mut judge)?;
    }
    Ok(())
}

/// Refuses infinities and what is no number.
///
/// # Errors
/// [`RuntimeError::NotFinite`].
pub fn finite(outputs: &Outputs) -> Result<(), RuntimeError> {
    if !outputs.scores.iter().all(|value| value.is_finite()) {
        return Err(RuntimeError::NotFinite("scores"));
    }
    if !outputs.heat.iter().all(|value| value.is_finite()) {
        return Err(RuntimeError::NotFinite("heat map's values"));
    }
    if !outputs.named.values().flat_map(|output| &output.data).all(|value| value.is_finite()) {
        return Err(RuntimeError::NotFinite("further outputs' values"));
    }
    Ok(())
}

fn check_probabilities(scores: &[f32]) -> Result<(), RuntimeError> {
    let sum: f32 = scores.iter().sum();
    if scores.iter().any(|score| !(0.0..=1.0 + SUM_TOLERANCE).contains(score)) || (sum - 1.0).abs() > SUM_TOLERANCE {
        return Err(RuntimeError::GraphRefused(format!(
            "its scores {scores:?} are not probabilities: they sum to {sum}"
        )));
    }
    Ok(())
}

fn check_shape(image: usize, expectation: &Expectation, outputs: &Outputs) -> Result<(), RuntimeError> {
    if expectation.scores.len() != outputs.scores.len() || expectation.heat.len() != outputs.heat.len() {
        return Err(RuntimeError::GraphRefused(format!(
            "calibration image {image} expects {} scores and {} heat values; the graph gives {} and {}",
            expectation.scores.len(),
            expectation.heat.len(),
            outputs.scores.len(),
            outputs.heat.len()
        )));
    }
    let expected = expectation.named.iter().map(|(name, values)| (name, values.len()));
    if !expected.eq(outputs.named.iter().map(|(name, output)| (name, output.data.len()))) {
        let names: Vec<&String> = expectation.named.keys().collect();
        return Err(RuntimeError::GraphRefused(format!(
            "calibration image {image} expects other values of the further outputs {names:?} than the manifest's heads name"
        )));
    }
    Ok(())
}

/// The largest difference of each kind.
fn differences(
    manifest: &Manifest,
    image: usize,
    expectation: &Expectation,
    outputs: Outputs,
) -> impl Iterator<Item = Difference> {
    let labels = &manifest.labels;
    let [height, width] = outputs.heat_size;
    let scores =
        worst(image, &expectation.scores, &outputs.scores, |label| format!("probability of `{}`", labels[label].name));
    let map = |logits| HeatMap { labels: labels.len(), height, width, logits }.probabilities();
    let heat = worst(image, &map(expectation.heat.clone()), &map(outputs.heat), |at| {
        let (label, row, column) = (at / (height * width), at / width % height, at % width);
        format!("heat map's probability of `{}` at row {row}, column {column}", labels[label].name)
    });
    let named = outputs.named;
    let further = expectation.named.iter().filter_map(move |(name, expected)| {
        let scale = expected.iter().fold(f32::MIN_POSITIVE, |top, value| top.max(value.abs()));
        let relative = |values: &[f32]| values.iter().map(|value| value / scale).collect::<Vec<_>>();
        let words = |at| format!("value {at} of output `{name}`, as a share of its largest");
        worst(image, &relative(expected), &relative(&named.get(name)?.data), words)
    });
    scores.into_iter().chain(heat).chain(further)
}

/// The largest difference of two rows.
fn worst(image: usize, expected: &[f32], got: &[f32], words: impl Fn(usize) -> String) -> Option<Difference> {
    let size = |at: &usize| distance(expected[*at], got[*at]);
    let at = (0..expected.len()).max_by(|a, b| size(a).total_cmp(&size(b)))?;
    Some(Difference { image, what: words(at), expected: expected[at], got: got[at] })
}

fn distance(a: f32, b: f32) -> f32 {
    let distance = (a - b).abs();
    if distance.is_nan() { f32::INFINITY } else { distance }
}
