//! `inspectd archive`: closed days as Parquet with their pictures, into a folder or a store that other tools read.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::ensure;
use jiff::civil::Date;
use serde_json::json;

use super::{FAILURE, SUCCESS, out};
use crate::archive::{self, ArchiveSection, Asked, Day, Target};
use crate::config::{self, Config};

const CONFIG: &str = "/etc/inspectd/inspectd.toml";

/// Arguments of `archive`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Days are those of UTC; one is closed an hour after its end. A day that is there already is left alone, so this may run each night. \
                        DuckDB: SELECT * FROM read_parquet('DEST/*/*/*.parquet', hive_partitioning = true)"
)]
pub struct Args {
    /// The folder of the archive, or s3://BUCKET/PREFIX; default: `archive.to` of the configuration.
    #[arg(value_name = "DEST")]
    dest: Option<String>,
    /// The configuration, whose section `[archive]` says how a store is reached; default: /etc/inspectd/inspectd.toml, which is not read for a folder.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state directory; default: that of the configuration where it is read, else where `run` keeps its records.
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
    /// Only into a folder that is there: where its disk is not, that is an error, and the mount point stays empty. For timers; a store has no such folder.
    #[arg(long, conflicts_with = "verify")]
    again: bool,
    /// Read everything in the archive and say what is damaged; nothing is archived.
    #[arg(long, conflicts_with_all = ["from", "to", "no_images", "state"])]
    verify: bool,
    /// One JSON object a day.
    #[arg(long)]
    json: bool,
}

/// Exit code 0, or 1 where something is damaged or a day was refused.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (to, state) = place(args)?;
    if args.verify {
        return verify(args, &to);
    }
    if args.again
        && let Target::Folder(folder) = &to
    {
        ensure!(
            folder.is_dir(),
            "`{}` is not there: is its disk? The first time it is made by archiving without `--again`",
            folder.display()
        );
    }
    let state = args.state.clone().or(state).unwrap_or_else(config::default_state_dir);
    let asked = Asked { from: args.from, to: args.to, no_images: args.no_images };
    let (mut days, mut refused, mut said) = (0, 0, Ok(()));
    archive::archive(&state, &to, &asked, &mut |day| {
        days += usize::from(!day.there && day.refused.is_none());
        refused += usize::from(day.refused.is_some());
        if said.is_ok() {
            said = say(args, day);
        }
    })?;
    said?;
    if !args.json {
        let not = if refused > 0 { format!("; {refused} were refused") } else { String::new() };
        out::line(format_args!("{days} days are new{not}"))?;
    }
    Ok(ExitCode::from(if refused == 0 { SUCCESS } else { FAILURE }))
}

/// Where days go, and the state directory of the configuration that was read for it. A folder that is given needs no configuration, nor does a store where none is
/// installed.
fn place(args: &Args) -> anyhow::Result<(Target, Option<PathBuf>)> {
    let dest = args.dest.as_deref();
    let unneeded = |dest: &str| !dest.contains("://") || !Path::new(CONFIG).exists();
    if args.config.is_none() && dest.is_some_and(unneeded) {
        return Ok((ArchiveSection::default().target(dest)?, None));
    }
    let config = Config::load(args.config.as_deref().unwrap_or(Path::new(CONFIG)))?;
    Ok((config.archive.target(dest)?, config.store.dir))
}

fn say(args: &Args, day: &Day) -> anyhow::Result<()> {
    let Day { date, line, records, images, there, refused } = day;
    if args.json {
        let date = date.to_string();
        return out::json(&json!({
            "date": date, "line": line, "records": records, "images": images, "there_already": there, "refused": refused,
        }));
    }
    if let Some(why) = refused {
        return Ok(out::line(format_args!("{date}  {line}: refused: {why}"))?);
    }
    let already = if *there { ", there already" } else { "" };
    Ok(out::line(format_args!("{date}  {line}: {records} records, {images} pictures{already}"))?)
}

fn verify(args: &Args, of: &Target) -> anyhow::Result<ExitCode> {
    let checked = archive::check(of)?;
    if args.json {
        let damaged: Vec<_> =
            checked.damaged.iter().map(|(path, words)| json!({ "file": path, "what": words })).collect();
        let (whole, records, files) = (checked.whole, checked.records, checked.files);
        out::json(&json!({ "whole": whole, "records": records, "files": files, "damaged": damaged }))?;
    } else {
        for (path, words) in &checked.damaged {
            out::line(format_args!("{path}: {words}"))?;
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
