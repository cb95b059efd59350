//! `inspectd queue` and `inspectd label`: parts that wait for a person's look, and what a person says of one.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::line::{LineArgs, text};
use super::{SUCCESS, out};

/// Arguments of `queue`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what waits, the most valuable first, and why it does.
    List {
        /// Parts at most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Say how labels, agreement and the audit's estimates stand.
    Status {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `label`.
#[derive(Debug, clap::Args)]
#[command(after_help = "`inspectd label 123 scratch`; `inspectd label 123 --unsure`; `inspectd label --undo`.")]
pub struct LabelArgs {
    #[command(flatten)]
    line: LineArgs,
    /// The part.
    #[arg(value_name = "ID", required_unless_present = "undo")]
    id: Option<u64>,
    /// What it is. A name that no model knows makes a new kind.
    #[arg(value_name = "LABEL", required_unless_present_any = ["unsure", "skip", "undo"])]
    label: Option<String>,
    /// It cannot be told.
    #[arg(long, conflicts_with_all = ["label", "skip", "undo"])]
    unsure: bool,
    /// Not now.
    #[arg(long, conflicts_with_all = ["label", "undo"])]
    skip: bool,
    /// Take back your last answer.
    #[arg(long, conflicts_with_all = ["id", "label"])]
    undo: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when the line has answered.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List { limit, json } => {
            let queue = args.line.get(&format!("queue?limit={limit}"))?;
            if json {
                out::json(&queue)?;
                return Ok(ExitCode::from(SUCCESS));
            }
            for item in queue["items"].as_array().into_iter().flatten() {
                let reasons = item["reasons"].as_array().into_iter().flatten();
                let reasons: Vec<String> =
                    reasons.map(|reason| format!("{} ({})", text(reason, "reason"), text(reason, "detail"))).collect();
                let label = item["label"].as_str().map_or(String::new(), |label| format!(" {label}"));
                let value = item["value"].as_f64().unwrap_or(0.0);
                let (id, verdict) = (&item["id"], text(item, "verdict"));
                out::line(format_args!("{id:>9}  {value:.2}  {verdict}{label}: {}", reasons.join("; ")))?;
            }
            out::line(format_args!("{} wait", queue["waiting"]))?;
        }
        Action::Status { json } => {
            let learning = args.line.get("learning")?;
            if json {
                out::json(&learning)?;
                return Ok(ExitCode::from(SUCCESS));
            }
            for label in learning["labels"].as_array().into_iter().flatten() {
                let (name, origin) = (text(label, "name"), text(label, "origin"));
                out::line(format_args!("{:>7}  {name} ({}, {origin})", label["count"], text(label, "verdict")))?;
            }
            let estimates = &learning["estimates"];
            let rate = |name: &str| match estimates[name].as_f64() {
                Some(rate) => format!("{:.2} %", 100.0 * rate),
                None => "not known".into(),
            };
            out::line(format_args!(
                "from {} audited parts: escapes {}, overkill {}",
                estimates["audited"],
                rate("escape_rate"),
                rate("overkill_rate")
            ))?;
        }
    }
    Ok(ExitCode::from(SUCCESS))
}

/// Exit code 0 when the line has kept it.
pub fn label(args: &LabelArgs) -> anyhow::Result<ExitCode> {
    let said = match (args.id, &args.label) {
        (Some(id), label) => {
            let answer = match label {
                Some(label) => json!({ "answer": "label", "label": label }),
                None if args.unsure => json!({ "answer": "unsure" }),
                None => json!({ "answer": "skip" }),
            };
            args.line.post(&format!("inspections/{id}/label"), answer)?
        }
        (None, _) => args.line.post("labels/undo", json!({}))?,
    };
    if args.json {
        out::json(&said)?;
    } else if args.undo {
        out::line(format_args!("part {} waits again", said["id"]))?;
    } else {
        let kind = &said["new_kind"];
        let kind = match kind["shots"].as_u64() {
            Some(shots) => format!("; `{}` becomes a kind, from {shots} parts", text(kind, "label")),
            None => String::new(),
        };
        let what = said["label"].as_str().unwrap_or(text(&said, "answer"));
        out::line(format_args!("part {}: {what}, by {}{kind}", said["id"], text(&said, "by")))?;
    }
    Ok(ExitCode::from(SUCCESS))
}
