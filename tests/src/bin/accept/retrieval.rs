//! Finding parts by words: the shipped retriever on parts that no training drew, and one trained anew beside it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Bounds, LINE_SEEDS, json_line};

const PARTS: &str = "2000";
const TRIVIAL: &str = "no learning: score, then where the map is highest";

pub(super) fn run(binary: &Path, bounds: &mut Bounds) {
    println!("\n== Parts by words: the share of right ones among the first ten of {PARTS} parts, three seeds");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let anew = folder.path().join("anew.safetensors");
    let arguments = ["retrieval", "train", "--parts", "8000", "--steps", "4000", "--seed", "2", "--out"];
    let status = Command::new(binary).args(arguments).arg(&anew).status().expect("the program starts");
    assert!(status.success(), "inspectd retrieval train failed ({status})");
    let anew = anew.to_string_lossy();
    for seed in LINE_SEEDS {
        let seed = seed.to_string();
        let of = |file: &[&str]| {
            let how = ["retrieval", "eval", "--parts", PARTS, "--seed", &seed, "--json"];
            json_line(binary, &[&how, file].concat())
        };
        for (name, report) in [("shipped", of(&[])), ("trained anew", of(&["--file", &anew]))] {
            println!("seed {seed}, {name}:");
            for (way, answers) in report["answers"].as_object().expect("figures by name") {
                println!("  {way:<56} {:.3}", recall(answers));
            }
            let way = |way: &str| recall(&report["answers"][way]);
            bounds.at_least(&format!("seed {seed}, {name}: recall@10 by class and place"), way("English"), 0.8);
            bounds.at_least(
                &format!("seed {seed}, {name}: the same with another model's sketches"),
                way("English, another model's sketches"),
                0.8,
            );
            bounds.above(&format!("seed {seed}, {name}: above no learning"), way("English") - way(TRIVIAL), 0.05);
        }
    }
}

fn recall(answers: &Value) -> f64 {
    answers["recall_at_10"].as_f64().unwrap_or(f64::NAN)
}
