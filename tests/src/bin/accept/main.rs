//! The accuracy runs that are too long for `make test`: prints what it measured and fails where a bound is missed.
//!
//!     accept [synthetic] [neu] [few-shot] [small-defects] [elpv] [bottle] [good-only] [imbalance] [attack] [pointing]
//!            [teach-boxes] [align] [pretrain] [search] [fusion] [retrieval]

#![allow(clippy::print_stdout, clippy::print_stderr)] // a report for the person who runs it

mod align;
mod attack;
mod elpv;
mod fusion;
mod good;
mod imbalance;
mod pointing;
mod pretrain;
mod retrieval;
mod search;
mod small_defects;
mod teach_boxes;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::Value;

/// Seeds of the synthetic line that no training uses (`docs/SYNTHETIC.md` says how they are kept apart).
const LINE_SEEDS: [u64; 3] = [101, 202, 303];
const TRAIN_SEEDS: [u64; 5] = [1, 2, 3, 4, 5];

fn main() -> ExitCode {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| chosen.is_empty() || chosen.iter().any(|given| given == name);
    let Some(binary) = system_tests::binary() else { return ExitCode::from(2) };
    let mut bounds = Bounds::default();
    if wants("synthetic") {
        synthetic(&binary, &mut bounds);
    }
    if wants("neu") {
        match system_tests::data() {
            Some(data) => neu(&binary, &data.join("neu-surface-defects"), &mut bounds),
            None => println!("SKIPPED: neu (INSPECTD_DATA is not set)"),
        }
    }
    if wants("small-defects") {
        small_defects::run(&binary, &mut bounds);
    }
    if wants("elpv") {
        elpv::run(&binary, &mut bounds);
    }
    if wants("bottle") {
        match system_tests::data() {
            Some(data) => good::bottle(&binary, &data.join("mvtec-bottle-512"), &mut bounds),
            None => println!("SKIPPED: bottle (INSPECTD_DATA is not set)"),
        }
    }
    if wants("good-only") {
        match system_tests::data().map(|data| data.join("../weights/mobilenet_v3_small_imagenet_features.onnx")) {
            Some(trunk) => good::surfaces(&binary, &trunk, &mut bounds),
            None => println!("SKIPPED: good-only (INSPECTD_DATA is not set, and with it the ImageNet trunk)"),
        }
    }
    if wants("align") {
        let trunk = system_tests::data().map(|data| data.join("../weights/mobilenet_v3_small_imagenet_features.onnx"));
        align::pins(&binary, trunk.as_deref().filter(|trunk| trunk.exists()), &mut bounds);
        match system_tests::data() {
            Some(data) => align::bottle(&binary, &data.join("mvtec-bottle-512"), &mut bounds),
            None => println!("SKIPPED: moved bottles (INSPECTD_DATA is not set)"),
        }
    }
    if wants("imbalance") {
        match system_tests::data() {
            Some(data) => imbalance::run(&binary, &data.join("neu-surface-defects"), &mut bounds),
            None => println!("SKIPPED: imbalance (INSPECTD_DATA is not set)"),
        }
    }
    if wants("teach-boxes") {
        match system_tests::data().map(|data| data.join("../weights/mobilenet_v3_small_imagenet_features.onnx")) {
            Some(trunk) => teach_boxes::run(&binary, &trunk, &mut bounds),
            None => println!("SKIPPED: teach-boxes (INSPECTD_DATA is not set, and with it the ImageNet trunk)"),
        }
    }
    if wants("pointing") {
        match system_tests::data() {
            Some(data) => pointing::run(&binary, &data.join("neu-surface-defects"), &mut bounds),
            None => println!("SKIPPED: pointing (INSPECTD_DATA is not set)"),
        }
    }
    if wants("pretrain") {
        match system_tests::data() {
            Some(data) => pretrain::neu(&binary, &data.join("neu-surface-defects"), &mut bounds),
            None => println!("SKIPPED: pretrain on steel (INSPECTD_DATA is not set)"),
        }
        pretrain::elpv(&binary, &mut bounds);
    }
    if wants("search") {
        match system_tests::data() {
            Some(data) => search::run(&binary, &data.join("neu-surface-defects"), &mut bounds),
            None => println!("SKIPPED: search (INSPECTD_DATA is not set)"),
        }
    }
    if wants("fusion") {
        fusion::run(&binary, &mut bounds);
    }
    if wants("retrieval") {
        retrieval::run(&binary, &mut bounds);
    }
    if wants("attack") {
        attack::run(&binary, &mut bounds);
    }
    if wants("few-shot") {
        match system_tests::data() {
            Some(data) => few_shot(&binary, &data, &mut bounds),
            None => println!("SKIPPED: few-shot (INSPECTD_DATA is not set)"),
        }
    }
    bounds.report()
}

/// Kinds of steel defects registered from five pictures each, with trunks that never saw steel.
fn few_shot(binary: &Path, data: &Path, bounds: &mut Bounds) {
    println!("\n== NEU surface defects, five shots of each kind, the mean of ten draws");
    let neu = data.join("neu-surface-defects");
    let (folder, split) = (neu.to_string_lossy().into_owned(), neu.join("split.csv").to_string_lossy().into_owned());
    let trunk = data.join("../weights/mobilenet_v3_small_imagenet_features.onnx");
    let mut trunks: Vec<(&str, Vec<String>)> = vec![("the shipped model", Vec::new())];
    match trunk.exists() {
        true => trunks.push(("ImageNet", vec!["--trunk".into(), trunk.to_string_lossy().into_owned()])),
        false => println!("SKIPPED: few-shot with the ImageNet trunk (it does not lie beside the data)"),
    }
    for (name, which) in trunks {
        let mut arguments = vec!["models", "few-shot", "--data", &folder, "--split", &split, "--shots", "5", "--json"];
        arguments.extend(which.iter().map(String::as_str));
        let report = json_line(binary, &arguments);
        println!("{name}: {report}");
        let mean = |at: usize| 100.0 * report["measured"]["methods"][at]["mean"].as_f64().unwrap_or(f64::NAN);
        bounds.at_least(&format!("{name}: five-shot accuracy, %"), mean(0), 95.0);
        bounds.above(&format!("{name}: above plain L2, points"), mean(0) - mean(2), 0.0);
        let share = |key: &str| 100.0 * report["measured"]["methods"][0][key].as_f64().unwrap_or(f64::NAN);
        bounds.at_most(&format!("{name}: known kinds called unknown, %"), share("unknown"), 5.0);
        bounds.above(
            &format!("{name}: unknown kinds called unknown more often than known ones, points"),
            share("strangers_unknown") - share("unknown"),
            0.0,
        );
    }
}

/// The shipped model on parts that it never saw.
fn synthetic(binary: &Path, bounds: &mut Bounds) {
    println!("\n== synthetic line, 2000 parts a seed, half of them defective, as fast as the machine goes");
    for seed in LINE_SEEDS {
        let seed_text = seed.to_string();
        let report = json_line(
            binary,
            &[
                "demo",
                "--parts",
                "2000",
                "--defect-rate",
                "0.5",
                "--rate",
                "max",
                "--no-serve",
                "--json",
                "--seed",
                &seed_text,
            ],
        );
        println!("{report}");
        let number = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
        bounds.at_most(&format!("seed {seed}: escapes at CNR >= 3, %"), number("escapes_percent_from_cnr_3"), 2.0);
        bounds.at_most(&format!("seed {seed}: overkill, %"), number("overkill_percent"), 2.0);
        bounds.at_most(&format!("seed {seed}: review, %"), number("review_percent"), 5.0);
        bounds.at_least(&format!("seed {seed}: label accuracy, %"), 100.0 * number("label_accuracy"), 90.0);
        bounds.at_most(
            &format!("seed {seed}: no_decision that is not a bad frame"),
            (number("no_decision") - number("bad_frames")).abs(),
            0.0,
        );
        bounds.at_most(&format!("seed {seed}: in flight at the end"), number("in_flight"), 0.0);
    }
}

/// A real steel-defect set, learned five times.
fn neu(binary: &Path, data: &Path, bounds: &mut Bounds) {
    println!("\n== NEU surface defects, five seeds, the fixed split");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, split) = (data.to_string_lossy(), "split.csv");
    let mut errors = Vec::new();
    for seed in TRAIN_SEEDS {
        let out: PathBuf = folder.path().join(format!("neu-{seed}.bundle"));
        let (out, seed_text) = (out.to_string_lossy(), seed.to_string());
        let started = Instant::now();
        let trained = json_line(
            binary,
            &[
                "train",
                "--data",
                &data,
                "--split",
                split,
                "--out",
                &out,
                "--seed",
                &seed_text,
                "--priority",
                "normal",
                "--json",
            ],
        );
        let minutes = started.elapsed().as_secs_f64() / 60.0;
        let eval = json_line(binary, &["eval", "--bundle", &out, "--data", &data, "--split", split, "--json"]);
        println!("seed {seed}: {minutes:.1} min\n  train {trained}\n  eval {eval}");
        bounds.at_most(&format!("seed {seed}: minutes"), minutes, 10.0);
        bounds.at_least(&format!("seed {seed}: accuracy"), eval["accuracy"].as_f64().unwrap_or(f64::NAN), 0.99);
        let stage = |name: &str| trained[name]["accuracy"].as_f64().unwrap_or(f64::NAN);
        bounds.at_least(&format!("seed {seed}: stage two against stage one"), stage("stage_two"), stage("stage_one"));
        errors.push(eval["errors"].as_array().map_or(f64::NAN, |errors| errors.len() as f64));
    }
    errors.sort_by(f64::total_cmp);
    println!("errors of 379, sorted: {errors:?}");
    bounds.at_most("median errors of 379", errors[errors.len() / 2], 1.0);
    bounds.at_most("most errors of 379", errors[errors.len() - 1], 3.0);
}

/// Runs the program and reads the JSON on the last line of its standard output. Its progress stays visible.
fn json_line(binary: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(binary).args(arguments).stderr(Stdio::inherit()).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "inspectd {arguments:?} failed ({}):\n{text}", output.status);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("no JSON on the last line ({error}):\n{text}"))
}

/// Bounds that were met and missed.
#[derive(Default)]
struct Bounds {
    missed: usize,
    lines: Vec<String>,
}

impl Bounds {
    fn at_most(&mut self, what: &str, value: f64, bound: f64) {
        self.note(what, value, "<=", bound, value <= bound);
    }

    fn at_least(&mut self, what: &str, value: f64, bound: f64) {
        self.note(what, value, ">=", bound, value >= bound);
    }

    fn above(&mut self, what: &str, value: f64, bound: f64) {
        self.note(what, value, ">", bound, value > bound);
    }

    /// A value that is no number misses every bound.
    fn note(&mut self, what: &str, value: f64, sign: &str, bound: f64, met: bool) {
        self.missed += usize::from(!met);
        self.lines.push(format!("{:<6} {what}: {value:.4} {sign} {bound}", if met { "ok" } else { "MISSED" }));
    }

    fn report(self) -> ExitCode {
        println!("\n{}", self.lines.join("\n"));
        println!("{} bounds, {} missed", self.lines.len(), self.missed);
        if self.missed == 0 && !self.lines.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
