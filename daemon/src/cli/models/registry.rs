//! `inspectd models diff|promote|rollback`, and `list` and `show` with `--line`: the models of the line that runs.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::line::{LineArgs, short, text};
use crate::cli::{SUCCESS, out};

/// Arguments of `models diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    #[command(flatten)]
    line: LineArgs,
    /// The candidate: its digest, or enough of its beginning.
    candidate: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Arguments of `models promote`.
#[derive(Debug, clap::Args)]
pub(super) struct Promote {
    #[command(flatten)]
    line: LineArgs,
    /// The model: its digest, or enough of its beginning.
    digest: String,
    /// Why; needed where the gate has not passed.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Arguments of `models rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    line: LineArgs,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// The register, one line a model.
pub(super) fn list(line: &LineArgs, json: bool) -> anyhow::Result<ExitCode> {
    let said = line.get("models")?;
    if json {
        out::json(&said)?;
    } else {
        said["models"].as_array().into_iter().flatten().try_for_each(head)?;
    }
    Ok(ExitCode::from(SUCCESS))
}

/// One model of the register, its promotions, and what the gate found.
pub(super) fn show(line: &LineArgs, digest: &str, json: bool) -> anyhow::Result<ExitCode> {
    let said = line.get(&format!("models/{digest}"))?;
    if json {
        out::json(&said)?;
        return Ok(ExitCode::from(SUCCESS));
    }
    head(&said)?;
    said["promotions"].as_array().into_iter().flatten().try_for_each(promotion)?;
    words(&said)?;
    Ok(ExitCode::from(SUCCESS))
}

/// A candidate beside the model in force: labels, and what the gate found.
pub(super) fn diff(args: &Diff) -> anyhow::Result<ExitCode> {
    let candidate = args.line.get(&format!("models/{}", args.candidate))?;
    let all = args.line.get("models")?;
    let champion = args.line.get(&format!("models/{}", text(&all, "champion")))?;
    let labels = |model: &Value| -> BTreeSet<String> {
        model["labels"].as_array().into_iter().flatten().filter_map(|it| Some(it.as_str()?.to_owned())).collect()
    };
    let (old, new) = (labels(&champion), labels(&candidate));
    if args.json {
        let added: Vec<_> = new.difference(&old).collect();
        let removed: Vec<_> = old.difference(&new).collect();
        let (champion, candidate_digest) = (&champion["digest"], &candidate["digest"]);
        out::json(&json!({
            "champion": champion, "candidate": candidate_digest, "labels_added": added, "labels_removed": removed,
            "gate": candidate["gate"],
        }))?;
        return Ok(ExitCode::from(SUCCESS));
    }
    head(&champion)?;
    head(&candidate)?;
    for label in new.difference(&old) {
        out::line(format_args!("+ {label}"))?;
    }
    for label in old.difference(&new) {
        out::line(format_args!("- {label}"))?;
    }
    words(&candidate)?;
    Ok(ExitCode::from(SUCCESS))
}

pub(super) fn promote(args: &Promote) -> anyhow::Result<ExitCode> {
    let said = args.line.post(&format!("models/{}/promote", args.digest), json!({ "reason": args.reason }))?;
    promotion(&said)?;
    Ok(ExitCode::from(SUCCESS))
}

pub(super) fn rollback(args: &Rollback) -> anyhow::Result<ExitCode> {
    promotion(&args.line.post("models/rollback", json!({ "reason": args.reason }))?)?;
    Ok(ExitCode::from(SUCCESS))
}

fn head(model: &Value) -> std::io::Result<()> {
    let gate = match model["gate"]["passed"].as_bool() {
        Some(true) => ", the gate has passed",
        Some(false) => ", the gate has not passed",
        None => "",
    };
    let (digest, name) = (short(text(model, "digest")), text(model, "name"));
    let removed = if model["removed_at"].is_string() { ", file removed" } else { "" };
    out::line(format_args!("{digest}  {:<9}  {name}, {}{gate}{removed}", text(model, "state"), text(model, "made_by")))
}

fn promotion(it: &Value) -> std::io::Result<()> {
    let what = match (it["rollback"].as_bool(), it["forced"].as_bool()) {
        (Some(true), _) => "back to",
        (_, Some(true)) => "forced:",
        _ => "promoted:",
    };
    let reason = it["reason"].as_str().map_or(String::new(), |reason| format!(": {reason}"));
    let (digest, previous) = (short(text(it, "digest")), short(text(it, "previous")));
    out::line(format_args!("{} {what} {digest} instead of {previous}, by {}{reason}", text(it, "at"), text(it, "by")))
}

fn words(model: &Value) -> std::io::Result<()> {
    for words in model["gate"]["words"].as_array().into_iter().flatten() {
        out::line(format_args!("  {}", words.as_str().unwrap_or_default()))?;
    }
    Ok(())
}
