//! `inspectd replay`: stored parts decided anew, under another model or other thresholds. Since when was it wrong, and which serials?
//!
//! What is asked here is asked of [`crate::replay`], in a worker process at idle priority; the page asks the same of a line that runs.

mod text;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use models::bundle::Trust;

use super::train::Ended;
use super::train::signals::Signals;
use super::{FAILURE, SUCCESS, out};
use crate::config::{self, Config};
use crate::replay::report::{Asked, Report};
use crate::replay::{self, Question};
use crate::store::VerdictKind;
use crate::worker::child::Reporter;
use crate::worker::{self, Job, Worker, WorkerError};

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
    let mut bar = Bar::new("replaying");
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
    let report: Report = serde_json::from_value(report).context("the worker's report")?;
    if args.json {
        out::json(&report)?;
    } else {
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

    fn question(&self, config: Option<&Config>) -> anyhow::Result<Question> {
        let recipe = |path: &PathBuf| config::load_recipe(path);
        let dir = self.state.clone().or_else(|| config?.store.dir.clone());
        Ok(Question {
            state: dir.unwrap_or_else(config::default_state_dir),
            range: Asked {
                from: self.from,
                to: self.to,
                serial: self.serial.clone(),
                label: self.label.clone(),
                verdict: self.verdict.map(|verdict| verdict.name().to_owned()),
                limit: self.limit,
            },
            thresholds: self.thresholds.iter().cloned().collect(),
            bundle: self.bundle.clone(),
            given: self.recipe.as_ref().map(recipe).transpose()?,
            configured: config.map(|config| recipe(&config.line.recipe)).transpose()?,
        })
    }
}

/// The replay itself, in the worker.
pub(super) fn work(args: &Args, reporter: &Reporter) -> anyhow::Result<Ended> {
    args.check()?;
    let config = args.config.as_deref().map(Config::load).transpose()?;
    let trust = config.as_ref().map_or_else(Trust::default, |config| config.models.trust());
    Ok(match replay::answer(&args.question(config.as_ref())?, trust, reporter)? {
        Some(report) => Ended::Done(serde_json::to_value(report)?),
        None => stopped(),
    })
}

/// The same of a question that the daemon has put into a file.
pub(super) fn answer(question: &Path, reporter: &Reporter) -> anyhow::Result<Ended> {
    Ok(match replay::file::work(question, reporter)? {
        Some(found) => Ended::Done(serde_json::to_value(found)?),
        None => stopped(),
    })
}

fn stopped() -> Ended {
    Ended::Stopped("stopped before all parts were looked at; nothing was changed".into())
}

/// How far the worker is: a bar on a terminal, now and then a line in a log.
pub(super) struct Bar {
    bar: ProgressBar,
    doing: &'static str,
    logged: Instant,
}

impl Bar {
    pub(super) fn new(doing: &'static str) -> Bar {
        let bar = ProgressBar::new(STEPS).with_prefix(doing);
        let style = ProgressStyle::with_template("{prefix} {bar:28} {percent:3} %  {msg}");
        bar.set_style(style.expect("the template is fixed and names known keys"));
        Bar { bar, doing, logged: Instant::now() }
    }

    pub(super) fn show(&mut self, done: f64, eta: Duration) {
        let left = format!("{}:{:02} left", eta.as_secs() / 60, eta.as_secs() % 60);
        if self.bar.is_hidden() {
            if self.logged.elapsed() >= LOG_EVERY {
                self.logged = Instant::now();
                tracing::info!("{}: {:.0} %  {left}", self.doing, 100.0 * done);
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
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_and_refused_with_the_reason() {
        assert_eq!(threshold("scratch=0.4"), Ok(("scratch".into(), 0.4)));
        assert_eq!(threshold("a=b = 1"), Ok(("a=b".into(), 1.0)));
        for (text, words) in [
            ("scratch", "LABEL=VALUE"),
            ("=0.4", "LABEL=VALUE"),
            ("scratch=low", "LABEL=VALUE"),
            ("scratch=1.5", "between 0 and 1"),
            ("scratch=-0.1", "between 0 and 1"),
            ("scratch=NaN", "between 0 and 1"),
            ("scratch=inf", "between 0 and 1"),
        ] {
            let reason = threshold(text).expect_err("must be refused");
            assert!(reason.contains(words), "{text}: {reason}");
        }
    }
}
