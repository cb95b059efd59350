//! Learning from the synthetic line: how the bundle that ships with inspectd is made.
//!
//! All layers learn on windows of 256 px, which show the surface at the same scale as a part of 512; then the head
//! learns once more on whole parts of 512 px, since pooling sees four times as many cells there.

use std::time::Duration;

use models::preprocess::Preprocess;
use models_train::augment::Augment;
use models_train::checkpoint::Checkpoint;
use models_train::export::{self, Ingredients};
use models_train::progress::Progress;
use models_train::reference;
use models_train::samples::Class;
use models_train::schedule::Schedule;
use models_train::stage_one::StageOne;
use models_train::stage_two::Length;
use models_train::{Data, Finish, Settings, Start, TrainError};
use stages::capture::synthetic::{LABELS, TrainingSet};

use super::tensorboard::{Beginning, Watch};
use super::{Args, Origin, Outcome};
use crate::drawn::Drawn;

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
    checkpoint: Option<&Checkpoint>,
    watch: &mut Watch<'_>,
) -> Result<Option<Outcome>, TrainError> {
    let Origin { trunk, name: trunk_name, licences } = origin;
    let classes: Vec<Class> = LABELS.iter().map(|label| Class::named(label)).collect();
    let part_size = args.size.unwrap_or(PART);
    let windows = TrainingSet::new(args.seed, WINDOW);
    let parts = windows.at_size(part_size);
    // Rounds of ten draw each label once: these ranges share no round.
    let learn = Drawn::in_turn(&windows, 1_000_000, WINDOWS);
    let select = Drawn::in_turn(&windows, 0, 600);
    let learn_parts = Drawn::half_good(&parts, 2_000_000, 2_400);
    let select_parts = Drawn::half_good(&parts, 500_000, 1_600);

    let settings = settings(args, classes.len())?;
    let digest = format!("synthetic line of inspectd {}, seed {}", env!("CARGO_PKG_VERSION"), args.seed);
    let start = Start { trunk: &trunk, data_digest: &digest, checkpoint, resume: args.running.resume };
    let data = Data { learn: &learn, select: &select };
    let preprocess = Preprocess::imagenet(part_size);
    let finish = Finish { preprocess: &preprocess, data: Data { learn: &learn_parts, select: &select_parts } };
    watch.log.begin(
        args,
        &Beginning {
            settings: &settings,
            learn: &learn,
            classes: &classes,
            digest: &digest,
            network: &trunk_name,
            augment: "flips".into(),
        },
    );
    let observe = &mut |progress: &Progress| watch.progress(progress);
    let trained = models_train::train(&settings, &start, &data, Some(&finish), observe)?;
    if !watch.first {
        return Ok(None);
    }

    let story = format!(
        "Drawn surfaces with drawn defects: all layers on windows of {WINDOW} px, then the head on parts of {part_size} px. The \
         label of each defective pixel is known and teaches the cells. Defects below a contrast-to-noise ratio of 3 count \
         less. It is a demonstration: it has never seen a real part."
    );
    let ingredients = Ingredients {
        name: "synthetic-line".into(),
        classes: &classes,
        frozen: None,
        views: &[],
        preprocess: &preprocess,
        provenance: args.provenance(digest.clone(), trunk_name, licences),
        select: &select_parts,
        aim: args.aim(),
        story,
    };
    let (mut bundle, selection) = export::bundle(&trained.weights, ingredients)?;
    bundle.reference = reference::of(&bundle, &learn_parts, &select_parts)?;
    watch.log.embeddings(args, &bundle, &select_parts);
    Ok(Some(Outcome { trained, bundle, selection, test: None }))
}

fn settings(args: &Args, classes: usize) -> Result<Settings, TrainError> {
    let mut settings = Settings::new(classes, Preprocess::imagenet(WINDOW));
    settings.seed = args.seed;
    settings.threads = args.threads();
    settings.peers = args.running.peers().clone();
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
