//! `inspectd models certify`: whether a model gives the same verdicts on every provider of this machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use models::bundle::{Bundle, Compared, Machine, sha256};
use models::certify::{Agreement, Certifier, Duel, Finding, ProviderReport};
use models::precision::Precision;
use models::ruling::verdict_by_scores;
use models::runtime::{SessionOptions, init};
use models_train::dataset::Folder;
use models_train::samples::Samples;
use models_train::split::Side;
use serde::Serialize;

use super::{classes, file_and_bundle};
use crate::cli::recipe::{RecipeArg, prepared};
use crate::cli::{FAILURE, SUCCESS, out};
use crate::config;
use crate::supervise::open_bundle;

/// Arguments of `certify`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model; default: the one that ships with the program.
    #[arg(value_name = "BUNDLE")]
    bundle: Option<PathBuf>,
    /// Further pictures to compare on: one folder per class, or any layout with `--split`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// CSV with the columns path,label,split; only its test side is shown.
    #[arg(long, value_name = "FILE", requires = "data")]
    split: Option<PathBuf>,
    #[command(flatten)]
    recipe: RecipeArg,
    /// For a model in fp16 or int8: the original in fp32, to compare the two on this machine's processor. The verdicts may differ as
    /// far as the export allowed.
    #[arg(long, value_name = "FILE")]
    original: Option<PathBuf>,
    /// Where the result is recorded, in `certificates`; default: the state directory of `run`.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// One JSON line.
    #[arg(long)]
    json: bool,
}

/// What was found, as it is recorded.
#[derive(Debug, Serialize)]
struct Record {
    model: String,
    /// SHA-256 of the bundle's file.
    bundle_sha256: String,
    graph_sha256: String,
    precision: Precision,
    at: jiff::Timestamp,
    machine: Machine,
    /// Pictures, those of the bundle among them.
    images: usize,
    /// SHA-256 of the data beside the bundle's own pictures.
    data_digest: Option<String>,
    providers: Vec<ProviderReport>,
    /// The original in fp32 beside it, where one was given.
    beside_original: Option<Agreement>,
    /// The processor reproduces the bundle, no provider that is there flips a verdict, and the original's verdicts flip no more
    /// than the export allowed.
    certified: bool,
}

/// Exit code 0 when no provider that is there fails. Those that are not are named, and nothing is claimed of them.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (bytes, bundle) = file_and_bundle(args.bundle.as_deref())?;
    init(None)?;
    let state = args.state.clone().unwrap_or_else(config::default_state_dir);
    let options = SessionOptions { cache_dir: Some(state.join("engines")), ..SessionOptions::default() };
    let mut certifier = Certifier::new(&bundle, verdict_by_scores, &options)?;
    let original = args.original.as_deref().map(|path| original_of(&bundle, path)).transpose()?;
    let mut duel = original.as_ref().map(|original| Duel::new(original, &bundle, verdict_by_scores)).transpose()?;
    for (index, expectation) in bundle.expectations.iter().enumerate() {
        if let Some(duel) = &mut duel {
            duel.picture(&format!("calibration image {index}"), expectation.image.view(), None)?;
        }
    }
    let mut images = bundle.expectations.len();
    let mut data_digest = None;
    if let Some(data) = &args.data {
        let folder = prepared(Folder::open(data, args.split.as_deref())?, &args.recipe.preparation()?)?;
        data_digest = Some(folder.digest()?);
        let side = (args.split.is_some() || folder.has_test_side()).then_some(Side::Test);
        let files = folder.files(side, &classes(&bundle))?;
        let bar = ProgressBar::new(files.len() as u64);
        for index in 0..files.len() {
            let (name, image) = (files.name(index), files.load(index)?.image);
            certifier.picture(&name, image.view())?;
            if let Some(duel) = &mut duel {
                duel.picture(&name, image.view(), None)?;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        images += files.len();
    }
    let beside_original = duel.map(|duel| duel.finish().0);
    let mut record = record(&bundle, &bytes, (images, data_digest), certifier.finish());
    if let Some(agreement) = beside_original {
        let export = bundle.certificate.as_ref().and_then(|it| it.export.as_ref());
        record.certified &= agreement.flip_share() <= export.map_or(0.0, |export| export.most_flips);
        record.beside_original = Some(agreement);
    }
    let path = keep(&state, &record)?;
    match args.json {
        true => out::json(&record)?,
        false => tell(&record, &path)?,
    }
    Ok(ExitCode::from(if record.certified { SUCCESS } else { FAILURE }))
}

/// The original of a conversion; another model beside it would only mislead.
fn original_of(bundle: &Bundle, path: &Path) -> anyhow::Result<Bundle> {
    let original = open_bundle(path)?;
    match bundle.certificate.as_ref().map(|it| &it.compared_with) {
        Some(Compared::Original { graph_sha256, .. }) if *graph_sha256 == original.manifest.graph_sha256 => {
            Ok(original)
        }
        Some(Compared::Original { graph_sha256, .. }) => {
            bail!("`{}` is not what this model was converted from: that has the graph {graph_sha256}", path.display())
        }
        _ => bail!("this model was not converted from another: leave out --original"),
    }
}

fn record(
    bundle: &Bundle,
    bytes: &[u8],
    (images, data_digest): (usize, Option<String>),
    providers: Vec<ProviderReport>,
) -> Record {
    Record {
        model: bundle.manifest.name.clone(),
        bundle_sha256: sha256(bytes),
        graph_sha256: bundle.manifest.graph_sha256.clone(),
        precision: bundle.manifest.precision,
        at: jiff::Timestamp::now(),
        machine: Machine::this(),
        images,
        data_digest,
        certified: !providers.iter().any(ProviderReport::failed),
        beside_original: None,
        providers,
    }
}

/// Where the result for a bundle of this digest is recorded.
pub(super) fn place(state: &Path, bundle_sha256: &str) -> PathBuf {
    state.join("certificates").join(format!("{bundle_sha256}.json"))
}

/// Replaces what was recorded of the same bundle before.
fn keep(state: &Path, record: &Record) -> anyhow::Result<PathBuf> {
    let path = place(state, &record.bundle_sha256);
    let words = || format!("the result cannot be recorded as `{}` (another --state?)", path.display());
    let folder = path.parent().expect("it lies in `certificates`");
    std::fs::create_dir_all(folder).with_context(words)?;
    let file = tempfile::NamedTempFile::new_in(folder).with_context(words)?;
    serde_json::to_writer_pretty(&file, record).with_context(words)?;
    file.as_file().sync_all().with_context(words)?;
    file.persist(&path).with_context(words)?;
    Ok(path)
}

fn tell(record: &Record, path: &Path) -> anyhow::Result<()> {
    out::line(format_args!(
        "{} ({}), {} pictures, on {}",
        record.model, record.precision, record.images, record.machine
    ))?;
    for report in &record.providers {
        let provider = report.provider;
        match &report.finding {
            Finding::NotPresent { reason } => out::line(format_args!("{provider:<9} not present: {reason}"))?,
            Finding::Refused { reason } => out::line(format_args!("{provider:<9} REFUSED: {reason}"))?,
            Finding::Measured { agreement, latency_ms } => {
                let word = if report.certified() { "certified" } else { "REFUSED" };
                out::line(format_args!("{provider:<9} {word}: {agreement}; {latency_ms:.1} ms a picture"))?;
            }
        }
    }
    if let Some(agreement) = &record.beside_original {
        out::line(format_args!("original  {agreement}"))?;
    }
    let word = if record.certified { "certified" } else { "NOT certified" };
    Ok(out::line(format_args!("{word}; recorded in `{}`", path.display()))?)
}
