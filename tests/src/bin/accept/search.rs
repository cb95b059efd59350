//! The search for quicker networks, on steel: one that is twice as quick as the usual network and errs once more at most. The limit of time
//! is half of what the usual one takes here, the test side chooses nothing.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::{Bounds, json_line};

const BUDGET: &str = "30m";

pub(super) fn run(binary: &Path, data: &Path, bounds: &mut Bounds) {
    println!("\n== A search for half of the usual network's time on NEU, {BUDGET}, and the usual one beside it");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [usual, found] = ["usual.bundle", "found"].map(|name| folder.path().join(name).to_string_lossy().into_owned());
    let data = data.to_string_lossy();
    let of_both = ["--data", &data, "--split", "split.csv", "--json"];
    let heavy = |task: &[&str]| json_line(binary, &[task, &of_both, &["--priority", "normal"]].concat());
    let measured = |bundle: &str| {
        let report = json_line(binary, &[&["eval", "--bundle", bundle], &of_both[..]].concat());
        let errors = report["errors"].as_array().map_or(f64::NAN, |errors| errors.len() as f64);
        (errors, median_ms(&report))
    };
    heavy(&["train", "--out", &usual]);
    let (errors, usual_ms) = measured(&usual);
    println!("usual network: {errors} of 379 wrong, {usual_ms:.2} ms");

    let limit = format!("{:.2}", usual_ms / 2.0);
    let started = Instant::now();
    let report = heavy(&["search", "--budget", BUDGET, "--max-latency-ms", &limit, "--out", &found]);
    println!("{:.1} min, {report}", started.elapsed().as_secs_f64() / 60.0);
    let (found_errors, found_ms) = measured(report["bundle"].as_str().expect("its path"));
    println!("found network: {found_errors} of 379 wrong, {found_ms:.2} ms");
    bounds.at_most("the found network's errors beyond the usual one's", found_errors - errors, 1.0);
    bounds.at_least("how often the found network's time fits into the usual one's", usual_ms / found_ms, 2.0);
}

/// The median time of a verdict without decoding, one image after the other.
fn median_ms(report: &Value) -> f64 {
    report["latency_ms"]["p50"].as_f64().unwrap_or(f64::NAN)
}
