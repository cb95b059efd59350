//! `inspectd worker TASK`: what `inspectd` starts as a process of its own for heavy work (see [`crate::worker`]). Not for people.

use std::iter::once;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Parser;

use super::{FAILURE, SUCCESS, pretrain, replay, search, train};
use crate::features;
use crate::learning::{self, Case};
use crate::words;
use crate::worker::child::Reporter;
use crate::worker::{Mailbox, Message, child};

/// Arguments of `worker`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Private memory that the process may take.
    #[arg(long, value_name = "MIB", required_unless_present = "requests")]
    memory_ceiling: Option<u64>,
    /// Run when nothing else wants the processor.
    #[arg(long)]
    idle: bool,
    /// Do what is asked for in this folder: how `inspectd-training.service` starts it.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["memory_ceiling", "idle"])]
    requests: Option<PathBuf>,
    #[command(subcommand)]
    task: Option<Task>,
}

/// What a request says.
#[derive(Debug, clap::Parser)]
struct Asked {
    #[command(subcommand)]
    task: Task,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Task {
    /// As `inspectd train`.
    Train(Box<train::Args>),
    /// As `inspectd pretrain`.
    Pretrain(Box<pretrain::Args>),
    /// As `inspectd search`.
    Search(Box<search::Args>),
    /// Champion and candidate on the same parts.
    Judge {
        /// What is to be compared.
        #[arg(long, value_name = "FILE")]
        case: PathBuf,
        /// What it has to be: another may lie there by now.
        #[arg(long, value_name = "SHA256")]
        identity: String,
    },
    /// As `inspectd replay`.
    Replay(Box<replay::Args>),
    /// A map of what parts look like.
    Map {
        /// Which parts. The points are left beside it.
        #[arg(long, value_name = "FILE")]
        question: PathBuf,
    },
    /// A replay that somebody asked the daemon for.
    Answer {
        /// What is asked. The answer is left beside it.
        #[arg(long, value_name = "FILE")]
        question: PathBuf,
    },
}

/// Exit code 0 when the work is done and said so.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (reporter, task) = match (args.requests, args.memory_ceiling, args.task) {
        (Some(folder), _, None) => {
            let Some((reporter, request)) = child::enter_unit(&Mailbox::at(&folder))? else {
                tracing::info!("nothing is asked for in `{}`", folder.display());
                return Ok(ExitCode::from(SUCCESS));
            };
            let words = once("inspectd".into()).chain(request.job.arguments);
            match Asked::try_parse_from(words) {
                Ok(asked) => (reporter, asked.task),
                Err(error) => {
                    reporter.end(&Message::Failed(error.to_string()))?;
                    return Ok(ExitCode::from(FAILURE));
                }
            }
        }
        (None, Some(ceiling), Some(task)) => (child::enter(ceiling, args.idle)?, task),
        _ => bail!("a worker takes a task with `--memory-ceiling`, or `--requests` alone"),
    };
    let ended = match task {
        Task::Train(task) => train::work(*task, &reporter),
        Task::Pretrain(task) => pretrain::work(*task, &reporter),
        Task::Search(task) => search::work(*task, &reporter),
        Task::Judge { case, identity } => judge(&case, &identity, &reporter),
        Task::Replay(task) => replay::work(&task, &reporter),
        Task::Map { question } => map(&question, &reporter),
        Task::Answer { question } => replay::answer(&question, &reporter),
    };
    let (message, code) = match ended {
        Ok(train::Ended::Done(value)) => (Message::Done(value), SUCCESS),
        Ok(train::Ended::Stopped(words)) => (Message::Stopped(words), FAILURE),
        Err(error) => (Message::Failed(words::of(&error)), FAILURE),
    };
    reporter.end(&message)?;
    Ok(ExitCode::from(code))
}

fn map(question: &Path, reporter: &Reporter) -> anyhow::Result<train::Ended> {
    Ok(match features::map::work(question, reporter)? {
        Some(found) => train::Ended::Done(serde_json::to_value(found)?),
        None => train::Ended::Stopped("stopped before the map was drawn".into()),
    })
}

fn judge(case: &Path, identity: &str, reporter: &Reporter) -> anyhow::Result<train::Ended> {
    let bytes = std::fs::read(case).with_context(|| format!("the case {}", case.display()))?;
    let case: Case = serde_json::from_slice(&bytes).with_context(|| format!("the case {}", case.display()))?;
    ensure!(case.identity()? == identity, "the case is another by now: it was changed after it was asked for");
    Ok(match learning::judge(&case, &mut |_| !reporter.asked_to_stop())? {
        Some(judgement) => train::Ended::Done(serde_json::to_value(judgement)?),
        None => train::Ended::Stopped("stopped before all parts were seen".into()),
    })
}
