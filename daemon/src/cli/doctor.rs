//! `inspectd doctor`: what is installed here and what is missing, each line with its remedy.

use std::process::ExitCode;

use serde::Serialize;

use super::{FAILURE, SUCCESS, out};
use crate::health::{self, Finding};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The state directory to look at; default: where `run` keeps its records.
    #[arg(long, value_name = "DIR")]
    state: Option<std::path::PathBuf>,
    /// One JSON line per finding.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 if nothing keeps the line from running, else 1.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let state = args.state.unwrap_or_else(crate::config::default_state_dir);
    let findings = health::examine(&state);
    for finding in &findings {
        print(finding, args.json)?;
    }
    let broken = findings.iter().any(|finding| finding.severity == health::Severity::Broken);
    Ok(ExitCode::from(if broken { FAILURE } else { SUCCESS }))
}

fn print(finding: &Finding, json: bool) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        severity: &'a str,
        #[serde(flatten)]
        finding: &'a Finding,
    }
    let severity = finding.severity.word();
    if json {
        return out::json(&Line { severity, finding });
    }
    out::line(format_args!("{severity:<7} {:<14} {}", finding.what, finding.said))?;
    if let Some(remedy) = &finding.remedy {
        out::line(format_args!("{:<7} {:<14} -> {remedy}", "", ""))?;
    }
    Ok(())
}
