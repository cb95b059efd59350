//! How long stage two should go on, and at what rate: trials on drawn parts, by which its defaults were chosen.
//!
//!     cargo run -p inspectd --example patience -- TRUNK RATE [IMAGES [SEED]]
//!
//! TRUNK is ImageNet's: it has never seen a drawn surface, as it will not have seen a user's parts. One training at its full
//! length tells for every patience where it would have stopped, and what the network kept until then makes of parts never seen.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use models::image::Image;
use models::preprocess::Preprocess;
use models::weights::load_trunk;
use models_train::batch::Prepare;
use models_train::choice::Choice;
use models_train::fit::Workers;
use models_train::loss::Score;
use models_train::net::Net;
use models_train::sampler::Sampling;
use models_train::samples::{Sample, Samples};
use models_train::schedule::Schedule;
use models_train::stage_two::{self, Length, NetTask, Position, StageTwo};
use models_train::{Data, Settings, Start, TrainError};
use stages::capture::synthetic::{LABELS, TrainingSet};

const SIZE: u32 = 64;
const TEST: usize = 200;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [trunk, rate, rest @ ..] = &arguments[..] else { anyhow::bail!("give the trunk's file and a rate") };
    let number = |at: usize, usual: usize| rest.get(at).map_or(Ok(usual), |text| text.parse());
    let (images, seed) = (number(0, 300)?, number(1, 1)? as u64);
    let trunk = load_trunk(trunk.as_ref())?;
    let set = TrainingSet::new(seed, SIZE);
    let draw = |first: u64, len: usize| Parts((0..len as u64).map(|index| Part::draw(&set, first + index)).collect());
    // A tenth chooses, as with `inspectd train --data`.
    let (learn, select, test) = (draw(0, images - images / 10), draw(100_000, images / 10), draw(200_000, TEST));

    let mut settings = Settings::new(LABELS.len(), Preprocess::imagenet(SIZE));
    settings.seed = seed;
    settings.two =
        StageTwo { schedule: Schedule::Cosine { peak: rate.parse()? }, patience: None, ..StageTwo::default() };
    let head = Settings { two: StageTwo { length: Length::Steps(0), ..StageTwo::default() }, ..settings.clone() };
    let start = Start { trunk: &trunk, data_digest: "patience", checkpoint: None, resume: false };
    let head = models_train::train(&head, &start, &Data { learn: &learn, select: &select }, None, &mut |_| true)?;

    let workers = Workers::new(None)?;
    let net = Net::from_weights(&head.weights, LABELS.len(), &workers.device)?;
    let prepare = |samples, augmented: bool| Prepare {
        samples,
        classes: LABELS.len(),
        preprocess: &settings.preprocess,
        augment: augmented.then_some(&settings.augment),
        seed,
    };
    let task = NetTask {
        learn: prepare(&learn, true),
        select: prepare(&select, false),
        loss: settings.loss,
        sampling: (Sampling::Balanced, &[]),
        boost: 0.0,
        standing: None,
        teacher: None,
        limit: None,
        position: Position::default(),
        moments: None,
        choice: Choice::Best,
        to_beat: head.stage_one,
    };
    let mut looks = vec![(0, head.stage_one, stage_two::measure(&net, &prepare(&test, false), &workers)?)];
    let mut measured = Vec::new();
    let mut keep = |look: &stage_two::Look<'_>| {
        let score = stage_two::measure(look.net, &prepare(&test, false), &workers)?;
        println!(
            "step {:>5}  test {:.4} ({} wrong)",
            look.position.steps,
            score.mean_loss(),
            score.count - score.right
        );
        measured.push((look.position.steps, score));
        Ok(())
    };
    let mut selections = Vec::new();
    stage_two::run(&settings.two, task, &workers, net, &mut keep, &mut |progress| {
        if let Some(score) = progress.selection {
            selections.push(score);
        }
        true
    })?;
    looks.extend(measured.into_iter().zip(selections).map(|((step, test), selection)| (step, selection, test)));
    report(&looks);
    Ok(())
}

/// What each patience would have kept.
fn report(looks: &[(usize, Score, Score)]) {
    for (step, selection, test) in looks {
        println!(
            "step {step:>5}  selection {:.4} ({} wrong)  test {:.4} ({} wrong)",
            selection.mean_loss(),
            selection.count - selection.right,
            test.mean_loss(),
            test.count - test.right
        );
    }
    for patience in [3, 5, 8, 12, usize::MAX] {
        let (mut lowest, mut waited, mut end, mut kept) = (f32::INFINITY, 0, 0, &looks[0]);
        for look in &looks[1..] {
            if look.1.beats(&kept.1) {
                kept = look;
            }
            waited = if look.1.mean_loss() < lowest { 0 } else { waited + 1 };
            lowest = lowest.min(look.1.mean_loss());
            end = look.0;
            if waited >= patience {
                break;
            }
        }
        let name = if patience == usize::MAX { "without end".into() } else { format!("patience {patience}") };
        println!(
            "{name:<12} ends at step {end:>5}, keeps {:>5}: test {:.4}, {} of {} wrong",
            kept.0,
            kept.2.mean_loss(),
            kept.2.count - kept.2.right,
            kept.2.count
        );
    }
}

/// A drawn part, kept.
struct Part {
    image: Image,
    labels: Vec<usize>,
}

impl Part {
    fn draw(set: &TrainingSet, place: u64) -> Part {
        let sample = set.sample(place);
        Part { image: sample.image, labels: sample.labels }
    }
}

struct Parts(Vec<Part>);

impl Samples for Parts {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn label(&self, index: usize) -> usize {
        self.0[index].labels[0]
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let Part { image, labels } = &self.0[index];
        // As in a folder of images, nobody knows the pixels' labels.
        Ok(Sample { image: image.clone(), labels: labels.clone(), weight: 1.0, mask: None })
    }

    fn name(&self, index: usize) -> String {
        format!("synthetic {index}")
    }
}
