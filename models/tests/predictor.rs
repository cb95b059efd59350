//! A bundle on a real ONNX Runtime session: right numbers, and every reason to refuse one.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed test should say where, a skipped one why")]

use std::collections::BTreeMap;

use models::bundle::{Bundle, Disposition, Expectation, FORMAT, Label, Manifest, Pooling, Provenance, Tolerance};
use models::graph::proto::{NodeProto, ValueInfoProto};
use models::graph::{Conv, GraphBuilder, ModelProto};
use models::image::{Image, PixelFormat};
use models::prediction::Model;
use models::predictor::Predictor;
use models::preprocess::Preprocess;
use models::runtime::{Provider, RuntimeError, Session, SessionOptions, available_providers, build_engine};
use models::weights::Tensor;
use prost::Message;
use rand::{RngCore, SeedableRng};

/// Cells across and down: not square, so that swapped sides show.
const WIDTH: usize = 6;
const HEIGHT: usize = 4;
const WEIGHTS: [[f32; 3]; 2] = [[1.0, -2.0, 0.5], [-1.0, 1.5, 0.25]];
const BIAS: [f32; 2] = [0.1, -0.3];

/// A 1x1 convolution of three channels to two labels is the heat map; the softmax of its mean over all cells the scores.
fn graph(bias: [f32; 2]) -> Vec<u8> {
    let mut graph = GraphBuilder::new("tiny");
    let x = graph.input("image", &[1, 3, HEIGHT, WIDTH]);
    graph.initializer("heat.weight", &Tensor { shape: vec![2, 3, 1, 1], data: WEIGHTS.concat() });
    graph.initializer("heat.bias", &Tensor { shape: vec![2], data: bias.to_vec() });
    let heat = graph.conv(&x, Conv { kernel: 1, stride: 1, groups: 1 }, "heat");
    let mean = graph.global_average(&heat, "mean");
    let flat = graph.flatten(&mean, "flat");
    let scores = graph.softmax(&flat, "scores");
    graph.output(&scores, &[1, 2]);
    graph.output(&heat, &[1, 2, HEIGHT, WIDTH]);
    graph.finish()
}

/// The same network by hand.
fn by_hand(tensor: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let cells = WIDTH * HEIGHT;
    let mut heat = Vec::new();
    for (weights, bias) in WEIGHTS.iter().zip(BIAS) {
        heat.extend(
            (0..cells).map(|cell| {
                bias + (0..3).map(|channel| weights[channel] * tensor[channel * cells + cell]).sum::<f32>()
            }),
        );
    }
    let mean = |label: usize| heat[label * cells..(label + 1) * cells].iter().sum::<f32>() / cells as f32;
    let (a, b) = (mean(0).exp(), mean(1).exp());
    (vec![a / (a + b), b / (a + b)], heat)
}

fn manifest() -> Manifest {
    let label = |name: &str, verdict| Label { name: name.to_owned(), verdict, threshold: 0.5 };
    Manifest {
        format: FORMAT,
        name: "tiny".to_owned(),
        labels: vec![label("good", Disposition::Pass), label("scratch", Disposition::Fail)],
        preprocess: Preprocess { width: WIDTH as u32, height: HEIGHT as u32, mean: [0.5; 3], std: [0.25; 3] },
        pooling: Pooling::Mean,
        input: "image".to_owned(),
        scores: "scores".to_owned(),
        heat: "heat".to_owned(),
        heads: Default::default(),
        precision: Default::default(),
        graph_sha256: "0123456789abcdef".repeat(4),
        files_sha256: BTreeMap::new(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    }
}

fn image(seed: u64) -> Image {
    let mut data = vec![0; 31 * 17 * 3];
    rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut data);
    Image { width: 31, height: 17, format: PixelFormat::Rgb8, data }
}

fn tensor(seed: u64) -> Vec<f32> {
    let preprocess = manifest().preprocess;
    let mut tensor = vec![0.0; preprocess.tensor_len()];
    preprocess.fill(image(seed).view(), &mut tensor);
    tensor
}

fn bundle() -> Bundle {
    let expectation = |seed| {
        let (scores, heat) = by_hand(&tensor(seed));
        Expectation { image: image(seed), scores, heat, named: BTreeMap::new() }
    };
    Bundle {
        manifest: manifest(),
        graph: graph(BIAS),
        expectations: (0..3).map(expectation).collect(),
        model_card: None,
        certificate: None,
        reference: None,
    }
}

fn on(provider: Provider) -> SessionOptions {
    SessionOptions { require: Some(provider), ..SessionOptions::default() }
}

fn load(bundle: Bundle) -> Result<Predictor, RuntimeError> {
    Predictor::load(bundle, &on(Provider::Cpu))
}

/// The words of a refused graph.
fn refused(bundle: Bundle) -> String {
    match load(bundle) {
        Err(RuntimeError::GraphRefused(reason)) => reason,
        Err(other) => panic!("refused for another reason: {other}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn a_prediction_has_the_numbers_of_the_network() {
    let predictor = load(bundle()).unwrap();
    for seed in 10..20 {
        let prediction = predictor.predict(&tensor(seed)).unwrap();
        let (scores, heat) = by_hand(&tensor(seed));
        for (got, expected) in prediction.scores.iter().zip(&scores).chain(prediction.heat.logits.iter().zip(&heat)) {
            assert!((got - expected).abs() < 1e-5, "{got} instead of {expected}");
        }
        let shape = (prediction.heat.labels, prediction.heat.height, prediction.heat.width);
        assert_eq!(shape, (2, HEIGHT, WIDTH));
        assert_eq!(prediction.provider, Provider::Cpu);
        assert_eq!(*prediction.model_digest, *manifest().graph_sha256);
    }
}

#[test]
fn threads_give_the_same_answers_as_one_thread() {
    let predictor = load(bundle()).unwrap();
    let tensors: Vec<_> = (0..40).map(tensor).collect();
    let alone: Vec<_> = tensors.iter().map(|tensor| predictor.predict(tensor).unwrap()).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (tensor, expected) in tensors.iter().zip(&alone) {
                    assert_eq!(predictor.predict(tensor).unwrap(), *expected);
                }
            });
        }
    });
    assert!((1..=4).contains(&predictor.idle_sessions()), "{} sessions", predictor.idle_sessions());
}

#[test]
fn sessions_are_made_ahead_and_reused() {
    let predictor = load(bundle()).unwrap();
    assert_eq!(predictor.idle_sessions(), 1, "the one that replayed the images");
    predictor.warm_up(3).unwrap();
    predictor.warm_up(2).unwrap();
    predictor.predict(&tensor(1)).unwrap();
    assert_eq!(predictor.idle_sessions(), 3);
}

#[test]
fn a_tensor_of_another_length_is_refused_and_costs_no_session() {
    let predictor = load(bundle()).unwrap();
    for got in [0, 71, 73] {
        assert_eq!(predictor.predict(&vec![0.0; got]), Err(RuntimeError::Input { expected: 72, got }));
    }
    assert_eq!(predictor.idle_sessions(), 1);
}

#[test]
fn an_answer_that_is_no_number_is_an_error() {
    let error = load(Bundle { graph: graph([f32::NAN, 0.0]), ..bundle() }).err().unwrap();
    assert_eq!(error, RuntimeError::NotFinite("scores"));
    let predictor = load(bundle()).unwrap();
    let mut broken = tensor(1);
    broken[7] = f32::INFINITY;
    assert!(matches!(predictor.predict(&broken), Err(RuntimeError::NotFinite(_))));
    assert!(predictor.predict(&tensor(1)).is_ok(), "one bad input must not spoil the model");
}

#[test]
fn scores_that_differ_from_the_bundle_are_refused_with_the_numbers() {
    let mut off = bundle();
    off.expectations[1].scores[0] += 5e-4;
    load(off).unwrap();

    let mut off = bundle();
    let expected = off.expectations[1].scores[1] - 0.01;
    off.expectations[1].scores[1] = expected;
    let error = load(off).err().unwrap();
    let text = error.to_string();
    let RuntimeError::Mismatch { provider, image, what, expected: named, difference, tolerance, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((provider, image, named, tolerance), (Provider::Cpu, 1, expected, 1e-3));
    assert!((difference - 0.01).abs() < 1e-5, "{difference}");
    assert_eq!(what, "probability of `scratch`");
    assert!(text.contains("0.01") && text.contains("0.001") && text.contains("CPU"), "{text}");
}

#[test]
fn a_heat_map_that_differs_is_refused_and_the_cell_is_named() {
    // A constant added to all labels of a cell changes no probability.
    let mut shifted = bundle();
    shifted.expectations[0].heat[8] += 3.0;
    shifted.expectations[0].heat[24 + 8] += 3.0;
    load(shifted).unwrap();

    let mut off = bundle();
    let cell = 3 * WIDTH + 5;
    off.expectations[2].heat[24 + cell] += 0.5;
    let text = load(off).err().unwrap().to_string();
    assert!(text.contains("calibration image 2") && text.contains("at row 3, column 5"), "{text}");

    let mut broken = bundle();
    broken.expectations[0].heat[0] = f32::NAN;
    assert!(matches!(load(broken), Err(RuntimeError::Mismatch { .. })), "NaN must not compare as close");
}

/// The same bundle with the average of the input as a further output, as `share` of it is expected.
fn with_embedding(share: f32) -> Bundle {
    let mut bundle = bundle();
    let mut model = ModelProto::read(&bundle.graph).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let node = |op_type: &str, input: &str, output: &str| NodeProto {
        input: vec![input.into()],
        output: vec![output.into()],
        op_type: op_type.into(),
        ..NodeProto::default()
    };
    graph.node.push(node("GlobalAveragePool", "image", "average"));
    graph.node.push(node("Flatten", "average", "embedding"));
    graph.output.push(ValueInfoProto::float("embedding", &[1, 3]));
    bundle.graph = model.encode_to_vec();
    bundle.manifest.heads.embedding = Some("embedding".into());
    for (seed, expectation) in bundle.expectations.iter_mut().enumerate() {
        let expected = average(&tensor(seed as u64)).iter().map(|value| share * value).collect();
        expectation.named.insert("embedding".into(), expected);
    }
    bundle
}

fn average(tensor: &[f32]) -> Vec<f32> {
    tensor.chunks_exact(WIDTH * HEIGHT).map(|plane| plane.iter().sum::<f32>() / plane.len() as f32).collect()
}

#[test]
fn further_outputs_are_read_and_replayed() {
    let predictor = load(with_embedding(1.0)).unwrap();
    let embedding = predictor.predict(&tensor(17)).unwrap().embedding.expect("the manifest names it");
    for (got, expected) in embedding.iter().zip(average(&tensor(17))) {
        assert!((got - expected).abs() < 1e-5, "{got} instead of {expected}");
    }
    assert_eq!(load(bundle()).unwrap().predict(&tensor(17)).unwrap().embedding, None);

    // A deviation counts as a share of the largest value.
    load(with_embedding(1.0005)).unwrap();
    let words = load(with_embedding(1.02)).err().unwrap().to_string();
    assert!(words.contains("of output `embedding`"), "{words}");

    let mut silent = with_embedding(1.0);
    silent.expectations[1].named.clear();
    assert!(refused(silent).contains("calibration image 1"));
    let mut other = with_embedding(1.0);
    other.manifest.heads.embedding = Some("average".into());
    assert!(refused(other).contains("`average`"));
}

#[test]
fn another_network_under_the_same_name_is_refused() {
    let changed = Bundle { graph: graph([0.1, 0.0]), ..bundle() };
    assert!(matches!(load(changed), Err(RuntimeError::Mismatch { .. })));
}

#[test]
fn a_graph_that_contradicts_its_manifest_is_refused() {
    let with = |change: fn(&mut Bundle)| {
        let mut bundle = bundle();
        change(&mut bundle);
        refused(bundle)
    };
    assert!(with(|b| b.manifest.preprocess.width = 8).contains("[1, 3, 4, 8]"));
    assert!(with(|b| b.manifest.preprocess.width = 0).contains("0 x 4 pixels"));
    assert!(with(|b| b.manifest.preprocess.std[1] = 0.0).contains("std above 0"));
    assert!(with(|b| b.manifest.input = "picture".into()).contains("`picture`"));
    assert!(with(|b| b.manifest.scores = "logits".into()).contains("`logits`"));
    assert!(with(|b| b.manifest.scores = "heat".into()).contains("2 labels"));
    assert!(with(|b| b.manifest.heat = "scores".into()).contains("heat map `scores`"));
    assert!(with(|b| b.manifest.labels.truncate(1)).contains("1 labels"));
    assert!(with(|b| b.manifest.labels.clear()).contains("0 labels"));
    assert!(with(|b| b.expectations.clear()).contains("no calibration images"));
    assert!(with(|b| b.expectations[0].heat.truncate(47)).contains("47 heat values"));
    assert!(with(|b| b.expectations[1].image.data.truncate(100)).contains("calibration image 1"));
}

#[test]
fn bytes_that_are_no_graph_are_refused() {
    for graph in [Vec::new(), b"garbage".to_vec(), graph(BIAS)[..60].to_vec()] {
        let reason = refused(Bundle { graph, ..bundle() });
        assert!(!reason.is_empty());
    }
}

#[test]
fn scores_that_are_no_probabilities_are_refused() {
    let mut graph = GraphBuilder::new("tiny");
    let x = graph.input("image", &[1, 3, HEIGHT, WIDTH]);
    graph.initializer("heat.weight", &Tensor { shape: vec![2, 3, 1, 1], data: WEIGHTS.concat() });
    graph.initializer("heat.bias", &Tensor { shape: vec![2], data: vec![4.0, 4.0] });
    let heat = graph.conv(&x, Conv { kernel: 1, stride: 1, groups: 1 }, "heat");
    let mean = graph.global_average(&heat, "mean");
    let logits = graph.flatten(&mean, "scores");
    graph.output(&logits, &[1, 2]);
    graph.output(&heat, &[1, 2, HEIGHT, WIDTH]);
    assert!(refused(Bundle { graph: graph.finish(), ..bundle() }).contains("not probabilities"));
}

/// These tests run where no GPU is; on a machine with one there is nothing to fall back from.
fn has_gpu() -> bool {
    let found = std::path::Path::new("/proc/driver/nvidia").exists();
    if found {
        println!("SKIPPED: this machine has a GPU");
    }
    found
}

#[test]
fn the_ladder_falls_to_the_processor_and_says_why() {
    if has_gpu() {
        return;
    }
    let predictor = Predictor::load(bundle(), &SessionOptions::default()).unwrap();
    assert_eq!(predictor.provider(), Provider::Cpu);
    let skipped: Vec<_> = predictor.fallbacks().iter().map(|(provider, _)| *provider).collect();
    assert_eq!(skipped, [Provider::Tensorrt, Provider::Cuda]);
    for (provider, reason) in predictor.fallbacks() {
        assert!(reason.contains("onnxruntime-gpu"), "{provider}: no way out in: {reason}");
    }
}

#[test]
fn a_required_provider_is_never_replaced() {
    if has_gpu() {
        return;
    }
    for required in [Provider::Tensorrt, Provider::Cuda] {
        match Predictor::load(bundle(), &on(required)) {
            Err(RuntimeError::ProviderUnavailable { provider, reason }) => {
                assert_eq!(provider, required);
                assert!(reason.len() > 20, "{reason}");
            }
            Err(other) => panic!("{other}"),
            Ok(predictor) => panic!("fell back to {}", predictor.provider()),
        }
    }
    let only_gpu = SessionOptions { ladder: vec![Provider::Cuda], ..SessionOptions::default() };
    let text = Predictor::load(bundle(), &only_gpu).err().unwrap().to_string();
    assert!(text.contains("CUDA: ") && text.contains("add `cpu`"), "{text}");
    let nothing = SessionOptions { ladder: Vec::new(), ..SessionOptions::default() };
    let text = Predictor::load(bundle(), &nothing).err().unwrap().to_string();
    assert!(text.contains("the ladder is empty"), "{text}");
}

#[test]
fn an_engine_is_only_built_where_it_can_be_kept_and_run() {
    let error = build_engine(&bundle(), &SessionOptions::default(), 1 << 20).unwrap_err();
    assert!(error.to_string().contains("no cache folder"), "{error}");
    if has_gpu() {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let options = SessionOptions { cache_dir: Some(cache.path().to_owned()), ..SessionOptions::default() };
    let error = build_engine(&bundle(), &options, 1 << 20).unwrap_err();
    assert!(matches!(error, RuntimeError::ProviderUnavailable { provider: Provider::Tensorrt, .. }), "{error}");
}

#[test]
fn providers_are_listed_with_their_problems() {
    let providers = available_providers().unwrap();
    assert_eq!(providers.iter().map(|status| status.provider).collect::<Vec<_>>(), Provider::ALL);
    assert_eq!(providers[2].problem, None, "the processor always works");
    if !has_gpu() {
        assert!(providers[..2].iter().all(|status| status.problem.is_some()), "{providers:?}");
    }
}

#[test]
fn a_bare_session_gives_the_numbers_to_write_into_a_bundle() {
    let unverified = Bundle { expectations: Vec::new(), ..bundle() };
    let mut session = Session::new(&unverified, Provider::Cpu, &SessionOptions::default()).unwrap();
    let outputs = session.run(&tensor(5)).unwrap();
    let expectation =
        Expectation { image: image(5), scores: outputs.scores, heat: outputs.heat, named: BTreeMap::new() };
    load(Bundle { expectations: vec![expectation], ..unverified }).unwrap();
}
