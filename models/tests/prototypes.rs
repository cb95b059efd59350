//! The few-shot head on a real ONNX Runtime session: the graph says what the arithmetic says, kinds come and go, nothing else
//! changes.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use std::collections::BTreeMap;
use std::path::Path;

use models::bundle::{
    Bundle, Disposition, Expectation, FORMAT, Heads, Label, Manifest, Metric, Pooling, Provenance, Tolerance,
};
use models::graph::{TENSORRT_OPERATORS, check};
use models::heads::appearance::{Eye, Views};
use models::heads::attention;
use models::heads::prototypes::{self, Picture, PrototypeError, Prototypes};
use models::image::{Image, PixelFormat};
use models::prediction::Model;
use models::predictor::Predictor;
use models::preprocess::Preprocess;
use models::runtime::{Provider, Session, SessionOptions};
use models::weights::load_trunk;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE: u32 = 96;
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/default.bundle");

/// Textures of four kinds: stripes across, stripes down, blocks, specks; each picture with its own phase, tone and noise.
fn picture(kind: usize, seed: u64) -> Image {
    let mut random = ChaCha8Rng::seed_from_u64(seed * 16 + kind as u64);
    let (tone, phase) = (random.random_range(90..150_i32), random.random_range(0..8_u32));
    let mut data = Vec::new();
    for (y, x) in (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (y, x))) {
        let bright = match kind {
            0 => (y + phase) / 4 % 2 == 0,
            1 => (x + phase) / 10 % 2 == 0,
            2 => ((x + phase) / 16 + (y + phase) / 16) % 2 == 0,
            _ => random.random_range(0..10) == 0,
        };
        data.push((tone + if bright { 50 } else { 0 } + random.random_range(-8..8)) as u8);
    }
    Image { width: SIDE, height: SIDE, format: PixelFormat::Mono8, data }
}

/// A whole bundle with two labels: a trunk that has learned to see, a random head.
fn bundle() -> Bundle {
    let mut weights = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    weights.merge(attention::init(2, 5));
    let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
    let manifest = Manifest {
        format: FORMAT,
        name: "random".into(),
        labels: vec![label("good", Disposition::Pass), label("scratch", Disposition::Fail)],
        preprocess: Preprocess::imagenet(SIDE),
        pooling: Pooling::Mean,
        input: attention::INPUT.into(),
        scores: attention::SCORES.into(),
        heat: attention::HEAT.into(),
        heads: Heads { embedding: Some(attention::EMBEDDING.into()), ..Heads::default() },
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: BTreeMap::new(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    };
    let graph = attention::build(&weights, [SIDE as usize; 2], 2, Pooling::Mean).unwrap();
    let mut bundle =
        Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None };
    let mut session = Session::new(&bundle, Provider::Cpu, &SessionOptions::default()).unwrap();
    for seed in 0..3 {
        let image = picture(seed as usize % 2, seed);
        let mut tensor = vec![0.0; bundle.manifest.preprocess.tensor_len()];
        bundle.manifest.preprocess.fill(image.view(), &mut tensor);
        let outputs = session.run(&tensor).unwrap();
        let named = outputs.named.into_iter().map(|(name, output)| (name, output.data)).collect();
        bundle.expectations.push(Expectation { image, scores: outputs.scores, heat: outputs.heat, named });
    }
    bundle
}

/// A head that knows the bundle's labels: `good` as kind 0, `scratch` as kind 1.
fn learned(eye: &mut Eye) -> Prototypes {
    let labels = [("good".to_owned(), Disposition::Pass), ("scratch".to_owned(), Disposition::Fail)];
    let pictures: Vec<Picture> = (0..40)
        .map(|at| Picture { label: at % 2, views: vec![eye.look(picture(at % 2, 100 + at as u64).view()).unwrap()] })
        .collect();
    Prototypes::learn(&pictures, &labels).unwrap()
}

fn shots(eye: &mut Eye, kind: usize, count: u64) -> Vec<Vec<Vec<f32>>> {
    let of = |seed| eye.look_at_views(picture(kind, 1000 + seed).view(), Views::One).unwrap();
    (0..count).map(of).collect()
}

fn load(bundle: &mut Bundle) -> Predictor {
    let copy = Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap();
    Predictor::load(copy, &SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() }).unwrap()
}

fn predict(predictor: &Predictor, image: &Image) -> models::prediction::Prediction {
    let mut tensor = vec![0.0; predictor.preprocess().tensor_len()];
    predictor.preprocess().fill(image.view(), &mut tensor);
    predictor.predict(&tensor).unwrap()
}

#[test]
fn kinds_are_told_apart_and_the_graph_says_what_the_arithmetic_says() {
    let plain = bundle();
    let mut eye = Eye::of(&plain).unwrap();
    for (metric, count) in [(Metric::Lda, 5), (Metric::Lda, 1), (Metric::L2, 3)] {
        let mut head = learned(&mut eye);
        head.metric = metric;
        let (blocks, specks) = (shots(&mut eye, 2, count), shots(&mut eye, 3, count));
        head.register("blocks", Disposition::Fail, &blocks).unwrap();
        head.register("specks", Disposition::Review, &specks).unwrap();
        let mut bundle = plain.clone();
        prototypes::write(&mut bundle, &head).unwrap();
        let (predictor, before) = (load(&mut bundle), load(&mut plain.clone()));
        let fitted = head.fit();
        let mut right = 0;
        for at in 0..40 {
            let image = picture(at % 4, 5000 + at as u64);
            let prediction = predict(&predictor, &image);
            let likeness = prediction.prototypes.expect("the bundle has kinds");
            let wanted = fitted.judge(&eye.look(image.view()).unwrap());
            let top = wanted.distances.iter().copied().fold(0.0, f32::max);
            for (got, wanted) in likeness.distances.iter().zip(&wanted.distances) {
                assert!((got - wanted).abs() < 2e-3 * top, "{got} instead of {wanted} ({metric:?}, {count} shots)");
            }
            assert!((likeness.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            right += usize::from(likeness.nearest == at % 4);
            let untouched = predict(&before, &image);
            assert_eq!(
                (untouched.scores, untouched.heat),
                (prediction.scores, prediction.heat),
                "the classifier stays"
            );
        }
        assert!(right >= 36, "{right} of 40 right with {count} shots, {metric:?}");
    }
}

#[test]
fn what_was_never_shown_is_unlike_everything_and_what_was_held_out_is_not() {
    let mut eye = Eye::of(&bundle()).unwrap();
    let mut head = learned(&mut eye);
    let blocks = shots(&mut eye, 2, 5);
    head.register("blocks", Disposition::Fail, &blocks).unwrap();
    let fitted = head.fit();
    let mut unknown = |kind: usize| {
        (0..20).filter(|&seed| fitted.judge(&eye.look(picture(kind, 9000 + seed).view()).unwrap()).unknown).count()
    };
    let known = [0, 1, 2].map(&mut unknown);
    assert!(known.iter().sum::<usize>() <= 4, "{known:?} of 20 pictures of known kinds are called unknown");
    assert!(unknown(3) >= 18, "{} of 20 pictures of a new kind are called unknown", unknown(3));
}

#[test]
fn a_bundle_holds_what_the_next_registration_needs() {
    let mut bundle = bundle();
    let mut eye = Eye::of(&bundle).unwrap();
    let mut head = learned(&mut eye);
    head.register("blocks", Disposition::Fail, &shots(&mut eye, 2, 4)).unwrap();
    prototypes::write(&mut bundle, &head).unwrap();
    let mut bundle = Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap();
    let again = prototypes::read(&bundle).unwrap().unwrap();
    assert_eq!(again, head);

    // A second kind keeps the first; taking it out again gives the same bytes.
    let one = bundle.to_bytes().unwrap();
    let mut two = again.clone();
    two.register("specks", Disposition::Fail, &shots(&mut eye, 3, 2)).unwrap();
    prototypes::write(&mut bundle, &two).unwrap();
    let names = |bundle: &Bundle| -> Vec<String> {
        let spec = bundle.manifest.heads.prototypes.as_ref().unwrap();
        spec.registered().map(|(_, kind)| kind.name.clone()).collect()
    };
    assert_eq!(names(&bundle), ["blocks", "specks"]);
    let mut back = prototypes::read(&bundle).unwrap().unwrap();
    back.unregister("specks").unwrap();
    prototypes::write(&mut bundle, &back).unwrap();
    assert_eq!(bundle.to_bytes().unwrap(), one);

    let model = check(&bundle.graph).unwrap();
    assert!(model.graph().node.iter().all(|node| TENSORRT_OPERATORS.contains(&node.op_type.as_str())));
}

#[test]
fn names_in_use_and_numbers_that_cannot_be_are_refused_in_words() {
    let mut eye = Eye::of(&bundle()).unwrap();
    let mut head = learned(&mut eye);
    let one = shots(&mut eye, 2, 1);
    head.register("blocks", Disposition::Fail, &one).unwrap();
    for taken in ["blocks", "good", "scratch"] {
        let words = head.register(taken, Disposition::Fail, &one).unwrap_err().to_string();
        assert!(words.contains(taken) && words.contains("already"), "{words}");
    }
    assert!(matches!(head.register("none", Disposition::Fail, &[]), Err(PrototypeError::Shots(0))));
    let many = vec![one[0].clone(); 21];
    assert!(matches!(head.register("many", Disposition::Fail, &many), Err(PrototypeError::Shots(21))));
    for wrong in ["good", "nothing"] {
        let words = head.unregister(wrong).unwrap_err().to_string();
        assert!(words.contains("registered are: blocks"), "{words}");
    }
}

/// Spoils a head's manifest.
type Edit = fn(&mut models::bundle::PrototypeSpec);

#[test]
fn manifests_of_heads_that_make_no_sense_are_refused() {
    let mut sound = bundle();
    let mut eye = Eye::of(&sound).unwrap();
    let mut head = learned(&mut eye);
    head.register("blocks", Disposition::Fail, &shots(&mut eye, 2, 2)).unwrap();
    prototypes::write(&mut sound, &head).unwrap();
    let cases: [(&str, Edit); 9] = [
        ("`prototypes` is [1, 3] instead of [1, 2]", |spec| drop(spec.kinds.pop())),
        ("no output `likeness`", |spec| spec.output = "likeness".into()),
        ("`heat` is named for two purposes", |spec| spec.output = "heat".into()),
        ("`good` stands twice", |spec| spec.kinds[1].name = "good".into()),
        ("none of its labels", |spec| spec.kinds[2].registered = false),
        ("from no picture", |spec| spec.kinds[2].shots = 0),
        ("temperature NaN", |spec| spec.temperature = f32::NAN),
        ("radius -1", |spec| spec.radius = -1.0),
        ("sure 2", |spec| spec.sure = 2.0),
    ];
    for (wanted, edit) in cases {
        let mut bad = sound.clone();
        edit(bad.manifest.heads.prototypes.as_mut().unwrap());
        let words = bad.to_bytes().expect_err(wanted).to_string();
        assert!(words.contains(wanted), "wanted `{wanted}`, got: {words}");
    }
    let mut fewer = sound;
    fewer.manifest.heads.prototypes.as_mut().unwrap().kinds[2].shots = 7;
    assert!(prototypes::read(&fewer).is_err() || fewer.to_bytes().is_ok(), "a wrong count never panics");
}

#[test]
fn a_graph_without_our_trunk_cannot_learn_kinds() {
    let mut foreign = bundle();
    let mut graph = models::graph::GraphBuilder::new("other");
    let image = graph.input("image", &[1, 3, SIDE as usize, SIDE as usize]);
    let pooled = graph.global_average(&image, "pool");
    let flat = graph.flatten(&pooled, "flat");
    graph.softmax(&flat, "scores");
    graph.output("scores", &[1, 3]);
    foreign.graph = graph.finish();
    let words = Eye::of(&foreign).err().unwrap().to_string();
    assert!(words.contains("`inspectd train`"), "{words}");
}

#[test]
fn views_are_the_turns_of_a_square_and_the_mirrors_of_the_rest() {
    let data = vec![1, 2, 3, 4, 5, 6];
    let image = Image { width: 3, height: 2, format: PixelFormat::Mono8, data };
    let views = |views: Views, width| -> Vec<(u32, Vec<u8>)> {
        let recipe = Preprocess { width, ..Preprocess::imagenet(32) };
        views.of(image.view(), &recipe).into_iter().map(|view| (view.width, view.data)).collect()
    };
    assert_eq!(views(Views::One, 32), [(3, vec![1, 2, 3, 4, 5, 6])]);
    let flips = [
        (3, vec![1, 2, 3, 4, 5, 6]),
        (3, vec![4, 5, 6, 1, 2, 3]),
        (3, vec![3, 2, 1, 6, 5, 4]),
        (3, vec![6, 5, 4, 3, 2, 1]),
    ];
    assert_eq!(views(Views::Flips, 32), flips);
    assert_eq!(views(Views::Turns, 64), flips, "turned by a quarter it would be squeezed");
    let turns = views(Views::Turns, 32);
    assert_eq!(turns.len(), 8);
    assert_eq!(turns[4], (2, vec![1, 4, 2, 5, 3, 6]));
    assert_eq!(turns[7], (2, vec![6, 3, 5, 2, 4, 1]));
}
