//! `inspectd search`: finds networks that err little and are quick enough for this machine. What it gives are bundles.
//!
//! As a training it is done in a worker process, and goes on where it was interrupted.

mod results;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use models::bundle::Provenance;
use models::preprocess::Preprocess;
use models_train::TrainError;
use models_train::choice::Choice;
use models_train::dataset::{Folder, input_size};
use models_train::progress::Progress;
use models_train::samples::Samples;
use models_train::search::network::{Networks, words};
use models_train::search::{self, Budget, Journal, Past, Proposals, SearchError, Settings, Space, Trial};
use models_train::split::Side;

use self::results::Results;
use super::recipe::{Preparing, RecipeArg, prepared};
use super::train::folder::{Cut, Cutting, cut};
use super::train::{self, Ended, Origin, Running};
use crate::worker::child::Reporter;

/// Names within the folder of a search.
const JOURNAL: &str = "search.journal";
const TRIALS: &str = "trials";

/// Arguments of `search`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of images, as for `inspectd train`.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// CSV with the columns path,label,split (train or test); a bare name is looked for in the data folder too.
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// How long to search: `30m`, `2h`, `90s`; or `400r`, so many rounds over the images of all networks together. With `--resume` what came
    /// before counts too, and a finished search goes on where more is given.
    #[arg(long, value_name = "TIME", value_parser = budget)]
    budget: Budget,
    /// Longest time of a verdict on this machine, in milliseconds: resize, network, thresholds, on one thread.
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    max_latency_ms: f64,
    /// Folder for what is found: bundles, `search.html`, TensorBoard's log, the journal by which it goes on.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    recipe: RecipeArg,
    /// What `recipe` asks for, once it is loaded.
    #[arg(skip)]
    preparing: Preparing,
    /// Weights to start from: a bundle, an ONNX trunk or torchvision's .pth; default: the trunk of the model that ships with inspectd.
    #[arg(long, value_name = "FILE")]
    trunk: Option<PathBuf>,
    /// Largest input pixels each way, a multiple of 32; default: what `inspectd train` would take.
    #[arg(long, value_parser = clap::value_parser!(u32).range(32..=2048))]
    size: Option<u32>,
    /// Random changes of the images, whose strength is searched for: standard, any-orientation, fixed-pose, views, none, or a TOML file.
    #[arg(long, value_name = "PRESET|FILE", default_value = "standard")]
    augment: String,
    /// Rounds over the images that a network learns at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Hyperband's factor: one of so many networks goes on, to so many times the rounds.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=100))]
    factor: u32,
    /// How networks are proposed: `tpe` by what is known so far, `random` as a control.
    #[arg(long, value_enum, default_value = "tpe")]
    proposals: How,
    /// Does not look for near duplicates before the learning side is cut.
    #[arg(long)]
    no_near: bool,
    /// Decides every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    running: Running,
}

/// How networks are proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum How {
    Tpe,
    Random,
}

/// `30m`, `2h`, `90s`, `400r`.
fn budget(text: &str) -> Result<Budget, String> {
    let refuse = || format!("`{text}` is no budget: write 30m, 2h, 90s, or 400r for rounds");
    let unit = text.chars().next_back().ok_or_else(refuse)?;
    let number = &text[..text.len() - unit.len_utf8()];
    let seconds = match unit {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3600.0,
        'r' => {
            let rounds = number.parse().ok().filter(|&rounds| rounds > 0);
            return rounds.map(Budget::Rounds).ok_or_else(refuse);
        }
        _ => return Err(refuse()),
    };
    let time = number.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(seconds * number).ok());
    time.filter(|time| !time.is_zero()).map(Budget::Time).ok_or_else(refuse)
}

fn milliseconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ms) if ms.is_finite() && ms > 0.0 => Ok(ms),
        _ => Err(format!("`{text}` is no time: give a positive number of milliseconds")),
    }
}

/// Searches in a worker process, and shows how far it is. Exit code 0 when something was found and is written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.running.in_worker()
}

/// The search itself, in the worker.
pub(super) fn work(mut args: Args, reporter: &Reporter) -> anyhow::Result<Ended> {
    args.running.alone("a search trains one small network after the other; leave it out")?;
    models::runtime::init(None).context("networks are timed and measured by ONNX Runtime")?;
    args.preparing = args.recipe.preparation()?;
    let augment = train::augment(&args.augment)?;
    let origin = Origin::of(args.trunk.as_deref(), false, args.seed)?;
    let folder = prepared(Folder::open(&args.data, args.split.as_deref())?, &args.preparing)?;
    folder.check_trainable()?;
    let classes = folder.classes.clone();
    let files = folder.files(Some(Side::Train), &classes)?;
    let largest = match args.size {
        Some(size) => size,
        None => input_size(files.shortest_side()?.unwrap_or(u32::MAX)),
    };
    ensure!(largest.is_multiple_of(search::space::SIZE_STEP), "--size {largest}: give a multiple of 32");
    let labels: Vec<usize> = (0..files.len()).map(|index| files.label(index)).collect();
    let mut observe = |progress: &Progress| reporter.progress(progress);
    let how = Cutting { near: !args.no_near, seed: args.seed, threads: args.running.threads() };
    let Cut { learn, select, groups } = match cut(&how, &folder, &origin.trunk, &labels, &mut observe) {
        Err(error @ TrainError::Stopped) => return Ok(Ended::Stopped(error.to_string())),
        cut => cut?,
    };
    ensure!(
        Choice::by(&groups) == Choice::Best,
        "the images to choose by are of so few groups that they cannot tell which network is better: give images of more parts"
    );

    let (settings, space) = (args.settings(), Space::up_to(largest));
    let digest = folder.digest()?;
    let samples = |preprocess: &Preprocess| -> Result<Box<dyn Samples + '_>, TrainError> {
        let files = folder.files(Some(Side::Train), &classes)?.resized(preprocess);
        Ok(Box::new(files))
    };
    let mut networks = Networks {
        samples: &samples,
        plain: &files,
        sides: (learn, select),
        classes: &classes,
        trunk: &origin.trunk,
        data_digest: &digest,
        augment,
        seed: args.seed,
        threads: args.running.threads(),
        folder: args.out.join(TRIALS),
        until: None,
        observe: &mut observe,
        timed: Vec::new(),
    };
    let preparation = args.preparing.as_ref().map_or("", |preparation| preparation.digest());
    let prepared = ("preparation by a recipe".to_owned(), preparation.to_owned());
    let terms = [settings.terms(&space), networks.terms(), vec![prepared]].concat();
    std::fs::create_dir_all(&args.out).with_context(|| format!("the folder `{}`", args.out.display()))?;
    let (journal, past) = Journal::open(&args.out.join(JOURNAL), &terms, &space, args.running.resume)?;
    begin(&networks.folder, &past)?;
    networks.timed = past.trials.iter().map(|trial| (trial.point, trial.latency_ms)).collect();
    if let Budget::Time(time) = settings.budget {
        let spent = Duration::try_from_secs_f64(past.seconds).unwrap_or(Duration::MAX);
        networks.until = Instant::now().checked_add(time.saturating_sub(spent));
    }
    let past = match search::run(&settings, &space, (journal, past), &mut networks, &mut tell) {
        Err(error @ SearchError::Stopped) => return Ok(Ended::Stopped(error.to_string())),
        past => past?,
    };
    let provenance = args.provenance(digest.clone(), origin.name.clone(), origin.licences.clone());
    let results = Results { out: &args.out, settings: &settings, past: &past, networks: &networks, provenance };
    results.write(&folder).map(Ended::Done)
}

/// Makes the folder of checkpoints. Those of another search would be taken for this one's.
fn begin(trials: &Path, past: &Past) -> anyhow::Result<()> {
    let words = || format!("the folder `{}`", trials.display());
    match std::fs::create_dir(trials) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_empty = std::fs::read_dir(trials).with_context(words)?.next().is_none();
            ensure!(
                is_empty || !past.trials.is_empty(),
                "`{}` holds networks of another search, whose journal is gone: take it away, or give another --out",
                trials.display()
            );
            Ok(())
        }
        made => made.with_context(words),
    }
}

/// A line of the log for each thing that happened.
fn tell(settings: &Settings, past: &Past, trial: &Trial) {
    let spent = 100.0 * settings.budget.spent(past).min(1.0);
    let Trial { number, point, latency_ms, .. } = trial;
    match trial.latest() {
        None if *latency_ms > settings.max_latency_ms => {
            tracing::info!("{spent:.0} %  trial {number}: {latency_ms:.2} ms, too slow ({})", words(point));
        }
        None => tracing::info!("{spent:.0} %  trial {number}: {latency_ms:.2} ms ({})", words(point)),
        Some(latest) => match &latest.failed {
            Some(why) => tracing::info!("{spent:.0} %  trial {number}: {why}"),
            None => tracing::info!(
                "{spent:.0} %  trial {number}: {:.2} % missed, {} of {} wrong after {} rounds, {latency_ms:.2} ms",
                100.0 * latest.miss(),
                latest.errors,
                latest.images,
                latest.rounds
            ),
        },
    }
}

impl Args {
    fn settings(&self) -> Settings {
        let proposals = match self.proposals {
            How::Tpe => Proposals::Tpe,
            How::Random => Proposals::Random,
        };
        let (rounds, factor, seed) = (self.rounds, self.factor, self.seed);
        Settings { rounds, factor, seed, proposals, ..Settings::new(self.max_latency_ms, self.budget) }
    }

    /// Where the bundles come from, with the command in its portable form: no paths of this machine but file names.
    fn provenance(&self, data_digest: String, trunk: String, licences: Vec<String>) -> Provenance {
        let file = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut command = format!("inspectd search --data {}", file(&self.data));
        let mut add = |option: &str, value: String| command.push_str(&format!(" --{option} {value}"));
        let files =
            [("split", self.split.as_deref()), ("trunk", self.trunk.as_deref()), ("recipe", self.recipe.path())];
        files.into_iter().for_each(|(option, path)| path.iter().for_each(|path| add(option, file(path))));
        let budget = match self.budget {
            Budget::Time(time) => format!("{}s", time.as_secs_f64()),
            Budget::Rounds(rounds) => format!("{rounds}r"),
        };
        add("budget", budget);
        add("max-latency-ms", self.max_latency_ms.to_string());
        self.size.iter().for_each(|size| add("size", size.to_string()));
        add("augment", file(Path::new(&self.augment)));
        add("rounds", self.rounds.to_string());
        add("factor", self.factor.to_string());
        add("seed", self.seed.to_string());
        add("out", file(&self.out));
        if self.proposals == How::Random {
            command.push_str(" --proposals random");
        }
        if self.no_near {
            command.push_str(" --no-near");
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let preparation = self.preparing.as_ref().map_or_else(String::new, |it| it.digest().to_owned());
        let seed = self.seed;
        Provenance { command, data_digest, seed, version, trunk, licences, preparation, ..Provenance::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_times_or_rounds() {
        let minutes = |minutes: u64| Ok(Budget::Time(Duration::from_secs(60 * minutes)));
        assert_eq!([budget("30m"), budget("1.5h"), budget("120s")], [minutes(30), minutes(90), minutes(2)]);
        assert_eq!(budget("400r"), Ok(Budget::Rounds(400)));
        for wrong in ["", "30", "m", "-1m", "0m", "0r", "1.5r", "1e300h", "NaNm", "30µ", "5d"] {
            assert!(budget(wrong).is_err_and(|words| words.contains("30m, 2h")), "{wrong}");
        }
    }
}
