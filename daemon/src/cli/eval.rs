//! `inspectd eval`: measures a bundle on labelled images, through the code that runs on the line.

use std::path::PathBuf;
use std::process::ExitCode;

use models::bundle::Bundle;
use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::SessionOptions;
use models_train::dataset::Folder;
use models_train::evaluate;
use models_train::samples::Class;
use models_train::split::Side;
use serde_json::json;

use super::{SUCCESS, out};

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle to measure.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Folder of images: one folder per class, or any layout with `--split`.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// CSV with the columns path,label,split; only its test side is measured.
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Threads; default: one per core.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// One JSON line.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when every image was measured, however well.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = Folder::open(&args.data, args.split.as_deref())?;
    let predictor = Predictor::load(Bundle::open(&args.bundle)?, &SessionOptions::default())?;
    let labels = &predictor.manifest().labels;
    let classes: Vec<Class> =
        labels.iter().map(|label| Class { name: label.name.clone(), verdict: label.verdict }).collect();
    let side = args.split.is_some().then_some(Side::Test);
    let files = folder.files(side, &classes)?;
    let report = evaluate(&predictor, &files, args.threads.map(usize::from))?;
    if args.json {
        let mut line = json!({ "bundle": args.bundle, "provider": predictor.provider() });
        let report = serde_json::to_value(&report)?;
        if let (Some(line), serde_json::Value::Object(report)) = (line.as_object_mut(), report) {
            line.extend(report);
        }
        out::json(&line)?;
    } else {
        out::line(format_args!("{report}on {}", predictor.provider()))?;
    }
    Ok(ExitCode::from(SUCCESS))
}
