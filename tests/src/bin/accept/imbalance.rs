//! A long tail: balanced batches against plain ones.
//!
//! NEU's learning side is cut to all / 150 / 75 / 40 / 20 / 10 images of the six labels (it has 226 to 247 of each); which label gets which
//! count turns with the seed. Both arms have the same images, seed and settings, and are measured on the whole test side.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use super::{Bounds, json_line};

/// Images of a label, from the most common to the rarest.
const COUNTS: [usize; 6] = [usize::MAX, 150, 75, 40, 20, 10];
const SEEDS: [usize; 5] = [1, 2, 3, 4, 5];
const ARMS: [&str; 2] = ["balanced", "plain"];
/// Steps with all layers: none. The head alone learns, so that ten trainings take minutes; it is what the sampler feeds most.
const STEPS: &str = "0";

pub(super) fn run(binary: &Path, data: &Path, bounds: &mut Bounds) {
    println!("\n== imbalance: NEU with all, 150, 75, 40, 20 and 10 images of its labels, the head alone, five seeds");
    let list = std::fs::read_to_string(data.join("split.csv")).expect("the data set's list");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut balanced: BTreeMap<&str, Vec<[f64; 2]>> = BTreeMap::new();
    for seed in SEEDS {
        let split = folder.path().join(format!("tail-{seed}.csv"));
        std::fs::write(&split, tail(&list, seed)).expect("a list");
        for arm in ARMS {
            let [accuracy, rarest] = learn(binary, data, &split, (seed, arm));
            println!(
                "seed {seed}  {arm:<9}  balanced accuracy {:.2} %  rarest three {:.2} %",
                100.0 * accuracy,
                100.0 * rarest
            );
            balanced.entry(arm).or_default().push([accuracy, rarest]);
        }
    }
    let mean = |arm: &str, what: usize| {
        let values = &balanced[arm];
        100.0 * values.iter().map(|value| value[what]).sum::<f64>() / values.len() as f64
    };
    for arm in ARMS {
        println!("mean    {arm:<9}  balanced accuracy {:.2} %  rarest three {:.2} %", mean(arm, 0), mean(arm, 1));
    }
    let won = balanced["balanced"].iter().zip(&balanced["plain"]).filter(|(a, b)| a[0] > b[0]).count();
    println!("balanced is ahead in {won} of {} seeds", SEEDS.len());
    bounds.at_least(
        "balanced over plain sampling, points of balanced accuracy",
        mean("balanced", 0) - mean("plain", 0),
        0.01,
    );
}

/// The list with the learning side cut: the first so many of each label, in an order that the seed turns.
fn tail(list: &str, seed: usize) -> String {
    let mut lines = list.lines();
    let mut cut = format!("{}\n", lines.next().expect("a heading"));
    let label = |line: &str| line.split(',').nth(1).expect("three columns").to_owned();
    let mut labels: Vec<String> = list.lines().skip(1).map(label).collect();
    labels.sort();
    labels.dedup();
    let allowed = |line: &str| {
        let at = labels.iter().position(|known| *known == label(line)).expect("listed above");
        COUNTS[(at + seed) % COUNTS.len()]
    };
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        let taken = taken.entry(label(line)).or_default();
        let learns = line.ends_with(",train");
        if !learns || *taken < allowed(line) {
            *taken += usize::from(learns);
            writeln!(cut, "{line}").expect("text");
        }
    }
    cut
}

/// Balanced accuracy of a training, and the mean recall of the three rarest labels.
fn learn(binary: &Path, data: &Path, split: &Path, (seed, arm): (usize, &str)) -> [f64; 2] {
    let (data, seed_text, out) = (data.to_string_lossy(), seed.to_string(), split.with_extension(arm));
    let (split, out) = (split.to_string_lossy(), out.to_string_lossy());
    let trained = json_line(
        binary,
        &[
            "train",
            "--data",
            &data,
            "--split",
            &split,
            "--sampling",
            arm,
            "--steps",
            STEPS,
            "--seed",
            &seed_text,
            "--out",
            &out,
            "--json",
        ],
    );
    let recalls = recalls(&trained["test"]);
    let mut labels: Vec<&String> = recalls.keys().collect();
    labels.sort();
    // The label at place k of the sorted names has the count at place k + seed: the last three counts are the rarest.
    let rare = labels.iter().enumerate().filter(|(at, _)| (at + seed) % COUNTS.len() >= 3);
    let rare: Vec<f64> = rare.map(|(_, label)| recalls[*label]).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    [mean(&recalls.values().copied().collect::<Vec<_>>()), mean(&rare)]
}

/// Recall of each label.
fn recalls(report: &Value) -> BTreeMap<String, f64> {
    let labels = report["classes"].as_array().unwrap_or_else(|| panic!("no classes in {report}"));
    labels
        .iter()
        .map(|label| {
            let name = label["name"].as_str().unwrap_or_else(|| panic!("no name in {label}"));
            let recall = label["recall"].as_f64().unwrap_or_else(|| panic!("no recall in {label}"));
            (name.to_owned(), recall)
        })
        .collect()
}
