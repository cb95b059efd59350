//! `inspectd replay`: stored parts decided anew, under another model or other thresholds. Since when was it wrong, and which serials?
//!
//! Records are read beside a running line, without a lock and without changing anything. The work is done in a worker process at idle
//! priority and on the processor alone, so that a line beside it keeps its deadlines. docs/REPLAY.md has the whole picture.

mod manifests;
mod pictures;
mod range;
mod recipes;
mod report;
mod scores;
mod text;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use models::bundle::{Manifest, Trust};
use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::{Provider, SessionOptions};
use stages::inspection::Inspection;
use stages::recipe::Recipe;

use self::pictures::ByPictures;
use self::range::Survey;
use self::recipes::Recipes;
use self::report::{Asked, Basis, Fate, ModelName, Report, Tried};
use self::scores::ByScores;
use super::train::Ended;
use super::train::signals::Signals;
use super::{FAILURE, SUCCESS, out};
use crate::config::{self, Config};
use crate::store::{Filter, VerdictKind};
use crate::supervise::Kitchen;
use crate::worker::child::Reporter;
use crate::worker::{self, Job, Worker, WorkerError};

/// Between two words of progress.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// Between two lines of progress where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(20);
/// Steps of the bar.
const STEPS: u64 = 1000;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("tried").required(true).multiple(true).args(["bundle", "thresholds", "recipe"])))]
#[command(
    after_help = "`inspectd replay --from 2026-11-24T06:00:00Z --to 2026-11-24T14:00:00Z --threshold scratch=0.4`; with \
                        `--bundle` the kept pictures are looked at again. Exit code 0 also where verdicts change."
)]
pub struct Args {
    /// The state directory; default: where `run` keeps its records.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    state: Option<PathBuf>,
    /// The line's configuration: its state directory, its recipe, whose models it trusts.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Triggered at or after this, as 2026-11-24T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Timestamp,
    /// Triggered before this.
    #[arg(long, value_name = "TIME")]
    to: Timestamp,
    /// Another model: the pictures that were kept are decided by it.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Another threshold, as `scratch=0.4`; may be given for several labels. Without --bundle parts are decided anew from the scores on
    /// record, whether or not their picture was kept.
    #[arg(long = "threshold", value_name = "LABEL=VALUE", value_parser = threshold)]
    thresholds: Vec<(String, f32)>,
    /// A recipe. Alone: its thresholds are tried on all parts. Beside --bundle or --threshold: it is taken for the recipes of that time,
    /// where those are not known here.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Exactly this serial number.
    #[arg(long)]
    serial: Option<String>,
    /// A label that was found.
    #[arg(long)]
    label: Option<String>,
    /// pass, fail, review or no_decision, as on record.
    #[arg(long)]
    verdict: Option<VerdictKind>,
    /// Look at so many parts at most, the oldest; the others are counted.
    #[arg(long, value_name = "PARTS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Memory that the work may take; default: half of the machine's, 2048 at least.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(64..))]
    memory_ceiling: Option<u64>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// `scratch=0.4`.
fn threshold(text: &str) -> Result<(String, f32), String> {
    let wrong = || format!("`{text}` is no threshold: write LABEL=VALUE, as scratch=0.4");
    let (label, value) = text.rsplit_once('=').ok_or_else(wrong)?;
    let value: f32 = value.trim().parse().map_err(|_| wrong())?;
    let label = label.trim();
    if label.is_empty() {
        return Err(wrong());
    }
    if !(0.0..=1.0).contains(&value) {
        return Err(format!("the threshold of `{label}` is {value}: scores lie between 0 and 1, so it must too"));
    }
    Ok((label.to_owned(), value))
}

/// Decides anew in a worker process, shows how far it is, and prints what changes. Exit code 0 also where verdicts change.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.check()?;
    let job = Job {
        arguments: std::env::args_os().skip(1).collect(),
        memory_ceiling_mib: args.memory_ceiling.map_or_else(worker::usual_ceiling_mib, Ok)?,
        idle: true,
    };
    let worker = Worker::spawn(&job)?;
    let signals = Signals::pass_on(worker.stopper())?;
    let mut bar = Bar::new();
    let ended = worker.wait(&mut |progress| bar.show(progress.done, progress.eta));
    drop((bar, signals));
    let report = match ended {
        Ok(report) => report,
        Err(WorkerError::Stopped(words)) => {
            tracing::warn!("{words}");
            return Ok(ExitCode::from(FAILURE));
        }
        Err(WorkerError::Died { how, words }) => {
            bail!(
                "the replay's worker {how} before it was done{words}; nothing was changed: ask again, for a shorter range"
            )
        }
        Err(error) => return Err(error.into()),
    };
    if args.json {
        out::json(&report)?;
    } else {
        let report: Report = serde_json::from_value(report).context("the worker's report")?;
        let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
        text::print(&report, &mut stdout)?;
        stdout.flush()?;
    }
    Ok(ExitCode::from(SUCCESS))
}

impl Args {
    /// What can be said without looking at a record.
    fn check(&self) -> anyhow::Result<()> {
        let Args { from, to, .. } = self;
        ensure!(
            from < to,
            "--from {from} is not before --to {to}: the range has no time in it; swap the two, or widen it"
        );
        let mut seen = BTreeMap::new();
        for (label, value) in &self.thresholds {
            if let Some(other) = seen.insert(label, value) {
                bail!("--threshold gives `{label}` twice, {other} and {value}: leave one of them out");
            }
        }
        Ok(())
    }

    fn filter(&self) -> Filter {
        Filter {
            from: Some(self.from),
            to: Some(self.to),
            verdict: self.verdict,
            label: self.label.clone(),
            serial: self.serial.clone(),
            ..Filter::default()
        }
    }

    fn asked(&self) -> Asked {
        Asked {
            from: self.from,
            to: self.to,
            serial: self.serial.clone(),
            label: self.label.clone(),
            verdict: self.verdict.map(|verdict| verdict.name().to_owned()),
            limit: self.limit,
        }
    }
}

/// The replay itself, in the worker.
pub(super) fn work(args: &Args, reporter: &Reporter) -> anyhow::Result<Ended> {
    args.check()?;
    let config = args.config.as_deref().map(Config::load).transpose()?;
    let state =
        args.state.clone().or_else(|| config.as_ref()?.store.dir.clone()).unwrap_or_else(config::default_state_dir);
    let given = args.recipe.as_deref().map(config::load_recipe).transpose()?;
    let configured = config.as_ref().map(|config| config::load_recipe(&config.line.recipe)).transpose()?;
    let thresholds: BTreeMap<String, f32> = args.thresholds.iter().cloned().collect();
    // A recipe that stands alone is what is tried, and says nothing of the past.
    let tried = given.clone().filter(|_| args.bundle.is_none() && thresholds.is_empty());
    let mut report = Report::new(
        args.asked(),
        Tried {
            from: if args.bundle.is_some() { Basis::Pictures } else { Basis::Scores },
            model: None,
            thresholds: thresholds.clone(),
            recipe: tried.as_ref().map(Recipe::tag),
        },
    );
    let filter = args.filter();
    let stop = || reporter.asked_to_stop();
    let Some(survey) = range::survey(&state, &filter, args.limit.unwrap_or(u64::MAX), &stop)? else {
        return Ok(stopped());
    };
    let recipes = Recipes::new(given, configured, &state, &mut report.notes);
    report.parts.asked_for = survey.asked_for;
    report.parts.beyond_limit = survey.asked_for - survey.looked_at;
    report.recipes = survey.recipes.iter().map(|(tag, &parts)| recipes.used(tag, parts)).collect();
    report.damaged_bytes = survey.damaged_bytes;
    let place = Place { state: &state, filter: &filter, parts: survey.looked_at };
    let whole = match &args.bundle {
        None => {
            let papers = manifests::of(survey.models.keys(), &state, &recipes);
            let manifests: Vec<&Manifest> = papers.values().map(|paper| paper.manifest()).collect();
            known_labels(&survey, &thresholds, &manifests)?;
            let mut scores = ByScores::new(&recipes, papers, &thresholds, tried);
            place.decide(&mut report, reporter, &mut |part| scores.fate(part))?
        }
        Some(path) => {
            let trust = config.as_ref().map_or_else(Trust::default, |config| config.models.trust());
            let model = load(path, trust)?;
            let manifest = model.manifest();
            let digest = manifest.graph_sha256.clone();
            report.tried.model = Some(ModelName { name: manifest.name.clone(), digest });
            known_labels(&survey, &thresholds, &[manifest])?;
            report.notes.extend(left_out(&survey, &recipes, manifest));
            let mut pictures = ByPictures::new(&state, &recipes, model.clone(), &thresholds);
            place.decide(&mut report, reporter, &mut |part| pictures.fate(part))?
        }
    };
    if !whole {
        return Ok(stopped());
    }
    report.finish();
    Ok(Ended::Done(serde_json::to_value(report)?))
}

fn stopped() -> Ended {
    Ended::Stopped("stopped before all parts were looked at; nothing was changed".into())
}

/// Where the parts are.
struct Place<'a> {
    state: &'a Path,
    filter: &'a Filter,
    parts: u64,
}

impl Place<'_> {
    /// Counts what becomes of each part. `false`: it was asked to stop.
    fn decide(
        &self,
        report: &mut Report,
        reporter: &Reporter,
        fate: &mut dyn FnMut(&Inspection) -> Fate,
    ) -> anyhow::Result<bool> {
        let started = Instant::now();
        let (mut told, mut seen, mut go_on) = (started, 0_u64, true);
        range::walk(self.state, self.filter, self.parts, |part| {
            report.count(part, fate(part));
            seen += 1;
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let done = seen as f64 / self.parts as f64;
                go_on = reporter.share(done, started.elapsed().mul_f64((1.0 - done).max(0.0) / done));
            }
            go_on
        })?;
        Ok(go_on && !reporter.asked_to_stop())
    }
}

/// Loads another model. On the processor: what other devices there are belongs to the line.
fn load(path: &Path, trust: Trust) -> anyhow::Result<Arc<dyn Model>> {
    let bundle = Kitchen { trust, ..Kitchen::default() }.open(path)?;
    models::runtime::init(None)?;
    let options = SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() };
    let name = bundle.manifest.name.clone();
    Ok(Arc::new(Predictor::load(bundle, &options).with_context(|| format!("model `{name}`"))?))
}

/// Refuses a threshold that no model has a label for.
fn known_labels(survey: &Survey, thresholds: &BTreeMap<String, f32>, manifests: &[&Manifest]) -> anyhow::Result<()> {
    if manifests.is_empty() {
        ensure!(
            !survey.models.is_empty(),
            "no part in this range has scores on record: nothing can be decided from them; \
            replay the pictures that were kept, with --bundle"
        );
        let digests: Vec<&str> = survey.models.keys().map(|digest| digest.get(..12).unwrap_or(digest)).collect();
        bail!(
            "the model that decided these parts is not here (digest {}), so nobody knows what its labels mean: name the line's \
             --config, a --recipe with its bundle, or replay the pictures with --bundle",
            digests.join(", ")
        );
    }
    for label in thresholds.keys() {
        if manifests.iter().any(|manifest| manifest.label_index(label).is_some()) {
            continue;
        }
        let mut kinds = manifests.iter().filter_map(|manifest| manifest.heads.prototypes.as_ref());
        if kinds.any(|spec| spec.registered().any(|(_, kind)| kind.name == *label)) {
            bail!(
                "--threshold {label}: `{label}` is a kind registered from a few pictures, and such have no threshold"
            );
        }
        let mut known: Vec<&str> = Vec::new();
        for label in manifests.iter().flat_map(|manifest| &manifest.labels) {
            if !known.contains(&label.name.as_str()) {
                known.push(&label.name);
            }
        }
        bail!("--threshold {label}: the model has no label `{label}`; it has: {}", known.join(", "));
    }
    Ok(())
}

/// In words, thresholds of former recipes that the new model has no label for.
fn left_out(survey: &Survey, recipes: &Recipes, manifest: &Manifest) -> Vec<String> {
    let unknown = |tag: &Arc<str>| {
        let names: Vec<String> =
            recipes.of(tag).0.thresholds.into_keys().filter(|name| manifest.label_index(name).is_none()).collect();
        let words = format!(
            "recipe {tag} has thresholds for labels that model `{}` does not have; they are left out: {}",
            manifest.name,
            names.join(", ")
        );
        (!names.is_empty()).then_some(words)
    };
    survey.recipes.keys().filter_map(unknown).collect()
}

/// How far the worker is: a bar on a terminal, now and then a line in a log.
struct Bar {
    bar: ProgressBar,
    logged: Instant,
}

impl Bar {
    fn new() -> Bar {
        let bar = ProgressBar::new(STEPS);
        let style = ProgressStyle::with_template("replaying {bar:28} {percent:3} %  {msg}");
        bar.set_style(style.expect("the template is fixed and names known keys"));
        Bar { bar, logged: Instant::now() }
    }

    fn show(&mut self, done: f64, eta: Duration) {
        let left = format!("{}:{:02} left", eta.as_secs() / 60, eta.as_secs() % 60);
        if self.bar.is_hidden() {
            if self.logged.elapsed() >= LOG_EVERY {
                self.logged = Instant::now();
                tracing::info!("replaying: {:.0} %  {left}", 100.0 * done);
            }
            return;
        }
        self.bar.set_message(left);
        self.bar.set_position((done * STEPS as f64) as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests;
