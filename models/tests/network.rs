//! The built network against another exporter's graph and against the head computed by hand.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests, where a panic is the failure")]

use models::bundle::{Bundle, Disposition, FORMAT, Label, Manifest, Pooling, Provenance, Tolerance};
use models::graph::proto::ValueInfoProto;
use models::graph::{GraphBuilder, ModelProto, check};
use models::heads::{attention, border};
use models::preprocess::Preprocess;
use models::runtime::{Outputs, Provider, Session, SessionOptions};
use models::weights::{Tensor, Weights, kaiming, load_trunk};
use models::zoo::mobilenet_v3_small as trunk;
use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Names of a graph's input, its output of one value per label and its output of one map per label.
type Names<'a> = [&'a str; 3];

/// Runs a graph once on the processor.
fn run(graph: Vec<u8>, [input, scores, heat]: Names<'_>, labels: usize, size: u32, tensor: &[f32]) -> Outputs {
    let label = |index| Label { name: format!("label {index}"), verdict: Disposition::Fail, threshold: 0.5 };
    let manifest = Manifest {
        format: FORMAT,
        name: "test".into(),
        labels: (0..labels).map(label).collect(),
        preprocess: Preprocess::imagenet(size),
        pooling: Pooling::Mean,
        input: input.into(),
        scores: scores.into(),
        heat: heat.into(),
        heads: Default::default(),
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: Default::default(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    };
    let bundle =
        Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None };
    Session::new(&bundle, Provider::Cpu, &SessionOptions::default()).unwrap().run(tensor).unwrap()
}

fn random_tensor(size: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..3 * size * size).map(|_| random.random_range(-2.0..2.0)).collect()
}

/// The trunk with its last feature map as the maps and the global average as the values.
fn trunk_graph(weights: &Weights, size: usize) -> Vec<u8> {
    let mut graph = GraphBuilder::new("trunk");
    let image = graph.input("image", &[1, 3, size, size]);
    let map = trunk::build(&mut graph, weights, &image).unwrap();
    let average = graph.global_average(&map, "average");
    graph.flatten(&average, "features");
    graph.node("Identity", &[&map], "map", Vec::new());
    graph.output("features", &[1, trunk::FEATURES]);
    graph.output("map", &[1, trunk::FEATURES, size / trunk::STRIDE, size / trunk::STRIDE]);
    graph.finish()
}

fn assert_close(ours: &[f32], theirs: &[f32], bound: f32, what: &str) {
    assert_eq!(ours.len(), theirs.len());
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= bound, "{what}: differs by {worst}, allowed is {bound}");
}

#[test]
fn our_trunk_computes_what_the_graph_it_was_read_from_computes() {
    let Some(data) = std::env::var_os("INSPECTD_DATA") else {
        println!("SKIPPED: INSPECTD_DATA is not set");
        return;
    };
    let file = std::path::PathBuf::from(data).join("../weights/mobilenet_v3_small_imagenet_features.onnx");
    // Of the other exporter's graph the last feature map is wanted too: make it an output.
    let map = "/features/features.12/features.12.2/Mul_output_0";
    let mut original = ModelProto::read(&std::fs::read(&file).unwrap()).unwrap();
    original.graph.as_mut().unwrap().output.push(ValueInfoProto::float(map, &[1, trunk::FEATURES, 7, 7]));
    let ours = trunk_graph(&load_trunk(&file).unwrap(), 224);
    for seed in 0..3 {
        let tensor = random_tensor(224, seed);
        let theirs = run(original.encode_to_vec(), ["input", "embedding", map], trunk::FEATURES, 224, &tensor);
        let ours = run(ours.clone(), ["image", "features", "map"], trunk::FEATURES, 224, &tensor);
        assert!(theirs.scores.iter().any(|value| value.abs() > 0.1), "the features say something");
        assert_close(&ours.scores, &theirs.scores, 1e-4, "global average");
        assert_close(&ours.heat, &theirs.heat, 1e-4, "last feature map");
    }
}

/// A convolution on one cell, computed in double precision.
fn pointwise(weights: &Weights, name: &str, x: &[f64]) -> Vec<f64> {
    let (weight, bias) = (&weights.0[&format!("{name}.weight")], &weights.0[&format!("{name}.bias")]);
    let rows = weight.data.chunks_exact(x.len()).zip(&bias.data);
    rows.map(|(row, &bias)| row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum::<f64>() + f64::from(bias)).collect()
}

/// The heat map from the trunk's last feature map.
fn heat_by_hand(weights: &Weights, map: &[f32], labels: usize, cells: usize) -> Vec<f32> {
    let channel = |c: usize| map[c * cells..(c + 1) * cells].iter().map(|&value| f64::from(value));
    let average: Vec<f64> = (0..trunk::FEATURES).map(|c| channel(c).sum::<f64>() / cells as f64).collect();
    let mut squeezed = pointwise(weights, "attention.reduce", &average);
    squeezed.iter_mut().for_each(|value| *value = value.max(0.0));
    let gate: Vec<f64> =
        pointwise(weights, "attention.expand", &squeezed).iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
    let mut heat = vec![0.0; labels * cells];
    for cell in 0..cells {
        let x: Vec<f64> = (0..trunk::FEATURES).map(|c| f64::from(map[c * cells + cell]) * gate[c]).collect();
        for (label, logit) in pointwise(weights, "classifier", &x).into_iter().enumerate() {
            heat[label * cells + cell] = logit as f32;
        }
    }
    heat
}

/// Scores from a heat map.
fn scores_by_hand(heat: &[f32], labels: usize, pooling: Pooling) -> Vec<f32> {
    let pool = |cells: &[f32]| {
        let mean = |f: &dyn Fn(f64) -> f64| cells.iter().map(|&x| f(f64::from(x))).sum::<f64>() / cells.len() as f64;
        match pooling {
            Pooling::Mean => mean(&|x| x),
            Pooling::LogMeanExp(r) => mean(&|x| (f64::from(r) * x).exp()).ln() / f64::from(r),
        }
    };
    let logits: Vec<f64> = heat.chunks_exact(heat.len() / labels).map(pool).collect();
    let sum: f64 = logits.iter().map(|x| x.exp()).sum();
    logits.iter().map(|x| (x.exp() / sum) as f32).collect()
}

#[test]
fn the_head_computes_what_its_description_says() {
    const LABELS: usize = 4;
    let mut weights = kaiming(&trunk::layers(), 1);
    weights.merge(attention::init(LABELS, 2));
    // Biases that are not zero, so that a forgotten one shows.
    for name in ["attention.reduce.bias", "attention.expand.bias", "classifier.bias"] {
        let bias = weights.0.get_mut(name).unwrap();
        bias.data.iter_mut().enumerate().for_each(|(at, value)| *value = (at % 5) as f32 / 5.0 - 0.4);
    }
    let tensor = random_tensor(96, 9);
    let map = run(trunk_graph(&weights, 96), ["image", "features", "map"], trunk::FEATURES, 96, &tensor).heat;
    let heat = heat_by_hand(&weights, &map, LABELS, 9);
    let spread = heat.iter().fold(0.0f32, |top, value| top.max(value.abs()));
    assert!(spread > 1e-3, "the heat map says something");
    for pooling in [Pooling::Mean, Pooling::LogMeanExp(0.5), Pooling::LogMeanExp(6.0)] {
        let graph = attention::build(&weights, [96, 96], LABELS, pooling).unwrap();
        let names = [attention::INPUT, attention::SCORES, attention::HEAT];
        let outputs = run(graph, names, LABELS, 96, &tensor);
        assert_close(&outputs.heat, &heat, 1e-4 * spread.max(1.0), "heat map");
        assert_close(&outputs.scores, &scores_by_hand(&heat, LABELS, pooling), 1e-4, "scores");
    }
}

#[test]
fn log_mean_exp_survives_logits_that_would_overflow() {
    let mut weights = kaiming(&trunk::layers(), 1);
    weights.merge(attention::init(2, 2));
    let bias = weights.0.get_mut("classifier.bias").unwrap();
    bias.data.copy_from_slice(&[500.0, 499.0]);
    weights.0.get_mut("classifier.weight").unwrap().data.fill(0.0);
    let graph = attention::build(&weights, [64, 64], 2, Pooling::LogMeanExp(10.0)).unwrap();
    let names = [attention::INPUT, attention::SCORES, attention::HEAT];
    let outputs = run(graph, names, 2, 64, &random_tensor(64, 3));
    // Two logits one apart.
    assert_close(&outputs.scores, &[0.731_058_6, 0.268_941_4], 1e-4, "scores");
}

#[test]
fn a_temperature_bends_the_scores_and_nothing_else() {
    const LABELS: usize = 4;
    let mut weights = kaiming(&trunk::layers(), 1);
    weights.merge(attention::init(LABELS, 2));
    weights.0.get_mut("classifier.bias").unwrap().data.copy_from_slice(&[0.3, -0.4, 1.1, 0.9]);
    let names = [attention::INPUT, attention::SCORES, attention::HEAT];
    let outputs = |weights: &Weights, seed| {
        let graph = attention::build(weights, [64, 64], LABELS, Pooling::LogMeanExp(2.0)).unwrap();
        run(graph, names, LABELS, 64, &random_tensor(64, seed))
    };
    let order = |scores: &[f32]| {
        let mut labels: Vec<usize> = (0..scores.len()).collect();
        labels.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        labels
    };
    for (seed, temperature) in [(1, 0.4_f32), (2, 3.0)] {
        let raw = outputs(&weights, seed);
        let mut calibrated = weights.clone();
        calibrated.insert(attention::INVERSE_TEMPERATURE, Tensor::scalar(1.0 / temperature));
        let bent = outputs(&calibrated, seed);
        let powers: Vec<f32> = raw.scores.iter().map(|score| score.powf(1.0 / temperature)).collect();
        let by_hand: Vec<f32> = powers.iter().map(|power| power / powers.iter().sum::<f32>()).collect();
        assert_close(&bent.scores, &by_hand, 1e-5, "scores");
        assert_eq!(order(&bent.scores), order(&raw.scores));
        assert_eq!(bent.heat, raw.heat, "the heat map stays as it is");
    }
}

#[test]
fn an_untaught_border_changes_the_map_and_no_score() {
    const LABELS: usize = 3;
    let mut weights = kaiming(&trunk::layers(), 1);
    weights.merge(attention::init(LABELS, 2));
    let names = [attention::INPUT, attention::SCORES, attention::HEAT];
    let outputs = |weights: &Weights| {
        let graph = attention::build(weights, [192, 192], LABELS, Pooling::LogMeanExp(2.0)).unwrap();
        check(&graph).unwrap();
        run(graph, names, LABELS, 192, &random_tensor(192, 4))
    };
    let own = outputs(&weights);
    border::note_untaught(&mut weights);
    let quiet = outputs(&weights);
    assert_eq!(quiet.scores, own.scores);
    assert_ne!(quiet.heat, own.heat);
    assert_close(&quiet.heat, &border::pass_on(&own.heat, [6, 6]), 1e-6, "heat map");
}
