//! `inspectd report`: how good the parts of a shift were, as a file, by the line that runs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::civil::Date;

use super::line::LineArgs;
use super::{SUCCESS, out};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    /// The shift's name, as in the configuration (`[[quality.shifts]]`).
    #[arg(long)]
    shift: String,
    /// The day on which it begins, as 2026-11-26.
    #[arg(long, value_name = "DAY")]
    date: Date,
    /// The file; `.pdf` or `.csv`. It is replaced if it is there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Exit code 0 when the file is written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let form = match args.out.extension().and_then(|it| it.to_str()) {
        Some("pdf") => "pdf",
        Some("csv") => "csv",
        _ => bail!("`--out {}`: end the name in `.pdf` or `.csv`", args.out.display()),
    };
    let shift = escaped(&args.shift);
    let report = args.line.get_bytes(&format!("quality/report?shift={shift}&date={}&as={form}", args.date))?;
    std::fs::write(&args.out, &report)
        .with_context(|| format!("the report cannot be written to `{}`", args.out.display()))?;
    out::line(format!("{} ({} bytes)", args.out.display(), report.len()))?;
    Ok(ExitCode::from(SUCCESS))
}

/// For a query.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
