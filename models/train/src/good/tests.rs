//! A whole learning from small drawn parts.

use std::path::Path;

use models::bundle::{Bundle, Provenance};
use models::image::{Image, PixelFormat, encode_png};
use models::prediction::{Model, Prediction};
use models::predictor::Predictor;
use models::runtime::{Provider, SessionOptions};
use models::weights::load_trunk;
use rand::Rng;

use super::choose::auroc;
use super::*;
use crate::export::{self, Ingredients};
use crate::samples::{Class, Sample, Samples};

/// A trunk that has learned to see.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../weights/default.bundle");
const SIDE: u32 = 96;

/// A ring on a plain ground, under changing light; a bad one has a thin dark line across.
fn part(seed: u64, bad: bool) -> Image {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let light = random.random_range(-12.0..12.0_f32);
    let slope = random.random_range(-0.5..0.5_f32);
    let from = random.random_range(40.0..56.0_f32);
    let mut pixel = |at: u32| {
        let (x, y) = ((at % SIDE) as f32 - 48.0, (at / SIDE) as f32 - 48.0);
        let ring = (10.0 - (x.hypot(y) - 30.0).abs()).clamp(0.0, 1.0);
        let line = (2.0 - (y + 48.0 - from - slope * x).abs()).clamp(0.0, 1.0) * f32::from(u8::from(bad));
        (140.0 + light - 70.0 * ring + random.random_range(-6.0..6.0) - 45.0 * line).clamp(0.0, 255.0) as u8
    };
    Image { width: SIDE, height: SIDE, format: PixelFormat::Mono8, data: (0..SIDE * SIDE).map(&mut pixel).collect() }
}

fn folder(count: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for seed in 0..count {
        let png = encode_png(part(seed, false).view()).expect("an image");
        std::fs::write(folder.path().join(format!("{seed:03}.png")), png).expect("written");
    }
    folder
}

fn learned(folder: &Path) -> (Learned, Weights) {
    let trunk = load_trunk(Path::new(SHIPPED)).expect("the shipped trunk");
    let parts = Parts::open(folder).expect("parts");
    let mut settings = Settings::new(1);
    settings.preprocess = Some(Preprocess::imagenet(SIDE));
    (learn(&parts, &trunk, &settings, &mut |_, _| {}).expect("learned"), trunk)
}

fn predict(bundle: &Bundle, image: &Image) -> Prediction {
    let options = SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() };
    let predictor = Predictor::load(bundle.clone(), &options).expect("a sound bundle");
    let mut tensor = vec![0.0; predictor.preprocess().tensor_len()];
    predictor.preprocess().fill(image.view(), &mut tensor);
    predictor.predict(&tensor).expect("a prediction")
}

fn origin() -> Origin {
    Origin { name: "ring".into(), provenance: Provenance::default() }
}

#[test]
fn good_parts_alone_find_a_defect_that_nobody_showed() {
    let folder = folder(48);
    let (first, trunk) = learned(folder.path());
    let (head, preprocess) = (first.head.clone(), first.preprocess.clone());
    let (mut bundle, report, _) = make(&trunk, first, origin()).expect("a bundle");
    let share = |seed, bad| predict(&bundle, &part(seed, bad)).anomaly.expect("an anomaly").share;
    let good: Vec<f32> = (1000..1030).map(|seed| share(seed, false)).collect();
    let bad: Vec<f32> = (1000..1030).map(|seed| share(seed, true)).collect();
    let area = auroc(&good, &bad);
    assert!(area >= 0.97, "AUROC {area}: {good:?} {bad:?}");
    let rejected = good.iter().filter(|&&share| share >= 1.0).count();
    assert!(rejected <= 3, "{rejected} of 30 good parts: {good:?}");
    assert!(report.threshold.held_out == 48 && report.threshold.above <= 3, "{:?}", report.threshold);
    assert!(report.tried.len() >= 4 && report.tried[report.chosen].auroc > report.baseline_auroc, "{report}");

    // The scores are the anomaly under another name, and the labels mean what they say.
    let prediction = predict(&bundle, &part(1000, true));
    let share = prediction.anomaly.as_ref().expect("an anomaly").share;
    assert_eq!(prediction.scores[1] >= 0.5, share >= 1.0);
    assert_eq!(bundle.manifest.labels[1].name, "anomaly");

    // What learning computed is what the graph computes.
    let extractor = Extractor::new(&trunk, &preprocess, head.features.clone()).expect("an extractor");
    let rows = extractor.map(1, |_| Ok(part(1000, true)), |_, maps| extractor.rows(&maps, &head.features));
    let channels = head.features.channels();
    let dimensions = head.dimensions();
    let mut projected = Vec::new();
    for row in rows.expect("rows")[0].chunks_exact(channels) {
        let lines = head.projection.data.chunks_exact(channels).zip(&head.offset.data);
        projected.extend(lines.map(|(line, offset)| line.iter().zip(row).map(|(w, x)| w * x).sum::<f32>() + offset));
    }
    let distances = normal::distances(&head.normal, &projected, dimensions);
    let grid = head.features.grid([SIDE as usize; 2]);
    let computed = normal::score(head.scorer, &head.normal, &projected, &distances, grid) / head.threshold;
    assert!((computed - share).abs() < 2e-3 * share, "{computed} while learning, {share} in the graph");

    // The same parts and seed give the same bytes.
    let (again, _) = learned(folder.path());
    let (mut again, ..) = make(&trunk, again, origin()).expect("a bundle");
    bundle.model_card = None; // it tells the time that a picture took
    again.model_card = None;
    assert!(bundle.to_bytes().expect("bytes") == again.to_bytes().expect("bytes"));
}

/// Samples of the classifier below.
struct Rings;

impl Samples for Rings {
    fn len(&self) -> usize {
        4
    }
    fn label(&self, index: usize) -> usize {
        index % 2
    }
    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let image = part(index as u64, index % 2 == 1);
        Ok(Sample { image, labels: vec![index % 2], weight: 1.0, mask: None })
    }
    fn name(&self, index: usize) -> String {
        index.to_string()
    }
}

#[test]
fn a_memory_joins_a_classifier_and_changes_none_of_its_scores() {
    let folder = folder(24);
    let (memory, trunk) = learned(folder.path());
    let mut weights = trunk.clone();
    weights.merge(models::heads::attention::init(2, 1));
    let ingredients = Ingredients {
        name: "rings".into(),
        classes: &[Class::named("good"), Class::named("line")],
        frozen: None,
        views: &[],
        preprocess: &Preprocess::imagenet(SIDE),
        provenance: Provenance::default(),
        select: &Rings,
        aim: None,
        story: String::new(),
    };
    let (classifier, _) = export::bundle(&weights, ingredients).expect("a classifier");
    let (both, ..) = add_memory(classifier.clone(), memory).expect("a bundle with both");
    let image = part(7, true);
    let (before, after) = (predict(&classifier, &image), predict(&both, &image));
    assert_eq!((before.scores, before.heat), (after.scores, after.heat));
    assert!(before.anomaly.is_none() && after.anomaly.is_some());
    assert!(!both.manifest.heads.rules.is_empty(), "the rules stand in the manifest");
    let (memory, _) = learned(folder.path());
    let twice = add_memory(both, memory).map(drop).expect_err("refused").to_string();
    assert!(twice.contains("has a memory of good parts already"), "{twice}");
}

#[test]
fn folders_and_settings_that_teach_nothing_are_refused() {
    let few = folder(9);
    let words = Parts::open(few.path()).err().expect("refused").to_string();
    assert!(words.contains("holds 9 pictures") && words.contains("at least 10"), "{words}");
    let folder = folder(12);
    std::fs::write(folder.path().join("004.png"), b"no picture").expect("written");
    let parts = Parts::open(folder.path()).expect("it lists files");
    let trunk = load_trunk(Path::new(SHIPPED)).expect("the shipped trunk");
    let words =
        |settings: &Settings| learn(&parts, &trunk, settings, &mut |_, _| {}).err().expect("refused").to_string();
    assert!(words(&Settings::new(1)).contains("004.png"));
    assert!(words(&Settings { overkill: 0.0, ..Settings::new(1) }).contains("between 0 and 0.5"));
}
