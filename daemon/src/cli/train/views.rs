//! Learning to decide by several views of a part together, from a folder for each view.

use std::path::Path;

use models::bundle::Provenance;
use models::preprocess::Preprocess;
use models_train::choice::Choice;
use models_train::dataset::{Files, input_size};
use models_train::export::{self, Ingredients};
use models_train::fusion::{self, Parts};
use models_train::progress::Progress;
use models_train::reference;
use models_train::samples::{Samples, Subset};
use models_train::split::Side;
use models_train::view_folders::ViewFolders;
use models_train::{Settings, TrainError, evaluate};

use super::folder::{Cut, Cutting, cut};
use super::tensorboard::{Beginning, Watch};
use super::{Args, Origin, Outcome};

pub(super) fn train(
    args: &Args,
    root: &Path,
    origin: Origin,
    watch: &mut Watch<'_>,
) -> Result<Option<Outcome>, TrainError> {
    let folders = ViewFolders::open(root, &args.views)?;
    folders.first().notes.iter().for_each(|note| tracing::warn!("`{}`: {note}", root.display()));
    folders.first().check_trainable()?;
    let Origin { trunk, name, licences } = origin;
    let classes = folders.first().classes.clone();
    let size = match args.size {
        Some(size) => size,
        None => {
            let files = folders.files(Some(Side::Train), &classes, None)?;
            let sides = files.iter().map(Files::shortest_side).collect::<Result<Vec<_>, _>>()?;
            input_size(sides.into_iter().flatten().min().unwrap_or(u32::MAX))
        }
    };
    let preprocess = Preprocess::imagenet(size);
    let files = folders.files(Some(Side::Train), &classes, Some(&preprocess))?;
    let labels: Vec<usize> = (0..files[0].len()).map(|index| files[0].label(index)).collect();
    // Parts are cut by what the first view shows: all views of a part are on one side.
    let how =
        Cutting { near: !args.options.no_near && !args.fit.from_scratch, seed: args.seed, threads: args.threads() };
    let observe = &mut |progress: &Progress| watch.progress(progress);
    let Cut { learn, select, groups } = cut(&how, folders.first(), &trunk, &labels, observe)?;
    let choice = Choice::by(&groups);
    let network = choice.note(&groups);
    if !network.is_empty() {
        tracing::warn!("the network will be {network}");
    }
    let parts = |indices: &[usize]| {
        let of = |files| Box::new(Subset { of: files as &dyn Samples, indices: indices.to_vec() }) as Box<dyn Samples>;
        Parts::new(files.iter().map(of).collect(), &preprocess)
    };
    let (learn, select) = (parts(&learn)?, parts(&select)?);
    let mut settings = Settings::new(classes.len(), preprocess.clone());
    settings.seed = args.seed;
    (settings.sampling, settings.augment) = (args.options.sampling, args.options.augment()?);
    settings.choice = choice;
    settings.threads = args.threads();
    settings.limit = args.limit();
    // The cells of a sum of views are no places of one picture: they are not taught.
    settings.loss.cell_weight = 0.0;
    args.fit.apply(&mut settings)?;
    let digest = folders.digest()?;
    watch.log.begin(
        args,
        &Beginning {
            settings: &settings,
            learn: &learn,
            classes: &classes,
            digest: &digest,
            network: &name,
            augment: args.options.augment_name(),
        },
    );
    let observe = &mut |progress: &Progress| watch.progress(progress);
    let trained = fusion::train(&settings, &trunk, (&learn, &select), observe)?;
    let story = format!(
        "{} parts of {} labels, each seen as {}; {} more to choose by. What weighs the views and the head learned together on a frozen \
         trunk, with views left out at random.",
        learn.len(),
        classes.len(),
        args.views.join(", "),
        select.len()
    );
    let ingredients = Ingredients {
        name: root.canonicalize().ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into())).unwrap_or_default(),
        classes: &classes,
        frozen: None,
        views: &args.views,
        preprocess: &preprocess,
        provenance: Provenance { network, ..args.provenance(digest, name, licences) },
        select: &select,
        aim: args.aim(),
        story,
    };
    let (mut bundle, selection) = export::bundle(&trained.weights, ingredients)?;
    bundle.reference = reference::of(&bundle, &learn, &select)?;
    watch.log.embeddings(args, &bundle, &select);
    let test = match folders.first().has_test_side() {
        false => None,
        true => {
            let parts = folders.parts(Some(Side::Test), &classes, &preprocess)?;
            Some(evaluate(&export::predictor(&mut bundle)?, &parts, args.threads())?)
        }
    };
    Ok(Some(Outcome { trained, bundle, selection, test }))
}
