//! The network that learns and the ONNX graph that runs are the same network.

use std::collections::BTreeMap;
use std::path::Path;

use models::bundle::{Bundle, Compared, Disposition, FORMAT, Label, Manifest, Pooling, Provenance, Tolerance};
use models::heads::{attention, border};
use models::image::{Image, PixelFormat};
use models::preprocess::Preprocess;
use models::runtime::{Provider, Session, SessionOptions};
use models::weights::{Tensor, Weights, load_trunk};
use models_train::TrainError;
use models_train::batch::Prepare;
use models_train::certify::certify;
use models_train::checkpoint::pooling;
use models_train::fit::Workers;
use models_train::net::Net;
use models_train::samples::{Sample, Samples};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A trunk with real weights.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../weights/default.bundle");

const LABELS: usize = 4;

fn weights(sharpness: Option<f32>) -> Weights {
    let mut weights = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    weights.merge(attention::init(LABELS, 5));
    if let Some(sharpness) = sharpness {
        weights.insert(attention::SHARPNESS, Tensor::scalar(sharpness));
    }
    weights
}

/// Random pictures with some structure, colour and grey.
struct Pictures;

impl Samples for Pictures {
    fn len(&self) -> usize {
        3
    }

    fn label(&self, index: usize) -> usize {
        index
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let format = if index == 0 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
        let (width, height) = (150, 110);
        let mut random = ChaCha8Rng::seed_from_u64(index as u64);
        let data = (0..width * height * format.channels())
            .map(|at| (at / 40 % 200) as u8 + random.random_range(0..50_u8))
            .collect();
        let image = Image { width: width as u32, height: height as u32, format, data };
        Ok(Sample { image, labels: vec![index], weight: 1.0, mask: None })
    }

    fn name(&self, index: usize) -> String {
        index.to_string()
    }
}

fn bundle(weights: &Weights, preprocess: &Preprocess) -> Bundle {
    let size = [preprocess.height as usize, preprocess.width as usize];
    let label = |at: usize| Label { name: format!("label {at}"), verdict: Disposition::Fail, threshold: 0.5 };
    let manifest = Manifest {
        format: FORMAT,
        name: "parity".into(),
        labels: (0..LABELS).map(label).collect(),
        preprocess: preprocess.clone(),
        pooling: pooling(weights),
        input: attention::INPUT.into(),
        scores: attention::SCORES.into(),
        heat: attention::HEAT.into(),
        heads: Default::default(),
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: BTreeMap::new(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    };
    let graph = attention::build(weights, size, LABELS, pooling(weights)).expect("a sound graph");
    Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None }
}

#[test]
fn the_exported_graph_says_what_the_network_says() {
    let workers = Workers::new(Some(1)).unwrap();
    let preprocess = Preprocess { width: 160, height: 96, ..Preprocess::imagenet(96) };
    for sharpness in [None, Some(1.5), Some(8.0)] {
        let net = Net::from_weights(&weights(sharpness), LABELS, &workers.device).unwrap();
        let exported = net.to_weights();
        assert_eq!(matches!(pooling(&exported), Pooling::LogMeanExp(_)), sharpness.is_some());
        let mut session =
            Session::new(&bundle(&exported, &preprocess), Provider::Cpu, &SessionOptions::default()).unwrap();
        let prepare = Prepare { samples: &Pictures, classes: LABELS, preprocess: &preprocess, augment: None, seed: 0 };
        for index in 0..Pictures.len() {
            let (batch, _) = prepare.batch(&[(0, index)]).unwrap();
            let outputs = net.forward(&batch, &workers.device);
            let scores = burn::tensor::activation::softmax(outputs.logits, 1);
            let scores: Vec<f32> = scores.into_data().try_into_vec().unwrap();
            // `1 x cells x labels` here, `1 x labels x cells` there.
            let heat: Vec<f32> = outputs.cells.swap_dims(1, 2).into_data().try_into_vec().unwrap();
            let mut tensor = vec![0.0; preprocess.tensor_len()];
            preprocess.fill(Pictures.load(index).unwrap().image.view(), &mut tensor);
            let wanted = session.run(&tensor).unwrap();
            let off = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert_eq!((scores.len(), heat.len()), (wanted.scores.len(), wanted.heat.len()));
            assert!(off(&scores, &wanted.scores) <= 1e-4, "scores off by {}", off(&scores, &wanted.scores));
            let top = wanted.heat.iter().fold(1.0_f32, |top, logit| top.max(logit.abs()));
            assert!(off(&heat, &wanted.heat) <= 1e-4 * top, "heat off by {} of {top}", off(&heat, &wanted.heat));
        }
    }
}

#[test]
fn a_graph_that_is_not_the_trained_network_gets_no_certificate() {
    let preprocess = Preprocess { width: 64, height: 64, ..Preprocess::imagenet(64) };
    let trained = weights(Some(1.5));
    let exported = bundle(&trained, &preprocess);
    let certificate = certify(&trained, &exported, &Pictures).unwrap();
    assert_eq!(certificate.compared_with, Compared::TrainedNetwork);
    assert_eq!((certificate.agreement.images, certificate.agreement.flips), (Pictures.len(), 0));
    assert!(certificate.agreement.largest_difference < 1e-4, "{}", certificate.agreement);
    // One layer of the head from another training.
    let mut other = trained.clone();
    let swapped = attention::init(LABELS, 6);
    other.insert("classifier.weight", swapped.0["classifier.weight"].clone());
    let refused = certify(&other, &exported, &Pictures).unwrap_err();
    assert!(matches!(refused, TrainError::Export { .. }), "{refused}");
    assert!(refused.to_string().contains("not the trained network"), "{refused}");
}

#[test]
fn a_map_whose_border_was_not_taught_is_certified_as_it_is_shown() {
    // Ten cells across and six down: large enough for a border.
    let preprocess = Preprocess { width: 320, height: 192, ..Preprocess::imagenet(192) };
    let plain = weights(Some(1.5));
    let mut untaught = plain.clone();
    border::note_untaught(&mut untaught);
    let certificate = certify(&untaught, &bundle(&untaught, &preprocess), &Pictures).unwrap();
    assert!(certificate.agreement.largest_heat_difference < 1e-3, "{}", certificate.agreement);
    // As a bundle with other thresholds is certified anew: by the weights that its graph holds.
    let exported = bundle(&untaught, &preprocess);
    let anew = certify(&Weights::from_graph(&exported.graph).unwrap(), &exported, &Pictures).unwrap();
    assert!(anew.agreement.largest_heat_difference < 1e-3, "{}", anew.agreement);
    // The other graph's map is another one, and the comparison sees it.
    let other = certify(&plain, &bundle(&untaught, &preprocess), &Pictures);
    let seen = other.map_or(f32::INFINITY, |certificate| certificate.agreement.largest_heat_difference);
    assert!(seen > 1e-2, "{seen}");
}

#[test]
fn weights_go_in_and_come_out_unchanged() {
    let workers = Workers::new(Some(1)).unwrap();
    let before = weights(None);
    let after = Net::from_weights(&before, LABELS, &workers.device).unwrap().to_weights();
    assert_eq!(before, after);
    let sharp = Net::from_weights(&weights(Some(3.0)), LABELS, &workers.device).unwrap().to_weights();
    assert!((sharp.0[attention::SHARPNESS].data[0] - 3.0).abs() < 1e-5);
}

#[test]
fn weights_of_another_network_are_named() {
    let workers = Workers::new(Some(1)).unwrap();
    let load = |weights: &Weights| Net::from_weights(weights, LABELS, &workers.device).unwrap_err().to_string();
    let mut lacking = weights(None);
    lacking.0.remove("blocks.3.se.expand.bias");
    assert!(load(&lacking).contains("blocks.3.se.expand.bias"));
    assert!(load(&weights(Some(-1.0))).contains("sharpness"));
}
