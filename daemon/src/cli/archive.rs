//! `inspectd archive`: closed days as Parquet with their pictures, into a folder that other tools read.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::civil::Date;
use serde_json::json;

use super::{FAILURE, SUCCESS, out};
use crate::archive::{self, Asked, Day};
use crate::config;

/// Arguments of `archive`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Days are those of UTC; one is closed an hour after its end. A day that is there already is left alone, so this may run each night. \
                        DuckDB: SELECT * FROM read_parquet('DEST/*/*/*.parquet', hive_partitioning = true)"
)]
pub struct Args {
    /// The folder of the archive.
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// The state directory; default: where `run` keeps its records.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The first day, as 2026-11-27; default: the first on record.
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// The last day; default: the last that is closed.
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// Leave out the pictures.
    #[arg(long)]
    no_images: bool,
    /// Read everything in the folder and say what is damaged; nothing is archived.
    #[arg(long, conflicts_with_all = ["from", "to", "no_images", "state"])]
    verify: bool,
    /// One JSON object a day.
    #[arg(long)]
    json: bool,
}

/// Exit code 0, or 1 where something is damaged.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.verify {
        return verify(args);
    }
    let state = args.state.clone().unwrap_or_else(config::default_state_dir);
    let asked = Asked { from: args.from, to: args.to, no_images: args.no_images };
    let (mut days, mut said) = (0, Ok(()));
    archive::archive(&state, &args.dest, &asked, &mut |day| {
        days += usize::from(!day.there);
        if said.is_ok() {
            said = say(args, day);
        }
    })?;
    said?;
    if !args.json {
        out::line(format_args!("{days} days are new"))?;
    }
    Ok(ExitCode::from(SUCCESS))
}

fn say(args: &Args, day: &Day) -> anyhow::Result<()> {
    let Day { date, line, records, images, there } = day;
    if args.json {
        let date = date.to_string();
        return out::json(&json!({
            "date": date, "line": line, "records": records, "images": images, "there_already": there,
        }));
    }
    let already = if *there { ", there already" } else { "" };
    Ok(out::line(format_args!("{date}  {line}: {records} records, {images} pictures{already}"))?)
}

fn verify(args: &Args) -> anyhow::Result<ExitCode> {
    let checked = archive::check(&args.dest)?;
    if args.json {
        let damaged: Vec<_> =
            checked.damaged.iter().map(|(path, words)| json!({ "file": path, "what": words })).collect();
        let (whole, records, files) = (checked.whole, checked.records, checked.files);
        out::json(&json!({ "whole": whole, "records": records, "files": files, "damaged": damaged }))?;
    } else {
        for (path, words) in &checked.damaged {
            out::line(format_args!("{}: {words}", path.display()))?;
        }
        out::line(format_args!(
            "{} whole days with {} records, {} files; {} files are damaged or missing",
            checked.whole,
            checked.records,
            checked.files,
            checked.damaged.len()
        ))?;
    }
    Ok(ExitCode::from(if checked.damaged.is_empty() { SUCCESS } else { FAILURE }))
}
