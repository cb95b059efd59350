//! `inspectd train`: learns a bundle from labelled images, or from the synthetic line.
//!
//! Progress goes to standard error; with `--json` one line with the result goes to standard output.

mod bar;
mod folder;
mod options;
mod preview;
mod synthetic;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use models::bundle::{Bundle, Provenance};
use models::weights::{self, Weights};
use models::zoo::mobilenet_v3_small;
use models_train::checkpoint::Checkpoint;
use models_train::loss::Score;
use models_train::{Report, TrainError, Trained, trunk};
use serde_json::{Value, json};

use super::{FAILURE, SUCCESS, out};
use crate::supervise::shipped_bundle;

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["data", "synthetic"])))]
pub struct Args {
    /// Folder of images: one folder per class, or any layout with `--split`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// CSV with the columns path,label,split (train or test); a bare name is looked for in the data folder too.
    #[arg(long, value_name = "FILE", requires = "data")]
    split: Option<PathBuf>,
    /// Learn from the synthetic line instead.
    #[arg(long)]
    synthetic: bool,
    /// The bundle to write. Checkpoints go to `FILE.partial` beside it and are removed at the end.
    #[arg(long, value_name = "FILE", required = false, required_unless_present = "preview")]
    #[arg(default_value_if("preview", clap::builder::ArgPredicate::IsPresent, "preview.bundle"))]
    out: PathBuf,
    #[command(flatten)]
    options: options::Options,
    /// Learn nothing: write pictures of what would be learned from (a batch before and after its random changes, and some images of
    /// each label) into this folder.
    #[arg(long, value_name = "DIR", requires = "data")]
    preview: Option<PathBuf>,
    /// Weights to start from: a bundle, an ONNX trunk or torchvision's .pth; default: the trunk of the model that ships
    /// with inspectd.
    #[arg(long, value_name = "FILE")]
    trunk: Option<PathBuf>,
    /// Input pixels each way, a multiple of 32; default 512, or the nearest multiple of 32 above smaller images.
    #[arg(long, value_parser = clap::value_parser!(u32).range(32..=2048))]
    size: Option<u32>,
    /// Decides every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Rounds over the images with all layers learning; 0 trains the head alone.
    #[arg(long)]
    epochs: Option<usize>,
    /// Time for the whole training; the learning rate falls to its end within it.
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// How strongly the trunk is held to the features that it starts with while all layers learn; 0 lets it go.
    #[arg(long, value_name = "WEIGHT")]
    distill: Option<f32>,
    /// Threads; default: one per core.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Go on from the checkpoint of an interrupted training, where there is one.
    #[arg(long)]
    resume: bool,
    /// One JSON line with the result.
    #[arg(long)]
    json: bool,
}

/// What a training starts from.
struct Origin {
    trunk: Weights,
    /// What the provenance says of it.
    name: String,
    licences: Vec<String>,
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

/// Exit code 0 when the bundle is written.
pub fn run(mut args: Args) -> anyhow::Result<ExitCode> {
    if let Some(minutes) = args.minutes {
        anyhow::ensure!(minutes.is_finite() && minutes > 0.0, "--minutes {minutes}: give a positive number");
    }
    if let Some(weight) = args.distill {
        anyhow::ensure!(weight.is_finite() && weight >= 0.0, "--distill {weight}: give a number from 0 on");
    }
    if let (Some(folder), Some(data)) = (&args.preview, &args.data) {
        return preview::run(&args, data, folder);
    }
    models::runtime::init(None).context("training ends with expected scores from ONNX Runtime")?;
    // A folder that cannot be written should be known now, not in an hour.
    let parent = args.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    anyhow::ensure!(parent.is_dir(), "`{}` is not a folder: create it, or give another --out", parent.display());
    let checkpoint = Checkpoint::beside(&args.out);
    if args.resume && !checkpoint.exists() {
        tracing::info!("no checkpoint beside `{}`: starting from the beginning", args.out.display());
        args.resume = false;
    }
    let origin = args.origin()?;
    let outcome = match &args.data {
        Some(data) => folder::train(&args, data, origin, &checkpoint),
        None => synthetic::train(&args, origin, &checkpoint),
    };
    let mut outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return stopped(error),
    };
    outcome.bundle.save(&args.out)?;
    checkpoint.remove();
    match args.json {
        true => out::json(&summary(&outcome, &args.out))?,
        false => tell(&outcome, &args.out)?,
    }
    Ok(ExitCode::from(SUCCESS))
}

fn stopped(error: TrainError) -> anyhow::Result<ExitCode> {
    match error {
        TrainError::Stopped => {
            tracing::warn!("{error}");
            Ok(ExitCode::from(FAILURE))
        }
        error => Err(error.into()),
    }
}

impl Args {
    fn origin(&self) -> anyhow::Result<Origin> {
        let Some(path) = &self.trunk else {
            let bundle = shipped_bundle().context("no trunk to start from: name one with --trunk")?;
            let weights = Weights::from_graph(&bundle.graph)?.only(&mobilenet_v3_small::layers())?;
            let name = format!("the trunk of `{}`, which ships with inspectd", bundle.manifest.name);
            return Ok(Origin { trunk: weights, name, licences: bundle.manifest.provenance.licences });
        };
        let weights = weights::load_trunk(path)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        // A bundle hands its notices on. Of another file nothing is known; the usual one descends from torchvision's.
        let licences = match Bundle::open(path) {
            Ok(bundle) => bundle.manifest.provenance.licences,
            Err(_) => trunk::torchvision_licences(),
        };
        Ok(Origin { trunk: weights, name, licences })
    }

    fn limit(&self) -> Option<Duration> {
        self.minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes))
    }

    fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }

    /// Where the bundle comes from, with the command in its portable form: no paths of this machine but file names.
    fn provenance(&self, data_digest: String, trunk: String, licences: Vec<String>) -> Provenance {
        let file = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut command = String::from("inspectd train");
        let mut add = |option: &str, value: Option<String>| {
            if let Some(value) = value {
                command.push_str(&format!(" --{option} {value}"));
            }
        };
        add("data", self.data.as_deref().map(file));
        add("split", self.split.as_deref().map(file));
        self.options.tell(&mut add);
        add("synthetic", self.synthetic.then(String::new));
        add("trunk", self.trunk.as_deref().map(file));
        add("size", self.size.map(|size| size.to_string()));
        add("epochs", self.epochs.map(|epochs| epochs.to_string()));
        add("distill", self.distill.map(|weight| weight.to_string()));
        add("minutes", self.minutes.map(|minutes| minutes.to_string()));
        add("seed", Some(self.seed.to_string()));
        add("out", Some(file(&self.out)));
        let command = command.split_whitespace().collect::<Vec<_>>().join(" ");
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Provenance { command, data_digest, seed: self.seed, version, trunk, licences }
    }
}

fn summary(outcome: &Outcome, path: &Path) -> Value {
    let score =
        |score: Score| json!({ "accuracy": score.accuracy(), "loss": score.mean_loss(), "images": score.count });
    let Trained { stage_one, stage_two, finish, spent, .. } = &outcome.trained;
    let manifest = &outcome.bundle.manifest;
    json!({
        "bundle": path,
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

fn tell(outcome: &Outcome, path: &Path) -> anyhow::Result<()> {
    let seconds = outcome.trained.spent.as_secs();
    out::line(format_args!("wrote {} after {} min {} s", path.display(), seconds / 60, seconds % 60))?;
    out::line(format_args!("\nOn the selection set:\n{}", outcome.selection))?;
    if let Some(test) = &outcome.test {
        out::line(format_args!("On the test set:\n{test}"))?;
    }
    Ok(())
}
