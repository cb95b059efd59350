//! The command line, one file a subcommand. A new one is a file with `Args` and `run`, a `mod` line and a variant below.
//!
//! Exit codes: [`SUCCESS`], [`FAILURE`], [`USAGE`], [`UNDECIDED`], [`HUNG`].

pub mod alerts;
pub mod archive;
pub mod audit;
pub mod backup;
pub mod calibrate;
pub mod cameras;
mod change;
pub mod check;
pub mod completions;
pub mod data;
pub mod demo;
pub mod doctor;
pub mod drift;
pub mod embed;
pub mod eval;
pub mod gauge;
pub mod golden;
pub mod holds;
pub mod inspect;
pub mod jobs;
mod line;
pub mod manual;
pub mod models;
pub mod openapi;
mod out;
pub mod plc;
pub mod pretrain;
pub mod queue;
mod recipe;
pub mod records;
pub mod replay;
pub mod report;
pub mod retrieval;
pub mod run;
pub mod search;
pub mod search_archive;
pub mod simulate;
pub mod status;
pub mod support_bundle;
pub mod tokens;
pub mod top;
pub mod train;
pub mod users;
pub mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::logs;

/// Everything went as asked.
pub const SUCCESS: u8 = 0;
/// It did not; the reason stands on standard error.
pub const FAILURE: u8 = 1;
/// The command line is wrong (clap's own code).
pub const USAGE: u8 = 2;
/// `inspect`: at least one file got no decision.
pub const UNDECIDED: u8 = 3;
/// Too many threads of the line hang: the service manager should start the program anew (EX_SOFTWARE).
pub const HUNG: u8 = 70;

/// Sees parts on a factory line, and says what is wrong with them.
#[derive(Debug, Parser)]
#[command(name = "inspectd", version, about, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 success, 1 failure, 2 usage, 3 some file got no decision (inspect), \
                        70 the line hung (start it anew).")]
pub struct Cli {
    /// What is logged: error, warn, info, debug, trace, or a list such as `info,stages=debug`.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand and its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Inspect a synthetic line, with the live page.
    Demo(demo::Args),
    /// Run the line of a configuration until stopped. SIGTERM ends it in order, SIGHUP reloads the recipe.
    Run(run::Args),
    /// Say everything that is wrong with a configuration.
    Check(check::Args),
    /// Calibrate a camera by pictures of a chessboard: lens distortion, millimetres per pixel.
    Calibrate(calibrate::Args),
    /// Find GigE Vision and USB3 Vision cameras, set them up, look through them.
    Cameras(cameras::Args),
    /// Inspect pictures from files.
    Inspect(inspect::Args),
    /// Read what is on record.
    Records(records::Args),
    /// Copy everything that the line knows, while it runs, into a folder of backups; or check that folder.
    Backup(backup::Args),
    /// Write closed days as Parquet, with their pictures, into a folder that other tools read.
    Archive(archive::Args),
    /// Put a backup back.
    Restore(backup::RestoreArgs),
    /// Decide stored parts anew, under another model or other thresholds, and list the verdicts that change.
    Replay(replay::Args),
    /// How good the parts of a shift were, as a PDF or a table.
    Report(report::Args),
    /// Draw what parts look like to the model as a map, in one page.
    Embed(embed::Args),
    /// See what is wrong, try who is told, and send again what was given up.
    Alerts(alerts::Args),
    /// Say what is installed here and what is missing, each with its remedy.
    Doctor(doctor::Args),
    /// Measure a bundle on labelled images.
    Eval(eval::Args),
    /// Look at a data set before anything is learned from it, or cut it into two sides.
    Data(data::Args),
    /// Learn a bundle from labelled images, or from the synthetic line.
    Train(Box<train::Args>),
    /// Learn to see from pictures without labels: a trunk to train from.
    Pretrain(Box<pretrain::Args>),
    /// Search for a network that errs little and is quick enough for this machine.
    Search(Box<search::Args>),
    /// Find parts on record by words, or by their likeness to a part or a picture.
    SearchArchive(search_archive::Args),
    /// Make and measure the retriever, by which parts are found by words.
    Retrieval(retrieval::Args),
    /// List parts that wait for a person's look.
    Queue(queue::Args),
    /// Say what a part is.
    Label(queue::LabelArgs),
    /// List, start and end trainings of the line that runs.
    Jobs(jobs::Args),
    /// Whether the line that runs still is what it was.
    Drift(drift::Args),
    /// Show golden samples to the line that runs: parts whose answer is known.
    Golden(golden::Args),
    /// Measure how well the line that runs agrees with itself, with the truth and with people.
    Gauge(gauge::Args),
    /// Hold parts so that neither pictures nor records of them are let go, and lift that.
    Holds(holds::Args),
    /// How the PLC is reached, what it is told, what was counted.
    Plc(plc::Args),
    /// Play the machine around a line: the PLC that calls for parts.
    Simulate(simulate::Args),
    /// Look at models, sign them, make them ready ahead of time.
    Models(models::Args),
    /// How the line that runs is, at a glance: state, rates, last alarms.
    Status(status::Args),
    /// Watch the line that runs, in this terminal: the same and more, twice a second.
    Top(top::Args),
    /// Put what helps to understand a line from far away into one file, without pictures, secrets and names.
    SupportBundle(support_bundle::Args),
    /// Add, list and remove users.
    Users(users::Args),
    /// Make, list and revoke tokens of programs and screens.
    Tokens(tokens::Args),
    /// Read and check the trail of who changed what.
    Audit(audit::Args),
    /// Print the description of the HTTP interface (OpenAPI).
    Openapi(openapi::Args),
    /// Write the manual pages: one a command, and the keys of configuration and recipe.
    Manual(manual::Args),
    /// Print what a shell needs to complete this command line.
    Completions(completions::Args),
    /// Heavy work in a process of its own; started by inspectd itself.
    #[command(hide = true)]
    Worker(worker::Args),
}

/// Runs one command.
///
/// # Errors
/// Whatever kept the command from its end, in words for a person.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    logs::init(cli.log_level.as_deref())?;
    match dispatch(cli.command) {
        // Whoever read our output has seen enough of it.
        Err(error) if out::is_broken_pipe(&error) => Ok(ExitCode::from(SUCCESS)),
        result => result,
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Cameras(args) => cameras::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Records(args) => records::run(args),
        Command::Backup(args) => backup::run(&args),
        Command::Archive(args) => archive::run(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Alerts(args) => alerts::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Eval(args) => eval::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Search(args) => search::run(&args),
        Command::SearchArchive(args) => search_archive::run(&args),
        Command::Retrieval(args) => retrieval::run(args),
        Command::Queue(args) => queue::run(&args),
        Command::Label(args) => queue::label(&args),
        Command::Jobs(args) => jobs::run(&args),
        Command::Drift(args) => drift::run(&args),
        Command::Golden(args) => golden::run(&args),
        Command::Gauge(args) => gauge::run(&args),
        Command::Holds(args) => holds::run(&args),
        Command::Plc(args) => plc::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Top(args) => top::run(&args),
        Command::SupportBundle(args) => support_bundle::run(&args),
        Command::Users(args) => users::run(args),
        Command::Tokens(args) => tokens::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Openapi(args) => openapi::run(args),
        Command::Manual(args) => manual::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Worker(args) => worker::run(args),
    }
}
