//! What a training writes for TensorBoard, in the order in which it happens.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use models::bundle::Bundle;
use models::image::encode_png;

use super::axis::Axis;
use super::hparams::{self, Settings};
use super::proto::{
    Content, Image, PluginData, START, STRING, SessionLog, Summary, SummaryMetadata, SummaryValue, TensorProto,
    TensorShapeProto, What,
};
use super::writer::{Writer, now};
use super::{projector, unfinished};
use crate::error::TrainError;
use crate::evaluation::Report;
use crate::preview::sheet;
use crate::progress::{Progress, Stage};
use crate::samples::{Sample, Samples};
use crate::train::Trained;

/// Runs that begin in the same second under the same name, before it is no accident any more.
const NAMESAKES: usize = 100;

/// The log of one training: a folder of its own among others.
pub struct Run {
    folder: PathBuf,
    file: PathBuf,
    events: Writer<File>,
    /// The bundle that will be.
    out: PathBuf,
    axis: Axis,
    pace: Pace,
    /// Whether it says already what is trained.
    begun: bool,
    /// It goes on, and has not said yet at which step.
    resuming: bool,
}

/// How a training ended.
pub struct Ending<'a> {
    /// The bundle.
    pub bundle: &'a Bundle,
    /// What came out of the training.
    pub trained: &'a Trained,
    /// The bundle's figures on the selection set.
    pub selection: &'a Report,
    /// And on the test side, where there is one.
    pub test: Option<&'a Report>,
}

impl Run {
    /// Begins a log of the training of `out` in a new folder `name` of `logs`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(logs: &Path, name: &str, out: &Path) -> Result<Run, TrainError> {
        if logs.exists() && !logs.is_dir() {
            return Err(TrainError::io(logs)(io::ErrorKind::NotADirectory.into()));
        }
        std::fs::create_dir_all(logs).map_err(TrainError::io(logs))?;
        let names = (1..NAMESAKES).map(|count| match count {
            1 => logs.join(name),
            _ => logs.join(format!("{name}.{count}")),
        });
        let mut taken = None;
        for folder in names {
            match std::fs::create_dir(&folder) {
                Ok(()) => return Run::open(folder, out, Axis::default(), false),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = Some((folder, error)),
                Err(error) => return Err(TrainError::io(folder)(error)),
            }
        }
        let (folder, error) = taken.unwrap_or_else(|| (logs.into(), io::ErrorKind::AlreadyExists.into()));
        Err(TrainError::io(folder)(error))
    }

    /// Goes on with the log of an interrupted training of `out`. `None`: there is none in `logs`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn resume(logs: &Path, out: &Path) -> Result<Option<Run>, TrainError> {
        let Some((folder, axis)) = unfinished::find(logs, out) else { return Ok(None) };
        Run::open(folder, out, axis.go_on(), true).map(Some)
    }

    fn open(folder: PathBuf, out: &Path, axis: Axis, resuming: bool) -> Result<Run, TrainError> {
        let file = folder.join(file_name());
        let new = File::create_new(&file).and_then(Writer::new);
        let events = new.map_err(TrainError::io(&file)).inspect_err(|_| {
            // An empty folder says nothing. What has been there before stays: then it is not empty.
            let _ = std::fs::remove_dir(&folder);
        })?;
        Ok(Run { folder, file, events, out: out.into(), axis, pace: Pace::default(), begun: resuming, resuming })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it says already what is trained.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Says what is trained: settings for the table of runs, and words (Markdown). What goes on has said so already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&mut self, settings: &Settings, words: &str) -> Result<(), TrainError> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let mut values = hparams::start(settings);
        values.push(text("training", words));
        self.summary(0, values)?;
        unfinished::note(&self.folder, &self.out, &self.axis)
    }

    /// Adds pictures as one sheet (see [`sheet`]).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn pictures(
        &mut self,
        tag: &str,
        samples: &[Sample],
        columns: usize,
        together: usize,
    ) -> Result<(), TrainError> {
        if self.resuming || samples.is_empty() {
            return Ok(());
        }
        let sheet = sheet(samples, columns, together);
        let refuse = |source| TrainError::Image { path: self.file.clone(), source };
        let picture = Image {
            height: sheet.height as i32,
            width: sheet.width as i32,
            colorspace: 3,
            encoded_image_string: encode_png(sheet.view()).map_err(refuse)?,
        };
        self.summary(0, vec![SummaryValue { tag: tag.into(), metadata: None, value: Some(Content::Image(picture)) }])
    }

    /// Adds a point to the curves, where the selection set has just been looked at.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
        let speed = self.pace.see(progress);
        let Some(selection) = progress.selection else { return Ok(()) };
        let Some(step) = self.axis.step(progress.stage, progress.step) else { return Ok(()) };
        if std::mem::take(&mut self.resuming) {
            self.event(step, What::SessionLog(SessionLog { status: START }))?;
        }
        let mut values = vec![
            scalar("train/loss", f64::from(progress.loss)),
            scalar("train/accuracy", f64::from(progress.accuracy)),
            scalar("train/epoch", progress.epoch as f64),
            scalar("selection/loss", f64::from(selection.mean_loss())),
            scalar("selection/accuracy", f64::from(selection.accuracy())),
        ];
        values.extend(progress.rate.map(|rate| scalar("train/learning_rate", rate)));
        values.extend(speed.map(|speed| scalar("train/images_per_second", speed)));
        self.summary(step, values)?;
        unfinished::note(&self.folder, &self.out, &self.axis)
    }

    /// Adds a map of what samples look like to a bundle, for the embedding projector, by so many threads (`None`: one per core).
    ///
    /// # Errors
    /// When it cannot be written, a sample cannot be loaded, or the bundle does not run.
    pub fn embeddings(
        &mut self,
        bundle: &Bundle,
        samples: &dyn Samples,
        threads: Option<usize>,
    ) -> Result<(), TrainError> {
        projector::write(&self.folder, bundle, samples, threads)
    }

    /// The training ended with a bundle: its figures and its model card.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&mut self, ending: &Ending<'_>) -> Result<(), TrainError> {
        let Trained { stage_two, finish, .. } = ending.trained;
        let loss = finish.as_ref().unwrap_or(stage_two).mean_loss();
        let mut figures =
            vec![(hparams::SELECTION_ACCURACY, ending.selection.accuracy), (hparams::SELECTION_LOSS, f64::from(loss))];
        if let Some(test) = ending.test {
            figures.push((hparams::TEST_ACCURACY, test.accuracy));
            figures.extend(test.escape_rate.map(|rate| (hparams::TEST_ESCAPES, rate)));
        }
        self.done(&figures, ending.bundle.model_card.as_deref())
    }

    /// The same in figures (tags of [`hparams`]) and words alone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn done(&mut self, figures: &[(&str, f64)], card: Option<&str>) -> Result<(), TrainError> {
        let mut values: Vec<_> = figures.iter().map(|(tag, value)| scalar(tag, *value)).collect();
        values.extend(card.map(|card| text("model_card", card)));
        values.push(hparams::end(true));
        self.summary(self.axis.last(), values)?;
        unfinished::remove(&self.folder)
    }

    /// The training ended without a bundle, and going on would end no better.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn fail(&mut self, why: &str) -> Result<(), TrainError> {
        self.summary(self.axis.last(), vec![text("failure", why), hparams::end(false)])?;
        unfinished::remove(&self.folder)
    }

    /// Takes the folder away again where the training ended before it began: a log without a word would only be in the way.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn leave(self) -> Result<(), TrainError> {
        if self.begun {
            return Ok(());
        }
        std::fs::remove_file(&self.file).map_err(TrainError::io(&self.file))?;
        std::fs::remove_dir(&self.folder).map_err(TrainError::io(&self.folder))
    }

    fn summary(&mut self, step: usize, value: Vec<SummaryValue>) -> Result<(), TrainError> {
        self.event(step, What::Summary(Summary { value }))
    }

    fn event(&mut self, step: usize, what: What) -> Result<(), TrainError> {
        self.events.write(step, what).map_err(TrainError::io(&self.file))
    }
}

/// Images a second while learning: looks at the selection set, and what is saved after them, are left out where the stage tells of steps
/// between them.
#[derive(Default)]
struct Pace {
    /// The stage of the last report.
    stage: Option<Stage>,
    /// The last report, whatever it was about.
    told: Option<Instant>,
    /// Where the present stretch began.
    from: Option<(Instant, usize)>,
    /// The last report of it before the look.
    to: Option<(Instant, usize)>,
}

impl Pace {
    /// Takes a report; the speed, where it closes a stretch.
    fn see(&mut self, progress: &Progress) -> Option<f64> {
        let now = Instant::now();
        let told = self.told.replace(now);
        if self.stage.replace(progress.stage) != Some(progress.stage) {
            // The head's stage counts from nothing and at once; all layers count from where they go on, after some preparation.
            self.from = told.filter(|_| progress.stage == Stage::Head).map(|at| (at, 0));
            self.to = None;
        }
        if progress.stage == Stage::Features {
            return None;
        }
        let here = (now, progress.images);
        if progress.selection.is_none() {
            self.from.get_or_insert(here);
            self.to = Some(here);
            return None;
        }
        let to = self.to.take().filter(|to| self.from.is_some_and(|from| to.1 > from.1)).unwrap_or(here);
        let from = self.from.replace(here)?;
        let seconds = (to.0 - from.0).as_secs_f64();
        (to.1 > from.1 && seconds > 0.0).then(|| (to.1 - from.1) as f64 / seconds)
    }
}

/// The name of an event file, by which TensorBoard knows it and puts it in order.
fn file_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    let host: String = host.trim().chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let host = if host.is_empty() { "localhost" } else { &host };
    format!("events.out.tfevents.{:010}.{host}.{}", now() as u64, std::process::id())
}

fn scalar(tag: &str, value: f64) -> SummaryValue {
    SummaryValue { tag: tag.into(), metadata: None, value: Some(Content::SimpleValue(value as f32)) }
}

/// Markdown.
fn text(tag: &str, words: &str) -> SummaryValue {
    let plugin_data = Some(PluginData { plugin_name: "text".into(), content: Vec::new() });
    let shape = Some(TensorShapeProto::default());
    let tensor = TensorProto { dtype: STRING, tensor_shape: shape, string_val: vec![words.as_bytes().to_vec()] };
    SummaryValue {
        tag: tag.into(),
        metadata: Some(SummaryMetadata { plugin_data, ..SummaryMetadata::default() }),
        value: Some(Content::Tensor(tensor)),
    }
}
