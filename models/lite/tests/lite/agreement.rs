//! The same verdicts and scores as under ONNX Runtime, in each number format, or a refusal.

use models::bundle::Bundle;
use models::image::Image;
use models::precision::int8::quantise;
use models::precision::{Precision, to_half};
use models::ruling::verdict_by_scores;

use crate::support::{
    assert_alike, drawn, files, inspect, lite, pictures_of, shipped, shipped_path, text, turned, under_onnx_runtime,
    write,
};

/// The bundle's own pictures, turned, and drawn ones.
fn pictures(bundle: &Bundle) -> Vec<Image> {
    let own = pictures_of(bundle);
    let turned = own.iter().map(turned).collect::<Vec<_>>();
    own.into_iter().chain(turned).chain((0..3).map(|seed| drawn(seed, 300))).collect()
}

#[test]
fn the_shipped_model_says_the_same_as_under_onnx_runtime() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = shipped();
    let pictures = pictures(&bundle);
    let ran = inspect(&shipped_path(), &files(&pictures, dir.path()));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let said = under_onnx_runtime(&bundle, &pictures);
    let worst = assert_alike(&ran.lines(), &said, &bundle, bundle.manifest.tolerance.fp32);
    println!("{} pictures, scores differ by {worst:.2e} at most", pictures.len());
    // Not all alike: the comparison would say little.
    let verdicts: std::collections::BTreeSet<_> = said.iter().map(|(_, verdict)| *verdict).collect();
    assert!(verdicts.len() > 1, "all pictures have the verdict {verdicts:?}");
}

#[test]
fn the_self_check_says_how_far_it_is_off() {
    let ran = lite(&["--self-check", "--json", text(&shipped_path())]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let line = &ran.lines()[0];
    assert_eq!((&line["images"], &line["precision"]), (&8.into(), &"fp32".into()));
    let (most, allowed) = (line["largest_difference"].as_f64(), line["tolerance"].as_f64());
    assert!(most.expect("a number") > 0.0 && most < allowed, "{line}");
    let ran = lite(&["--self-check", text(&shipped_path())]);
    assert!(ran.stdout.contains("8 pictures, largest difference"), "{}", ran.stdout);
}

#[test]
fn threads_give_the_same_lines_in_the_same_order() {
    let dir = tempfile::tempdir().expect("a folder");
    files(&pictures(&shipped())[..5], dir.path());
    let shipped = shipped_path();
    let run = |threads: &str| {
        let ran = lite(&["--json", "--threads", threads, text(&shipped), text(dir.path())]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let without_time = |mut line: serde_json::Value| {
            line["latency_ms"] = 0.into();
            line
        };
        ran.lines().into_iter().map(without_time).collect::<Vec<_>>()
    };
    let one = run("1");
    assert_eq!(one.len(), 5);
    assert_eq!(one, run("3"));
}

#[test]
fn half_precision_says_the_same_as_under_onnx_runtime() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut bundle = shipped();
    bundle.graph = to_half(&bundle.graph).expect("converts");
    bundle.manifest.precision = Precision::Fp16;
    let path = dir.path().join("fp16.bundle");
    let bundle = write(bundle, pictures_of(&shipped()), &path);
    let pictures = pictures(&shipped());
    let ran = inspect(&path, &files(&pictures, dir.path()));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let said = under_onnx_runtime(&bundle, &pictures);
    let worst = assert_alike(&ran.lines(), &said, &bundle, bundle.manifest.tolerance.fp16);
    println!("{} pictures, scores differ by {worst:.2e} at most", pictures.len());
}

#[test]
fn eight_bits_say_the_same_or_are_refused_with_the_way_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut bundle = shipped();
    let own = pictures_of(&bundle);
    // No flip is forbidden here, so that the test does not try every convolution alone.
    bundle.graph = quantise(&bundle, &own, verdict_by_scores, own.len()).expect("quantises").graph;
    bundle.manifest.precision = Precision::Int8;
    let path = dir.path().join("int8.bundle");
    let bundle = write(bundle, own, &path);
    let pictures = pictures(&shipped());
    let ran = inspect(&path, &files(&pictures, dir.path()));
    // Values that lie on the edge of a step fall to either side, as a processor's sums fall; so this may go either way, but no third.
    if ran.code == 0 {
        let said = under_onnx_runtime(&bundle, &pictures);
        let worst = assert_alike(&ran.lines(), &said, &bundle, bundle.manifest.tolerance.fp16);
        println!("int8 runs: {} pictures, scores differ by {worst:.2e} at most", pictures.len());
    } else {
        println!("int8 is refused: {}", ran.stderr);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        for words in ["int8.bundle", "nothing was inspected", "int8 (QDQ)", "take the fp32 or fp16 bundle"] {
            assert!(ran.stderr.contains(words), "{}", ran.stderr);
        }
    }
}
