//! Alignment: a real product that is moved about, and synthetic pins that lie at any angle; each learned from good parts alone, with a
//! recipe that aligns and without one.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use std::path::Path;

use crate::good::example;
use crate::{Bounds, json_line};

/// Seeds of the drawn pins and of how the bottles are moved.
const PINS: &str = "21";
const MOVED: &str = "22";

/// MVTec's bottle at 512 px, turned by up to 15 degrees and shifted by up to 5 %: learned from moved good parts, measured on moved ones.
pub(crate) fn bottle(binary: &Path, data: &Path, bounds: &mut Bounds) {
    println!("\n== bottle, turned by up to 15 degrees and shifted by up to 5 %, from good parts alone");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let moved = folder.path().join("moved");
    let arguments = [data.to_string_lossy(), moved.to_string_lossy(), MOVED.into()];
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let Some(said) = example(binary, "moved_folder", &arguments) else {
        return println!("SKIPPED: bottle (no example `moved_folder` beside the program)");
    };
    println!("{}", said.trim());
    // The first good part, as it came, is how all shall lie.
    let mut good: Vec<_> = std::fs::read_dir(data.join("train/good"))
        .expect("the good parts")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    good.sort();
    let first = good.first().expect("a good part").to_string_lossy().into_owned();
    let unmoved = auroc(binary, data, data, None);
    let without = auroc(binary, &moved, &moved, None);
    let learned_unmoved = auroc(binary, data, &moved, None);
    println!(
        "AUROC unmoved {unmoved:.4}; moved, not aligned {without:.4}; learned unmoved, measured moved {learned_unmoved:.4}"
    );
    for method in ["template", "ecc"] {
        let text =
            format!("[align]\nmethod = \"{method}\"\nreference = \"{first}\"\nmax_angle_deg = 30\nmax_shift_px = 60\n");
        let aligned = auroc(binary, &moved, &moved, Some(&recipe(folder.path(), method, &text)));
        println!("AUROC moved, aligned by {method}: {aligned:.4}");
        bounds.at_least(&format!("bottle moved, aligned by {method}: AUROC"), aligned, unmoved - 0.01);
    }
}

/// Pins at any angle, with spots of CNR 3 to 6.
pub(crate) fn pins(binary: &Path, trunk: Option<&Path>, bounds: &mut Bounds) {
    println!("\n== pins at any angle, from good parts alone; spots of CNR 3 to 6");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let parts = folder.path().join("pins");
    let Some(drawn) = example(binary, "pins_folder", &[&parts.to_string_lossy(), PINS, "120", "60", "90"]) else {
        return println!("SKIPPED: pins (no example `pins_folder` beside the program)");
    };
    println!("{}", drawn.trim());
    let recipe = recipe(folder.path(), "pin", "[align]\nmethod = \"outline\"\nsize = [208, 80]\n");
    let trunks = [("the shipped trunk", None), ("the ImageNet trunk", trunk)];
    for (name, trunk) in trunks.into_iter().filter(|(name, trunk)| trunk.is_some() || *name == "the shipped trunk") {
        let measure = |recipe| auroc_of(binary, &parts, &parts, recipe, trunk);
        let (without, aligned) = (measure(None), measure(Some(recipe.as_path())));
        println!("{name}: AUROC not aligned {without:.4}, aligned {aligned:.4}");
        bounds.at_least(&format!("pins, {name}, aligned: AUROC"), aligned, 0.95);
    }
}

fn recipe(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(format!("{name}.toml"));
    let text = format!("name = \"{name}\"\nversion = 1\ndeadline_ms = 1000\n{text}");
    std::fs::write(&path, text).expect("a recipe");
    path
}

fn auroc(binary: &Path, learn: &Path, test: &Path, recipe: Option<&Path>) -> f64 {
    auroc_of(binary, learn, test, recipe, None)
}

/// Learns from `learn/train/good`, measures on `test/test`.
fn auroc_of(binary: &Path, learn: &Path, test: &Path, recipe: Option<&Path>, trunk: Option<&Path>) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (bundle, good, test) =
        (text(&folder.path().join("b.bundle")), text(&learn.join("train/good")), text(&test.join("test")));
    let (recipe, trunk) = (recipe.map(text), trunk.map(text));
    let with = |mut arguments: Vec<&str>, given: &[(&'static str, &Option<String>)]| -> Vec<String> {
        let given = given.iter().filter_map(|(option, value)| Some([option.to_string(), (*value).clone()?]));
        let mut all: Vec<String> = arguments.drain(..).map(str::to_owned).collect();
        all.extend(given.flatten());
        all
    };
    let run = |arguments: Vec<String>| json_line(binary, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let trained = run(with(
        vec!["train", "--good", &good, "--out", &bundle, "--json", "--priority", "normal"],
        &[("--recipe", &recipe), ("--trunk", &trunk)],
    ));
    let eval = run(with(
        vec!["eval", "--bundle", &bundle, "--data", &test, "--good-label", "good", "--json"],
        &[("--recipe", &recipe)],
    ));
    let report = &trained["report"];
    println!("  {}", report["tried"][report["chosen"].as_u64().unwrap_or_default() as usize]);
    println!("  learned in {:.0} s, measured on {}", trained["seconds"].as_f64().unwrap_or(f64::NAN), eval["n"]);
    eval["auroc"].as_f64().unwrap_or(f64::NAN)
}
