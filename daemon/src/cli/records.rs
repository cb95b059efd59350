//! `inspectd records`: what is on record, read from the journal itself: beside a running line, or from a copy.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use stages::inspection::Inspection;

use super::{FAILURE, SUCCESS};
use crate::config;
use crate::exports::{HEADING, cells};
use crate::store::{self, Export, Exported, Filter, PurposeKind, VerdictKind, verdict_words};

/// Arguments of `records`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// For people: one line per part.
    List(Selection),
    /// For programs: everything that is known of each part.
    Export {
        #[command(flatten)]
        selection: Selection,
        /// Form of the output.
        #[arg(long, value_enum, default_value_t = Form::Jsonl)]
        format: Form,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values with a heading.
    Csv,
}

/// Which records.
#[derive(Debug, clap::Args)]
struct Selection {
    /// The state directory; default: where `run` keeps its records.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// pass, fail, review or no_decision.
    #[arg(long)]
    verdict: Option<VerdictKind>,
    /// What parts were sent through for: production, golden_sample, gauge or set_up.
    #[arg(long)]
    purpose: Option<PurposeKind>,
    /// A label that was found.
    #[arg(long)]
    label: Option<String>,
    /// Exactly this serial number.
    #[arg(long)]
    serial: Option<String>,
    /// Triggered at or after this, as 2026-11-24T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Triggered before this.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
}

/// Exit code 0; 1 if part of the journal could not be read.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (selection, form) = match args.action {
        Action::List(selection) => (selection, None),
        Action::Export { selection, format } => (selection, Some(format)),
    };
    let mut export = selection.open()?;
    let everything = selection.is_empty();
    let filter = selection.filter();
    let stdout = io::stdout().lock();
    match form {
        None => list(&mut export, &filter, io::BufWriter::new(stdout))?,
        Some(Form::Jsonl) => json_lines(&mut export, &filter, everything, io::BufWriter::new(stdout))?,
        Some(Form::Csv) => comma_separated(&mut export, &filter, csv::Writer::from_writer(stdout))?,
    }
    let damaged = export.damaged_bytes();
    if damaged > 0 {
        tracing::warn!(
            "{damaged} bytes of the journal are no records; beside a running line the last may be half written"
        );
    }
    Ok(ExitCode::from(if damaged > 0 { FAILURE } else { SUCCESS }))
}

impl Selection {
    fn open(&self) -> anyhow::Result<Export> {
        let dir = self.state.clone().unwrap_or_else(config::default_state_dir);
        store::export(&dir)
            .with_context(|| format!("no records in `{}`; name the directory with `--state`", dir.display()))
    }

    fn is_empty(&self) -> bool {
        let Selection { state: _, verdict, purpose, label, serial, from, to } = self;
        verdict.is_none() && purpose.is_none() && label.is_none() && serial.is_none() && from.is_none() && to.is_none()
    }

    fn filter(self) -> Filter {
        Filter {
            from: self.from,
            to: self.to,
            verdict: self.verdict,
            purpose: self.purpose,
            label: self.label,
            serial: self.serial,
            ..Filter::default()
        }
    }
}

/// The inspections that are wanted. Late results are left out: they are no inspections, and JSON has them.
fn wanted(
    export: &mut Export,
    filter: &Filter,
    mut each: impl FnMut(&Inspection) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for record in export {
        if let Exported::Inspection(inspection) = record?
            && filter.matches(&inspection)
        {
            each(&inspection)?;
        }
    }
    Ok(())
}

fn list(export: &mut Export, filter: &Filter, mut out: impl Write) -> anyhow::Result<()> {
    wanted(export, filter, |part| {
        let (verdict, cause) = verdict_words(part.verdict);
        let label = part.label.as_deref().unwrap_or(cause);
        let serial = part.serial.as_deref().unwrap_or("-");
        let ms = f64::from(part.ledger.total_us) / 1000.0;
        let at = part.triggered_at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
        Ok(writeln!(out, "{:>8}  {at}  {serial:<14} {verdict:<12} {label:<16} {ms:>8.1} ms", part.id)?)
    })?;
    Ok(out.flush()?)
}

fn json_lines(export: &mut Export, filter: &Filter, everything: bool, mut out: impl Write) -> anyhow::Result<()> {
    for record in export {
        let line = match record? {
            Exported::Inspection(part) if filter.matches(&part) => serde_json::json!({ "inspection": part }),
            // Only an inspection can be matched; whoever asked for everything gets these too.
            Exported::Late(late) if everything => serde_json::json!({ "late_result": late }),
            _ => continue,
        };
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn comma_separated(export: &mut Export, filter: &Filter, mut out: csv::Writer<impl Write>) -> anyhow::Result<()> {
    out.write_record(HEADING)?;
    wanted(export, filter, |part| Ok(out.write_record(cells(part))?))?;
    Ok(out.flush()?)
}
