//! `inspectd cameras set`: sets features and reads them back.

use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::json;
use stages::capture::genicam::aravis::Bench;
use stages::capture::genicam::feature::{FeatureName, FeatureValue, assignment};

use super::Pick;
use crate::cli::{SUCCESS, out};

/// Arguments of `set`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The camera forgets it with its power. What a line needs belongs into its configuration: [source.features]."
)]
pub(super) struct Args {
    #[command(flatten)]
    pick: Pick,
    /// NAME=VALUE, in this order; `Gain[GainSelector=DigitalAll]=4` sets the selector first; commands take `true`.
    #[arg(value_name = "NAME=VALUE", required = true, value_parser = parse)]
    values: Vec<(FeatureName, FeatureValue)>,
    /// One JSON line per feature.
    #[arg(long)]
    json: bool,
}

fn parse(text: &str) -> Result<(FeatureName, FeatureValue), String> {
    assignment(text).map_err(|error| error.to_string())
}

/// Exit code 0 when the camera has taken all of them; it stops at the first that it refuses.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let bench = Bench::open(&args.pick.config()?).map_err(|error| anyhow!("{error}"))?;
    for (name, value) in &args.values {
        let got = bench.set(name, value).map_err(|error| anyhow!("{error}"))?;
        if args.json {
            out::json(&json!({ "name": name, "value": got }))?;
            continue;
        }
        let asked = value.to_string();
        let made = if got == asked || got == "executed" { String::new() } else { format!("  (asked for {asked})") };
        out::line(format_args!("{name} = {got}{made}"))?;
    }
    Ok(ExitCode::from(SUCCESS))
}
