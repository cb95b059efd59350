//! Whether drawing hard images again helps: trials on drawn parts, with the same images, seed and number of steps.
//!
//!     cargo run -p inspectd --example hard_examples -- TRUNK [STEPS [SEEDS]]
//!
//! For each seed 300 drawn parts of 64 px are learned from (a tenth chooses), by half a round of hard images and without, and 500 others
//! are judged. TRUNK is ImageNet's: it has never seen a drawn surface.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use models::preprocess::Preprocess;
use models::weights::{Weights, load_trunk};
use models_train::batch::Prepare;
use models_train::fit::Workers;
use models_train::net::Net;
use models_train::samples::{Sample, Samples};
use models_train::stage_two::{self, Length};
use models_train::{Data, Settings, Start, TrainError};
use stages::capture::synthetic::{LABELS, TrainingSet};

const SIZE: u32 = 64;
const LEARN: usize = 270;
const SELECT: usize = 30;
const TEST: usize = 500;
const BOOSTS: [f32; 2] = [0.0, 0.5];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [trunk, rest @ ..] = &arguments[..] else { anyhow::bail!("give the trunk's file") };
    let number = |at: usize, usual: usize| rest.get(at).map_or(Ok(usual), |text| text.parse());
    let (steps, seeds) = (number(0, 300)?, number(1, 3)? as u64);
    let trunk = load_trunk(trunk.as_ref())?;
    for seed in 1..=seeds {
        let set = TrainingSet::new(seed, SIZE);
        let draw = |first: u64, len: usize| Parts { set: &set, first, len };
        let (learn, select, test) = (draw(0, LEARN), draw(100_000, SELECT), draw(200_000, TEST));
        for boost in BOOSTS {
            let mut settings = Settings::new(LABELS.len(), Preprocess::imagenet(SIZE));
            (settings.seed, settings.boost) = (seed, boost);
            (settings.two.length, settings.two.patience) = (Length::Steps(steps), None);
            let start = Start { trunk: &trunk, data_digest: "hard examples", checkpoint: None, resume: false };
            let data = Data { learn: &learn, select: &select };
            let trained = models_train::train(&settings, &start, &data, None, &mut |_| true)?;
            let score = judge(&trained.weights, &test, &settings)?;
            println!(
                "seed {seed}, boost {boost}: {} of {TEST} wrong, loss {:.4} (selection {:.4})",
                score.count - score.right,
                score.mean_loss(),
                trained.stage_two.mean_loss()
            );
        }
    }
    Ok(())
}

fn judge(weights: &Weights, test: &Parts<'_>, settings: &Settings) -> anyhow::Result<models_train::loss::Score> {
    let workers = Workers::new(None)?;
    let net = Net::from_weights(weights, LABELS.len(), &workers.device)?;
    let Settings { preprocess, seed, .. } = settings;
    let prepare = Prepare { samples: test, classes: LABELS.len(), preprocess, augment: None, seed: *seed };
    Ok(stage_two::measure(&net, &prepare, &workers)?)
}

/// Drawn parts. As in a folder of images, nobody knows the pixels' labels.
struct Parts<'a> {
    set: &'a TrainingSet,
    first: u64,
    len: usize,
}

impl Samples for Parts<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn label(&self, index: usize) -> usize {
        self.set.label(self.first + index as u64)
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let drawn = self.set.sample(self.first + index as u64);
        Ok(Sample { image: drawn.image, labels: drawn.labels, weight: 1.0, mask: None })
    }

    fn name(&self, index: usize) -> String {
        format!("synthetic {}", self.first + index as u64)
    }
}
