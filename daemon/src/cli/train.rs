//! `inspectd train`: learns a bundle from labelled images, from good parts alone, or from the synthetic line.
//!
//! The work is done in a worker process ([`crate::worker`]). Progress goes to standard error; with `--json` one line with the
//! result goes to standard output.

mod bar;
mod distributed;
mod fit;
pub(super) mod folder;
mod good;
mod network;
mod options;
mod preview;
pub(super) mod signals;
mod synthetic;
mod tensorboard;
mod views;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use models::bundle::{Bundle, Provenance};
use models::weights::{self, TrunkFile, Weights};
use models::zoo::{Family, mobilenet_v3_small};
use models_train::checkpoint::{Checkpoint, Claim};
use models_train::evaluation::operating_point::Aim;
use models_train::loss::Score;
use models_train::peers::Peers;
use models_train::{Report, TrainError, Trained, trunk};
use serde_json::{Value, json};

use self::distributed::Distributed;
pub(super) use self::distributed::close;
pub(super) use self::options::augment;
use self::signals::Signals;
use self::tensorboard::{Log, Watch};
use super::eval::share;
use super::models::zoo::family;
use super::recipe::{Preparing, RecipeArg};
use super::{FAILURE, SUCCESS, out};
use crate::logs;
use crate::supervise::shipped_bundle;
use crate::worker::child::Reporter;
use crate::worker::{self, Job, Worker, WorkerError};

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["data", "synthetic", "good"])))]
pub struct Args {
    /// Folder of images: one folder per class, or any layout with `--split`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// CSV with the columns path,label,split (train or test); a bare name is looked for in the data folder too.
    #[arg(long, value_name = "FILE", requires = "data")]
    split: Option<PathBuf>,
    /// Learn one model that decides by several views of a part together: names of the views, each with a folder of its name in --data, in
    /// which a part has the same path. The trunk stands still.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', requires = "data")]
    #[arg(conflicts_with_all = ["split", "synthetic", "good", "network", "distill", "resume", "preview", "path", "format", "boxes", "teach_boxes", "hard_examples"])]
    views: Vec<String>,
    /// Learn from the synthetic line instead.
    #[arg(long)]
    synthetic: bool,
    /// The bundle to write. Checkpoints go to `FILE.partial` beside it and are removed at the end.
    #[arg(long, value_name = "FILE", required = false, required_unless_present = "preview")]
    #[arg(default_value_if("preview", clap::builder::ArgPredicate::IsPresent, "preview.bundle"))]
    out: PathBuf,
    /// Write a log for TensorBoard into a folder of its own in DIR: curves, settings and figures, what is learned from, and a map of what
    /// the selection set looks like to the finished bundle. A training that goes on with --resume goes on with its log.
    #[arg(long, value_name = "DIR", conflicts_with = "preview")]
    tensorboard: Option<PathBuf>,
    #[command(flatten)]
    options: options::Options,
    #[command(flatten)]
    recipe: RecipeArg,
    /// What `recipe` asks for, once it is loaded.
    #[arg(skip)]
    preparing: Preparing,
    /// Learn nothing: write pictures of what would be learned from (a batch before and after its random changes, and some images of
    /// each label) into this folder.
    #[arg(long, value_name = "DIR", requires = "data")]
    preview: Option<PathBuf>,
    /// Weights to start from: a bundle, an ONNX trunk or torchvision's .pth; default: the trunk of the model that ships
    /// with inspectd.
    #[arg(long, value_name = "FILE")]
    trunk: Option<PathBuf>,
    /// `--trunk` holds the weights of this network (`inspectd models zoo`) as its source names them, or as timm does with its config.json
    /// beside it: .pth, .safetensors, Keras' .h5 and .keras, ONNX. It stands still, and only the head learns.
    #[arg(long, value_name = "NAME", value_parser = family, requires_all = ["trunk", "data"])]
    #[arg(conflicts_with_all = ["synthetic", "good", "distill", "resume", "preview"])]
    network: Option<&'static Family>,
    /// Input pixels each way, a multiple of 32; default 512, or the nearest multiple of 32 above smaller images.
    #[arg(long, value_parser = clap::value_parser!(u32).range(32..=2048))]
    size: Option<u32>,
    /// Decides every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How strongly the trunk is held to the features that it starts with while all layers learn; 0 lets it go.
    #[arg(long, value_name = "WEIGHT")]
    distill: Option<f32>,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    running: Running,
    /// Choose the thresholds: at most this share of bad parts may pass (`0.5%`), then as few good parts held back as possible. It is
    /// chosen on the selection set; where that is too small for it, the output says what is missing.
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with_all = ["good", "preview"])]
    escapes_at_most: Option<f64>,
    /// How sure that shall be.
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "95%", requires = "escapes_at_most")]
    confidence: f64,
    #[command(flatten)]
    fit: fit::FitArgs,
    #[command(flatten)]
    good: good::GoodArgs,
}

/// In which time something is learned.
#[derive(Debug, clap::Args)]
pub(super) struct Time {
    /// Time for all of it; the learning rate falls to its end within it.
    #[arg(long, value_name = "N")]
    pub(super) minutes: Option<f64>,
}

impl Time {
    /// The time that there is, if any is said.
    ///
    /// # Errors
    /// When no clock can count it.
    pub(super) fn limit(&self) -> anyhow::Result<Option<Duration>> {
        let time = |given: f64| {
            let time = Duration::try_from_secs_f64(60.0 * given).ok().filter(|time| !time.is_zero());
            time.with_context(|| format!("--minutes {given}: give a positive number"))
        };
        self.minutes.map(time).transpose()
    }
}

/// How heavy work runs: on what, and what is said of it.
#[derive(Debug, clap::Args)]
pub(super) struct Running {
    /// Threads; default: one per core, with --distributed shared among the processes of a host.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: Option<u16>,
    #[command(flatten)]
    together: Distributed,
    /// Private memory that it may take, in MiB; default: half of the machine's, 2048 at least.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=16_777_216))]
    memory_ceiling: Option<u64>,
    /// `idle`: it runs when nothing else wants the processor or the disk, so that a line beside it keeps its deadlines.
    #[arg(long, value_enum, default_value = "idle")]
    priority: Priority,
    /// Go on from the checkpoint of an interrupted run, where there is one.
    #[arg(long)]
    pub(super) resume: bool,
    /// One JSON line with the result.
    #[arg(long)]
    json: bool,
}

impl Running {
    /// Has it done by a worker process, and shows how far it is and what came out.
    pub(super) fn in_worker(&self) -> anyhow::Result<ExitCode> {
        in_worker(
            &Job {
                arguments: std::env::args_os().skip(1).collect(),
                memory_ceiling_mib: self.memory_ceiling.map_or_else(worker::usual_ceiling_mib, Ok)?,
                idle: self.priority == Priority::Idle,
            },
            self.json,
        )
    }

    pub(super) fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }

    /// Joins the other processes with --distributed. All but the first are silent from here on, and leave the checkpoint to it.
    ///
    /// # Errors
    /// When there is no MPI, or another process has failed or is lost.
    pub(super) fn join(&mut self) -> anyhow::Result<()> {
        self.together.join()?;
        if !self.peers().is_first() {
            logs::prefer("error")?;
            self.resume = false;
        }
        if self.threads.is_none() {
            self.threads = self.together.threads()?;
        }
        Ok(())
    }

    /// Refuses `--distributed` where nothing is shared out, and says why.
    pub(super) fn alone(&self, why: &str) -> anyhow::Result<()> {
        anyhow::ensure!(!self.together.is_asked(), "--distributed: {why}");
        Ok(())
    }

    /// The processes that learn together with this one.
    pub(super) fn peers(&self) -> &Peers {
        self.together.peers()
    }

    /// The beginning of the command that did this.
    pub(super) fn command(&self, task: &str) -> String {
        match self.peers().ranks() {
            1 => format!("inspectd {task}"),
            ranks => format!("mpirun -n {ranks} inspectd {task} --distributed"),
        }
    }

    /// The checkpoint, claimed; `None` where another process keeps it. Takes `--resume` back where there is nothing to go on from.
    ///
    /// # Errors
    /// When `out` cannot be written there, or another training is at work on it.
    pub(super) fn checkpoint(&mut self, out: &Path) -> anyhow::Result<Option<(Checkpoint, Claim)>> {
        if !self.peers().is_first() {
            return Ok(None);
        }
        is_folder(out)?;
        let checkpoint = Checkpoint::beside(out);
        let claim = checkpoint.claim()?;
        if self.resume && !checkpoint.exists() {
            tracing::info!("no checkpoint beside `{}`: starting from the beginning", out.display());
            self.resume = false;
        }
        Ok(Some((checkpoint, claim)))
    }
}

/// A folder that cannot be written should be known now, not in an hour.
fn is_folder(out: &Path) -> anyhow::Result<()> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    anyhow::ensure!(parent.is_dir(), "`{}` is not a folder: create it, or give another --out", parent.display());
    Ok(())
}

/// How a training shares the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Priority {
    Idle,
    Normal,
}

/// What a training starts from.
pub(super) struct Origin {
    pub(super) trunk: Weights,
    /// What the provenance says of it.
    pub(super) name: String,
    pub(super) licences: Vec<String>,
}

impl Origin {
    /// The weights in a file, or those of the model that ships with inspectd; or, from scratch, random ones.
    pub(super) fn of(file: Option<&Path>, from_scratch: bool, seed: u64) -> anyhow::Result<Origin> {
        if from_scratch {
            let trunk = weights::kaiming(&mobilenet_v3_small::layers(), seed);
            return Ok(Origin { trunk, name: "random weights (--from-scratch)".into(), licences: Vec::new() });
        }
        let Some(path) = file else {
            let bundle = shipped_bundle().context("no trunk to start from: name one with --trunk")?;
            let weights = Weights::from_graph(&bundle.graph)?.only(&mobilenet_v3_small::layers())?;
            let name = format!("the trunk of `{}`, which ships with inspectd", bundle.manifest.name);
            return Ok(Origin { trunk: weights, name, licences: bundle.manifest.provenance.licences });
        };
        let trunk = weights::load_trunk(path)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        // A bundle and a trunk of ours hand their notices on. Of another file nothing is known; the usual one descends from torchvision's.
        let provenance = match Bundle::open(path) {
            Ok(bundle) => Some(bundle.manifest.provenance),
            Err(_) => TrunkFile::provenance_in(&std::fs::read(path)?)?,
        };
        let licences = provenance.map_or_else(trunk::torchvision_licences, |provenance| provenance.licences);
        Ok(Origin { trunk, name, licences })
    }
}

/// What a training from either source gives.
struct Outcome {
    trained: Trained,
    bundle: Bundle,
    /// On the samples that thresholds were chosen on.
    selection: Report,
    /// On the split's test side, where there is one.
    test: Option<Report>,
}

/// How a training ended that did not fail.
pub(super) enum Ended {
    /// The bundle is written; this is what there is to say of it.
    Done(Value),
    /// It was asked to end.
    Stopped(String),
}

/// Trains in a worker process, and shows how far it is. Exit code 0 when the bundle is written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.good.good.is_some() {
        args.running.alone("good parts are remembered, no gradients are shared out; leave it out with --good")?;
    }
    if let (Some(folder), Some(data)) = (&args.preview, &args.data) {
        args.running.alone("a preview learns nothing; leave it out")?;
        return preview::run(args, data, folder);
    }
    if !args.views.is_empty() {
        args.running.alone("several views learn on one machine, in minutes; leave it out with --views")?;
    }
    args.running.in_worker()
}

fn in_worker(job: &Job, as_json: bool) -> anyhow::Result<ExitCode> {
    let worker = Worker::spawn(job)?;
    let signals = Signals::pass_on(worker.stopper())?;
    let mut bar = bar::Bar::new();
    let ended = worker.wait(&mut |progress| bar.show(progress));
    drop((bar, signals));
    let result = match ended {
        // One of several processes that learned together: the first one says what came out.
        Ok(Value::Null) => return Ok(ExitCode::from(SUCCESS)),
        Ok(result) => result,
        Err(WorkerError::Stopped(words)) => {
            tracing::warn!("{words}");
            return Ok(ExitCode::from(FAILURE));
        }
        Err(error) => return Err(error.into()),
    };
    match as_json {
        true => out::json(&result["summary"])?,
        false => out::line(result["text"].as_str().unwrap_or_default())?,
    }
    Ok(ExitCode::from(SUCCESS))
}

/// The training itself, in the worker.
pub(super) fn work(mut args: Args, reporter: &Reporter) -> anyhow::Result<Ended> {
    args.running.join()?;
    let peers = args.running.peers().clone();
    close(&peers, train(args, reporter))
}

fn train(mut args: Args, reporter: &Reporter) -> anyhow::Result<Ended> {
    args.time.limit()?;
    if let Some(weight) = args.distill {
        anyhow::ensure!(weight.is_finite() && weight >= 0.0, "--distill {weight}: give a number from 0 on");
    }
    models::runtime::init(None).context("training ends with expected scores from ONNX Runtime")?;
    args.preparing = args.recipe.preparation()?;
    if let Some(folder) = &args.good.good {
        is_folder(&args.out)?;
        return good::run(&args, folder).map(Ended::Done);
    }
    let kept = args.running.checkpoint(&args.out)?;
    let checkpoint = kept.as_ref().map(|(checkpoint, _)| checkpoint);
    if checkpoint.is_none() {
        args.tensorboard = None;
    }
    let origin = args.origin()?;
    let mut watch = Watch { reporter, first: checkpoint.is_some(), log: Log::open(&args, args.running.resume)? };
    let outcome = match &args.data {
        Some(data) if !args.views.is_empty() => views::train(&args, data, origin, &mut watch),
        Some(data) => folder::train(&args, data, origin, checkpoint, &mut watch),
        None => synthetic::train(&args, origin, checkpoint, &mut watch),
    };
    let mut outcome = match outcome {
        Ok(Some(outcome)) => outcome,
        Ok(None) => return Ok(Ended::Done(Value::Null)),
        Err(error) => {
            watch.log.fail(&error.to_string(), tensorboard::is_final(&error));
            return match error {
                TrainError::Stopped => Ok(Ended::Stopped(error.to_string())),
                _ => Err(error.into()),
            };
        }
    };
    outcome.bundle.save(&args.out)?;
    if let Some(checkpoint) = checkpoint {
        checkpoint.remove();
    }
    watch.log.end(&outcome);
    Ok(Ended::Done(json!({ "summary": summary(&outcome, &args.out), "text": text(&outcome, &args.out) })))
}

impl Args {
    fn origin(&self) -> anyhow::Result<Origin> {
        // Beside a network of the zoo the shipped trunk still tells which images are alike.
        let file = self.trunk.as_deref().filter(|_| self.network.is_none());
        Origin::of(file, self.fit.from_scratch, self.seed)
    }

    /// What is asked of the thresholds.
    fn aim(&self) -> Option<Aim> {
        self.escapes_at_most.map(|escapes_at_most| Aim { escapes_at_most, confidence: self.confidence })
    }

    fn limit(&self) -> Option<Duration> {
        // Looked at before anything is done.
        self.time.limit().unwrap_or_default()
    }

    fn threads(&self) -> Option<usize> {
        self.running.threads()
    }

    /// Where the bundle comes from, with the command in its portable form: no paths of this machine but file names.
    fn provenance(&self, data_digest: String, trunk: String, licences: Vec<String>) -> Provenance {
        let file = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut command = self.running.command("train");
        let mut add = |option: &str, value: Option<String>| {
            if let Some(value) = value {
                // An option whose value may be left out takes it after a sign only.
                let sign = if option == "hard-examples" { '=' } else { ' ' };
                command.push_str(&format!(" --{option}{sign}{value}"));
            }
        };
        add("data", self.data.as_deref().map(file));
        add("views", (!self.views.is_empty()).then(|| self.views.join(",")));
        add("split", self.split.as_deref().map(file));
        self.options.tell(&mut add);
        add("recipe", self.recipe.path().map(file));
        add("synthetic", self.synthetic.then(String::new));
        add("trunk", self.trunk.as_deref().map(file));
        add("network", self.network.map(|network| network.name.to_owned()));
        add("size", self.size.map(|size| size.to_string()));
        add("distill", self.distill.map(|weight| weight.to_string()));
        add("minutes", self.time.minutes.map(|minutes| minutes.to_string()));
        add("escapes-at-most", self.escapes_at_most.map(|share| share.to_string()));
        add("confidence", self.escapes_at_most.map(|_| self.confidence.to_string()));
        self.fit.given().into_iter().for_each(|(option, value)| add(option, Some(value)));
        self.good.given().into_iter().for_each(|(option, value)| add(option, Some(value)));
        add("seed", Some(self.seed.to_string()));
        add("out", Some(file(&self.out)));
        let command = command.split_whitespace().collect::<Vec<_>>().join(" ");
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let preparation =
            self.preparing.as_ref().map_or_else(String::new, |preparation| preparation.digest().to_owned());
        let seed = self.seed;
        Provenance { command, data_digest, seed, version, trunk, licences, preparation, ..Provenance::default() }
    }
}

fn summary(outcome: &Outcome, path: &Path) -> Value {
    let score =
        |score: Score| json!({ "accuracy": score.accuracy(), "loss": score.mean_loss(), "images": score.count });
    let Trained { stage_one, stage_two, finish, spent, .. } = &outcome.trained;
    let manifest = &outcome.bundle.manifest;
    json!({
        "bundle": path.to_string_lossy(),
        "labels": manifest.labels,
        "size": [manifest.preprocess.width, manifest.preprocess.height],
        "seconds": spent.as_secs_f64(),
        "stage_one": score(*stage_one),
        "stage_two": score(*stage_two),
        "finish": finish.map(score),
        "selection": outcome.selection,
        "test": outcome.test,
        "provenance": manifest.provenance,
    })
}

fn text(outcome: &Outcome, path: &Path) -> String {
    let seconds = outcome.trained.spent.as_secs();
    let mut text = format!("wrote {} after {} min {} s\n", path.display(), seconds / 60, seconds % 60);
    let provenance = &outcome.bundle.manifest.provenance;
    if !provenance.network.is_empty() {
        text += &format!("network: {}\n", provenance.network);
    }
    text += &format!("thresholds: {}\n", provenance.thresholds);
    text += &format!("\nOn the selection set:\n{}", outcome.selection);
    if let Some(test) = &outcome.test {
        text += &format!("\nOn the test set:\n{test}");
    }
    text
}
