//! The pointing game: does the heat map's maximum lie on the defect?
//!
//! NEU's six labels are learned from the pictures' labels alone, the head on the shipped trunk, which has never seen steel (`train --steps
//! 0`). Then, for each picture of the test side that has a box of its own label: the map of that label as it is kept and drawn (bytes), the
//! centre of its hottest cell, of equal ones the first in reading order; a hit lies in one of the label's boxes, the edge included.
//! A label's figure is its share of hits, `macro` the mean of the labels. Beside it the same game with the picture's centre, and with the
//! logits behind the bytes. For drawn parts the shipped model's map: a hit is no further than half a cell from a defective pixel.

use std::path::Path;

use serde_json::Value;

use super::{Bounds, json_line};

/// Labels whose defects are thin: each has a bound of its own.
const THIN: [&str; 2] = ["inclusion", "scratches"];

pub(super) fn run(binary: &Path, data: &Path, bounds: &mut Bounds) {
    println!(
        "\n== pointing: NEU from image labels only, the head alone on the shipped trunk; drawn parts with the shipped model"
    );
    let example = binary.with_file_name("examples").join("pointing");
    if !example.exists() {
        println!("SKIPPED: pointing (`{}` is not built: cargo build --workspace --all-targets)", example.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("neu.bundle");
    let [out, boxes, data, list] =
        [&out, &data.join("boxes"), data, &data.join("split.csv")].map(|path| path.to_string_lossy().into_owned());
    json_line(
        binary,
        &["train", "--data", &data, "--split", "split.csv", "--steps", "0", "--seed", "1", "--out", &out, "--json"],
    );
    let neu = json_line(&example, &[&out, &data, &list, &boxes]);
    show(&neu);
    bounds.at_least("pointing, macro, %", percent(&neu, "shown"), 75.0);
    bounds.at_least("pointing above always-the-centre, points", percent(&neu, "shown") - percent(&neu, "centre"), 0.01);
    for row in rows(&neu) {
        let name = row["group"].as_str().unwrap_or_default();
        if THIN.contains(&name) {
            bounds.at_least(&format!("pointing, {name}, %"), percent(row, "shown"), 70.0);
        }
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/weights/default.bundle");
    let drawn = json_line(&example, &[&shipped.to_string_lossy(), "drawn"]);
    show(&drawn);
    bounds.at_least(
        "pointing on drawn parts above always-the-centre, points",
        percent(&drawn, "shown") - percent(&drawn, "centre"),
        0.01,
    );
}

fn rows(report: &Value) -> impl Iterator<Item = &Value> {
    report["groups"].as_array().into_iter().flatten()
}

fn percent(row: &Value, figure: &str) -> f64 {
    100.0 * row[figure].as_f64().unwrap_or(f64::NAN)
}

/// A line for each group, and their mean.
fn show(report: &Value) {
    let line = |name: &str, row: &Value| {
        let [shown, logits, centre, border] =
            ["shown", "logits", "centre", "border"].map(|figure| percent(row, figure));
        println!(
            "{name:<16} n {:>4}  map {shown:5.1} %  logits {logits:5.1} %  centre {centre:5.1} %  maxima at the border {border:5.1} %",
            row["n"]
        );
    };
    rows(report).for_each(|row| line(row["group"].as_str().unwrap_or_default(), row));
    line("macro", report);
}
