//! `inspectd gauge`: attribute gauge studies of the line that runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Subcommand;
use serde_json::{Value, json};

use super::line::{LineArgs, text};
use super::{SUCCESS, out};

/// Ratings of one message.
const AT_ONCE: usize = 1000;

/// Arguments of `gauge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the studies, the newest first.
    List {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Plan a study.
    New {
        /// What people call it.
        name: String,
        /// CSV with the columns `part` and `master` (`good` or `bad`).
        #[arg(long, value_name = "FILE")]
        parts: PathBuf,
        /// How often each part is shown.
        #[arg(long, default_value_t = 3)]
        repeats: u32,
        /// Parts are known by their serial numbers, which the file names.
        #[arg(long)]
        by_serial: bool,
    },
    /// Show a study: what comes next, and the figures so far.
    Show {
        /// The study.
        number: u64,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Let a study take the parts that come.
    Collect {
        /// The study.
        number: u64,
    },
    /// Parts that come are production again.
    Pause {
        /// The study.
        number: u64,
    },
    /// Take back the line's last rating: another part was shown.
    Void {
        /// The study.
        number: u64,
    },
    /// Enter what people say.
    Rate {
        /// The study.
        number: u64,
        /// CSV with the columns `part` (its name), `repeat` (from 1), `rating` (`good` or `bad`).
        #[arg(long, value_name = "FILE")]
        ratings: PathBuf,
        /// Who said so.
        #[arg(long, value_name = "NAME")]
        appraiser: String,
    },
    /// Write a study to hand on: a page to print, or every rating as CSV, by the file's ending.
    Report {
        /// The study.
        number: u64,
        /// Where to; `.html` or `.csv`.
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
    },
    /// Remove a study with all its ratings.
    Remove {
        /// The study.
        number: u64,
    },
}

/// Exit code 0 when the line has done it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let line = &args.line;
    match &args.action {
        Action::List { json } => {
            let studies = line.get("gauge")?;
            if *json {
                out::json(&studies)?;
                return Ok(ExitCode::from(SUCCESS));
            }
            studies["studies"].as_array().into_iter().flatten().try_for_each(head)?;
        }
        Action::New { name, parts, repeats, by_serial } => {
            let parts: Vec<Value> = table(parts, ["part", "master"])?
                .into_iter()
                .map(|[name, master]| json!({ "name": name, "master": master }))
                .collect();
            let plan = json!({ "name": name, "parts": parts, "repeats": repeats, "by_serial": by_serial });
            head(&line.post("gauge", plan)?)?;
        }
        Action::Show { number, json } => {
            let study = line.get(&format!("gauge/{number}"))?;
            if *json { out::json(&study)? } else { show(&study)? }
        }
        Action::Collect { number } => show(&line.post(&format!("gauge/{number}/collect"), json!({ "on": true }))?)?,
        Action::Pause { number } => show(&line.post(&format!("gauge/{number}/collect"), json!({ "on": false }))?)?,
        Action::Void { number } => show(&line.post(&format!("gauge/{number}/void"), json!({}))?)?,
        Action::Rate { number, ratings, appraiser } => rate(line, *number, ratings, appraiser)?,
        Action::Report { number, out } => {
            let form = match out.extension().and_then(|ending| ending.to_str()) {
                Some("html") => "html",
                Some("csv") => "csv",
                _ => bail!("`{}` ends in neither `.html` nor `.csv`", out.display()),
            };
            let report = line.text(&format!("gauge/{number}/report?format={form}"))?;
            std::fs::write(out, report).with_context(|| format!("`{}` cannot be written", out.display()))?;
            out::line(format_args!("wrote {}", out.display()))?;
        }
        Action::Remove { number } => {
            line.delete(&format!("gauge/{number}"))?;
            out::line(format_args!("study {number} is gone"))?;
        }
    }
    Ok(ExitCode::from(SUCCESS))
}

fn rate(line: &LineArgs, number: u64, path: &Path, appraiser: &str) -> anyhow::Result<()> {
    let study = line.get(&format!("gauge/{number}"))?;
    let names: Vec<&str> =
        study["parts_list"].as_array().into_iter().flatten().map(|part| text(part, "name")).collect();
    let mut ratings = Vec::new();
    for [part, repeat, rating] in table(path, ["part", "repeat", "rating"])? {
        let at = names.iter().position(|name| *name == part);
        let at = at.with_context(|| format!("`{}`: study {number} has no part `{part}`", path.display()))?;
        let repeat: u32 = repeat.parse().with_context(|| format!("`{}`: `{repeat}` is no repeat", path.display()))?;
        ratings.push(json!({ "part": at + 1, "repeat": repeat, "rating": rating }));
    }
    ensure!(!ratings.is_empty(), "`{}` has no ratings", path.display());
    for some in ratings.chunks(AT_ONCE) {
        line.post(&format!("gauge/{number}/ratings"), json!({ "appraiser": appraiser, "ratings": some }))?;
    }
    show(&line.get(&format!("gauge/{number}"))?)
}

/// The named columns of a CSV file, row by row.
fn table<const N: usize>(path: &Path, columns: [&str; N]) -> anyhow::Result<Vec<[String; N]>> {
    let named = || format!("`{}` with the columns {}", path.display(), columns.join(", "));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).with_context(named)?;
    let headers = reader.headers().with_context(named)?.clone();
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        let at = headers.iter().position(|header| header == column);
        *place = at.with_context(|| format!("{}: `{column}` is missing", named()))?;
    }
    let row = |row: csv::StringRecord| places.map(|at| row.get(at).unwrap_or_default().to_owned());
    reader.records().map(|record| Ok(row(record.with_context(named)?))).collect()
}

fn head(study: &Value) -> anyhow::Result<()> {
    let on = if study["on"] == true { ", takes the parts that come" } else { "" };
    out::line(format_args!(
        "study {}  {}: {} parts, {} repeats, {} of {} ratings{on} ({}, by {})",
        study["number"],
        text(study, "name"),
        study["parts"],
        study["repeats"],
        study["seen"],
        study["of"],
        text(study, "at"),
        text(study, "by")
    ))?;
    Ok(())
}

fn show(study: &Value) -> anyhow::Result<()> {
    head(study)?;
    let next = &study["next"];
    if next.is_object() && study["by_serial"] == false {
        out::line(format_args!("next: part {} `{}`, repeat {}", next["part"], text(next, "name"), next["repeat"]))?;
    }
    let share = |share: &Value| match (share["share"].as_f64(), &share["ci"]) {
        (Some(value), ci) => {
            let at = |n: usize| 100.0 * ci[n].as_f64().unwrap_or(f64::NAN);
            format!("{:5.1} % ({:.1} to {:.1})", 100.0 * value, at(0), at(1))
        }
        (None, _) => "not known".to_owned(),
    };
    for one in study["figures"]["appraisers"].as_array().into_iter().flatten() {
        let kappa = one["kappa_master"]["value"].as_f64().map_or("not known".to_owned(), |value| format!("{value:.2}"));
        out::line(format_args!("{}: {}", text(one, "name"), one["grade"].as_str().unwrap_or("not known yet")))?;
        for (words, key) in [
            ("repeatability", "repeatability"),
            ("effectiveness", "effectiveness"),
            ("misses", "miss"),
            ("false alarms", "false_alarm"),
        ] {
            out::line(format_args!("  {words:14} {}", share(&one[key])))?;
        }
        out::line(format_args!("  {:14} {kappa} with the master", "kappa"))?;
    }
    Ok(())
}
