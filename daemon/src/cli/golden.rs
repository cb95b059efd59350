//! `inspectd golden`: parts whose answer is known, shown to the line that runs.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::line::{LineArgs, text};
use super::{FAILURE, SUCCESS, out};

/// Arguments of `golden`.
#[derive(Debug, clap::Args)]
#[command(after_help = "`status` exits with 1 while the line is not ready because of golden samples.")]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say whether the line has shown that it judges right, and what is due.
    Status {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Begin: the parts that come next are the samples.
    Start,
    /// End the run that is on; what was judged wrong in it so far counts.
    Cancel {
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Let the line go on although the samples were not judged right.
    Override {
        /// Why, for the audit trail.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List the runs that are over, the newest first.
    History {
        /// Runs at most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Exit code 0 when the line has done it; of `status`, when the line does not refuse.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let line = &args.line;
    let golden = match &args.action {
        Action::Status { json } => {
            let golden = line.get("golden")?;
            if *json {
                out::json(&golden)?;
            } else {
                status(&golden)?;
            }
            let refused = golden["refused"].is_string();
            return Ok(ExitCode::from(if refused { FAILURE } else { SUCCESS }));
        }
        Action::History { limit, json } => {
            let runs = line.get(&format!("golden/runs?limit={limit}"))?;
            if *json {
                out::json(&runs)?;
            } else {
                runs["runs"].as_array().into_iter().flatten().try_for_each(head)?;
            }
            return Ok(ExitCode::from(SUCCESS));
        }
        Action::Start => line.post("golden/runs", json!({}))?,
        Action::Cancel { reason } => line.post("golden/cancel", json!({ "reason": reason }))?,
        Action::Override { reason } => line.post("golden/override", json!({ "reason": reason }))?,
    };
    status(&golden)?;
    Ok(ExitCode::from(SUCCESS))
}

fn status(golden: &Value) -> std::io::Result<()> {
    let samples = golden["samples"].as_array().map_or(0, Vec::len);
    if samples == 0 {
        return out::line(format_args!("recipe {} names no golden samples (docs/GOLDEN.md)", text(golden, "recipe")));
    }
    match golden["refused"].as_str() {
        Some(words) => out::line(format_args!("NOT READY: {words}"))?,
        None => out::line(format_args!("golden samples do not hold the line"))?,
    }
    let on = &golden["on"];
    if on.is_object() {
        out::line(format_args!("run {} is on:", on["number"]))?;
        for sample in on["samples"].as_array().into_iter().flatten() {
            let said = match sample["judged"]["right"].as_bool() {
                Some(true) => "right",
                Some(false) => "WRONG",
                None => "to come",
            };
            out::line(format_args!("  {:8} {} ({})", said, text(sample, "name"), text(sample, "known")))?;
        }
    }
    let proof = &golden["proof"];
    if proof.is_object() {
        let how = match (proof["run"].as_u64(), proof["reason"].as_str()) {
            (Some(run), _) => format!("run {run}"),
            (None, reason) => format!("overridden: {}", reason.unwrap_or_default()),
        };
        out::line(format_args!(
            "last shown {} with {} by {} ({how})",
            text(proof, "at"),
            text(proof, "recipe"),
            text(proof, "by")
        ))?;
    }
    match golden["next_due"].as_str() {
        Some(at) => out::line(format_args!("due again {at}")),
        None => Ok(()),
    }
}

fn head(run: &Value) -> std::io::Result<()> {
    let (at, outcome) = (text(run, "at"), text(run, "outcome"));
    out::line(format_args!(
        "run {:>4}  {at}  {outcome:11}  {} ({}, by {})",
        run["number"],
        text(run, "words"),
        text(run, "recipe"),
        text(run, "by")
    ))
}
