//! The trunk read from files of several kinds.

use std::path::PathBuf;

use models::weights::{Weights, WeightsError, kaiming, load_trunk, trunk_from_bytes};
use models::zoo::mobilenet_v3_small as trunk;

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

#[test]
fn half_precision_halves_the_file_and_keeps_three_digits() {
    let weights = kaiming(&trunk::layers(), 4);
    let half = weights.to_half_precision_file();
    let full = trunk::build_features(&weights, [32, 32]).unwrap();
    assert!(half.len() * 2 < full.len() + 10_000, "{} bytes, in full precision {}", half.len(), full.len());
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
    let mut weights = kaiming(&trunk::layers(), 5);
    weights.0.remove("last.bias");
    let message = trunk_from_bytes(&weights.to_half_precision_file()).unwrap_err().to_string();
    assert!(message.contains("`last.bias`"), "{message}");

    let mut graph = models::graph::GraphBuilder::new("other");
    let x = graph.input("x", &[1, 3, 32, 32]);
    let layer = models::weights::Layer::pointwise("other", 3, 8);
    let y = layer.build(&mut graph, &kaiming(&[layer.clone()], 1), &x).unwrap();
    graph.output(&y, &[1, 8, 32, 32]);
    let message = trunk_from_bytes(&graph.finish()).unwrap_err().to_string();
    assert!(message.contains("1 convolutions where the trunk has 52"), "{message}");
}
