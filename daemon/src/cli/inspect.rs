//! `inspectd inspect`: pictures from files, through the same stages as on the line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use stages::inspection::LabelScore;
use stages::recipe::Recipe;
use stages::stage::Decision;
use stages::verdict::{Cause, Verdict};

use super::{SUCCESS, UNDECIDED, out};
use crate::config;
use crate::inspector::Inspector;
use crate::supervise::Kitchen;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model; default: the recipe's, or the one that ships with the program.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Thresholds and quality limits; default: the model's thresholds, and no limits but the usual ones.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// One JSON line per file.
    #[arg(long)]
    json: bool,
    /// Pictures; of a folder, every file in it.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Exit code 0 if every file was decided, [`UNDECIDED`] if not.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut recipe = match &args.recipe {
        Some(path) => config::load_recipe(path)?,
        None => unlimited(),
    };
    recipe.bundle = args.bundle.clone().or(recipe.bundle);
    let prepared = Kitchen { workers: 1, ..Kitchen::default() }.prepare(recipe, None)?;
    let mut inspector = Inspector::new(prepared.in_force);
    let mut undecided = false;
    for path in &args.paths {
        for file in files(path)? {
            let started = Instant::now();
            let decision = inspector.decide(&file);
            let line = Line::new(&file, decision, started.elapsed().as_secs_f64() * 1000.0);
            undecided |= line.verdict == "no_decision";
            if args.json { out::json(&line)? } else { line.print()? }
        }
    }
    Ok(ExitCode::from(if undecided { UNDECIDED } else { SUCCESS }))
}

/// A recipe that asks nothing of the picture but that something is on it.
pub(super) fn unlimited() -> Recipe {
    Recipe {
        name: "inspect".to_owned(),
        version: 1,
        bundle: None,
        // Nobody waits for a file.
        deadline_ms: u32::MAX,
        review_as: Default::default(),
        require_provider: None,
        thresholds: Default::default(),
        quality: Default::default(),
        calibration: None,
        align: None,
        mask: Vec::new(),
        evidence: Default::default(),
        regions: Vec::new(),
        tiles: None,
        review: Default::default(),
        identity: Default::default(),
        golden_samples: None,
    }
}

/// A path as it is; of a folder, its files by name.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let words = || format!("folder `{}` cannot be read", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(words)? {
        let file = entry.with_context(words)?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// What is printed of one file.
#[derive(Debug, Serialize)]
struct Line {
    path: String,
    verdict: &'static str,
    cause: Option<Cause>,
    detail: Option<String>,
    label: Option<Arc<str>>,
    found: Vec<LabelScore>,
    scores: serde_json::Map<String, serde_json::Value>,
    latency_ms: f64,
}

impl Line {
    fn new(path: &Path, decision: Decision, latency_ms: f64) -> Line {
        let (verdict, cause) = match decision.verdict {
            Verdict::Pass => ("pass", None),
            Verdict::Fail => ("fail", None),
            Verdict::Review => ("review", None),
            Verdict::NoDecision(cause) => ("no_decision", Some(cause)),
        };
        Line {
            path: path.to_string_lossy().into_owned(),
            verdict,
            cause,
            detail: decision.detail,
            label: decision.label,
            found: decision.found,
            scores: decision.scores.iter().map(|it| (it.label.to_string(), it.score.into())).collect(),
            latency_ms: (latency_ms * 1000.0).round() / 1000.0,
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        let found = self.found.iter().map(|it| format!("{} {:.2}", it.label, it.score)).collect::<Vec<_>>().join(", ");
        let why = self.detail.clone().unwrap_or(found);
        Ok(out::line(format_args!("{:<12}{}  {why}", self.verdict, self.path))?)
    }
}
