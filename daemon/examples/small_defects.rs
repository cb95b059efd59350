//! Why scores are a smooth maximum over cells and not their mean: the same frozen trunk, the same parts, two heads that
//! differ in pooling alone, on defects no larger than a cell.
//!
//!     cargo run -p inspectd --example small_defects -- TRUNK
//!
//! TRUNK is ImageNet's (a trunk that learned with one kind of pooling would favour it). Cells are not taught here, so that
//! pooling alone makes the difference. The last line is JSON: `make accept` reads it.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use inspectd::drawn::Drawn;
use models::bundle::Provenance;
use models::predictor::Predictor;
use models::preprocess::Preprocess;
use models::runtime::SessionOptions;
use models::weights::{Weights, load_trunk};
use models_train::evaluation::curve::Curve;
use models_train::evaluation::intervals::two_sided;
use models_train::evaluation::score_all;
use models_train::export::{self, Ingredients};
use models_train::samples::{Class, Sample, Samples};
use models_train::stage_one::StageOne;
use models_train::stage_two::Length;
use models_train::{Data, Settings, Start, TrainError};
use serde_json::{Value, json};
use stages::capture::synthetic::{LABELS, TrainingSet};

const SIZE: u32 = 512;
/// Side of a cell, pixels: the defect's box is no larger, which is 0.4 % of the image.
const CELL: usize = 32;
/// Visible to a careful person.
const CNR: f32 = 3.0;
/// Share of good parts that each head may hold back.
const OVERKILL: f64 = 0.02;
/// Kinds of defects that can be so small.
const KINDS: [&str; 3] = ["pit", "inclusion", "edge_chip"];

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("name the trunk's file"))?;
    models::runtime::init(None)?;
    let trunk = load_trunk(path.as_ref())?;
    let (learning, measuring) = (TrainingSet::new(7, SIZE), TrainingSet::to_measure_on(7, SIZE));
    let learn = OneCell::draw(&learning, 0, 800);
    let select = OneCell::draw(&learning, 100_000, 100);
    let test = OneCell::draw(&measuring, 0, 800);

    let mean = escapes(&trunk, None, [&learn, &select, &test])?;
    let smooth = escapes(&trunk, Some(2.0), [&learn, &select, &test])?;
    let (bad, recall) = (test.len() / 2, |escapes: usize| 1.0 - 2.0 * escapes as f64 / test.len() as f64);
    let arm = |escapes: usize| -> Value {
        let [low, high] = two_sided(bad - escapes, bad, 0.95);
        json!({ "escapes": escapes, "recall": recall(escapes), "recall_ci": [low, high] })
    };
    let ratio = recall(smooth) / recall(mean);
    println!(
        "{}",
        json!({ "bad": bad, "overkill": OVERKILL, "mean": arm(mean), "smooth": arm(smooth), "ratio": ratio })
    );
    Ok(())
}

/// Teaches a head and counts the bad parts that it lets pass where it holds back [`OVERKILL`] of the good ones.
fn escapes(trunk: &Weights, sharpness: Option<f32>, [learn, select, test]: [&OneCell<'_>; 3]) -> anyhow::Result<usize> {
    let classes = ["good", "defect"].map(Class::named);
    let preprocess = Preprocess::imagenet(SIZE);
    let mut settings = Settings::new(classes.len(), preprocess.clone());
    settings.sharpness = sharpness;
    settings.loss.cell_weight = 0.0;
    settings.one = StageOne { views: 1, epochs: 24, ..StageOne::default() };
    settings.two.length = Length::Steps(0);
    let start = Start { trunk, data_digest: "small defects", checkpoint: None, resume: false };
    let trained = models_train::train(&settings, &start, &Data { learn, select }, None, &mut |_| true)?;
    let ingredients = Ingredients {
        name: "small-defects".into(),
        classes: &classes,
        frozen: None,
        views: &[],
        preprocess: &preprocess,
        provenance: Provenance::default(),
        select,
        aim: None,
        story: String::new(),
    };
    let (mut bundle, _) = export::bundle(&trained.weights, ingredients)?;
    bundle.to_bytes()?;
    let predictor = Predictor::load(bundle, &SessionOptions::default())?;
    let scored = score_all(&predictor, test, classes.len(), None, &|| ())?;
    let curve = Curve::new(scored.iter().map(|part| (f64::from(part.scores[1]), part.labels == [1])));
    let most = (OVERKILL * curve.good as f64) as usize;
    let at = curve.steps.iter().rev().find(|step| step.good_held <= most);
    Ok(at.map_or(curve.bad, |step| curve.escapes(step)))
}

/// Parts in turn good and with one defect that fits into a cell.
struct OneCell<'a>(Drawn<'a>);

impl<'a> OneCell<'a> {
    /// `len` parts from round `first_round` on. Every candidate is drawn once to see whether it fits.
    fn draw(set: &'a TrainingSet, first_round: u64, len: usize) -> OneCell<'a> {
        let labels = LABELS.len() as u64;
        let kinds: Vec<u64> = (0..labels).filter(|&label| KINDS.contains(&LABELS[label as usize])).collect();
        let candidates = (first_round..).flat_map(|round| kinds.iter().map(move |kind| round * labels + kind));
        let small: Vec<u64> = candidates.filter(|&place| fits(set, place)).take(len / 2).collect();
        let good = (first_round..).map(|round| round * labels);
        let places = small.into_iter().zip(good).flat_map(|(small, good)| [good, small]).collect();
        OneCell(Drawn::at(set, places))
    }
}

/// Whether a part's defects are visible and lie in a box of a cell's size.
fn fits(set: &TrainingSet, place: u64) -> bool {
    let part = set.sample(place);
    let (mut low, mut high) = ([usize::MAX; 2], [0; 2]);
    for (at, _) in part.mask.iter().enumerate().filter(|(_, label)| **label > 0) {
        for (axis, value) in [at % SIZE as usize, at / SIZE as usize].into_iter().enumerate() {
            low[axis] = low[axis].min(value);
            high[axis] = high[axis].max(value);
        }
    }
    let narrow = (0..2).all(|axis| low[axis] <= high[axis] && high[axis] - low[axis] < CELL);
    narrow && part.cnr.iter().all(|cnr| *cnr >= CNR)
}

impl Samples for OneCell<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn label(&self, index: usize) -> usize {
        usize::from(self.0.label(index) > 0)
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        Ok(Sample { labels: vec![self.label(index)], mask: None, ..self.0.load(index)? })
    }

    fn name(&self, index: usize) -> String {
        self.0.name(index)
    }
}
