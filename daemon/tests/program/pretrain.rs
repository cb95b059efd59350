//! `inspectd pretrain` as a command: learns, is stopped and goes on, measures; a training starts from what it wrote.

use models::image::{Image, PixelFormat, encode_png};
use serde_json::Value;

use crate::support::{inspectd, output, text, words};

/// Stripes of a pitch and a direction of their own.
fn picture(number: usize) -> Vec<u8> {
    let pitch = 3 + number % 7;
    let value = |at: usize| {
        let (x, y) = (at % 64, at / 64);
        let along = if number.is_multiple_of(2) { x + number * y / 9 } else { y + number * x / 9 };
        (90 + 60 * ((along / pitch) % 2) + (at * 7919 + number * 31) % 17) as u8
    };
    let image = Image { width: 64, height: 64, format: PixelFormat::Mono8, data: (0..64 * 64).map(value).collect() };
    encode_png(image.view()).expect("a small picture")
}

#[test]
fn a_trunk_is_learned_measured_and_trained_from() {
    let dir = tempfile::tempdir().expect("a folder");
    let (pictures, labelled) = (dir.path().join("pictures/of/today"), dir.path().join("labelled"));
    std::fs::create_dir_all(&pictures).expect("a folder");
    (0..24).for_each(|at| std::fs::write(pictures.join(format!("{at}.png")), picture(at)).expect("written"));
    for at in 0..36 {
        let side = if at < 24 { "train" } else { "test" };
        let folder = labelled.join(side).join(if at % 2 == 0 { "good" } else { "turned" });
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{at}.png")), picture(100 + at)).expect("written");
    }
    let trunk = dir.path().join("line.trunk.onnx");
    let root = dir.path().join("pictures");
    let common = [
        "pretrain",
        "--data",
        text(&root),
        "--out",
        text(&trunk),
        "--batch",
        "12",
        "--rounds",
        "6",
        "--priority",
        "normal",
    ];
    let run = |further: &[&str]| words(&inspectd(&[&common[..], further].concat()).output().expect("it starts"));
    let (code, said, told) = run(&["--json", "--probe", text(&labelled)]);
    assert_eq!(code, 0, "{told}");
    let report: Value = serde_json::from_str(said.trim()).expect("one line of JSON");
    assert_eq!((&report["pictures"], &report["steps"], &report["size"]), (&24.into(), &12.into(), &64.into()));
    assert!(report["loss"].as_f64() < report["chance"].as_f64(), "{report}");
    let gained = &report["probe"]["linear"]["gained"];
    assert!(gained["low"].as_f64() <= gained["mean"].as_f64() && gained["mean"].is_number(), "{report}");
    assert!(!dir.path().join("line.trunk.onnx.partial").exists(), "the checkpoint is gone");

    // Its notices go into the bundle that is trained from it.
    let bundle = dir.path().join("line.bundle");
    let training =
        ["train", "--data", text(&labelled), "--trunk", text(&trunk), "--out", text(&bundle), "--steps", "2"];
    let (code, _, told) =
        words(&inspectd(&[&training[..], &["--priority", "normal"]].concat()).output().expect("it starts"));
    assert_eq!(code, 0, "{told}");
    let provenance = models::bundle::Bundle::open(&bundle).expect("a bundle").manifest.provenance;
    assert_eq!(provenance.trunk, "line.trunk.onnx");
    assert!(provenance.licences.iter().any(|notice| notice.contains("torchvision")), "{:?}", provenance.licences);
}

#[test]
fn what_cannot_be_learned_from_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let (empty, one) = (dir.path().join("empty"), dir.path().join("one"));
    [&empty, &one].iter().for_each(|folder| std::fs::create_dir(folder).expect("a folder"));
    std::fs::write(one.join("1.png"), picture(1)).expect("written");
    let out = dir.path().join("trunk.onnx");
    let gone = dir.path().join("gone");
    for (data, further, says) in [
        (&empty, &[][..], "holds no pictures"),
        (&gone, &[], "is not a folder"),
        (&one, &[], "fewer than two pictures"),
        (&one, &["--size", "50"], "multiple of 32"),
        (&one, &["--temperature", "0"], "0.01 to 2"),
        (&one, &["--minutes", "1e300"], "--minutes"),
        (&one, &["--augment", "none"], "nothing to learn"),
        (&one, &["--augment", "upside-down"], "views"),
        (&one, &["--probe", text(&one)], "holds no folders with images"),
    ] {
        let arguments = ["pretrain", "--data", text(data), "--out", text(&out), "--priority", "normal"];
        let (code, _, said) = words(&output(&[&arguments[..], further].concat()));
        assert!(code == 1 && said.contains(says), "{further:?}: {code} {said}");
        assert!(!out.exists());
    }
}
