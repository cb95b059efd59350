//! `inspectd data` and `inspectd train --preview` through the real program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use models::image::{Image, PixelFormat, decode, encode_png};
use serde_json::Value;

fn inspectd(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inspectd"));
    command.args(arguments).current_dir(folder).output().expect("the program starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A hashed number, even in 0..256.
fn noise(seed: u32) -> u8 {
    let mixed = seed.wrapping_mul(0x9E37_79B9) ^ seed.rotate_left(13).wrapping_mul(0x85EB_CA6B);
    (mixed ^ mixed >> 15).wrapping_mul(0xC2B2_AE35).to_le_bytes()[3]
}

/// A scene of boxes of any grey that no other seed has, a little brighter by `more`.
fn scene(seed: u32, more: u8) -> Image {
    let side = 96_u32;
    let mut data = vec![100 + more; (side * side) as usize];
    for shape in 0..12 {
        let draw = |what: u32| u32::from(noise(seed * 1000 + shape * 10 + what));
        let (left, top) = (draw(0) * side / 256, draw(1) * side / 256);
        let (right, bottom) = ((left + 8 + draw(2) / 8).min(side), (top + 8 + draw(3) / 8).min(side));
        let grey = (draw(4) as u8).saturating_add(more);
        (top..bottom).for_each(|y| data[(y * side + left) as usize..(y * side + right) as usize].fill(grey));
    }
    Image { width: side, height: side, format: PixelFormat::Mono8, data }
}

fn save(root: &Path, path: &str, image: &Image) {
    fs::create_dir_all(root.join(path).parent().expect("a folder")).expect("made");
    fs::write(root.join(path), encode_png(image.view()).expect("an image")).expect("written");
}

/// Two labels of ten scenes each; every scene of `b` was shot twice.
fn fill(root: &Path) {
    for seed in 0..10 {
        save(root, &format!("a/{seed}.png"), &scene(seed, 0));
        save(root, &format!("b/{seed}_one.png"), &scene(100 + seed, 0));
        save(root, &format!("b/{seed}_two.png"), &scene(100 + seed, 3));
    }
}

#[test]
fn check_tells_what_is_there_and_split_parts_nothing_that_belongs_together() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(&folder.path().join("parts"));
    let output = inspectd(&["data", "check", "parts", "--json"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON line");
    assert_eq!((report["images"].as_u64(), report["problems"].as_u64()), (Some(30), Some(0)));
    let clusters = report["near"]["clusters"].as_array().expect("looked for");
    let pair = |cluster: &Value| cluster[0].as_str().zip(cluster[1].as_str()).map(|(a, b)| a[..3] == b[..3]);
    assert_eq!(clusters.len(), 10, "every second shot is found, and nothing else: {report}");
    assert!(
        clusters
            .iter()
            .all(|cluster| cluster.as_array().is_some_and(|of| of.len() == 2) && pair(cluster) == Some(true))
    );

    let split = ["data", "split", "parts", "--test", "0.3", "--by-group", "--out", "parts.csv"];
    let output = inspectd(&split, folder.path());
    assert!(output.status.success(), "{}", text(&output));
    let list = fs::read_to_string(folder.path().join("parts.csv")).expect("written");
    assert!(list.starts_with("path,label,split,group\n") && list.lines().count() == 31, "{list}");
    let side = |path: String| list.lines().find(|line| line.starts_with(&path)).expect("listed").contains(",test,");
    let tests = (0..10).filter(|seed| side(format!("b/{seed}_one"))).count();
    assert!((0..10).all(|seed| side(format!("b/{seed}_one")) == side(format!("b/{seed}_two"))), "{list}");
    assert_eq!(tests, 3, "three scenes of ten");

    // The list is what `check` and `train` read; a leak made by hand is found, with exit code 1.
    let output = inspectd(&["data", "check", "parts", "--split", "parts.csv"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let (one, two) = ("b/0_one.png,b,train", "b/0_one.png,b,test");
    let leaky = if list.contains(one) { list.replace(one, two) } else { list.replace(two, one) };
    fs::write(folder.path().join("leaky.csv"), leaky).expect("written");
    let output = inspectd(&["data", "check", "parts", "--split", "leaky.csv", "--no-near"], folder.path());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("on both sides: 1"), "{}", text(&output));
}

#[test]
fn groups_can_come_from_file_names_and_bad_requests_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(&folder.path().join("parts"));
    let quick = |more: &[&str]| {
        let mut arguments = vec!["data", "split", "parts", "--by-group", "named", "--out", "s.csv"];
        arguments.extend(more);
        inspectd(&arguments, folder.path())
    };
    let output = quick(&["--group-before", "_"]);
    assert!(output.status.success() && text(&output).contains("20 groups of 30 images"), "{}", text(&output));
    assert!(text(&quick(&["--group-before", "#"])).contains("no file name holds `#`"));
    assert_eq!(quick(&["--test", "1.5"]).status.code(), Some(2));
    let gone = inspectd(&["data", "check", "gone"], folder.path());
    assert!(gone.status.code() == Some(1) && text(&gone).contains("`gone` is not a folder"), "{}", text(&gone));
    fs::write(folder.path().join("parts/a/0.png"), "no picture").expect("written");
    let output = inspectd(&["data", "split", "parts", "--no-near", "--out", "t.csv"], folder.path());
    assert!(text(&output).contains("a/0.png") && !folder.path().join("t.csv").exists(), "{}", text(&output));
}

#[test]
fn preview_draws_a_batch_and_each_label_and_learns_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(&folder.path().join("parts"));
    fs::write(folder.path().join("turns.toml"), "preset = \"any-orientation\"\nnoise = 0.05\n").expect("written");
    let preview = |augment: &str| {
        inspectd(&["train", "--data", "parts", "--augment", augment, "--preview", "seen"], folder.path())
    };
    let output = preview("turns.toml");
    assert!(output.status.success(), "{}", text(&output));
    let sheets = ["batch.png", "label-0-a.png", "label-1-b.png"].map(|name| {
        let bytes = fs::read(folder.path().join("seen").join(name)).expect("written");
        decode(&bytes).expect("a picture")
    });
    assert!(sheets[0].width > 8 * 96 && sheets[0].height > 8 * 96, "32 images, each twice: {}", sheets[0].width);
    assert!(text(&output).contains("16 of the batch"), "{}", text(&output));
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 3, "no bundle, no checkpoint");

    fs::write(folder.path().join("turns.toml"), "rotate = 5\n").expect("written");
    let output = preview("turns.toml");
    assert!(output.status.code() == Some(1) && text(&output).contains("rotate"), "{}", text(&output));
    assert!(text(&preview("upside-down")).contains("fixed-pose"));
}
