//! Learning from good parts alone: a bundle of its own, or a memory added to a classifier's.

use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use models::bundle::Bundle;
use models::preprocess::Preprocess;
use models::weights::Weights;
use models::zoo::mobilenet_v3_small::refuse_cut;
use models_train::good::{self, Cost, GoodReport, Parts, Settings, Step};
use serde_json::{Value, json};

use super::tensorboard::Log;
use super::{Args, Origin};
use crate::cli::recipe::tell;

/// Steps of the bar.
const STEPS: u64 = 100;

/// Arguments of `train --good`.
#[derive(Debug, clap::Args)]
pub(super) struct GoodArgs {
    /// Folder of pictures of good parts, and nothing else: learn what good looks like.
    #[arg(long, value_name = "DIR")]
    pub(super) good: Option<PathBuf>,
    /// Add the memory of good parts to this classifier's bundle, instead of making one of its own.
    #[arg(long, value_name = "FILE", requires = "good", conflicts_with_all = ["trunk", "size"])]
    onto: Option<PathBuf>,
    /// Good parts: try finer grids, larger inputs and memories too, which do not keep up with a fast line.
    #[arg(long, requires = "good")]
    fine: bool,
    /// Good parts: percent of them that may be rejected.
    #[arg(long, value_name = "PERCENT", requires = "good", default_value_t = 1.0)]
    overkill: f64,
}

impl GoodArgs {
    /// What was given, as the provenance's command repeats it.
    pub(super) fn given(&self) -> Vec<(&'static str, String)> {
        let file = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let Some(good) = &self.good else { return Vec::new() };
        let mut given = vec![("good", file(good)), ("overkill", self.overkill.to_string())];
        given.extend(self.onto.as_ref().map(|onto| ("onto", file(onto))));
        given.extend(self.fine.then(|| ("fine", String::new())));
        given
    }
}

/// Writes the bundle; gives what there is to say of it.
pub(super) fn run(args: &Args, folder: &Path) -> anyhow::Result<Value> {
    let mut log = Log::open(args, false)?;
    let made = make(args, folder, &mut log);
    if let Err(error) = &made {
        log.fail(&format!("{error:#}"), true);
    }
    made
}

fn make(args: &Args, folder: &Path, log: &mut Log) -> anyhow::Result<Value> {
    let mut parts = Parts::open(folder)?;
    if let Some(preparation) = &args.preparing {
        parts = parts.prepared_by(preparation.clone())?;
        tell(&parts.notes);
    }
    let mut settings = Settings::new(args.seed);
    settings.threads = args.threads();
    settings.fine = args.good.fine;
    settings.overkill = args.good.overkill / 100.0;
    settings.preprocess = args.size.map(Preprocess::imagenet);
    let (mut bundle, report, cost) = match &args.good.onto {
        None => alone(args, &parts, &settings, log)?,
        Some(path) => onto(args, path, &parts, settings, log)?,
    };
    bundle.save(&args.out)?;
    log.end_good(&bundle, &report);
    let summary = json!({
        "bundle": args.out,
        "labels": bundle.manifest.labels,
        "size": [bundle.manifest.preprocess.width, bundle.manifest.preprocess.height],
        "seconds": report.spent.as_secs_f64(),
        "memory": bundle.manifest.heads.memory,
        "report": report,
        "cost": cost,
        "provenance": bundle.manifest.provenance,
    });
    Ok(json!({ "summary": summary, "text": text(&args.out, &report, cost) }))
}

fn alone(args: &Args, parts: &Parts, settings: &Settings, log: &mut Log) -> anyhow::Result<(Bundle, GoodReport, Cost)> {
    let Origin { trunk, name, licences } = args.origin()?;
    let learned = learn(args, parts, &trunk, settings, log)?;
    let provenance = args.provenance(parts.digest()?, name, licences);
    let folder = args.good.good.as_deref().and_then(|folder| folder.canonicalize().ok());
    let name = folder.and_then(|folder| product(&folder)).unwrap_or_else(|| "good parts".into());
    Ok(good::make(&trunk, learned, good::Origin { name, provenance })?)
}

/// The product's name from the path of its good parts: `bottle` of `bottle/train/good`.
fn product(folder: &Path) -> Option<String> {
    let usual = ["good", "ok", "train", "normal"];
    let names = folder.ancestors().filter_map(|part| Some(part.file_name()?.to_string_lossy().into_owned()));
    names.into_iter().find(|name| !usual.contains(&name.as_str()))
}

fn onto(
    args: &Args,
    path: &Path,
    parts: &Parts,
    mut settings: Settings,
    log: &mut Log,
) -> anyhow::Result<(Bundle, GoodReport, Cost)> {
    let classifier = Bundle::open(path).with_context(|| format!("the bundle `{}` to add to", path.display()))?;
    let asked = args.preparing.as_ref().map_or("", |preparation| preparation.digest());
    anyhow::ensure!(
        classifier.manifest.provenance.preparation == asked,
        "the classifier learned from pictures prepared in another way: give the `--recipe` that it was learned with"
    );
    let trunk = Weights::from_graph(&classifier.graph)?;
    refuse_cut(&trunk).with_context(|| format!("the bundle `{}` to add to", path.display()))?;
    settings.preprocess = Some(classifier.manifest.preprocess.clone());
    let learned = learn(args, parts, &trunk, &settings, log)?;
    let (mut bundle, report, cost) = good::add_memory(classifier, learned)?;
    let provenance = &mut bundle.manifest.provenance;
    let added = args.provenance(parts.digest()?, provenance.trunk.clone(), provenance.licences.clone());
    provenance.command = format!("{}; {}", provenance.command, added.command);
    provenance.data_digest = format!("{}; good parts {}", provenance.data_digest, added.data_digest);
    Ok((bundle, report, cost))
}

fn learn(
    args: &Args,
    parts: &Parts,
    trunk: &Weights,
    settings: &Settings,
    log: &mut Log,
) -> anyhow::Result<good::Learned> {
    log.begin_good(args, settings, parts.len());
    let bar = ProgressBar::new(STEPS);
    let style = ProgressStyle::with_template("{prefix:11} {bar:28} {percent:3} %  {elapsed}");
    bar.set_style(style.expect("the template is fixed and names known keys"));
    let mut last = None;
    let learned = good::learn(parts, trunk, settings, &mut |step, share| {
        let words = match step {
            Step::Choosing => "choosing",
            Step::Reading => "reading",
            Step::HoldingOut => "holding out",
            Step::Remembering => "remembering",
        };
        if bar.is_hidden() && last != Some(step) {
            tracing::info!("good parts: {words}");
        }
        last = Some(step);
        bar.set_prefix(words);
        bar.set_position((share * STEPS as f64) as u64);
    });
    bar.finish_and_clear();
    let learned = learned?;
    log.pasted(&learned.replay);
    Ok(learned)
}

fn text(path: &Path, report: &GoodReport, cost: Cost) -> String {
    let (path, seconds) = (path.display(), report.spent.as_secs_f64());
    let Cost { classifier_ms, whole_ms, ratio } = cost;
    format!(
        "wrote {path} after {seconds:.0} s\n\n{report}\none picture on one thread: {whole_ms:.1} ms, trunk and classifier alone \
         {classifier_ms:.1} ms (x {ratio:.2})"
    )
}
