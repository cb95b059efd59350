//! `inspectd worker TASK`: what `inspectd` starts as a process of its own for heavy work (see [`crate::worker`]). Not for people.

use std::process::ExitCode;

use super::{FAILURE, SUCCESS, train};
use crate::words;
use crate::worker::{Message, child};

/// Arguments of `worker`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Private memory that the process may take.
    #[arg(long, value_name = "MIB")]
    memory_ceiling: u64,
    /// Run when nothing else wants the processor.
    #[arg(long)]
    idle: bool,
    #[command(subcommand)]
    task: Task,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Task {
    /// As `inspectd train`.
    Train(train::Args),
}

/// Exit code 0 when the work is done and said so.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let reporter = child::enter(args.memory_ceiling, args.idle)?;
    let Task::Train(task) = args.task;
    let (message, code) = match train::work(task, &reporter) {
        Ok(train::Ended::Done(value)) => (Message::Done(value), SUCCESS),
        Ok(train::Ended::Stopped(words)) => (Message::Stopped(words), FAILURE),
        Err(error) => (Message::Failed(words::of(&error)), FAILURE),
    };
    reporter.end(&message)?;
    Ok(ExitCode::from(code))
}
