//! `inspectd backup` and `inspectd restore`: a copy of everything that a line knows, made while it runs, and put back.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use serde_json::json;

use super::{FAILURE, SUCCESS, out};
use crate::backup::{self, Restored, Taken, Verified};
use crate::config;

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "`inspectd backup /mnt/stick` while the line runs, again and again into the same folder: what has not changed is not copied again. \
                        Exit codes: 0 made, or all is as it was written; 1 it is not."
)]
pub struct Args {
    /// The folder of backups.
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// The state directory; default: where `run` keeps its records.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Read everything in the folder and say what is damaged; nothing is backed up.
    #[arg(long, conflicts_with_all = ["list", "keep", "state"])]
    verify: bool,
    /// List the backups in the folder.
    #[arg(long, conflicts_with_all = ["keep", "state"])]
    list: bool,
    /// Keep the newest so many backups there; default: all.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Only where there are backups already: a disk that is not there is an error, and its mount point stays empty. For timers.
    #[arg(long, conflicts_with_all = ["list", "verify"])]
    again: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Parts that were in flight when the backup began get the verdict no decision (restart) at the first start. Nobody is signed in there."
)]
pub struct RestoreArgs {
    /// The folder of backups.
    #[arg(value_name = "DEST")]
    dest: PathBuf,
    /// Where to put it: a folder that does not exist yet, or is empty.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Which backup, by its name; default: the newest.
    #[arg(long, value_name = "NAME")]
    at: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Exit code 0, or 1 where something is damaged.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.verify {
        return verify(args);
    }
    if args.list {
        return list(args);
    }
    let state = args.state.clone().unwrap_or_else(config::default_state_dir);
    if args.again {
        let dest = args.dest.display();
        let words = format!("`{dest}` has no backup yet: is its disk there? The first one is made without `--again`");
        let before = backup::list(&args.dest).with_context(|| words.clone())?;
        ensure!(!before.is_empty(), words);
    }
    let taken = backup::take(&state, &args.dest, args.keep.map(|keep| keep as usize))
        .with_context(|| format!("no backup of `{}` was made; `--state` names another directory", state.display()))?;
    let Taken { name, began_at, newest_part, files, bytes, new_bytes, removed } = taken;
    if args.json {
        out::json(&json!({
            "name": name, "began_at": began_at, "newest_part": newest_part, "files": files, "bytes": bytes,
            "new_bytes": new_bytes, "removed": removed,
        }))?;
    } else {
        let up_to = newest_part.map_or(String::new(), |id| format!(", up to part {id}"));
        let gone = if removed > 0 { format!("; {removed} older ones were removed") } else { String::new() };
        out::line(format_args!(
            "backup {name}: {files} files, {} MB, of which {} MB are new{up_to}{gone}",
            mb(bytes),
            mb(new_bytes)
        ))?;
    }
    Ok(ExitCode::from(SUCCESS))
}

fn verify(args: &Args) -> anyhow::Result<ExitCode> {
    let Verified { whole, files, bytes, damaged } = backup::verify(&args.dest)?;
    if args.json {
        let damaged: Vec<_> = damaged.iter().map(|(path, words)| json!({ "file": path, "what": words })).collect();
        out::json(&json!({ "whole": whole, "files": files, "bytes": bytes, "damaged": damaged }))?;
    } else {
        for (path, words) in &damaged {
            out::line(format_args!("{}: {words}", path.display()))?;
        }
        out::line(format_args!(
            "{} whole backups, {files} files, {} MB; {} files are damaged or missing",
            whole.len(),
            mb(bytes),
            damaged.len()
        ))?;
    }
    Ok(ExitCode::from(if damaged.is_empty() { SUCCESS } else { FAILURE }))
}

fn list(args: &Args) -> anyhow::Result<ExitCode> {
    let all = backup::list(&args.dest)?;
    if args.json {
        let all: Vec<_> = all
            .iter()
            .map(|it| match &it.head {
                Ok(head) => json!({ "name": it.name, "head": head, "damaged": null }),
                Err(why) => json!({ "name": it.name, "head": null, "damaged": why }),
            })
            .collect();
        out::json(&json!({ "backups": all }))?;
        return Ok(ExitCode::from(SUCCESS));
    }
    for it in &all {
        match &it.head {
            Ok(head) => {
                let up_to = head.newest_part.map_or(String::new(), |id| format!(", up to part {id}"));
                out::line(format_args!(
                    "{}  {} files, {} MB{up_to}, by inspectd {}",
                    it.name,
                    head.files,
                    mb(head.bytes),
                    head.program
                ))?;
            }
            Err(why) => out::line(format_args!("{}  {why}", it.name))?,
        }
    }
    out::line(format_args!("{} backups", all.len()))?;
    Ok(ExitCode::from(SUCCESS))
}

/// Exit code 0 when everything is back.
pub fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let Restored { name, head } = backup::restore(&args.dest, &args.state, args.at.as_deref())?;
    if args.json {
        out::json(&json!({ "name": name, "head": head }))?;
        return Ok(ExitCode::from(SUCCESS));
    }
    let state = args.state.display();
    out::line(format_args!("backup {name} of {} is in {state}: {} files", head.began_at, head.files))?;
    if nix::unistd::Uid::effective().is_root() {
        out::line(format_args!("give it to the daemon's user: chown -R inspectd: {state}"))?;
    }
    Ok(ExitCode::from(SUCCESS))
}

fn mb(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
