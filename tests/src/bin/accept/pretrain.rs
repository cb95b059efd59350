//! Learning without labels: what a trunk is worth before and after, on pictures whose labels it was not told. It learns from the learning
//! side alone, so nothing of the test side was ever seen.

use std::path::Path;
use std::time::Instant;

use super::{Bounds, elpv, json_line};

/// Rounds over the pictures: some six minutes on two quiet cores.
const ROUNDS: &str = "20";
/// And from random weights on solar cells, of which twenty rounds taught nothing: a quarter of an hour.
const ROUNDS_ON_CELLS: &str = "60";

/// Steel: six kinds of defects, 1,421 pictures to learn from.
pub(super) fn neu(binary: &Path, data: &Path, bounds: &mut Bounds) {
    measure(binary, ("NEU", ROUNDS), data, &data.join("split.csv"), bounds);
}

/// Solar cells: good or defective. The first fold of `elpv` is the test side.
pub(super) fn elpv(binary: &Path, bounds: &mut Bounds) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let split = folder.path().join("sure.csv");
    let Some(data) = elpv::first_fold(binary, folder.path(), &split) else { return };
    measure(binary, ("ELPV", ROUNDS_ON_CELLS), &data, &split, bounds);
}

/// `rounds`: from random weights.
fn measure(binary: &Path, (name, rounds): (&str, &str), data: &Path, split: &Path, bounds: &mut Bounds) {
    println!(
        "\n== {name} with labels hidden: five shots of each label and a linear classifier, before and after, five draws"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pictures = folder.path().join("pictures");
    copy_learning_side(data, split, &pictures);
    let trunk = folder.path().join("line.trunk.onnx");
    let [trunk, pictures, data, split] =
        [&trunk, &pictures, data, split].map(|path| path.to_string_lossy().into_owned());
    for (from, rounds, which) in
        [("the shipped trunk", ROUNDS, None), ("random weights", rounds, Some("--from-scratch"))]
    {
        let mut arguments = vec!["pretrain", "--data", &pictures, "--out", &trunk, "--size", "128", "--rounds", rounds];
        arguments.extend(["--probe", &data, "--probe-split", &split, "--priority", "normal", "--json"]);
        arguments.extend(which);
        let started = Instant::now();
        let report = json_line(binary, &arguments);
        println!("{from}: {:.1} min, {report}", started.elapsed().as_secs_f64() / 60.0);
        let gained = |probe: &str| 100.0 * report["probe"][probe]["gained"]["mean"].as_f64().unwrap_or(f64::NAN);
        println!(
            "{name}, from {from}: points gained, five shots {:.1}, linear {:.1}",
            gained("few_shot"),
            gained("linear")
        );
        if which.is_some() {
            bounds.above(&format!("{name}, from {from}: linear classifier, points gained"), gained("linear"), 0.0);
        }
    }
}

/// The pictures of a list's learning side, in one folder, so that their labels are nowhere.
fn copy_learning_side(data: &Path, split: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    let text = std::fs::read_to_string(split).expect("a list");
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().expect("a head").split(',').collect();
    let column = |name: &str| columns.iter().position(|column| *column == name).expect("its column");
    let (path, side) = (column("path"), column("split"));
    for (number, line) in lines.enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        if fields[side] == "train" {
            let ending = fields[path].rsplit('.').next().expect("an ending");
            std::fs::copy(data.join(fields[path]), to.join(format!("{number:05}.{ending}"))).expect("copied");
        }
    }
}
