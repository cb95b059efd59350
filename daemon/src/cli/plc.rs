//! `inspectd plc`: how the PLC of the line that runs is reached, what it is told, what was counted.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::line::{LineArgs, text};
use super::{SUCCESS, out};

/// Arguments of `plc`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// State, counts, the newest handshakes.
    Show {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Exit code 0 when the line has answered.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Action::Show { json } = args.action;
    let plc = args.line.get("plc")?;
    if json {
        out::json(&plc)?;
    } else {
        show(&plc)?;
    }
    Ok(ExitCode::from(SUCCESS))
}

fn show(plc: &Value) -> anyhow::Result<()> {
    let detail = plc["detail"].as_str().map(|detail| format!(": {detail}")).unwrap_or_default();
    out::line(format_args!("{}: {}{detail}", text(plc, "link"), text(plc, "state").replace('_', " ")))?;
    let numbers = |of: &Value, keys: &[&str]| {
        let each = keys.iter().map(|key| format!("{} {}", key.replace('_', " "), of[*key]));
        each.collect::<Vec<_>>().join(", ")
    };
    let results = ["triggered", "pass", "fail", "review", "no_decision", "in_flight"];
    out::line(numbers(&plc["counts"], &results))?;
    out::line(numbers(&plc["counts"], &["acknowledged", "waiting", "late_acks", "missed", "doubled", "refused"]))?;
    out::line(numbers(
        plc,
        &["without_frame", "stale_frames", "connections", "refused_connections", "wrong_requests"],
    ))?;
    for done in plc["recent"].as_array().into_iter().flatten() {
        let result = &done["result"];
        let ms = |key: &str| done[key].as_f64().unwrap_or_default();
        out::line(format_args!(
            "part {} (on record {}): {}, decided after {:.1} ms, acknowledged after {:.1} ms",
            result["id"],
            result["part"],
            text(result, "verdict").replace('_', " "),
            ms("decided_ms"),
            ms("acknowledged_ms"),
        ))?;
    }
    Ok(())
}
