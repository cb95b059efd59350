//! `inspectd audit`: who changed what, and whether that is still what was written.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use super::{FAILURE, SUCCESS, out};
use crate::audit::{self, Entry, Export, Head};
use crate::config;

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// The state directory; default: where `run` keeps its records.
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// For people: one line per entry.
    List,
    /// For programs: everything that is known of each entry.
    Export {
        /// Pseudonyms in the place of names, no addresses: the same person keeps the same pseudonym.
        #[arg(long)]
        pseudonymise: bool,
        /// Form of the output.
        #[arg(long, value_enum, default_value_t = Form::Jsonl)]
        format: Form,
    },
    /// Find entries that were edited, removed, moved or cut off. Prints the head: keep it elsewhere.
    Verify {
        /// A head that was kept elsewhere, `NUMBER:HASH`: then nothing up to it can have been written anew.
        #[arg(long, value_name = "HEAD")]
        head: Option<Head>,
        /// One JSON line.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values with a heading.
    Csv,
}

/// Exit code 0; 1 if `verify` found something.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let dir = args.state.unwrap_or_else(config::default_state_dir);
    match args.action {
        Action::List => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            for entry in Export::open(&dir, false)? {
                writeln!(out, "{}", one_line(&entry))?;
            }
            out.flush()?;
        }
        Action::Export { pseudonymise, format } => {
            let entries = Export::open(&dir, pseudonymise)?;
            let out = io::BufWriter::new(io::stdout().lock());
            match format {
                Form::Jsonl => json_lines(entries, out)?,
                Form::Csv => comma_separated(entries, csv::Writer::from_writer(out))?,
            }
        }
        Action::Verify { head, json } => return verify(&dir, head, json),
    }
    Ok(ExitCode::from(SUCCESS))
}

fn verify(dir: &std::path::Path, head: Option<Head>, json: bool) -> anyhow::Result<ExitCode> {
    let report = audit::verify(dir, head)?;
    if json {
        out::json(&report)?;
    } else {
        for finding in &report.findings {
            out::line(format_args!("problem  {finding}"))?;
        }
        let verdict = if report.findings.is_empty() { "as they were written" } else { "NOT all as they were written" };
        out::line(format_args!("{} entries, {verdict}; head {}", report.entries, report.head))?;
    }
    Ok(ExitCode::from(if report.findings.is_empty() { SUCCESS } else { FAILURE }))
}

fn one_line(entry: &Entry) -> String {
    let at = entry.at.strftime("%Y-%m-%d %H:%M:%S");
    let change = match (&entry.before, &entry.after) {
        (Some(before), Some(after)) => format!("  {before} -> {after}"),
        (Some(before), None) => format!("  was {before}"),
        (None, Some(after)) => format!("  {after}"),
        (None, None) => String::new(),
    };
    let reason = entry.reason.as_ref().map(|reason| format!("  ({reason})")).unwrap_or_default();
    let who = if entry.who.is_empty() { "-" } else { &entry.who };
    format!("{:>6}  {at}  {who:<16} {:<18} {}{change}{reason}", entry.n, entry.what, entry.subject)
}

fn json_lines(entries: Export, mut out: impl Write) -> anyhow::Result<()> {
    for entry in entries {
        serde_json::to_writer(&mut out, &entry)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn comma_separated(entries: Export, mut out: csv::Writer<impl Write>) -> anyhow::Result<()> {
    out.write_record(["n", "at", "who", "role", "via", "from", "what", "subject", "before", "after", "reason"])?;
    for entry in entries {
        let json = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        let via = serde_json::to_value(entry.via)?;
        out.write_record([
            entry.n.to_string().as_str(),
            &entry.at.to_string(),
            &entry.who,
            entry.role.map_or("", crate::access::Role::word),
            via.as_str().unwrap_or_default(),
            entry.from.as_deref().unwrap_or_default(),
            &entry.what,
            &entry.subject,
            &json(&entry.before),
            &json(&entry.after),
            entry.reason.as_deref().unwrap_or_default(),
        ])?;
    }
    Ok(out.flush()?)
}
