//! `--tensorboard`: what a training tells TensorBoard. A log that cannot be written is refused at the start; later it ends with one
//! warning, and the training goes on.

use models::bundle::Bundle;
use models_train::TrainError;
use models_train::preview::{colour, with_views};
use models_train::progress::Progress;
use models_train::sampler::{BalancedSampler, Plan};
use models_train::samples::{Class, Sample, Samples};
use models_train::tensorboard::hparams::{self, Setting, Settings};
use models_train::tensorboard::{Ending, Run};

use super::{Args, Outcome};
use crate::worker::child::Reporter;

/// Images of the sheet that shows what is learned from, each beside what became of it.
const SHOWN: usize = 16;

/// Who is told how far a training is: its parent, and the log.
pub(super) struct Watch<'a> {
    pub(super) reporter: &'a Reporter,
    /// Of several processes the first one speaks, and hears when to end.
    pub(super) first: bool,
    pub(super) log: Log,
}

impl Watch<'_> {
    /// `false` when the training should end.
    pub(super) fn progress(&mut self, progress: &Progress) -> bool {
        self.log.tell(|run| run.progress(progress));
        !self.first || self.reporter.progress(progress)
    }
}

/// The log, where one is asked for and can be written.
pub(super) struct Log(Option<Run>);

/// What a training from labelled images begins with.
pub(super) struct Beginning<'a> {
    pub(super) settings: &'a models_train::Settings,
    pub(super) learn: &'a dyn Samples,
    pub(super) classes: &'a [Class],
    /// SHA-256 of the data, or what else tells it.
    pub(super) digest: &'a str,
    /// What the trunk is.
    pub(super) network: &'a str,
    /// The name of the random changes.
    pub(super) augment: String,
}

impl Log {
    /// Begins a log in a folder of its own, or goes on with that of the interrupted training.
    pub(super) fn open(args: &Args, resume: bool) -> anyhow::Result<Log> {
        let Some(logs) = &args.tensorboard else { return Ok(Log(None)) };
        let open = || match resume.then(|| Run::resume(logs, &args.out)).transpose()?.flatten() {
            Some(run) => Ok(run),
            None => Run::create(logs, &name(args), &args.out),
        };
        let run = open().map_err(|error: TrainError| {
            anyhow::anyhow!(
                "no TensorBoard log can be written: {error}; give another --tensorboard, or train without one"
            )
        })?;
        tracing::info!("TensorBoard: `tensorboard --logdir {}`, run `{}`", logs.display(), run.folder().display());
        Ok(Log(Some(run)))
    }

    /// Tells the log something. Where that fails, this is the end of it.
    pub(super) fn tell(&mut self, what: impl FnOnce(&mut Run) -> Result<(), TrainError>) {
        let Some(run) = &mut self.0 else { return };
        if let Err(error) = what(run) {
            tracing::warn!("the TensorBoard log ends here, the training goes on: {error}");
            self.0 = None;
        }
    }

    /// What is trained, how, and pictures of what is learned from.
    pub(super) fn begin(&mut self, args: &Args, beginning: &Beginning<'_>) {
        let Beginning { settings, learn, .. } = *beginning;
        self.tell(|run| {
            run.begin(&columns(args, beginning), &words(args, beginning))?;
            let labels: Vec<usize> = (0..learn.len()).map(|index| learn.label(index)).collect();
            let plan = Plan { sampling: settings.sampling, ..Plan::balanced(SHOWN, settings.seed) };
            let mut batch = BalancedSampler::new(&labels, &plan).next_batch();
            batch.sort_by_key(|&index| labels[index]);
            let samples = with_views(learn, (&settings.augment, settings.seed), &batch, 1)?;
            run.pictures("train/samples", &samples, 8, 2)
        });
    }

    /// The same of good parts.
    pub(super) fn begin_good(&mut self, args: &Args, settings: &models_train::good::Settings, parts: usize) {
        let columns = Settings::default()
            .with_number("seed", Some(settings.seed as f64))
            .with_number("size", settings.preprocess.as_ref().map(|preprocess| f64::from(preprocess.width)))
            .with_number("images", Some(parts as f64))
            .with_number("overkill", Some(settings.overkill))
            .with("fine", Setting::Flag(settings.fine));
        let words = format!("`{}`\n\n{parts} pictures of good parts.", command(args));
        self.tell(|run| run.begin(&columns, &words));
    }

    /// Good parts, and the same with an anomaly each: what the bundle replays.
    pub(super) fn pasted(&mut self, images: &[models::image::Image]) {
        let half = images.len() / 2;
        let sample = |(at, image): (usize, &models::image::Image)| Sample {
            image: image.clone(),
            labels: vec![usize::from(at >= half)],
            weight: 1.0,
            mask: None,
        };
        let samples: Vec<Sample> = images.iter().enumerate().map(sample).collect();
        self.tell(|run| run.pictures("train/samples", &samples, half.max(1), half.max(1)));
    }

    /// What the selection set looks like to the finished bundle.
    pub(super) fn embeddings(&mut self, args: &Args, bundle: &Bundle, select: &dyn Samples) {
        self.tell(|run| run.embeddings(bundle, select, args.threads()));
    }

    /// The bundle is written.
    pub(super) fn end(&mut self, outcome: &Outcome) {
        let Outcome { trained, bundle, selection, test } = outcome;
        self.tell(|run| run.end(&Ending { bundle, trained, selection, test: test.as_ref() }));
    }

    /// The same of good parts.
    pub(super) fn end_good(&mut self, bundle: &Bundle, report: &models_train::good::GoodReport) {
        let threshold = &report.threshold;
        let overkill = threshold.above as f64 / threshold.held_out.max(1) as f64;
        let mut figures = vec![(hparams::HELD_OUT_OVERKILL, overkill)];
        figures.extend(report.tried.get(report.chosen).map(|tried| (hparams::PASTED_AUROC, tried.auroc)));
        self.tell(|run| run.done(&figures, bundle.model_card.as_deref()));
    }

    /// There is no bundle. `for_good`: going on would end no better.
    pub(super) fn fail(mut self, why: &str, for_good: bool) {
        if let Some(run) = self.0.take_if(|run| !run.has_begun()) {
            if let Err(error) = run.leave() {
                tracing::debug!("the TensorBoard log that never began: {error}");
            }
            return;
        }
        if for_good {
            self.tell(|run| run.fail(why));
        }
    }
}

/// Whether a training that ended so would end so again.
pub(super) fn is_final(error: &TrainError) -> bool {
    matches!(error, TrainError::Diverged(_) | TrainError::NothingLearned { .. })
}

/// The run's name: the bundle's, and when it began.
fn name(args: &Args) -> String {
    let stem = args.out.file_stem().unwrap_or(args.out.as_os_str()).to_string_lossy();
    format!("{stem}-{}", jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ"))
}

fn command(args: &Args) -> String {
    args.provenance(String::new(), String::new(), Vec::new()).command
}

fn columns(args: &Args, beginning: &Beginning<'_>) -> Settings {
    let Beginning { settings, learn, .. } = *beginning;
    let columns = Settings::of(settings, learn.len())
        .with("network", Setting::Text(beginning.network.into()))
        .with("augment", Setting::Text(beginning.augment.clone()))
        .with_number("class_weights", args.fit.class_weights)
        .with("from_scratch", Setting::Flag(args.fit.from_scratch));
    // A network of the zoo stands still.
    if args.network.is_some() { columns } else { columns.with_all_layers(settings, learn.len()) }
}

/// What is trained, as Markdown: the command in its portable form, the data, and the labels in the colours of the sheet.
fn words(args: &Args, beginning: &Beginning<'_>) -> String {
    let label = |(at, class): (usize, &Class)| format!("| {} | {} |\n", class.name.replace('|', "\\|"), colour(at).1);
    let labels: String = beginning.classes.iter().enumerate().map(label).collect();
    format!(
        "`{}`\n\n- Data: `{}`, {} images to learn from\n- Trunk: {}\n\n| label | bar below its pictures |\n|---|---|\n{labels}",
        command(args),
        beginning.digest,
        beginning.learn.len(),
        beginning.network,
    )
}
