//! Why scores are a smooth maximum over cells and not their mean: the same frozen trunk, the same parts, two heads.
//!
//!     cargo run -p inspectd --example pooling -- TRUNK
//!
//! TRUNK is ImageNet's (a trunk that learned with one kind of pooling would favour it). Cells are not taught here, so that
//! pooling alone makes the difference. Prints how many defective parts each head lets pass, by the defect's size.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use models::bundle::Provenance;
use models::predictor::Predictor;
use models::preprocess::Preprocess;
use models::runtime::SessionOptions;
use models::weights::load_trunk;
use models_train::evaluate::score_all;
use models_train::export::{self, Ingredients};
use models_train::samples::{Class, Sample, Samples};
use models_train::stage_one::StageOne;
use models_train::stage_two::Length;
use models_train::{Data, Settings, Start, TrainError};
use stages::capture::synthetic::{LABELS, TrainingSet};

const SIZE: u32 = 512;
const LEARN: usize = 800;
const SELECT: usize = 100;
const TEST: usize = 600;

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("name the trunk's file"))?;
    models::runtime::init(None)?;
    let trunk = load_trunk(path.as_ref())?;
    let set = TrainingSet::new(7, SIZE);
    let learn = Parts { set: &set, first: 0, len: LEARN };
    let select = Parts { set: &set, first: 100_000, len: SELECT };
    let test = Parts { set: &set, first: 200_000, len: TEST };
    let classes: Vec<Class> = LABELS.iter().map(|label| Class::named(label)).collect();
    let preprocess = Preprocess::imagenet(SIZE);
    let areas = areas(&test)?;

    for (name, sharpness) in [("mean", None), ("log-mean-exp", Some(2.0))] {
        let mut settings = Settings::new(classes.len(), preprocess.clone());
        settings.sharpness = sharpness;
        settings.loss.cell_weight = 0.0;
        settings.one = StageOne { views: 1, epochs: 24, ..StageOne::default() };
        settings.two.length = Length::Steps(0);
        let start = Start { trunk: &trunk, data_digest: "pooling", checkpoint: None, resume: false };
        let data = Data { learn: &learn, select: &select };
        let trained = models_train::train(&settings, &start, &data, None, &mut |_| true)?;
        let ingredients = Ingredients {
            name: "pooling".into(),
            classes: &classes,
            preprocess: &preprocess,
            provenance: Provenance::default(),
            select: &select,
            story: String::new(),
        };
        let (mut bundle, _) = export::bundle(&trained.weights, ingredients)?;
        bundle.to_bytes()?;
        let predictor = Predictor::load(bundle, &SessionOptions::default())?;
        let scored = score_all(&predictor, &test, None)?;
        report(name, &scored.iter().map(|scored| scored.scores[0]).collect::<Vec<_>>(), &areas);
    }
    Ok(())
}

/// Escapes at the threshold at which 2 % of the good parts are rejected, so that both heads pay the same overkill.
fn report(name: &str, good_scores: &[f32], areas: &[Option<usize>]) {
    let mut good: Vec<f32> = part(good_scores, areas, |area| area.is_none());
    good.sort_by(f32::total_cmp);
    let threshold = good[good.len() / 50];
    print!("{name:<13} at 2 % overkill, escapes:");
    for (from, to) in [(0, 400), (400, 1_600), (1_600, usize::MAX)] {
        let bad = part(good_scores, areas, |area| area.is_some_and(|area| (from..to).contains(&area)));
        let escapes = bad.iter().filter(|&&score| score >= threshold).count();
        let size = if to == usize::MAX { format!("{from} px and more") } else { format!("{from} to {to} px") };
        print!("  {size}: {escapes} of {} ({:.1} %)", bad.len(), 100.0 * escapes as f64 / bad.len().max(1) as f64);
    }
    println!();
}

fn part(scores: &[f32], areas: &[Option<usize>], keep: impl Fn(Option<usize>) -> bool) -> Vec<f32> {
    scores.iter().zip(areas).filter(|&(_, &area)| keep(area)).map(|(&score, _)| score).collect()
}

/// Pixels of each part's defects; none for a good part.
fn areas(parts: &Parts<'_>) -> Result<Vec<Option<usize>>, TrainError> {
    let area = |sample: Sample| sample.mask.map_or(0, |mask| mask.iter().filter(|&&label| label > 0).count());
    let one = |index| parts.load(index).map(|sample| (sample.labels != [0]).then(|| area(sample)));
    (0..parts.len()).map(one).collect()
}

/// A range of the synthetic line's training set, every second part good.
struct Parts<'a> {
    set: &'a TrainingSet,
    first: u64,
    len: usize,
}

impl Parts<'_> {
    fn place(&self, index: usize) -> u64 {
        let (labels, index) = (LABELS.len() as u64, index as u64);
        let label = if index.is_multiple_of(2) { 0 } else { 1 + index / 2 % (labels - 1) };
        (self.first + index) * labels + label
    }
}

impl Samples for Parts<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn label(&self, index: usize) -> usize {
        self.set.label(self.place(index))
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let drawn = self.set.sample(self.place(index));
        Ok(Sample { image: drawn.image, labels: drawn.labels, weight: 1.0, mask: Some(drawn.mask) })
    }

    fn name(&self, index: usize) -> String {
        format!("synthetic {}", self.place(index))
    }
}
