//! Graphs in other number formats: what changes in them, what does not, and that ONNX Runtime gives nearly the same answers.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests, where a panic is the failure")]

use std::path::Path;

use models::bundle::{Bundle, Disposition, Label};
use models::certify::{Certifier, Duel, Finding};
use models::graph::proto::{FLOAT, FLOAT16, INT8, NodeProto};
use models::graph::{self, GraphBuilder, ModelProto};
use models::image::Image;
use models::precision::int8::quantise;
use models::precision::{Precision, PrecisionError, check, to_half};
use models::predictor::{Predictor, expectations};
use models::runtime::{Provider, Session, SessionOptions};
use models::weights::{Tensor, Weights};
use models::zoo::mobilenet_v3_small;

fn shipped() -> Bundle {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/default.bundle");
    Bundle::open(&path).expect("the shipped bundle is in the tree")
}

/// A stand-in for the line's rule that flips easily: the highest score decides.
fn highest(scores: &[f32], labels: &[Label]) -> Disposition {
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
    labels[best].verdict
}

fn pictures(bundle: &Bundle) -> Vec<Image> {
    bundle.expectations.iter().map(|it| it.image.clone()).collect()
}

/// The bundle with another graph, ready to be written.
fn with_graph(bundle: &Bundle, graph: Vec<u8>, precision: Precision) -> Bundle {
    let mut other = Bundle { graph, certificate: None, ..bundle.clone() };
    other.manifest.precision = precision;
    other.expectations = expectations(&other, pictures(bundle)).unwrap();
    other
}

fn find<'a>(model: &'a ModelProto, output: &str) -> &'a NodeProto {
    model.graph().node.iter().find(|node| node.output[0] == output).unwrap_or_else(|| panic!("no node `{output}`"))
}

#[test]
fn half_precision_halves_the_weights_and_keeps_what_is_sensitive() {
    let original = shipped();
    let graph = to_half(&original.graph).unwrap();
    let model = graph::check(&graph).unwrap();
    check(&model, Precision::Fp16).unwrap();
    assert!(check(&model, Precision::Fp32).unwrap_err().contains("says fp32, but the graph is in fp16"));
    assert!(graph.len() < original.graph.len() * 11 / 20, "{} of {} bytes", graph.len(), original.graph.len());
    let kinds = |wanted: i32| model.graph().initializer.iter().filter(move |it| it.data_type == wanted);
    // Pooling, temperature, and the few-shot head's distances, which nearly cancel.
    let sensitive = ["pool.", "softmax.", "appearance.", "prototypes."];
    let full: Vec<&str> = kinds(FLOAT).map(|it| it.name.as_str()).collect();
    assert!(full.contains(&"pool.sharpness"), "{full:?}");
    assert!(full.iter().all(|name| sensitive.iter().any(|head| name.starts_with(head))), "{full:?}");
    // A cast before the pooling, none inside it: from the classifier's logits on all is in 32 bits.
    assert_eq!(find(&model, "heat").input, ["classifier.to_full"]);
    let casts = model.graph().node.iter().filter(|node| node.op_type == "Cast").count();
    // Input, attention's gate there and back, embedding, logits, and the maps that the few-shot head averages.
    assert!((3..=10).contains(&casts), "{casts} casts");
    // A training can start from it: the trunk is there under its names, rounded.
    let layers = mobilenet_v3_small::layers();
    let trunk = Weights::from_graph(&graph).unwrap().only(&layers).unwrap();
    let before = Weights::from_graph(&original.graph).unwrap();
    let (a, b) = (&trunk.0["last.weight"].data, &before.0["last.weight"].data);
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= b.abs() / 1024.0 + 1e-7));
    // Converting twice would round twice.
    assert!(matches!(to_half(&graph), Err(PrecisionError::Converted(Precision::Fp16))));
}

#[test]
fn half_precision_runs_here_and_says_nearly_the_same() {
    let original = shipped();
    let mut half = with_graph(&original, to_half(&original.graph).unwrap(), Precision::Fp16);
    let mut duel = Duel::new(&original, &half, highest).unwrap();
    for (index, picture) in pictures(&original).iter().enumerate() {
        duel.picture(&index.to_string(), picture.view(), Some(&[index])).unwrap();
    }
    let (agreement, figures) = duel.finish();
    assert_eq!((agreement.images, agreement.flips), (original.expectations.len(), 0), "{agreement}");
    assert!(agreement.largest_difference < 2e-2, "{agreement}");
    assert!(agreement.largest_difference > 0.0, "rounded weights cannot give the very same scores");
    assert_eq!(figures[0].accuracy, figures[1].accuracy);
    let options = SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() };
    Predictor::load(Bundle::from_bytes(&half.to_bytes().unwrap()).unwrap(), &options).unwrap();
}

#[test]
fn weights_beyond_half_precision_are_named() {
    let mut graph = GraphBuilder::new("large");
    let x = graph.input("x", &[1, 1, 4, 4]);
    graph.initializer("y.weight", &Tensor { shape: vec![1, 1, 1, 1], data: vec![1e6] });
    graph.initializer("y.bias", &Tensor::scalar(0.0));
    let y = graph.conv(&x, models::graph::Conv { kernel: 1, stride: 1, groups: 1 }, "y");
    graph.output(&y, &[1, 1, 4, 4]);
    let words = to_half(&graph.finish()).unwrap_err().to_string();
    assert!(words.contains("`y.weight` holds 1000000"), "{words}");
}

#[test]
fn int8_holds_what_tensorrt_takes_and_runs_here() {
    let original = shipped();
    let pictures = pictures(&original);
    // No flip is forbidden here, so that the test does not try every convolution alone.
    let made = quantise(&original, &pictures, highest, pictures.len()).unwrap();
    println!("{} quantised, {}; {}", made.quantised, made.clip, made.agreement);
    let model = graph::check(&made.graph).unwrap();
    check(&model, Precision::Int8).unwrap();
    let constants = &model.graph().initializer;
    let constant = |name: &str| constants.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("no `{name}`"));
    let steps = model.graph().node.iter().filter(|node| node.op_type.ends_with("uantizeLinear"));
    for node in steps.clone() {
        let zero = constant(&node.input[2]);
        assert_eq!(zero.data_type, INT8);
        assert!(zero.raw_data.iter().all(|byte| *byte == 0), "TensorRT takes no zero point but 0");
    }
    // One scale per output channel, none of them zero; biases as they were.
    let weight = constant("last.weight.int8.quantised");
    let scales = constant("last.weight.int8.scale").to_tensor().unwrap();
    assert_eq!((weight.dims[0], scales.shape), (576, vec![576]));
    assert!(scales.data.iter().all(|scale| *scale > 0.0));
    assert!(weight.raw_data.iter().any(|byte| *byte as i8 == 127 || *byte as i8 == -127), "the range is used");
    assert_eq!(constant("last.bias").data_type, FLOAT);
    assert!(constants.iter().all(|it| it.data_type != FLOAT16));
    // Squeeze and excitation stay in floats.
    assert_eq!(constant("blocks.4.se.reduce.weight").data_type, FLOAT);
    assert_eq!(made.quantised, 1 + 11 + 10 + 11 + 2, "stem, depthwise, expand, project, last and classifier");
    let mut int8 = with_graph(&original, made.graph, Precision::Int8);
    let options = SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() };
    Predictor::load(Bundle::from_bytes(&int8.to_bytes().unwrap()).unwrap(), &options).unwrap();
    let again = quantise(&int8, &pictures, highest, 0).unwrap_err();
    assert!(matches!(again, PrecisionError::Converted(Precision::Int8)), "{again}");
}

#[test]
fn int8_without_pictures_is_refused() {
    let refused = quantise(&shipped(), &[], highest, 0).unwrap_err().to_string();
    assert!(refused.contains("give --data"), "{refused}");
}

#[test]
fn a_certifier_names_what_is_not_here_and_vouches_for_what_is() {
    let bundle = shipped();
    let options = SessionOptions::default();
    let mut certifier = Certifier::new(&bundle, highest, &options).unwrap();
    certifier.picture("again", bundle.expectations[0].image.view()).unwrap();
    let reports = certifier.finish();
    assert_eq!(reports.iter().map(|report| report.provider).collect::<Vec<_>>(), Provider::ALL);
    let processor = &reports[2];
    let Finding::Measured { agreement, latency_ms } = &processor.finding else { panic!("{processor:?}") };
    assert_eq!((agreement.images, agreement.flips), (bundle.expectations.len(), 0));
    assert!(*latency_ms > 0.0 && processor.certified());
    for report in &reports[..2] {
        match Session::new(&bundle, report.provider, &options) {
            Ok(_) => println!("SKIPPED: {} is here", report.provider),
            Err(_) => {
                assert!(matches!(&report.finding, Finding::NotPresent { reason } if reason.len() > 20), "{report:?}");
                assert!(!report.certified() && !report.failed());
            }
        }
    }
}

#[test]
fn a_bundle_that_does_not_reproduce_itself_is_not_certified() {
    let mut bundle = shipped();
    bundle.expectations[1].scores.swap(0, 1);
    bundle.expectations[1].scores[0] += 0.1;
    let refused = Certifier::new(&bundle, highest, &SessionOptions::default()).err().expect("must be refused");
    assert!(refused.to_string().contains("calibration image 1"), "{refused}");
}
