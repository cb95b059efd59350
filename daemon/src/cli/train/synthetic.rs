//! Learning from the synthetic line: how the bundle that ships with inspectd is made.
//!
//! All layers learn on windows of 256 px, which show the surface at the same scale as a part of 512; then the head
//! learns once more on whole parts of 512 px, since pooling sees four times as many cells there.

use std::time::Duration;

use models::preprocess::Preprocess;
use models_train::augment::Augment;
use models_train::checkpoint::Checkpoint;
use models_train::export::{self, Ingredients};
use models_train::progress::Observer;
use models_train::samples::{Class, Sample, Samples};
use models_train::schedule::Schedule;
use models_train::stage_one::StageOne;
use models_train::stage_two::Length;
use models_train::{Data, Finish, Settings, Start, TrainError};
use stages::capture::synthetic::{LABELS, TrainingSet};

use super::{Args, Origin, Outcome};

/// Input of the windows on which all layers learn.
const WINDOW: u32 = 256;
/// Input of the finished model.
const PART: u32 = 512;
/// Windows to learn from; no window is seen twice within an epoch.
const WINDOWS: usize = 60_000;
/// How strongly the trunk is held to the features that it starts with: it should stay a trunk for real parts, too.
const DISTILL: f32 = 4.0;
/// Time for it unless the user says otherwise.
const LIMIT: Duration = Duration::from_secs(40 * 60);

pub(super) fn train(
    args: &Args,
    origin: Origin,
    checkpoint: &Checkpoint,
    observe: &mut Observer<'_>,
) -> Result<Outcome, TrainError> {
    let Origin { trunk, name: trunk_name, licences } = origin;
    let classes: Vec<Class> = LABELS.iter().map(|label| Class::named(label)).collect();
    let part_size = args.size.unwrap_or(PART);
    let windows = TrainingSet::new(args.seed, WINDOW);
    let parts = windows.at_size(part_size);
    // Rounds of ten draw each label once: these ranges share no round.
    let learn = Drawn { set: &windows, first_round: 1_000_000, len: WINDOWS, half_good: false };
    let select = Drawn { set: &windows, first_round: 0, len: 600, half_good: false };
    let learn_parts = Drawn { set: &parts, first_round: 2_000_000, len: 2_400, half_good: true };
    let select_parts = Drawn { set: &parts, first_round: 500_000, len: 1_600, half_good: true };

    let settings = settings(args, classes.len())?;
    let digest = format!("synthetic line of inspectd {}, seed {}", env!("CARGO_PKG_VERSION"), args.seed);
    let start = Start { trunk: &trunk, data_digest: &digest, checkpoint: Some(checkpoint), resume: args.resume };
    let data = Data { learn: &learn, select: &select };
    let preprocess = Preprocess::imagenet(part_size);
    let finish = Finish { preprocess: &preprocess, data: Data { learn: &learn_parts, select: &select_parts } };
    let trained = models_train::train(&settings, &start, &data, Some(&finish), observe)?;

    let story = format!(
        "Drawn surfaces with drawn defects: all layers on windows of {WINDOW} px, then the head on parts of {part_size} px. The \
         label of each defective pixel is known and teaches the cells. Defects below a contrast-to-noise ratio of 3 count \
         less. It is a demonstration: it has never seen a real part."
    );
    let ingredients = Ingredients {
        name: "synthetic-line".into(),
        classes: &classes,
        preprocess: &preprocess,
        provenance: args.provenance(digest.clone(), trunk_name, licences),
        select: &select_parts,
        story,
    };
    let (bundle, selection) = export::bundle(&trained.weights, ingredients)?;
    Ok(Outcome { trained, bundle, selection, test: None })
}

fn settings(args: &Args, classes: usize) -> Result<Settings, TrainError> {
    let mut settings = Settings::new(classes, Preprocess::imagenet(WINDOW));
    settings.seed = args.seed;
    settings.threads = args.threads();
    settings.limit = args.limit().or(Some(LIMIT));
    settings.augment = Augment::flips();
    // Good parts vary more than any one defect, and are what an overkill is made of.
    settings.shares = vec![3];
    settings.one = StageOne { views: 1, most: 1_500, epochs: 4, ..StageOne::default() };
    settings.two.distill = args.distill.unwrap_or(DISTILL);
    settings.two.length = Length::Rounds(1);
    settings.two.schedule = Schedule::Cosine { peak: 1e-3 };
    settings.two.look_every = Some(75);
    // No window is seen twice, so there is nothing to overfit: it learns until its time is over.
    settings.two.patience = None;
    settings.finish = Some(StageOne { views: 1, most: 2_400, epochs: 16, rate: 5e-4, ..StageOne::default() });
    args.fit.apply(&mut settings)?;
    if args.fit.class_weights.is_some() {
        return Err(TrainError::Settings(
            "--class-weights: the synthetic line draws each label as often already".into(),
        ));
    }
    Ok(settings)
}

/// A range of the training set.
struct Drawn<'a> {
    set: &'a TrainingSet,
    /// A round is ten samples, one of each label.
    first_round: u64,
    len: usize,
    /// Every second sample good, as far more than one in ten are on a line; else each label as often.
    half_good: bool,
}

impl Drawn<'_> {
    fn place(&self, index: usize) -> u64 {
        let (labels, index) = (LABELS.len() as u64, index as u64);
        let (round, label) = match self.half_good {
            true if index.is_multiple_of(2) => (index, 0),
            true => (index, 1 + index / 2 % (labels - 1)),
            false => (index / labels, index % labels),
        };
        (self.first_round + round) * labels + label
    }
}

impl Samples for Drawn<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn label(&self, index: usize) -> usize {
        self.set.label(self.place(index))
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let drawn = self.set.sample(self.place(index));
        // What a careful person cannot see should not bend the rest: it counts, but less.
        let faintest = drawn.cnr.iter().copied().fold(f32::INFINITY, f32::min);
        let weight = if faintest < 3.0 { (faintest / 3.0).clamp(0.4, 1.0).powi(2) } else { 1.0 };
        Ok(Sample { image: drawn.image, labels: drawn.labels, weight, mask: Some(drawn.mask) })
    }

    fn name(&self, index: usize) -> String {
        format!("synthetic {}", self.place(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_balanced_and_never_draw_a_part_twice() {
        let set = TrainingSet::new(1, 64);
        for (half_good, goods) in [(false, 18), (true, 90)] {
            let drawn = Drawn { set: &set, first_round: 7, len: 180, half_good };
            let mut places: Vec<u64> = (0..drawn.len).map(|index| drawn.place(index)).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), drawn.len);
            let count = |label| (0..drawn.len).filter(|&index| drawn.label(index) == label).count();
            assert_eq!(count(0), goods);
            assert!((1..LABELS.len()).all(|label| count(label) == (drawn.len - goods) / (LABELS.len() - 1)));
        }
    }
}
