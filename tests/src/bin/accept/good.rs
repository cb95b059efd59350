//! Learning from good parts alone: a real product, and synthetic surfaces with a trunk that has never seen one.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{Bounds, json_line};

/// Seed of the synthetic parts, which are drawn as those of a line are.
const SEED: &str = "11";
const SURFACES: [&str; 4] = ["BrushedMetal", "Cast", "OrangePeel", "Woven"];

/// MVTec's bottle at 512 px: 209 good parts to learn from, 20 good and 63 defective ones to measure on.
pub(crate) fn bottle(binary: &Path, data: &Path, bounds: &mut Bounds) {
    println!("\n== bottle, from good parts alone: the fast setting, then --fine");
    let (learn, test) = (data.join("train/good"), data.join("test"));
    baseline(binary, &learn, &test, None);
    for fine in [false, true] {
        let [trained, eval] = learn_and_measure(binary, &learn, &test, None, fine);
        if fine {
            println!("--fine: AUROC {} at {} times the classifier's time", eval["auroc"], trained["cost"]["ratio"]);
            continue;
        }
        bounds.at_most("bottle: seconds to learn", number(&trained["seconds"]), 120.0);
        bounds.at_most("bottle: time over the classifier's", number(&trained["cost"]["ratio"]), 1.5);
        bounds.at_least("bottle: AUROC", number(&eval["auroc"]), 0.995);
    }
}

/// Each surface of the synthetic line by itself, 120 good parts to learn from; the trunk is ImageNet's, which never saw the line.
pub(crate) fn surfaces(binary: &Path, trunk: &Path, bounds: &mut Bounds) {
    println!(
        "\n== synthetic surfaces, from good parts alone, the ImageNet trunk; 60 good parts and 90 with a defect of CNR >= 3"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    for surface in SURFACES {
        let parts = folder.path().join(surface);
        let draw = example(binary, "parts_folder", &[&parts.to_string_lossy(), surface, SEED, "120", "60", "90"]);
        let Some(drawn) = draw else {
            return println!("SKIPPED: {surface} (no example `parts_folder` beside the program)");
        };
        println!("{surface}: {}", drawn.trim());
        let (learn, test) = (parts.join("train/good"), parts.join("test"));
        baseline(binary, &learn, &test, Some(trunk));
        let [trained, eval] = learn_and_measure(binary, &learn, &test, Some(trunk), false);
        bounds.at_most(&format!("{surface}: time over the classifier's"), number(&trained["cost"]["ratio"]), 1.5);
        bounds.at_least(&format!("{surface}: AUROC"), number(&eval["auroc"]), 0.95);
    }
}

fn learn_and_measure(binary: &Path, learn: &Path, test: &Path, trunk: Option<&Path>, fine: bool) -> [Value; 2] {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bundle = folder.path().join("good.bundle");
    let [learn, test, bundle] = [learn, test, &bundle].map(|path| path.to_string_lossy().into_owned());
    let trunk = trunk.map(|trunk| trunk.to_string_lossy().into_owned());
    let mut arguments = vec!["train", "--good", &learn, "--out", &bundle, "--json"];
    arguments.extend(trunk.iter().flat_map(|trunk| ["--trunk", trunk]));
    arguments.extend(fine.then_some("--fine"));
    let trained = json_line(binary, &arguments);
    let eval = json_line(binary, &["eval", "--bundle", &bundle, "--data", &test, "--good-label", "good", "--json"]);
    let report = &trained["report"];
    let chosen = &report["tried"][report["chosen"].as_u64().unwrap_or_default() as usize];
    println!("  learned in {:.0} s: {chosen}\n  cost {}", number(&trained["seconds"]), trained["cost"]);
    let figures = ["n", "auroc", "escape_rate", "overkill_rate"].map(|name| format!("{name} {}", eval[name]));
    println!("  eval {}", figures.join(", "));
    [trained, eval]
}

/// The trivial way, printed beside.
fn baseline(binary: &Path, learn: &Path, test: &Path, trunk: Option<&Path>) {
    let mut arguments = vec![learn.to_string_lossy(), test.to_string_lossy()];
    arguments.extend(trunk.map(Path::to_string_lossy));
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    match example(binary, "whole_picture", &arguments) {
        Some(auroc) => println!("  nearest neighbour of whole-picture averages: AUROC {}", auroc.trim()),
        None => println!("  SKIPPED: the trivial way (no example `whole_picture` beside the program)"),
    }
}

/// What an example that was built beside the program prints.
pub(crate) fn example(binary: &Path, name: &str, arguments: &[&str]) -> Option<String> {
    let program = binary.parent()?.join("examples").join(name);
    let output = Command::new(program).args(arguments).output().ok()?;
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
