//! `inspectd status`: how the line that runs is, at a glance, as `systemctl status` says it of a service.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::line::{LineArgs, short, text};
use super::{FAILURE, SUCCESS, UNDECIDED, out};

/// Alerts that are listed.
const ALERTS: usize = 5;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 the line inspects and nothing critical is wrong; 1 it runs, and does not inspect or something critical is wrong; \
                        3 no line answers, or it has ended."
)]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// How it is, by the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Well,
    Unwell,
    Gone,
}

impl Standing {
    fn of(state: &str, critical: bool) -> Standing {
        match state {
            "ready" | "running" if critical => Standing::Unwell,
            "ready" | "running" => Standing::Well,
            "stopped" | "draining" => Standing::Gone,
            _ => Standing::Unwell,
        }
    }

    fn code(self) -> u8 {
        match self {
            Standing::Well => SUCCESS,
            Standing::Unwell => FAILURE,
            Standing::Gone => UNDECIDED,
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Standing::Well => "●",
            Standing::Unwell => "×",
            Standing::Gone => "○",
        }
    }
}

/// Exit code as said in [`Args`].
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let asked = args.line.get("line").and_then(|line| Ok((line, args.line.get("alerts")?, args.line.get("health")?)));
    let (line, alerts, health) = match asked {
        Ok(all) => all,
        Err(error) => {
            let why = crate::words::of(&error);
            if args.json {
                out::json(&json!({ "answers": false, "why": why }))?;
            } else {
                out::line(format_args!("{} {why}", Standing::Gone.mark()))?;
            }
            return Ok(ExitCode::from(UNDECIDED));
        }
    };
    let active = list(&alerts["active"]);
    let critical = active.iter().any(|alert| alert["severity"] == "critical");
    let standing = Standing::of(text(&line, "state"), critical);
    if args.json {
        out::json(&json!({ "answers": true, "line": line, "alerts": alerts, "health": health }))?;
    } else {
        say(&line, &health, standing)?;
        say_alerts(&active, &list(&alerts["recent"]))?;
    }
    Ok(ExitCode::from(standing.code()))
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().into_iter().flatten().collect()
}

fn say(line: &Value, health: &Value, standing: Standing) -> anyhow::Result<()> {
    let row = |name: &str, words: String| out::line(format_args!("{name:>10}: {words}"));
    out::line(format_args!("{} {}, recipe {}", standing.mark(), text(line, "line"), text(line, "recipe")))?;
    let why = line["state_reason"].as_str().map_or(String::new(), |why| format!(": {why}"));
    let since = text(line, "started_at");
    row("State", format!("{}{why}; up since {since}, inspectd {}", text(line, "state"), text(line, "version")))?;
    let model = &line["model"];
    row("Model", format!("{} ({}) on {}", text(model, "name"), short(text(model, "digest")), text(model, "provider")))?;
    let counts = &line["counts"];
    let of = |name: &str| counts[name].as_u64().unwrap_or(0);
    let [pass, fail, review, none] = ["pass", "fail", "review", "no_decision"].map(of);
    row(
        "Parts",
        format!(
            "{} triggered: {pass} pass, {fail} fail, {review} review, {none} no decision, {} in flight",
            of("triggered"),
            of("in_flight")
        ),
    )?;
    let decided = pass + fail + review + none;
    let rejects = if decided > 0 { 100.0 * (decided - pass) as f64 / decided as f64 } else { 0.0 };
    let rate = line["parts_per_s"].as_f64().unwrap_or(0.0);
    row("Rate", format!("{rate:.2} parts/s; {rejects:.1} % did not pass since the start"))?;
    let latency = |name: &str| line["latency"][name].as_f64().unwrap_or(0.0) / 1000.0;
    let (half, most) = (latency("p50_us"), latency("p99_us"));
    row("Latency", format!("p50 {half:.1} ms, p99 {most:.1} ms; deadline {} ms", line["deadline_ms"]))?;
    let store = &line["store"];
    let detail = store["detail"].as_str().map_or(String::new(), |detail| format!(": {detail}"));
    let kept = &health["kept"];
    row(
        "Records",
        format!(
            "{}{detail}; {} pictures kept, {} let go",
            text(store, "state"),
            kept["pictures"],
            kept["let_go"]["pictures"]
        ),
    )?;
    for disk in list(&health["disks"]) {
        let free = disk["free_bytes"].as_f64().unwrap_or(0.0) / 1e9;
        let days = disk["days_left"].as_f64().map_or(String::new(), |days| format!(", full in {days:.0} days"));
        row("Disk", format!("{free:.1} GB free{days} ({})", text(disk, "path")))?;
    }
    Ok(())
}

fn say_alerts(active: &[&Value], recent: &[&Value]) -> anyhow::Result<()> {
    let one = |alert: &Value, when: String| {
        let words = format!("{} {}: {}", text(alert, "severity"), text(alert, "rule"), text(alert, "text"));
        out::line(format_args!("            {words} ({when})"))
    };
    out::line(format_args!("{:>10}: {} open", "Alerts", active.len()))?;
    for alert in active.iter().take(ALERTS) {
        one(alert, format!("since {}", text(alert, "fired_at")))?;
    }
    for alert in recent.iter().take(ALERTS.saturating_sub(active.len())) {
        one(alert, format!("{} to {}", text(alert, "fired_at"), text(alert, "resolved_at")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_how_the_line_is() {
        for (state, critical, code) in [
            ("running", false, 0),
            ("ready", false, 0),
            ("running", true, 1),
            ("safe_hold", false, 1),
            ("not_ready", false, 1),
            ("draining", false, 3),
            ("stopped", true, 3),
        ] {
            assert_eq!(Standing::of(state, critical).code(), code, "{state} {critical}");
        }
    }
}
