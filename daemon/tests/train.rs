//! `inspectd train` and `inspectd eval` through the real program.

use std::path::Path;
use std::process::{Command, Output};

use models::image::{Image, PixelFormat, encode_png};
use serde_json::Value;

fn inspectd(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inspectd"));
    command.args(arguments).current_dir(folder).output().expect("the program starts")
}

/// Standard error of a run that must end with `code`.
fn refusal(arguments: &[&str], folder: &Path, code: i32) -> String {
    let output = inspectd(arguments, folder);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// One JSON line of a run that must succeed.
fn json(arguments: &[&str], folder: &Path) -> Value {
    let output = inspectd(arguments, folder);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Stripes up and down against stripes across, at any phase and brightness: 24 to learn from and 16 to measure on.
fn fill(folder: &Path) {
    let mut split = String::from("path,label,split\n");
    for index in 0..40_usize {
        let label = ["across", "upright"][index % 2];
        let pixel = |at: usize| {
            let along = if index % 2 == 0 { at / 48 } else { at % 48 };
            let bright = (along + index) / 4 % 2 == 1;
            (60 + 3 * index + if bright { 70 } else { 0 } + at * 7919 % 13) as u8
        };
        let image =
            Image { width: 48, height: 48, format: PixelFormat::Mono8, data: (0..48 * 48).map(pixel).collect() };
        let side = if index < 24 { "train" } else { "test" };
        std::fs::write(folder.join(format!("{index}.png")), encode_png(image.view()).expect("an image"))
            .expect("written");
        split.push_str(&format!("{index}.png,{label},{side}\n"));
    }
    std::fs::write(folder.join("split.csv"), split).expect("written");
}

#[test]
fn a_folder_becomes_a_bundle_that_eval_measures() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("stripes");
    std::fs::create_dir(&data).expect("a folder");
    fill(&data);
    let train = [
        "train",
        "--data",
        "stripes",
        "--split",
        "split.csv",
        "--epochs",
        "1",
        "--out",
        "s.bundle",
        "--json",
        "--priority",
        "normal",
    ];
    let trained = json(&train, folder.path());
    assert_eq!(trained["size"], serde_json::json!([64, 64]), "the nearest multiple of 32 above 48");
    assert_eq!(trained["labels"][0]["name"], "across");
    assert!(trained["provenance"]["command"].as_str().is_some_and(|command| command.contains("--data stripes")));
    assert!(!folder.path().join("s.bundle.partial").exists(), "no checkpoint is left behind");

    let eval = ["eval", "--bundle", "s.bundle", "--data", "stripes", "--split", "split.csv", "--json"];
    let report = json(&eval, folder.path());
    assert_eq!(report["images"], 16, "the test side alone");
    assert!(report["accuracy"].as_f64().is_some_and(|accuracy| accuracy >= 0.9), "{report}");
    assert_eq!(report["accuracy"], trained["test"]["accuracy"], "train and eval measure alike");

    std::fs::write(data.join("split.csv"), "path,label,split\n0.png,oblique,test\n").expect("written");
    assert!(refusal(&eval, folder.path(), 1).contains("oblique"));
}

#[test]
fn trainings_that_cannot_be_are_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path());
    let train = |split: &str| {
        std::fs::write(folder.path().join("other.csv"), format!("path,label,split\n{split}")).expect("written");
        let arguments = ["train", "--data", ".", "--split", "other.csv", "--out", "s.bundle", "--priority", "normal"];
        refusal(&arguments, folder.path(), 1)
    };
    assert!(train("0.png,a,train\n1.png,b,holdout\n").contains("unknown split `holdout`"));
    assert!(train("0.png,a,train\n1.png,a,train\n").contains("at least two labels"));
    assert!(train("0.png,a,train\n1.png,b,test\n").contains("`b` has no training image"));
    assert!(train("0.png,a,train\n99.png,b,train\n").contains("99.png"));
    let refuse =
        |arguments: &[&str], code| refusal(&[arguments, &["--priority", "normal"]].concat(), folder.path(), code);
    assert!(refuse(&["train", "--data", "gone", "--out", "s.bundle"], 1).contains("`gone` is not a folder"));
    assert!(refuse(&["train", "--data", ".", "--out", "gone/s.bundle"], 1).contains("`gone`"));
    let odd = ["train", "--data", ".", "--split", "split.csv", "--size", "100", "--out", "s.bundle"];
    assert!(refuse(&odd, 1).contains("multiple of 32"));
    let trunk = ["train", "--data", ".", "--split", "split.csv", "--trunk", "split.csv", "--out", "s.bundle"];
    assert!(refuse(&trunk, 1).contains("not a bundle"));
    assert!(refuse(&["train", "--data", ".", "--synthetic", "--out", "s.bundle"], 2).contains("cannot be used with"));
    assert!(refuse(&["train", "--out", "s.bundle"], 2).contains("required"));
    assert!(!folder.path().join("s.bundle").exists());
}
