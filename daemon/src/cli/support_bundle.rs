//! `inspectd support-bundle`: one file for whoever helps from far away, without pictures, secrets and names.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::line::LineArgs;
use super::{SUCCESS, out};
use crate::config;
use crate::support::{self, Sources};

/// Arguments of `support-bundle`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Run it as the daemon's user or as root, so that it reaches state and log. Look into the file before it leaves the house: it is a plain zip of texts."
)]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    /// The file to write; default: inspectd-support-TIME.zip, here. One that is there is not replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/inspectd/inspectd.toml")]
    config: PathBuf,
    /// The state directory; default: where `run` keeps its records.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Exit code 0 when the file is written, whatever it lacks.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let path = args.out.clone().unwrap_or_else(|| format!("inspectd-support-{now}.zip").into());
    let state = args.state.clone().unwrap_or_else(config::default_state_dir);
    let answers = ["line", "health", "alerts", "learning", "recipes"].map(|name| (name, args.line.get(name)));
    let sources = Sources { config: &args.config, state: &state, answers: answers.into() };
    let lacks = support::write(sources, &path)
        .with_context(|| format!("`{}` cannot be written; name another file with `--out`", path.display()))?;
    for lack in &lacks {
        out::line(format_args!("lacks {lack}"))?;
    }
    out::line(format_args!("{} is written: no pictures, no secrets, no names", path.display()))?;
    Ok(ExitCode::from(SUCCESS))
}
