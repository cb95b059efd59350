//! `inspectd cameras show`: what a camera can be set to.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use stages::capture::genicam::aravis::Bench;
use stages::capture::genicam::feature::{Access, Feature};

use super::Pick;
use crate::cli::{SUCCESS, out};

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pick: Pick,
    /// Features and groups, by name or a part of it; all if none is named.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// One JSON line per feature.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when the camera has something of that name.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let bench = Bench::open(&args.pick.config()?).map_err(|error| anyhow!("{error}"))?;
    let asked: Vec<String> = args.names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let wanted = |feature: &Feature| {
        let (name, group) = (feature.name.to_ascii_lowercase(), feature.group.to_ascii_lowercase());
        asked.is_empty() || asked.iter().any(|asked| name.contains(asked) || group.contains(asked))
    };
    let features: Vec<Feature> = bench.features().into_iter().filter(wanted).collect();
    if features.is_empty() {
        bail!(
            "camera {} has no feature of that name: `inspectd cameras show` without a name lists all",
            bench.facts().words()
        );
    }
    if !args.json {
        out::line(bench.facts().words())?;
    }
    let mut group = "";
    for feature in &features {
        if args.json {
            out::json(feature)?;
            continue;
        }
        if feature.group != group {
            group = &feature.group;
            out::line(format_args!("\n{group}"))?;
        }
        out::line(format_args!("  {}", words(feature)))?;
    }
    Ok(ExitCode::from(SUCCESS))
}

fn words(feature: &Feature) -> String {
    let mut text = feature.name.clone();
    if let Some(value) = &feature.value {
        text += &format!(" = {value}");
    }
    if let Some(unit) = &feature.unit {
        text += &format!(" {unit}");
    }
    if let Some((least, most)) = feature.range {
        let step = feature.step.filter(|step| *step != 1.0).map_or(String::new(), |step| format!(", steps of {step}"));
        text += &format!("  [{least} to {most}{step}]");
    }
    if !feature.entries.is_empty() {
        text += &format!("  [{}]", feature.entries.join(", "));
    }
    text += match feature.access {
        Access::Read => "  (read only)",
        Access::Write => "  (command)",
        Access::ReadWrite => "",
        Access::None => "  (not available now)",
    };
    text
}
