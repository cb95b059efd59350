//! `inspectd pretrain`: learns to see from pictures without labels. What it gives is a trunk, from which `inspectd train --trunk` starts.
//!
//! As a training it is done in a worker process, and goes on where it was interrupted.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use models::bundle::Provenance;
use models::preprocess::Preprocess;
use models::weights::{TrunkFile, Weights};
use models_train::dataset::{Folder, input_size};
use models_train::fit::Workers;
use models_train::pretrain::probe::{Interval, Probe, Probed, interval, probe};
use models_train::pretrain::{Pretrained, Settings, run as learn};
use models_train::progress::Progress;
use models_train::split::Side;
use models_train::{Start, TrainError};
use serde_json::{Value, json};

use super::recipe::{Preparing, RecipeArg, prepared};
use super::train::{self, Ended, Origin, Running, Time};
use crate::worker::child::Reporter;

/// Pictures of each label that the few-shot probe sees, and draws.
const SHOTS: usize = 5;
const DRAWS: usize = 5;

/// Arguments of `pretrain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of pictures, folders within it included. What they are called says nothing: no label is read.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The trunk to write, for `inspectd train --trunk`. Checkpoints go to `FILE.partial` beside it and are removed at the end.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    recipe: RecipeArg,
    /// What `recipe` asks for, once it is loaded.
    #[arg(skip)]
    preparing: Preparing,
    /// Weights to start from: a bundle, a trunk of this command, an ONNX trunk or torchvision's .pth; default: the trunk of the model that
    /// ships with inspectd.
    #[arg(long, value_name = "FILE", conflicts_with = "from_scratch")]
    trunk: Option<PathBuf>,
    /// Start from random weights.
    #[arg(long)]
    from_scratch: bool,
    /// Input pixels each way, a multiple of 32; default 512, or the nearest multiple of 32 above smaller images. Half of what the line's
    /// model will have is learned from four times as fast.
    #[arg(long, value_parser = clap::value_parser!(u32).range(32..=2048))]
    size: Option<u32>,
    /// Pictures of a step, each seen twice. The more, the better they are told apart; memory does not grow with them, but the time of
    /// the loss does, with their square.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..=8192))]
    batch: u32,
    /// Rounds over the pictures.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// How sharply views are told apart.
    #[arg(long, default_value_t = 0.1)]
    temperature: f32,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// Share of the learning rate that each depth of the trunk has of the one above it; 1: all the same.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    layer_decay: f64,
    /// How the two views of a picture differ: views, standard, any-orientation, fixed-pose, or a TOML file; docs/DATA.md has the keys.
    #[arg(long, value_name = "PRESET|FILE", default_value = "views")]
    augment: String,
    /// Measure the trunk before and after on this folder of labelled images (`train` and `test` sides, one folder per class): five shots of
    /// each label, and a linear classifier. Nothing is learned from them.
    #[arg(long, value_name = "DIR")]
    probe: Option<PathBuf>,
    /// CSV with the columns path,label,split for `--probe`.
    #[arg(long, value_name = "FILE", requires = "probe")]
    probe_split: Option<PathBuf>,
    /// Decides every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    running: Running,
}

/// Learns in a worker process, and shows how far it is. Exit code 0 when the trunk is written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.running.in_worker()
}

/// The work itself, in the worker.
pub(super) fn work(mut args: Args, reporter: &Reporter) -> anyhow::Result<Ended> {
    args.running.join()?;
    let peers = args.running.peers().clone();
    train::close(&peers, pretrain(args, reporter))
}

fn pretrain(mut args: Args, reporter: &Reporter) -> anyhow::Result<Ended> {
    args.preparing = args.recipe.preparation()?;
    let kept = args.running.checkpoint(&args.out)?;
    let checkpoint = kept.as_ref().map(|(checkpoint, _)| checkpoint);
    let origin = Origin::of(args.trunk.as_deref(), args.from_scratch, args.seed)?;
    let folder = prepared(Folder::unlabelled(&args.data)?, &args.preparing)?;
    let files = folder.files(None, &folder.classes)?;
    let side = match args.size {
        Some(size) => size,
        None => input_size(files.shortest_side()?.unwrap_or(u32::MAX)),
    };
    let settings = args.settings(Preprocess::imagenet(side))?;
    settings.check()?;
    let files = files.resized(&settings.preprocess);
    // Before, so that a probe that cannot be is known now and not in an hour.
    let before = checkpoint.map_or(Ok(None), |_| args.probe(&origin.trunk, &settings))?;
    let digest = folder.digest()?;
    let start = Start { trunk: &origin.trunk, data_digest: &digest, checkpoint, resume: args.running.resume };
    // Of several processes the first one speaks, and hears when to end.
    let mut observe = |progress: &Progress| checkpoint.is_none() || reporter.progress(progress);
    let learned = match learn(&settings, &start, &files, &mut observe) {
        Ok(learned) => learned,
        Err(error @ TrainError::Stopped) => return Ok(Ended::Stopped(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let Some(checkpoint) = checkpoint else { return Ok(Ended::Done(Value::Null)) };
    let after = args.probe(&learned.trunk, &settings)?;
    let provenance = args.provenance(digest, origin);
    let file = TrunkFile { weights: learned.trunk.clone(), provenance };
    file.save(&args.out).with_context(|| format!("the trunk `{}`", args.out.display()))?;
    checkpoint.remove();
    let pictures = folder.entries().len();
    let summary = summary(&args.out, pictures, side, &learned, before.as_ref().zip(after.as_ref()));
    let text = text(&args.out, pictures, side, &learned, before.as_ref().zip(after.as_ref()));
    Ok(Ended::Done(json!({ "summary": summary, "text": text })))
}

impl Args {
    fn settings(&self, preprocess: Preprocess) -> anyhow::Result<Settings> {
        let augment = train::augment(&self.augment)?;
        Ok(Settings {
            seed: self.seed,
            threads: self.running.threads(),
            peers: self.running.peers().clone(),
            limit: self.time.limit()?,
            batch: self.batch as usize,
            rounds: self.rounds as usize,
            temperature: self.temperature,
            rate: self.rate,
            layer_decay: self.layer_decay,
            augment,
            ..Settings::new(preprocess)
        })
    }

    /// What a trunk is worth on the labelled images, where there are any.
    fn probe(&self, trunk: &Weights, settings: &Settings) -> anyhow::Result<Option<Probed>> {
        let Some(root) = &self.probe else { return Ok(None) };
        let folder = prepared(Folder::open(root, self.probe_split.as_deref())?, &self.preparing)?;
        folder.check_trainable()?;
        ensure!(
            folder.has_test_side(),
            "`{}` has no test side to measure on: give the folders `train` and `test`, or --probe-split",
            root.display()
        );
        let files =
            |side| Ok::<_, TrainError>(folder.files(Some(side), &folder.classes)?.resized(&settings.preprocess));
        let (learn, test) = (files(Side::Train)?, files(Side::Test)?);
        let asked = Probe {
            learn: &learn,
            test: &test,
            classes: &folder.classes,
            preprocess: &settings.preprocess,
            shots: SHOTS,
            draws: DRAWS,
            seed: self.seed,
        };
        Ok(Some(probe(trunk, &asked, &Workers::new(settings.threads)?)?))
    }

    /// Where the trunk comes from, with the command in its portable form: no paths of this machine but file names.
    fn provenance(&self, data_digest: String, origin: Origin) -> Provenance {
        let file = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut command = format!("{} --data {}", self.running.command("pretrain"), file(&self.data));
        let mut add = |option: &str, value: String| command.push_str(&format!(" --{option} {value}"));
        let files = [("trunk", self.trunk.as_deref()), ("recipe", self.recipe.path())];
        files.into_iter().for_each(|(option, path)| path.iter().for_each(|path| add(option, file(path))));
        self.size.iter().for_each(|size| add("size", size.to_string()));
        add("batch", self.batch.to_string());
        add("rounds", self.rounds.to_string());
        add("temperature", self.temperature.to_string());
        add("rate", self.rate.to_string());
        add("layer-decay", self.layer_decay.to_string());
        add("augment", file(Path::new(&self.augment)));
        self.time.minutes.iter().for_each(|minutes| add("minutes", minutes.to_string()));
        add("seed", self.seed.to_string());
        add("out", file(&self.out));
        if self.from_scratch {
            command.push_str(" --from-scratch");
        }
        let Origin { name: trunk, licences, .. } = origin;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let preparation = self.preparing.as_ref().map_or_else(String::new, |it| it.digest().to_owned());
        Provenance {
            command,
            data_digest,
            seed: self.seed,
            version,
            trunk,
            licences,
            preparation,
            ..Provenance::default()
        }
    }
}

fn summary(path: &Path, pictures: usize, size: u32, learned: &Pretrained, probed: Option<(&Probed, &Probed)>) -> Value {
    json!({
        "trunk": path.to_string_lossy(),
        "pictures": pictures,
        "size": size,
        "batch": learned.batch,
        "steps": learned.steps,
        "seconds": learned.spent.as_secs_f64(),
        "loss": learned.loss,
        "chance": learned.chance,
        "pairs_found": learned.right,
        "probe": probed.map(|(before, after)| json!({
            "shots": SHOTS,
            "few_shot": change(&before.few_shot, &after.few_shot),
            "linear": change(&before.linear, &after.linear),
        })),
    })
}

fn text(path: &Path, pictures: usize, size: u32, learned: &Pretrained, probed: Option<(&Probed, &Probed)>) -> String {
    let Pretrained { loss, chance, right, steps, batch, spent, .. } = learned;
    let seconds = spent.as_secs();
    let mut text = format!(
        "wrote {} after {} min {} s: {pictures} pictures at {size} x {size}, {steps} steps of {batch}\n\
         loss {loss:.3} (a guess has {chance:.3}); {:.1} % of the views are most like the other view of their picture\n",
        path.display(),
        seconds / 60,
        seconds % 60,
        100.0 * right
    );
    if let Some((before, after)) = probed {
        let few_shot = format!("{SHOTS} shots of each label");
        text += &format!("\nBalanced accuracy on the probe's test side, the mean of {DRAWS} draws:\n");
        for (what, before, after) in [
            (few_shot.as_str(), &before.few_shot, &after.few_shot),
            ("linear classifier", &before.linear, &after.linear),
        ] {
            let [before, after, gained] = [interval(before), interval(after), gain(before, after)];
            text += &format!(
                "  {what:22} {:.1} % before, {:.1} % after: {:+.1} points ({:+.1} to {:+.1}), {}\n",
                100.0 * before.mean,
                100.0 * after.mean,
                100.0 * gained.mean,
                100.0 * gained.low,
                100.0 * gained.high,
                verdict(gained)
            );
        }
        text += "The intervals are over what is learned from, on the same test images.\n";
    }
    text
}

/// What was gained, draw by draw: both saw the same images.
fn gain(before: &[f64], after: &[f64]) -> Interval {
    interval(&before.iter().zip(after).map(|(before, after)| after - before).collect::<Vec<f64>>())
}

fn change(before: &[f64], after: &[f64]) -> Value {
    json!({ "before": interval(before), "after": interval(after), "gained": gain(before, after) })
}

/// In words, what an interval allows to say.
fn verdict(gained: Interval) -> &'static str {
    match gained {
        Interval { low, .. } if low > 0.0 => "better",
        Interval { high, .. } if high < 0.0 => "worse",
        _ => "no difference can be told",
    }
}
