//! The trunk read from files of several kinds.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests, where a panic is the failure")]

use std::io::{Cursor, Write};
use std::path::PathBuf;

use half::f16;
use models::bundle::{Bundle, Disposition, Expectation, FORMAT, Label, Manifest, Pooling, Provenance, Tolerance};
use models::graph::ModelProto;
use models::graph::proto::{FLOAT16, TensorProto};
use models::heads::attention;
use models::image::{Image, PixelFormat};
use models::preprocess::Preprocess;
use models::weights::{Tensor, Weights, WeightsError, kaiming, load_trunk, trunk_from_bytes};
use models::zoo::mobilenet_v3_small as trunk;
use proptest::prelude::*;
use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The pickle of torchvision's checkpoint, see `data/state_dict.py`.
const STATE_DICT: &[u8] = include_bytes!("data/state_dict.pkl");

/// The ImageNet trunk as another exporter wrote it, where the development data is at hand.
fn imagenet_trunk() -> Option<PathBuf> {
    let Some(data) = std::env::var_os("INSPECTD_DATA") else {
        println!("SKIPPED: INSPECTD_DATA is not set");
        return None;
    };
    let file = PathBuf::from(data).join("../weights/mobilenet_v3_small_imagenet_features.onnx");
    assert!(file.is_file(), "INSPECTD_DATA is set, but {} is no file", file.display());
    Some(file)
}

#[test]
fn another_exporters_trunk_is_read_by_the_order_of_its_convolutions() {
    let Some(file) = imagenet_trunk() else { return };
    let weights = load_trunk(&file).unwrap();
    assert_eq!(weights.0.len(), 2 * trunk::layers().len());
    let parameters: usize = weights.0.values().map(|tensor| tensor.data.len()).sum();
    // torchvision states 2,542,856: less its classifier (1,615,848) and one value per channel that folding takes in (6,056).
    assert_eq!(parameters, 920_952, "parameters of the trunk");
    // A second way through: our own graph of it gives the same weights back by name.
    let ours = trunk::build_map(&weights, [64, 64]).unwrap();
    assert_eq!(trunk_from_bytes(&ours).unwrap(), weights);
}

#[test]
fn a_built_graph_gives_its_weights_back() {
    let weights = kaiming(&trunk::layers(), 3);
    let graph = trunk::build_features(&weights, [32, 64]).unwrap();
    assert_eq!(trunk_from_bytes(&graph).unwrap(), weights);
    assert_eq!(Weights::from_graph(&graph).unwrap(), weights);
}

/// A graph with the constants that `change` makes of its own.
fn with_constants(graph: &[u8], change: impl FnOnce(&mut Vec<TensorProto>)) -> Vec<u8> {
    let mut model = ModelProto::read(graph).unwrap();
    change(&mut model.graph.as_mut().unwrap().initializer);
    model.encode_to_vec()
}

#[test]
fn weights_in_half_precision_are_read_to_three_digits() {
    let weights = kaiming(&trunk::layers(), 4);
    let full = trunk::build_features(&weights, [32, 32]).unwrap();
    let half = with_constants(&full, |constants| {
        for constant in constants {
            let values = constant.to_tensor().unwrap().data;
            constant.data_type = FLOAT16;
            constant.raw_data = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        }
    });
    let read = trunk_from_bytes(&half).unwrap();
    for (name, tensor) in &weights.0 {
        for (was, is) in tensor.data.iter().zip(&read.0[name].data) {
            assert!((was - is).abs() <= was.abs() * 1e-3 + 1e-7, "{name}: {was} became {is}");
        }
    }
}

#[test]
fn files_of_other_kinds_are_refused_with_words() {
    for bytes in [&b""[..], b"hello", b"PK\x03\x04", &[0xff; 300], b"\x80\x02}q\x00."] {
        trunk_from_bytes(bytes).expect_err("not weights");
    }
    assert!(matches!(trunk_from_bytes(b"no model at all"), Err(WeightsError::UnknownKind)));
    let missing = load_trunk("no/such/file.onnx".as_ref()).unwrap_err().to_string();
    assert!(missing.contains("no/such/file.onnx"), "{missing}");
}

#[test]
fn another_network_is_refused_with_the_difference() {
    let whole = trunk::build_features(&kaiming(&trunk::layers(), 5), [32, 32]).unwrap();
    let partial = with_constants(&whole, |constants| constants.retain(|constant| constant.name != "last.bias"));
    let message = trunk_from_bytes(&partial).unwrap_err().to_string();
    assert!(message.contains("`last.bias`"), "{message}");

    let mut graph = models::graph::GraphBuilder::new("other");
    let x = graph.input("x", &[1, 3, 32, 32]);
    let layer = models::weights::Layer::pointwise("other", 3, 8);
    let y = layer.build(&mut graph, &kaiming(std::slice::from_ref(&layer), 1), &x).unwrap();
    graph.output(&y, &[1, 8, 32, 32]);
    let message = trunk_from_bytes(&graph.finish()).unwrap_err().to_string();
    assert!(message.contains("1 convolutions where the trunk has 52"), "{message}");
}

/// A zip as `torch.save` writes it: the pickle and one file of values per tensor.
fn torch_file(pickle: &[u8], storages: &[(usize, Vec<f32>)], byte_order: &str) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: String, content: &[u8]| {
        archive.start_file(name, stored).unwrap();
        archive.write_all(content).unwrap();
    };
    add("archive/data.pkl".into(), pickle);
    add("archive/byteorder".into(), byte_order.as_bytes());
    for (key, values) in storages {
        add(format!("archive/data/{key}"), &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    }
    archive.finish().unwrap().into_inner()
}

/// Takes a random batch norm out of each folded layer; the storages are numbered in the order of the state dictionary.
fn unfolded(weights: &Weights) -> Vec<(usize, Vec<f32>)> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut storages = Vec::new();
    let mut key = 0;
    for layer in trunk::layers() {
        let [weight, bias] = layer.tensors().map(|(name, _)| &weights.0[&name]);
        if layer.name.contains(".se.") {
            storages.extend([(key, weight.data.clone()), (key + 1, bias.data.clone())]);
            key += 2;
            continue;
        }
        let mut draw =
            |from: f32, to: f32| (0..layer.outputs).map(|_| random.random_range(from..to)).collect::<Vec<f32>>();
        let (gamma, mean, variance) = (draw(0.5, 2.0), draw(-1.0, 1.0), draw(0.0, 0.01));
        let scale: Vec<f32> =
            gamma.iter().zip(&variance).map(|(gamma, variance)| gamma / (variance + 1e-3).sqrt()).collect();
        let per_output = weight.data.len() / layer.outputs;
        let conv = weight.data.iter().enumerate().map(|(at, value)| value / scale[at / per_output]).collect();
        let beta = (0..layer.outputs).map(|at| bias.data[at] + mean[at] * scale[at]).collect();
        storages.extend([conv, gamma, beta, mean, variance].into_iter().enumerate().map(|(at, v)| (key + at, v)));
        // The sixth is `num_batches_tracked`, which nothing reads.
        key += 6;
    }
    storages
}

#[test]
fn torchvisions_checkpoint_is_read_and_its_batch_norm_folded() {
    let mut weights = kaiming(&trunk::layers(), 6);
    for tensor in weights.0.values_mut().filter(|tensor| tensor.shape.len() == 1) {
        *tensor =
            Tensor { shape: tensor.shape.clone(), data: (0..tensor.data.len()).map(|at| at as f32 / 100.0).collect() };
    }
    let storages = unfolded(&weights);
    let read = trunk_from_bytes(&torch_file(STATE_DICT, &storages, "little")).unwrap();
    assert_eq!(read.0.keys().collect::<Vec<_>>(), weights.0.keys().collect::<Vec<_>>());
    for (name, tensor) in &weights.0 {
        for (was, is) in tensor.data.iter().zip(&read.0[name].data) {
            assert!((was - is).abs() <= 1e-5 * (1.0 + was.abs()), "{name}: {was} became {is}");
        }
    }
}

#[test]
fn unfit_pytorch_files_are_refused_with_words() {
    let storages = unfolded(&kaiming(&trunk::layers(), 6));
    let refusal = |file: &[u8]| trunk_from_bytes(file).expect_err("must be refused").to_string();
    assert!(refusal(&torch_file(STATE_DICT, &storages, "big")).contains("big-endian"));
    assert!(refusal(&torch_file(STATE_DICT, &storages[1..], "little")).contains("archive/data/0"));
    let mut short = storages.clone();
    short[1].1.pop();
    assert!(refusal(&torch_file(STATE_DICT, &short, "little")).contains("`features.0.1.weight`: it reaches beyond"));
    let mut long = storages.clone();
    long[1].1.push(0.0);
    assert!(refusal(&torch_file(STATE_DICT, &long, "little")).contains("more than the 64 bytes"));
    let mut infinite = storages.clone();
    infinite[1].1[0] = f32::INFINITY;
    assert!(
        refusal(&torch_file(STATE_DICT, &infinite, "little"))
            .contains("`stem.weight` holds a value that is not finite")
    );
    assert!(refusal(&torch_file(b"\x80\x02K\x05.", &storages, "little")).contains("no state dictionary"));
    assert!(refusal(&torch_file(b"\x80\x02}q\x00.", &storages, "little")).contains("`features.0.0.weight`"));
    assert!(
        refusal(&torch_file(b"\x80\x02cos\nsystem\nq\x00X\x02\0\0\0idq\x01\x85q\x02Rq\x03.", &storages, "little"))
            .contains("no state dictionary"),
        "nothing in a pickle is called"
    );
    assert!(refusal(&torch_file(b"\x80\x02(((.", &storages, "little")).contains("the stack is empty"));
}

#[test]
fn deep_nesting_in_a_pickle_does_not_exhaust_the_stack() {
    let nested = [&b"\x80\x02N"[..], &vec![0x85; 1 << 20], b"."].concat();
    let refused = trunk_from_bytes(&torch_file(&nested, &[], "little")).unwrap_err().to_string();
    assert!(refused.contains("no state dictionary"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_pickles_never_panic(
        at in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut pickle = STATE_DICT.to_vec();
        let at = at.index(pickle.len());
        pickle.splice(at..(at + noise.len()).min(pickle.len()), noise);
        // Without its values even a whole pickle gives no trunk.
        prop_assert!(trunk_from_bytes(&torch_file(&pickle, &[], "little")).is_err());
        pickle.truncate(cut.index(pickle.len()));
        prop_assert!(trunk_from_bytes(&torch_file(&pickle, &[], "little")).is_err());
    }
}

#[test]
fn a_bundle_gives_its_trunk_and_its_head_back() {
    let mut weights = kaiming(&trunk::layers(), 8);
    let trunk_alone = weights.clone();
    weights.merge(attention::init(2, 9));
    let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
    let image = Image { width: 4, height: 4, format: PixelFormat::Mono8, data: vec![9; 16] };
    let mut bundle = Bundle {
        manifest: Manifest {
            format: FORMAT,
            name: "trunk test".into(),
            labels: vec![label("good", Disposition::Pass), label("bad", Disposition::Fail)],
            preprocess: Preprocess::imagenet(64),
            pooling: Pooling::LogMeanExp(3.0),
            input: attention::INPUT.into(),
            scores: attention::SCORES.into(),
            heat: attention::HEAT.into(),
            heads: Default::default(),
            precision: Default::default(),
            graph_sha256: String::new(),
            files_sha256: Default::default(),
            tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
            provenance: Provenance::default(),
        },
        graph: attention::build(&weights, [64, 64], 2, Pooling::LogMeanExp(3.0)).unwrap(),
        expectations: vec![Expectation {
            image,
            scores: vec![0.5, 0.5],
            heat: vec![0.0; 8],
            named: Default::default(),
        }],
        model_card: None,
        certificate: None,
        reference: None,
    };
    let bytes = bundle.to_bytes().unwrap();
    assert_eq!(trunk_from_bytes(&bytes).unwrap(), trunk_alone);
    weights.insert(attention::SHARPNESS, Tensor::scalar(3.0));
    assert_eq!(Weights::from_graph(&bundle.graph).unwrap(), weights);
    let message = trunk_from_bytes(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
    assert!(message.contains("bundle"), "a damaged bundle is called one: {message}");
}
