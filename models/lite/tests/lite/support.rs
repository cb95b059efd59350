//! The program from outside, bundles for it, and what ONNX Runtime says of the same pictures.

use std::path::{Path, PathBuf};
use std::process::Command;

use models::bundle::Bundle;
use models::image::{Image, PixelFormat, encode_png};
use models::prediction::{Model, Prediction};
use models::predictor::{Predictor, expectations};
use models::ruling;
use models::runtime::{Provider, SessionOptions};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// What the program did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The lines of standard output, each a JSON value.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    }
}

pub(crate) fn lite(arguments: &[&str]) -> Ran {
    let output =
        Command::new(env!("CARGO_BIN_EXE_inspect-lite")).args(arguments).output().expect("inspect-lite starts");
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ran =
        Ran { code: output.status.code().unwrap_or(-1), stdout: words(&output.stdout), stderr: words(&output.stderr) };
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

/// Inspects files with a bundle, one JSON line each.
pub(crate) fn inspect(bundle: &Path, files: &[PathBuf]) -> Ran {
    let mut arguments = vec!["--json", text(bundle)];
    arguments.extend(files.iter().map(|file| text(file)));
    lite(&arguments)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the paths of these tests are UTF-8")
}

pub(crate) fn shipped_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights/default.bundle")
}

pub(crate) fn shipped() -> Bundle {
    Bundle::open(&shipped_path()).expect("the shipped bundle is in the tree")
}

/// Writes a bundle with what ONNX Runtime says of these calibration pictures.
pub(crate) fn write(mut bundle: Bundle, pictures: Vec<Image>, path: &Path) -> Bundle {
    bundle.certificate = None;
    bundle.expectations = expectations(&bundle, pictures).expect("the graph runs under ONNX Runtime");
    bundle.save(path).expect("written");
    bundle
}

pub(crate) fn pictures_of(bundle: &Bundle) -> Vec<Image> {
    bundle.expectations.iter().map(|it| it.image.clone()).collect()
}

/// A surface with grain and a dark scratch across it.
pub(crate) fn drawn(seed: u64, side: u32) -> Image {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (slope, level) = (random.random_range(0.2_f32..0.8), random.random_range(90_i32..170));
    let mut data = Vec::new();
    for y in 0..side {
        for x in 0..side {
            let off = (y as f32 - slope * x as f32 - side as f32 * 0.2).abs();
            let scratch = if off < 2.0 { -60 } else { 0 };
            let grey = (level + scratch + random.random_range(-12..=12)).clamp(0, 255) as u8;
            data.extend([grey, grey, grey.saturating_sub(8)]);
        }
    }
    Image { width: side, height: side, format: PixelFormat::Rgb8, data }
}

/// The picture upside down: one that no bundle was made with.
pub(crate) fn turned(image: &Image) -> Image {
    let pixels = image.data.chunks_exact(image.format.channels()).rev();
    Image { data: pixels.flatten().copied().collect(), ..image.clone() }
}

/// Writes pictures as PNG, in the order of their names.
pub(crate) fn files(pictures: &[Image], folder: &Path) -> Vec<PathBuf> {
    let file = |(at, picture): (usize, &Image)| {
        let path = folder.join(format!("{at:02}.png"));
        std::fs::write(&path, encode_png(picture.view()).expect("a picture")).expect("written");
        path
    };
    pictures.iter().enumerate().map(file).collect()
}

/// What ONNX Runtime says of pictures, with the verdict that it leads to.
pub(crate) fn under_onnx_runtime(bundle: &Bundle, pictures: &[Image]) -> Vec<(Prediction, &'static str)> {
    let options = SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() };
    let predictor = Predictor::load(bundle.clone(), &options).expect("it runs under ONNX Runtime");
    let manifest = &bundle.manifest;
    let mut tensor = vec![0.0; manifest.preprocess.tensor_len()];
    let decide = |picture: &Image| {
        manifest.preprocess.fill(picture.view(), &mut tensor);
        let said = predictor.predict(&tensor).expect("runs");
        let ruling = ruling::decide(&said.scores, said.beside(), &manifest.labels, &manifest.heads);
        let verdict = match ruling.verdict {
            models::bundle::Disposition::Pass => "pass",
            models::bundle::Disposition::Review => "review",
            models::bundle::Disposition::Fail => "fail",
        };
        (said, verdict)
    };
    pictures.iter().map(decide).collect()
}

/// Fails unless the program says the same as ONNX Runtime, up to this difference of a score. Gives the largest.
pub(crate) fn assert_alike(lines: &[Value], said: &[(Prediction, &'static str)], bundle: &Bundle, most: f32) -> f32 {
    assert_eq!(lines.len(), said.len());
    let mut worst = 0.0_f32;
    for (line, (prediction, verdict)) in lines.iter().zip(said) {
        assert_eq!(line["verdict"], *verdict, "{line} beside {:?}", prediction.scores);
        assert!(line["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
        for (label, expected) in bundle.manifest.labels.iter().zip(&prediction.scores) {
            let got = line["scores"][&label.name].as_f64().unwrap_or_else(|| panic!("no score of {}", label.name));
            worst = worst.max((got as f32 - expected).abs());
        }
    }
    assert!(worst <= most, "scores differ by {worst}, at most {most} was expected");
    worst
}
