//! What must never come to a verdict: a network that gives other scores, a bundle that is none, a picture that is none.

use std::fs;
use std::path::PathBuf;

use models::graph::{self, ModelProto};
use models::image::{Image, PixelFormat, encode_jpeg, encode_png};
use models::weights::Tensor;
use prost::Message;

use crate::support::{drawn, files, inspect, lite, shipped, shipped_path, text};

/// The graph with one constant changed.
fn with_constant(graph: &[u8], name: &str, change: impl Fn(&mut Tensor)) -> Vec<u8> {
    let mut model: ModelProto = graph::check(graph).expect("a sound graph");
    let constants = &mut model.graph.as_mut().expect("a graph").initializer;
    let constant = constants.iter_mut().find(|it| it.name == name).unwrap_or_else(|| panic!("no constant `{name}`"));
    let mut tensor = constant.to_tensor().expect("floats");
    change(&mut tensor);
    *constant = graph::proto::TensorProto::from_tensor(name, &tensor);
    model.encode_to_vec()
}

#[test]
fn a_graph_that_gives_other_scores_than_its_bundle_says_inspects_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("altered.bundle");
    let pictures = files(&[drawn(1, 200)], dir.path());
    // A little more of one label; and a constant of the few-shot head, which no score shows.
    let more: fn(&mut Tensor) = |tensor| tensor.data[0] += 0.5;
    let longer: fn(&mut Tensor) = |tensor| tensor.data.iter_mut().for_each(|value| *value *= 1.1);
    let altered = [("classifier.bias", more, "probability of"), ("prototypes.scale", longer, "output `prototypes`")];
    for (constant, change, words) in altered {
        let mut bundle = shipped();
        bundle.graph = with_constant(&bundle.graph, constant, change);
        bundle.save(&path).expect("its digests are right: only the scores tell");
        let ran = inspect(&path, &pictures);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{constant}");
        for words in ["altered.bundle", "nothing was inspected", "of at most 0.001", "inspectd inspect", words] {
            assert!(ran.stderr.contains(words), "{constant}: {}", ran.stderr);
        }
        let ran = lite(&["--self-check", text(&path)]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{constant}: the check alone says so as well");
    }
}

#[test]
fn what_is_no_whole_bundle_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let picture = files(&[drawn(1, 200)], dir.path());
    let whole = fs::read(shipped_path()).expect("the shipped bundle is in the tree");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    let cut = whole[..whole.len() / 2].to_vec();
    for (name, bytes) in [("empty", Vec::new()), ("text", b"no bundle".to_vec()), ("damaged", damaged), ("cut", cut)] {
        let path = dir.path().join(format!("{name}.bundle"));
        fs::write(&path, bytes).expect("written");
        let ran = inspect(&path, &picture);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{name}");
        assert!(
            ran.stderr.contains(&format!("{name}.bundle")) && ran.stderr.contains("copy the file again"),
            "{}",
            ran.stderr
        );
    }
    let ran = inspect(&dir.path().join("gone.bundle"), &picture);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("gone.bundle") && ran.stderr.contains("No such file"), "{}", ran.stderr);
}

#[test]
fn what_is_no_picture_gets_no_decision_with_its_cause_and_the_others_are_decided() {
    let dir = tempfile::tempdir().expect("a folder");
    let good = drawn(4, 200);
    let jpeg = encode_jpeg(good.view(), 90).expect("a picture");
    let blank = Image { width: 64, height: 64, format: PixelFormat::Mono8, data: vec![90; 64 * 64] };
    let white = Image { data: vec![255; 64 * 64], ..blank.clone() };
    let png = |image: &Image| encode_png(image.view()).expect("a picture");
    let wrong = [
        ("empty.jpg", Vec::new(), "unreadable"),
        ("text.png", b"no picture".to_vec(), "unreadable"),
        ("half.jpg", jpeg[..jpeg.len() / 2].to_vec(), "truncated"),
        ("blank.png", png(&blank), "blank"),
        ("white.png", png(&white), "saturated"),
    ];
    let mut paths: Vec<PathBuf> = Vec::new();
    for (name, bytes, _) in &wrong {
        paths.push(dir.path().join(name));
        fs::write(&paths[paths.len() - 1], bytes).expect("written");
    }
    paths.push(dir.path().join("gone.jpg"));
    paths.push(dir.path().join("good.jpg"));
    fs::write(&paths[paths.len() - 1], &jpeg).expect("written");
    let ran = inspect(&shipped_path(), &paths);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let lines = ran.lines();
    let causes = wrong.iter().map(|(_, _, cause)| *cause).chain(["unreadable"]);
    for (line, cause) in lines.iter().zip(causes) {
        assert_eq!((&line["verdict"], &line["cause"]), (&"no_decision".into(), &cause.into()), "{line}");
        assert!(line["detail"].as_str().is_some_and(|words| !words.is_empty()), "{line}");
    }
    assert_eq!(lines.len(), paths.len());
    assert_ne!(lines[paths.len() - 1]["verdict"], "no_decision", "the good one behind them");
}

#[test]
fn a_wrong_command_line_is_told_apart() {
    let bundle = shipped_path();
    let bundle = text(&bundle);
    assert_eq!(lite(&[bundle]).code, 2, "no picture");
    assert_eq!(lite(&["--self-check", bundle, "a.png"]).code, 2, "a picture for nothing");
    assert_eq!(lite(&["--threads", "0", bundle, "a.png"]).code, 2, "no thread");
    assert!(lite(&["--help"]).stdout.contains("Exit codes"));
}
