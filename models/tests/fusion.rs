//! A bundle of several views: weights that add up, a view that is not there and weighs nothing, manifests that lie.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use models::bundle::{Bundle, Disposition, FORMAT, FusionSpec, Heads, Label, Manifest, Pooling, Provenance, Tolerance};
use models::heads::{attention, fusion};
use models::image::{Image, PixelFormat};
use models::precision::to_half;
use models::prediction::Model;
use models::predictor::{Predictor, expectations};
use models::preprocess::Preprocess;
use models::runtime::{RuntimeError, SessionOptions};
use models::views::{Lacking, side_by_side};
use models::weights::{Weights, kaiming};
use models::zoo::mobilenet_v3_small as trunk;

const SIDE: u32 = 64;
const LABELS: usize = 3;

fn weights() -> Weights {
    let mut weights = kaiming(&trunk::layers(), 1);
    weights.merge(attention::init(LABELS, 2));
    weights.merge(fusion::init(trunk::FEATURES, 3));
    weights
}

fn noise(seed: usize) -> Image {
    let data = (0..(SIDE * SIDE) as usize).map(|at| (at * (17 + seed) % 251) as u8).collect();
    Image { width: SIDE, height: SIDE, format: PixelFormat::Mono8, data }
}

fn bundle(views: &[&str]) -> Bundle {
    bundle_of(&weights(), views)
}

fn bundle_of(weights: &Weights, views: &[&str]) -> Bundle {
    let graph = fusion::build(weights, views.len(), [SIDE as usize; 2], LABELS, Pooling::LogMeanExp(2.0)).unwrap();
    let label = |index| Label { name: format!("label {index}"), verdict: Disposition::Fail, threshold: 0.5 };
    let spec = FusionSpec {
        views: views.iter().map(|&view| view.into()).collect(),
        present: fusion::PRESENT.into(),
        weights: fusion::WEIGHTS.into(),
    };
    let manifest = Manifest {
        format: FORMAT,
        name: "views".into(),
        labels: (0..LABELS).map(label).collect(),
        preprocess: Preprocess::imagenet(SIDE),
        pooling: Pooling::LogMeanExp(2.0),
        input: attention::INPUT.into(),
        scores: attention::SCORES.into(),
        heat: attention::HEAT.into(),
        heads: Heads { embedding: Some(attention::EMBEDDING.into()), fusion: Some(spec), ..Heads::default() },
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: Default::default(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    };
    let mut bundle =
        Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None };
    let picture = |seed| side_by_side(&(0..views.len()).map(|view| noise(seed + view)).collect::<Vec<_>>());
    bundle.expectations = expectations(&bundle, vec![picture(0), picture(9)]).unwrap();
    bundle
}

fn loaded(mut bundle: Bundle) -> Predictor {
    let bundle = Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap();
    Predictor::load(bundle, &SessionOptions::default()).unwrap()
}

#[test]
fn fusion_weighs_the_views_that_are_there() {
    let model = loaded(bundle(&["bright", "dark", "infrared"]));
    let mut tensor = vec![0.0; model.tensor_len()];
    assert_eq!(tensor.len(), 3 * 3 * (SIDE * SIDE) as usize + 3);
    let pictures = [noise(1), noise(40), noise(80)];
    model.manifest().fill(side_by_side(&pictures).view(), &mut tensor);
    let all = model.predict(&tensor).unwrap();
    let weights = all.views.clone().unwrap();
    assert!(
        (weights.iter().sum::<f32>() - 1.0).abs() < 1e-5 && weights.iter().all(|&weight| weight > 0.0),
        "{weights:?}"
    );

    // View by view is the same as side by side.
    let mut own = vec![7.0; model.tensor_len()];
    for (view, picture) in pictures.iter().enumerate() {
        model.manifest().fill_view(view, Some(picture.view()), &mut own);
    }
    assert_eq!(own, tensor);

    // What a view shows does not matter once it is not there, and the others share its weight as they stood.
    model.manifest().fill_view(1, None, &mut own);
    let lacking = model.predict(&own).unwrap();
    let shares = lacking.views.clone().unwrap();
    assert_eq!(shares[1], 0.0, "exactly");
    assert!(
        (shares[0] / shares[2] - weights[0] / weights[2]).abs() < 1e-3 * weights[0] / weights[2],
        "{shares:?} of {weights:?}"
    );
    let length = model.preprocess().tensor_len();
    own[length..2 * length].fill(3.0);
    let same = model.predict(&own).unwrap();
    assert_eq!((same.scores, same.views), (lacking.scores.clone(), lacking.views.clone()));
    assert_ne!(all.scores, lacking.scores);

    // One view alone is what the head says of it.
    model.manifest().fill_view(0, None, &mut own);
    assert_eq!(model.predict(&own).unwrap().views.unwrap(), [0.0, 0.0, 1.0]);

    let without = Lacking::new(&model, &["dark".into()]).unwrap();
    assert_eq!(without.predict(&tensor).unwrap().scores, lacking.scores);
    let refused = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        Lacking::new(&model, &names).map(|_| ()).unwrap_err()
    };
    assert!(refused(&["depth"]).contains("the model sees bright, dark, infrared"));
    assert!(refused(&["dark", "bright", "infrared"]).contains("no view is left"));
    let short = model.predict(&tensor[1..]);
    assert_eq!(short, Err(RuntimeError::Input { expected: tensor.len(), got: tensor.len() - 1 }));
}

#[test]
fn fusion_survives_half_precision() {
    // One view far above the other, as trained ones are.
    let mut decided = weights();
    decided.0.get_mut("fusion.score.weight").unwrap().data.iter_mut().for_each(|weight| *weight *= 1e3);
    let original = bundle_of(&decided, &["bright", "dark"]);
    let mut half = original.clone();
    half.graph = to_half(&original.graph).unwrap();
    half.manifest.precision = models::precision::Precision::Fp16;
    let half = loaded(half);
    let mut tensor = vec![0.0; half.tensor_len()];
    half.manifest().fill_view(1, Some(noise(3).view()), &mut tensor);
    assert_eq!(half.predict(&tensor).unwrap().views.unwrap(), [0.0, 1.0]);
    half.manifest().fill_view(0, Some(noise(40).view()), &mut tensor);
    let both = half.predict(&tensor).unwrap().views.unwrap();
    assert!(both.iter().all(|&weight| weight > 0.0), "{both:?}: none is taken for one that did not come");
    assert!(both.iter().any(|&weight| weight < 1e-5), "{both:?}: nothing was tested");
}

#[test]
fn fusion_manifests_that_do_not_fit_are_refused_in_words() {
    type Change = dyn Fn(&mut FusionSpec);
    let said = |change: &Change| {
        let mut bundle = bundle(&["bright", "dark"]);
        change(bundle.manifest.heads.fusion.as_mut().unwrap());
        bundle.to_bytes().unwrap_err().to_string()
    };
    let cases: [(&str, &Change); 7] = [
        ("2 to 8", &|spec| spec.views.truncate(1)),
        ("2 to 8", &|spec| spec.views = (0..9).map(|view| view.to_string()).collect()),
        ("stands twice", &|spec| spec.views[1] = "bright".into()),
        ("printable", &|spec| spec.views[1] = "da\nrk".into()),
        ("two purposes", &|spec| spec.present = "image.0".into()),
        ("two purposes", &|spec| spec.weights = "scores".into()),
        ("wanted is only `image.0`", &|spec| spec.views.push("depth".into())),
    ];
    for (words, change) in cases {
        let said = said(change);
        assert!(said.contains(words), "{said} instead of {words}");
    }
    // A graph of several views under a manifest of one.
    let mut plain = bundle(&["bright", "dark"]);
    plain.manifest.heads.fusion = None;
    assert!(plain.to_bytes().unwrap_err().to_string().contains("wanted is only `image`"));
}
