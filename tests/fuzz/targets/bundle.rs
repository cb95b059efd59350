//! A model's file: refused in words, or accepted with labels. The first byte says which of a small bundle's files the others stand for;
//! the archive around them and the digests in the manifest are right, so that what stands behind those is reached. With `a` in front,
//! the bytes are the whole archive.
//!
//! `INSPECTD_FUZZ_SEEDS=FOLDER` has the small bundle's files written there, as seeds.
#![no_main]

#[path = "../../../models/tests/container/mod.rs"]
mod container;

use std::path::Path;
use std::sync::LazyLock;

use container::stored_zip;
use libfuzzer_sys::fuzz_target;
use models::bundle::{
    Bundle, BundleError, Disposition, FORMAT, Heads, Label, Manifest, Pooling, Provenance, Tolerance, sha256,
};
use models::graph::GraphBuilder;
use models::image::{Image, PixelFormat, encode_png};
use models::preprocess::Preprocess;
use models::weights::{Layer, kaiming};
use serde_json::Value;

const LABELS: usize = 2;
const SIDE: usize = 8;
/// In the archive's order.
const FILES: [&str; 7] = [
    "manifest.json",
    "graph.onnx",
    "MODEL_CARD.md",
    "certificate.json",
    "reference.json",
    "calibration/00.png",
    "calibration/00.f32",
];

/// A network of one layer.
fn graph() -> Vec<u8> {
    let mut graph = GraphBuilder::new("small");
    let layer = Layer::pointwise("classifier", 3, LABELS);
    let image = graph.input("image", &[1, 3, SIDE, SIDE]);
    let logits = layer.build(&mut graph, &kaiming(std::slice::from_ref(&layer), 1), &image).expect("a layer");
    let heat = graph.node("Identity", &[&logits], "heat", Vec::new());
    let pooled = graph.global_average(&heat, "pool");
    let pooled = graph.flatten(&pooled, "logits");
    graph.softmax(&pooled, "scores");
    graph.output("scores", &[1, LABELS]);
    graph.output("heat", &[1, LABELS, SIDE, SIDE]);
    graph.finish()
}

fn manifest() -> Manifest {
    let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
    Manifest {
        format: FORMAT,
        name: "small".into(),
        labels: vec![label("good", Disposition::Pass), label("scratch", Disposition::Fail)],
        preprocess: Preprocess::imagenet(SIDE as u32),
        pooling: Pooling::Mean,
        input: "image".into(),
        scores: "scores".into(),
        heat: "heat".into(),
        heads: Heads::default(),
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: Default::default(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    }
}

/// The small bundle's files, in the order of [`FILES`]; empty: it has none of these.
static SOUND: LazyLock<[Vec<u8>; 7]> = LazyLock::new(|| {
    let black =
        Image { width: SIDE as u32, height: SIDE as u32, format: PixelFormat::Mono8, data: vec![0; SIDE * SIDE] };
    let values = [0.5_f32; LABELS + LABELS * SIDE * SIDE];
    [
        serde_json::to_vec(&manifest()).expect("JSON"),
        graph(),
        b"# Small".to_vec(),
        Vec::new(),
        Vec::new(),
        encode_png(black.view()).expect("a picture"),
        values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    ]
});

/// The manifest with the digests of the other files, where it is JSON at all.
fn with_digests(manifest: &[u8], others: &[(&str, &[u8])]) -> Vec<u8> {
    let Ok(Value::Object(mut all)) = serde_json::from_slice(manifest) else { return manifest.to_vec() };
    let mut digests: serde_json::Map<String, Value> =
        others.iter().map(|(name, bytes)| ((*name).to_owned(), sha256(bytes).into())).collect();
    let graph = digests.remove(FILES[1]).unwrap_or_default();
    all.insert("graph_sha256".into(), graph);
    all.insert("files_sha256".into(), digests.into());
    Value::Object(all).to_string().into_bytes()
}

/// The small bundle with one file's content exchanged.
fn with(which: usize, content: &[u8]) -> Vec<u8> {
    let file = |at: usize| if at == which { content } else { SOUND[at].as_slice() };
    let there = (1..FILES.len()).filter(|&at| at == which || !SOUND[at].is_empty());
    let others: Vec<(&str, &[u8])> = there.map(|at| (FILES[at], file(at))).collect();
    let manifest = with_digests(file(0), &others);
    let all: Vec<(&str, &[u8])> = std::iter::once((FILES[0], manifest.as_slice())).chain(others).collect();
    stored_zip(&all)
}

fn begin() {
    // Were it refused, nothing behind the digests would be reached, in silence.
    Bundle::from_bytes(&with(2, &SOUND[2])).expect("a sound bundle");
    let Some(folder) = std::env::var_os("INSPECTD_FUZZ_SEEDS") else { return };
    for (at, bytes) in SOUND.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
        let seed = [at.to_string().as_bytes(), bytes].concat();
        std::fs::write(Path::new(&folder).join(format!("sound-{at}")), seed).expect("written");
    }
}

fn opened(bytes: &[u8]) -> Option<Result<Bundle, BundleError>> {
    let (first, content) = bytes.split_first()?;
    Some(match first {
        b'a' => Bundle::from_bytes(content),
        which => Bundle::from_bytes(&with(usize::from(which.wrapping_sub(b'0')) % FILES.len(), content)),
    })
}

fuzz_target!(init: begin(), |bytes: &[u8]| {
    match opened(bytes) {
        Some(Ok(bundle)) => assert!(!bundle.manifest.labels.is_empty()),
        Some(Err(error)) => assert!(!error.to_string().is_empty()),
        None => {}
    }
});
