//! `inspectd jobs`: trainings of the line that runs.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::line::{LineArgs, short, text};
use super::{SUCCESS, out};

/// Arguments of `jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List trainings, the newest first.
    List {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show one training: its data, its log, and how its candidate did.
    Show {
        /// The job.
        id: u64,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Start a training from all that is labelled.
    Start {
        /// Why, for the audit trail.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// End a training for good.
    Cancel {
        /// The job.
        id: u64,
    },
    /// Halt a training; it keeps its checkpoint.
    Pause {
        /// The job.
        id: u64,
    },
    /// Let a halted training go on.
    Resume {
        /// The job.
        id: u64,
    },
    /// Compare the candidate of a training once more, with all that was labelled since.
    Judge {
        /// The job.
        id: u64,
    },
    /// Remove a training that has ended; its candidate stays.
    Delete {
        /// The job.
        id: u64,
    },
}

/// Exit code 0 when the line has done it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let line = &args.line;
    match &args.action {
        Action::List { json } => {
            let jobs = line.get("jobs")?;
            if *json {
                out::json(&jobs)?;
                return Ok(ExitCode::from(SUCCESS));
            }
            jobs["jobs"].as_array().into_iter().flatten().try_for_each(head)?;
        }
        Action::Show { id, json } => {
            let job = line.get(&format!("jobs/{id}"))?;
            if *json {
                out::json(&job)?;
                return Ok(ExitCode::from(SUCCESS));
            }
            head(&job)?;
            for words in
                job["log"].as_array().into_iter().flatten().chain(job["gate"]["words"].as_array().into_iter().flatten())
            {
                out::line(format_args!("  {}", words.as_str().unwrap_or_default()))?;
            }
        }
        Action::Start { reason, json } => {
            let job = line.post("jobs", json!({ "reason": reason }))?;
            if *json { out::json(&job)? } else { head(&job)? }
        }
        Action::Cancel { id } => head(&line.post(&format!("jobs/{id}/cancel"), json!({}))?)?,
        Action::Pause { id } => head(&line.post(&format!("jobs/{id}/pause"), json!({}))?)?,
        Action::Resume { id } => head(&line.post(&format!("jobs/{id}/resume"), json!({}))?)?,
        Action::Judge { id } => head(&line.post(&format!("jobs/{id}/judge"), json!({}))?)?,
        Action::Delete { id } => {
            line.delete(&format!("jobs/{id}"))?;
            out::line(format_args!("job {id} is gone"))?;
        }
    }
    Ok(ExitCode::from(SUCCESS))
}

fn head(job: &Value) -> std::io::Result<()> {
    let done = match job["progress"]["done"].as_f64() {
        Some(done) => format!(", {} {:.0} %", text(&job["progress"], "stage"), 100.0 * done),
        None => String::new(),
    };
    let gate = match job["gate"]["passed"].as_bool() {
        Some(true) => ", the gate has passed",
        Some(false) => ", the gate has not passed",
        None => "",
    };
    let candidate = job["candidate"].as_str().map_or(String::new(), |digest| format!(", candidate {}", short(digest)));
    let reason = job["reason"].as_str().map_or(String::new(), |reason| format!(": {reason}"));
    out::line(format_args!(
        "job {} {}{done}{candidate}{gate}{reason} ({}, by {})",
        job["id"],
        text(job, "state"),
        text(job, "why"),
        text(job, "by")
    ))
}
