//! Learning from a folder of images.

use std::path::Path;

use models::bundle::{Bundle, Provenance};
use models::predictor::Predictor;
use models::preprocess::Preprocess;
use models::runtime::{Provider, SessionOptions};
use models::weights::Weights;
use models::zoo::mobilenet_v3_small;
use models_train::check::{Look, near_groups};
use models_train::checkpoint::Checkpoint;
use models_train::choice::Choice;
use models_train::dataset::{Folder, input_size};
use models_train::export::{self, Ingredients};
use models_train::near::TrunkEmbed;
use models_train::progress::{Course, Observer, Progress, Stage};
use models_train::reference;
use models_train::samples::{Samples, Subset};
use models_train::split::{Side, cut_strictly};
use models_train::weighting::{Reweighted, effective_number_weights};
use models_train::{Data, Report, Settings, Start, TrainError, evaluate};

use super::network::Network;
use super::tensorboard::{Beginning, Watch};
use super::{Args, Origin, Outcome};

/// Share of the training images by which epochs (where they can tell) and thresholds are chosen.
const SELECTION: f32 = 0.1;

pub(super) fn train(
    args: &Args,
    root: &Path,
    origin: Origin,
    checkpoint: Option<&Checkpoint>,
    watch: &mut Watch<'_>,
) -> Result<Option<Outcome>, TrainError> {
    let folder = args.options.open(root, args.split.as_deref(), &args.preparing)?;
    folder.check_trainable()?;
    let augment = args.options.augment()?;
    let Origin { trunk, mut name, mut licences } = origin;
    let zoo = Network::of(args)?;
    let classes = folder.classes.clone();
    let files = folder.files(Some(Side::Train), &classes)?;
    let preprocess = match (&zoo, args.size) {
        (Some(zoo), _) => zoo.frozen().preprocess(),
        (None, Some(size)) => Preprocess::imagenet(size),
        (None, None) => Preprocess::imagenet(input_size(files.shortest_side()?.unwrap_or(u32::MAX))),
    };
    let files = args.options.teach(files.resized(&preprocess))?;
    let labels: Vec<usize> = (0..files.len()).map(|index| files.label(index)).collect();
    let how = Cutting {
        // A trunk that has not learned to see finds nothing alike, or everything.
        near: !args.options.no_near && !args.fit.from_scratch,
        seed: args.seed,
        threads: args.threads(),
    };
    let observe = &mut |progress: &Progress| watch.progress(progress);
    let Cut { learn, select, groups } = cut(&how, &folder, &trunk, &labels, observe)?;
    let choice = Choice::by(&groups);
    let mut network = choice.note(&groups);
    if !network.is_empty() {
        tracing::warn!("the network will be {network}");
    }
    let learn = Subset { of: &files, indices: learn };
    let weighted = args.fit.class_weights.map(|beta| weighted(&learn, classes.len(), beta)).transpose()?;
    let select = Subset { of: &files, indices: select };
    let mut settings = Settings::new(classes.len(), preprocess.clone());
    settings.seed = args.seed;
    (settings.sampling, settings.augment) = (args.options.sampling, augment);
    settings.boost = args.options.boost();
    settings.choice = choice;
    settings.threads = args.threads();
    settings.peers = args.running.peers().clone();
    settings.limit = args.limit();
    settings.two.distill = args.distill.unwrap_or(settings.two.distill);
    args.fit.apply(&mut settings)?;

    if let Some((counts, _)) = &weighted {
        settings.shares.clone_from(counts);
    }

    let digest = folder.digest()?;
    // What looks alike is computed, and processors of another kind compute a little otherwise.
    let cut = format!("{digest} {:?} {:?}", learn.indices, select.indices);
    settings.peers.agree_at_start("data and selection cut", &cut)?;
    let start = Start { trunk: &trunk, data_digest: &digest, checkpoint, resume: args.running.resume };
    let learning: &dyn Samples = weighted.as_ref().map_or(&learn, |(_, samples)| samples);
    let data = Data { learn: learning, select: &select };
    let standing = zoo.as_ref().map(Network::words);
    watch.log.begin(
        args,
        &Beginning {
            settings: &settings,
            learn: learning,
            classes: &classes,
            digest: &digest,
            network: standing.as_deref().unwrap_or(&name),
            augment: args.options.augment_name(),
        },
    );
    let observe = &mut |progress: &Progress| watch.progress(progress);
    let trained = match &zoo {
        Some(zoo) => models_train::frozen::train(&settings, zoo.frozen(), &data, observe)?,
        None => models_train::train(&settings, &start, &data, None, observe)?,
    };
    if !watch.first {
        return Ok(None);
    }
    let mut how = "First the head on the frozen trunk, then all layers.".to_owned();
    if let Some(zoo) = &zoo {
        (name, licences, how) = (zoo.file(), zoo.licences(), format!("The head alone on {}.", zoo.words()));
        network = [zoo.words(), network].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; ");
    }
    let (learned, chosen_by) = (learn.len(), select.len());
    let story = format!("{learned} images of {} labels; {chosen_by} more to choose by. {how}", classes.len());
    let ingredients = Ingredients {
        name: root.canonicalize().ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into())).unwrap_or_default(),
        classes: &classes,
        frozen: zoo.as_ref().map(Network::frozen),
        views: &[],
        preprocess: &preprocess,
        provenance: Provenance { network, ..args.provenance(digest, name, licences) },
        select: &select,
        aim: args.aim(),
        story,
    };
    let (mut bundle, selection) = export::bundle(&trained.weights, ingredients)?;
    bundle.reference = reference::of(&bundle, &learn, &select)?;
    watch.log.embeddings(args, &bundle, &select);
    let test = folder.has_test_side().then(|| measure(&folder, &bundle)).transpose()?;
    Ok(Some(Outcome { trained, bundle, selection, test }))
}

/// The learning side, cut.
pub(in crate::cli) struct Cut {
    /// Indices to learn from.
    pub(in crate::cli) learn: Vec<usize>,
    /// Indices to choose by.
    pub(in crate::cli) select: Vec<usize>,
    /// The group of each of the latter.
    pub(in crate::cli) groups: Vec<usize>,
}

/// How the learning side is cut.
pub(in crate::cli) struct Cutting {
    /// Look for near duplicates.
    pub(in crate::cli) near: bool,
    pub(in crate::cli) seed: u64,
    pub(in crate::cli) threads: Option<usize>,
}

impl Cut {
    fn new((learn, select): (Vec<usize>, Vec<usize>), groups: &[usize]) -> Cut {
        let groups = select.iter().map(|&index| groups[index]).collect();
        Cut { learn, select, groups }
    }
}

/// Images to learn from and to choose by, with nothing that belongs together on both sides: groups of the list, the same bytes, near
/// duplicates.
pub(in crate::cli) fn cut(
    how: &Cutting,
    folder: &Folder,
    trunk: &Weights,
    labels: &[usize],
    observe: &mut Observer<'_>,
) -> Result<Cut, TrainError> {
    let named = folder.groups(Some(Side::Train))?;
    if !how.near {
        return Ok(Cut::new(cut_strictly(labels, &[&named], SELECTION, how.seed).0, &named));
    }
    let embed = TrunkEmbed::new(&trunk.only(&mobilenet_v3_small::layers())?, how.threads)?;
    let look = Look { embed: Some(&embed), cosine: None };
    let mut course = Course::new(labels.len(), None, 0);
    let (near, alike) = near_groups(folder, Side::Train, &look, &mut |seen| {
        course.reach(seen);
        observe(&Progress::share(Stage::Features, course.done(), course.eta()))
    })?;
    let (sides, by) = cut_strictly(labels, &[&near, &named], SELECTION, how.seed);
    match by {
        0 if alike > 0 => {
            tracing::info!("{alike} images have near duplicates, which stay together in the selection cut");
        }
        0 => {}
        _ => tracing::warn!(
            "{alike} images look so alike that some label would have none to choose by: near duplicates may stand on both sides of \
             the selection cut (`inspectd data check` lists them; a column `group` in a --split list says what belongs together)"
        ),
    }
    Ok(Cut::new(sides, [&near, &named][by]))
}

/// The number of samples of each label, by which they are drawn as often as they come, and the samples with the labels' weights.
fn weighted<'a>(learn: &'a dyn Samples, classes: usize, beta: f64) -> Result<(Vec<usize>, Reweighted<'a>), TrainError> {
    let mut counts = vec![0; classes];
    (0..learn.len()).for_each(|index| counts[learn.label(index)] += 1);
    let weights = effective_number_weights(&counts, beta)?;
    Ok((counts, Reweighted { of: learn, weights }))
}

/// The finished bundle on the test side: a figure to report, by which nothing is chosen.
pub(in crate::cli) fn measure(folder: &Folder, bundle: &Bundle) -> Result<Report, TrainError> {
    let test = folder.files(Some(Side::Test), &folder.classes)?;
    let options = SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() };
    evaluate(&Predictor::load(bundle.clone(), &options)?, &test, None)
}
