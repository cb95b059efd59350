//! Whether boxes teach the heat map: drawn parts with COCO boxes, learned with image labels alone and with `--teach-boxes`.
//!
//!     cargo run -p inspectd --example teach_boxes -- PARTS SEED [OPTIONS OF train]...
//!
//! PARTS windows of 256 px are learned from, 200 others of a stream that no training draws from are measured on: how often the cell
//! with the highest probability of the true label holds a pixel of the defect (the pointing game of Zhang et al., IJCV 2018, on the
//! mask). Beside it: always pointing at the middle, and at every cell as often. One JSON line.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use std::path::Path;
use std::process::Command;

use models::bundle::Bundle;
use models::image::encode_png;
use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::SessionOptions;
use serde_json::{Value, json};
use stages::capture::synthetic::{LABELS, TrainingSet};

const SIDE: u32 = 256;
const MEASURED: u64 = 200;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [parts, seed, options @ ..] = &arguments[..] else { anyhow::bail!("give the number of parts and a seed") };
    let (parts, seed) = (parts.parse()?, seed.parse()?);
    models::runtime::init(None)?;
    let folder = tempfile::tempdir()?;
    draw(folder.path(), parts, seed)?;
    let mut report = json!({ "parts": parts, "measured_on": MEASURED, "options": options });
    for (name, boxes) in [("image_labels", false), ("boxes", true)] {
        let out = folder.path().join(format!("{name}.bundle"));
        let trained = train(folder.path(), &out, boxes, options)?;
        let predictor = Predictor::load(Bundle::open(&out)?, &SessionOptions::default())?;
        report[name] = point(&predictor, seed)?;
        report[name]["selection"] = trained["selection"]["accuracy"].clone();
    }
    println!("{report}");
    Ok(())
}

/// A folder in COCO's form: a box around each label's pixels.
fn draw(folder: &Path, parts: u64, seed: u64) -> anyhow::Result<()> {
    let set = TrainingSet::new(seed, SIDE);
    let (mut images, mut boxes) = (Vec::new(), Vec::new());
    for index in 0..parts {
        let sample = set.sample(index);
        let name = format!("{index:05}.png");
        std::fs::write(folder.join(&name), encode_png(sample.image.view())?)?;
        images.push(json!({ "id": index, "file_name": name }));
        for &label in sample.labels.iter().filter(|label| **label != 0) {
            let own = (0..sample.mask.len()).filter(|&at| usize::from(sample.mask[at]) == label);
            let places: Vec<[usize; 2]> = own.map(|at| [at % SIDE as usize, at / SIDE as usize]).collect();
            let end = |axis: usize| {
                let along = || places.iter().map(|place| place[axis]);
                along().min().zip(along().max()).unwrap_or_default()
            };
            let ((left, right), (top, bottom)) = (end(0), end(1));
            boxes.push(json!({
                "image_id": index, "category_id": label, "bbox": [left, top, right - left + 1, bottom - top + 1],
            }));
        }
    }
    let categories: Vec<Value> =
        LABELS.iter().enumerate().map(|(id, name)| json!({ "id": id, "name": name })).collect();
    let list = json!({ "images": images, "annotations": boxes, "categories": categories });
    Ok(std::fs::write(folder.join("_annotations.coco.json"), list.to_string())?)
}

fn train(folder: &Path, out: &Path, boxes: bool, options: &[String]) -> anyhow::Result<Value> {
    let program = std::env::current_exe()?;
    let program = program.parent().and_then(Path::parent).unwrap_or(Path::new(".")).join("inspectd");
    let mut command = Command::new(program);
    command.args(["train", "--json", "--priority", "normal", "--data"]).arg(folder).arg("--out").arg(out).args(options);
    command.args(boxes.then_some("--teach-boxes"));
    let output = command.output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Shares of the defective parts on which the highest cell, the middle one, and any cell holds a pixel of the defect.
fn point(model: &Predictor, seed: u64) -> anyhow::Result<Value> {
    let set = TrainingSet::to_measure_on(seed, SIDE);
    let label_of = |name: &str| model.manifest().label_index(name);
    let mut tensor = vec![0.0; model.preprocess().tensor_len()];
    let (mut asked, mut found, mut middle, mut any) = (0_usize, 0_usize, 0_usize, 0.0);
    for index in (0..MEASURED).filter(|&index| set.label(index) != 0) {
        let sample = set.sample(index);
        let Some(label) = label_of(LABELS[sample.labels[0]]) else { continue };
        model.preprocess().fill(sample.image.view(), &mut tensor);
        let heat = model.predict(&tensor)?.heat;
        let cells = heat.probabilities();
        let cells = &cells[label * heat.height * heat.width..][..heat.height * heat.width];
        let holds = |cell: usize| {
            let (row, column) = (cell / heat.width, cell % heat.width);
            let side = SIDE as usize;
            let rows = row * side / heat.height..(row + 1) * side / heat.height;
            let columns = column * side / heat.width..(column + 1) * side / heat.width;
            rows.into_iter().any(|y| sample.mask[y * side..][columns.clone()].iter().any(|&label| label != 0))
        };
        let highest = (0..cells.len()).max_by(|&a, &b| cells[a].total_cmp(&cells[b])).unwrap_or(0);
        asked += 1;
        found += usize::from(holds(highest));
        middle += usize::from(holds(heat.height / 2 * heat.width + heat.width / 2));
        any += (0..cells.len()).filter(|&cell| holds(cell)).count() as f64 / cells.len() as f64;
    }
    let share = |count: f64| count / asked.max(1) as f64;
    Ok(json!({
        "parts": asked,
        "pointing": share(found as f64),
        "always_the_middle": share(middle as f64),
        "any_cell": share(any),
    }))
}
