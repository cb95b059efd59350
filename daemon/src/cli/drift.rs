//! `inspectd drift`: whether the line that runs still is what it was.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::line::{LineArgs, text};
use super::{SUCCESS, out};

/// Arguments of `drift`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say how the line is, beside how it usually is, and since when it is otherwise.
    Show {
        /// One JSON object, with every hour of two weeks.
        #[arg(long)]
        json: bool,
    },
    /// The line counts as it usually is from now on: after a change that is meant to stay.
    BeginAnew,
}

/// Exit code 0 when the line has answered.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Show { json: true } => out::json(&args.line.get("drift")?)?,
        Action::Show { json: false } => show(&args.line.get("drift")?)?,
        Action::BeginAnew => {
            args.line.post("drift/usual", json!({}))?;
            out::line("the line counts as it usually is from now on")?;
        }
    }
    Ok(ExitCode::from(SUCCESS))
}

fn show(drift: &Value) -> anyhow::Result<()> {
    for (what, usual) in [("scores and looks", &drift["usual"]["model"]), ("pictures", &drift["usual"]["pictures"])] {
        if usual["known"] != true {
            let (parts, wanted, minutes) = (&usual["parts"], &drift["usual"]["parts"], &drift["usual"]["minutes"]);
            out::line(format!(
                "what is usual of {what} is not known yet: {parts} of {wanted} parts, over {minutes} minutes at least"
            ))?;
        }
    }
    for reading in drift["now"].as_array().into_iter().flatten() {
        let name = text(reading, "measure");
        let state = match since(drift, name) {
            Some(since) => format!("CHANGED since {since}"),
            None => "as usual".into(),
        };
        out::line(format!("{name:<11} {state}: {}", text(reading, "words")))?;
    }
    Ok(())
}

/// Since when a measure has been beyond its limits without a break; none where it is not.
fn since<'a>(drift: &'a Value, name: &str) -> Option<&'a str> {
    let now = drift["now"].as_array()?.iter().find(|reading| reading["measure"] == name)?;
    if now["beyond"] != true {
        return None;
    }
    let of = |hour: &'a Value| hour["readings"].as_array()?.iter().find(|reading| reading["measure"] == name);
    let hours = drift["hours"].as_array()?.iter().rev().filter_map(of);
    let first = hours.take_while(|reading| reading["beyond"] == true).last();
    Some(text(first.unwrap_or(now), "from"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_begins_with_the_first_hour_of_those_that_follow_on_each_other() {
        let hour = |from: &str, beyond: bool| json!({ "readings": [{ "measure": "brightness", "from": from, "beyond": beyond }] });
        let mut drift = json!({
            "now": [{ "measure": "brightness", "from": "t4", "beyond": true }],
            "hours": [hour("t0", true), hour("t1", false), hour("t2", true), { "readings": [] }, hour("t4", true)],
        });
        assert_eq!(since(&drift, "brightness"), Some("t2"), "an hour that says nothing is no break");
        assert_eq!(since(&drift, "contrast"), None);
        drift["now"][0]["beyond"] = false.into();
        assert_eq!(since(&drift, "brightness"), None);
    }
}
