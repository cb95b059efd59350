//! The pointing game: does a heat map's maximum lie on the defect?
//!
//!     cargo run -p inspectd --example pointing -- BUNDLE DATA LIST BOXES   (the test side of LIST; Pascal VOC boxes below BOXES)
//!     cargo run -p inspectd --example pointing -- BUNDLE drawn             (drawn parts, whose defects are known by the pixel)
//!
//! The map is that of the picture's true label. Its maximum is the centre of the hottest cell, of equal ones the first in reading order.
//! `shown` takes the bytes that are kept and drawn on the page, `logits` the numbers behind them. It counts as a hit where it lies in
//! one of the label's boxes, or no further than half a cell of 32 pixels from a defective pixel. `centre` is the same game with the
//! picture's centre in place of the maximum, `border` the share of maxima that lie in the map's outermost cells. Source: Zhang et al., "Top-down
//! neural attention by excitation backprop", ECCV 2016. The last line is JSON: `make accept` reads it.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use std::path::Path;

use anyhow::Context;
use inspectd::drawn::Drawn;
use models::bundle::Bundle;
use models::prediction::{HeatMap, Model};
use models::predictor::Predictor;
use models::runtime::SessionOptions;
use models_train::dataset::Folder;
use models_train::formats::voc;
use models_train::samples::{Class, Sample, Samples};
use models_train::split::Side;
use serde_json::{Value, json};
use stages::capture::synthetic::{LABELS, TrainingSet};

/// Parts of each label that are drawn.
const PARTS: usize = 40;
/// How far from a defective pixel of a drawn part is still on it, pixels: half a cell.
const NEAR: f64 = 16.0;
/// A defect whose box is no larger lies within one cell, pixels.
const CELL: usize = 32;

/// A place: shares of the picture's width and height.
type Place = [f64; 2];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    models::runtime::init(None)?;
    let report = match arguments.as_slice() {
        [bundle, "drawn"] => drawn(&load(bundle)?)?,
        [bundle, data, list, boxes] => boxed(&load(bundle)?, Path::new(data), Path::new(list), Path::new(boxes))?,
        _ => anyhow::bail!("usage: pointing BUNDLE DATA LIST BOXES, or pointing BUNDLE drawn"),
    };
    println!("{report}");
    Ok(())
}

fn load(bundle: &str) -> anyhow::Result<Predictor> {
    let bundle = Bundle::open(Path::new(bundle)).with_context(|| format!("bundle `{bundle}`"))?;
    Ok(Predictor::load(bundle, &SessionOptions::default())?)
}

/// Pictures with boxes, by label and on average over the labels.
fn boxed(model: &Predictor, data: &Path, list: &Path, boxes: &Path) -> anyhow::Result<Value> {
    let labels = &model.manifest().labels;
    let classes: Vec<Class> =
        labels.iter().map(|label| Class { name: label.name.clone(), verdict: label.verdict }).collect();
    let files = Folder::open(data, Some(list))?.files(Some(Side::Test), &classes)?;
    let turns = turns(model, &files, |sample, name| {
        let label = &labels[sample.labels[0]].name;
        let drawn = voc::beside(boxes, name).map(|file| voc::boxes_of(&file)).transpose()?.unwrap_or_default();
        let (width, height) = (f64::from(sample.image.width), f64::from(sample.image.height));
        let drawn: Vec<[f64; 4]> =
            drawn.iter().filter(|one| one.label == *label).map(|one| one.bounds.map(f64::from)).collect();
        let known = !drawn.is_empty();
        let inside = move |[x, y]: Place| {
            let (x, y) = (x * width, y * height);
            drawn
                .iter()
                .any(|[left, top, right, bottom]| (*left..=*right).contains(&x) && (*top..=*bottom).contains(&y))
        };
        Ok(known.then_some((label.clone(), inside)))
    })?;
    Ok(summary(&turns))
}

/// Drawn parts, by the size of the defect.
fn drawn(model: &Predictor) -> anyhow::Result<Value> {
    let set = TrainingSet::to_measure_on(7, model.preprocess().width);
    let parts = Drawn::in_turn(&set, 0, PARTS * LABELS.len());
    let turns = turns(model, &parts, |sample, _| {
        let width = sample.image.width as usize;
        let mask = sample.mask.unwrap_or_default();
        let pixels: Vec<[usize; 2]> = (0..mask.len())
            .filter(|&at| usize::from(mask[at]) == sample.labels[0] && mask[at] > 0)
            .map(|at| [at % width, at / width])
            .collect();
        // Faint defects weigh less in the set: what a careful person cannot see is not asked for.
        if pixels.is_empty() || sample.weight < 1.0 {
            return Ok(None);
        }
        let side = |axis: usize| {
            let along = || pixels.iter().map(|pixel| pixel[axis]);
            along().max().zip(along().min()).map_or(0, |(high, low)| high - low)
        };
        let size = if side(0) < CELL && side(1) < CELL { "within one cell" } else { "larger" };
        let near = move |[x, y]: Place| {
            let (x, y) = (x * width as f64, y * width as f64);
            pixels.iter().any(|&[px, py]| (px as f64 - x).hypot(py as f64 - y) <= NEAR)
        };
        Ok(Some((size.to_owned(), near)))
    })?;
    Ok(summary(&turns))
}

/// One picture's turn.
struct Turn {
    group: String,
    shown: bool,
    logits: bool,
    centre: bool,
    border: bool,
}

/// Every picture's turn; `truth` gives its group and whether a place is on the defect, or `None` where that is not known.
fn turns<T>(
    model: &Predictor,
    samples: &dyn Samples,
    truth: impl Fn(Sample, &str) -> anyhow::Result<Option<(String, T)>>,
) -> anyhow::Result<Vec<Turn>>
where
    T: Fn(Place) -> bool,
{
    let play = |index: usize| -> anyhow::Result<Option<Turn>> {
        let sample = samples.load(index)?;
        let label = sample.labels[0];
        let mut tensor = vec![0.0; model.preprocess().tensor_len()];
        model.preprocess().fill(sample.image.view(), &mut tensor);
        let heat = model.predict(&tensor)?.heat;
        let Some((group, on)) = truth(sample, &samples.name(index))? else { return Ok(None) };
        let shown = first_greatest(&heat.probability_u8(label));
        let logits = first_greatest(heat.of(label));
        let [row, column] = [shown / heat.width, shown % heat.width];
        let border = row == 0 || column == 0 || row + 1 == heat.height || column + 1 == heat.width;
        let [shown, logits] = [shown, logits].map(|cell| on(middle(cell, &heat)));
        Ok(Some(Turn { group, shown, logits, centre: on([0.5, 0.5]), border }))
    };
    let turns: anyhow::Result<Vec<Option<Turn>>> = (0..samples.len()).map(play).collect();
    Ok(turns?.into_iter().flatten().collect())
}

/// Place of the greatest value; of equal ones the first.
fn first_greatest<T: PartialOrd + Copy>(values: &[T]) -> usize {
    (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

fn middle(cell: usize, heat: &HeatMap) -> Place {
    let at = |cell: usize, cells: usize| (cell as f64 + 0.5) / cells as f64;
    [at(cell % heat.width, heat.width), at(cell / heat.width, heat.height)]
}

/// Shares of hits by group, and their mean over the groups.
fn summary(turns: &[Turn]) -> Value {
    let mut groups: Vec<&String> = turns.iter().map(|turn| &turn.group).collect();
    groups.sort();
    groups.dedup();
    let share = |group: &String, hit: fn(&Turn) -> bool| {
        let of: Vec<&Turn> = turns.iter().filter(|turn| turn.group == *group).collect();
        of.iter().filter(|turn| hit(turn)).count() as f64 / of.len() as f64
    };
    let figures: [(&str, fn(&Turn) -> bool); 4] =
        [("shown", |t| t.shown), ("logits", |t| t.logits), ("centre", |t| t.centre), ("border", |t| t.border)];
    let row = |group: &&String| {
        let mut row = json!({ "group": group, "n": turns.iter().filter(|turn| turn.group == **group).count() });
        figures.iter().for_each(|(name, hit)| row[*name] = json!(share(group, *hit)));
        row
    };
    let mean = |hit| groups.iter().map(|group| share(group, hit)).sum::<f64>() / groups.len().max(1) as f64;
    let mut report = json!({ "n": turns.len(), "groups": groups.iter().map(row).collect::<Vec<_>>() });
    figures.iter().for_each(|(name, hit)| report[*name] = json!(mean(*hit)));
    report
}
