//! `inspectd holds`: what must not be let go, whatever retention's limits say.

use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::line::{LineArgs, text};
use super::{SUCCESS, out};

/// Arguments of `holds`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what is held, and why.
    List {
        /// Only what holds this part.
        #[arg(long, value_name = "ID")]
        part: Option<u64>,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Hold a part, a lot, or whatever conditions take: neither pictures nor records of it are let go.
    Put(Box<Put>),
    /// Lift a hold.
    Lift {
        /// Its number.
        number: u64,
        /// Why, for the audit trail.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// What is to be held: all conditions that are given must hold.
#[derive(Debug, clap::Args)]
#[command(after_help = "`inspectd holds put --lot L7 --reason \"claim 4711\"`")]
struct Put {
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// One part, by its id.
    #[arg(long, value_name = "ID")]
    part: Option<u64>,
    /// A lot.
    #[arg(long)]
    lot: Option<String>,
    /// A serial number.
    #[arg(long)]
    serial: Option<String>,
    /// pass, fail, review or no_decision.
    #[arg(long)]
    verdict: Option<String>,
    /// A label that was found.
    #[arg(long)]
    label: Option<String>,
    /// A recipe: name@version, or the name for all its versions.
    #[arg(long)]
    recipe: Option<String>,
    /// A model, by the beginning of its digest.
    #[arg(long)]
    model: Option<String>,
    /// A camera.
    #[arg(long)]
    camera: Option<String>,
    /// Triggered at or after this, as 2026-11-24T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Triggered before this.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Put {
    fn of(&self) -> Value {
        let Put { reason: _, part, lot, serial, verdict, label, recipe, model, camera, from, to, json: _ } = self;
        let all = json!({
            "part": part, "lot": lot, "serial": serial, "verdict": verdict, "label": label, "recipe": recipe,
            "model": model, "camera": camera, "from": from, "to": to,
        });
        let given = all.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        Value::Object(given.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// Exit code 0 when the line has done it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::List { part, json } => {
            let path = part.map_or("holds".to_owned(), |id| format!("holds?part={id}"));
            let held = args.line.get(&path)?;
            if *json {
                out::json(&held)?;
                return Ok(ExitCode::from(SUCCESS));
            }
            for hold in held["holds"].as_array().into_iter().flatten() {
                say("", hold)?;
            }
            out::line(format_args!("{} stand", held["holds"].as_array().map_or(0, Vec::len)))?;
        }
        Action::Put(put) => {
            let hold = args.line.post("holds", json!({ "of": put.of(), "reason": put.reason }))?;
            if put.json { out::json(&hold)? } else { say("held: ", &hold)? }
        }
        Action::Lift { number, reason, json } => {
            let hold = args.line.post(&format!("holds/{number}/lift"), json!({ "reason": reason }))?;
            if *json { out::json(&hold)? } else { say("lifted: ", &hold)? }
        }
    }
    Ok(ExitCode::from(SUCCESS))
}

fn say(what: &str, hold: &Value) -> anyhow::Result<()> {
    let (words, by, at, reason) = (text(hold, "words"), text(hold, "by"), text(hold, "at"), text(hold, "reason"));
    let number = &hold["number"];
    Ok(out::line(format_args!("{what}{number:>4}  {words}: {reason} ({by}, {at})"))?)
}
