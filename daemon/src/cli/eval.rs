//! `inspectd eval`: measures a bundle on labelled images, through the code that runs on the line.

mod output;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use models::bundle::{Bundle, Label, OperatingPoint};
use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::SessionOptions;
use models::views::Lacking;
use models_train::dataset::Folder;
use models_train::evaluation::latency::{self, Latency};
use models_train::evaluation::operating_point::{self, Aim};
use models_train::evaluation::{Detail, Report, Scored, Settings, TrueClass, score_all, truth};
use models_train::samples::{Class, Samples};
use models_train::split::Side;
use models_train::view_folders::ViewFolders;
use stages::capture::synthetic::{LABELS, TrainingSet};

use super::recipe::{RecipeArg, prepared};
use super::{SUCCESS, out};
use crate::drawn::Drawn;

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["data", "synthetic"])))]
pub struct Args {
    /// The bundle to measure.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Folder of images: one folder per class, or any layout with `--split`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Measure a bundle of several views without this one, as if its pictures had not come; may be given several times.
    #[arg(long, value_name = "VIEW")]
    without: Vec<String>,
    /// Measure on so many parts of the synthetic line instead, every second one good; no training can have drawn them.
    #[arg(long, value_name = "PARTS", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    synthetic: Option<u32>,
    /// Seed of those parts.
    #[arg(long, default_value_t = 101, requires = "synthetic")]
    seed: u64,
    /// CSV with the columns path,label,split; only its test side is measured.
    #[arg(long, value_name = "FILE", requires = "data")]
    split: Option<PathBuf>,
    #[command(flatten)]
    recipe: RecipeArg,
    /// The class of good parts; every other class counts as defective, whether or not the bundle knows it.
    #[arg(long, value_name = "NAME")]
    good_label: Option<String>,
    /// Choose the thresholds: at most this share of bad parts may pass (`0.5%`), then as few good parts held back as
    /// possible.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    escapes_at_most: Option<f64>,
    /// How sure the bound on escapes and every interval shall be.
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "95%")]
    confidence: f64,
    /// Write the bundle with the thresholds chosen here, and what they were chosen by.
    #[arg(long, value_name = "FILE", requires = "escapes_at_most")]
    write_bundle: Option<PathBuf>,
    /// Threads; default: one per core.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Write a page with plots and the worst mistakes, in one file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write each image's scores and verdict as CSV.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// One JSON line.
    #[arg(long)]
    json: bool,
}

/// A share between 0 and 1, exclusive: `0.5%` or `0.005`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.trim().strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>().map(|number| number / unit) {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err(format!("`{text}` is no share between 0 and 1; write 0.5% or 0.005")),
    }
}

/// What a bundle is measured on.
struct Source<'a> {
    /// The classes of the data, in the model's words.
    classes: Vec<TrueClass>,
    samples: Box<dyn Samples + 'a>,
    /// SHA-256 of the data, or the parameters that it follows from.
    digest: String,
    /// What it is, for people.
    words: String,
}

/// A bundle measured.
struct Measured {
    /// What it was judged by: the thresholds that were chosen, where some were.
    settings: Settings,
    report: Report,
    detail: Detail,
    latency: Latency,
    digest: String,
    operating_point: Option<OperatingPoint>,
}

/// Exit code 0 when every image was measured, however well.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = Predictor::load(Bundle::open(&args.bundle)?, &SessionOptions::default())?;
    let predictor = Lacking::new(&loaded, &args.without).map_err(|words| anyhow!("--without: {words}"))?;
    let set;
    let source = match (&args.data, args.synthetic) {
        (Some(data), _) if !predictor.manifest().views().is_empty() => views(args, data, &predictor)?,
        (Some(data), _) => {
            let preparing = args.recipe.preparation()?;
            let asked = preparing.as_ref().map_or("", |preparation| preparation.digest());
            if predictor.manifest().provenance.preparation != asked {
                tracing::warn!(
                    "the bundle learned from pictures prepared in another way: give the `--recipe` of its line"
                );
            }
            folder(args, &prepared(Folder::open(data, args.split.as_deref())?, &preparing)?, &predictor)?
        }
        (None, _) if !predictor.manifest().views().is_empty() => {
            bail!("the bundle sees several views: write such parts with `inspectd data draw`, and give them as --data")
        }
        (None, parts) => {
            set = TrainingSet::to_measure_on(args.seed, predictor.preprocess().width);
            synthetic(args, &set, parts.unwrap_or_default() as usize, &predictor)?
        }
    };
    let scored = score(args, &predictor, &source)?;
    let measured = measure(args, &predictor, &source, &scored)?;
    measured.write(args, &predictor, &source, &scored)?;
    match args.json {
        true => out::json(&measured.json(args, &predictor)?)?,
        false => measured.tell(args, &predictor)?,
    }
    Ok(ExitCode::from(SUCCESS))
}

fn folder<'a>(args: &Args, folder: &Folder, model: &dyn Model) -> anyhow::Result<Source<'a>> {
    let labels = &model.manifest().labels;
    // Data with two sides of its own are measured on the one that nothing was learned from, as with a list.
    let side = (args.split.is_some() || folder.has_test_side()).then_some(Side::Test);
    let (classes, files) = match &args.good_label {
        Some(good) => (truth::against_good(&folder.classes, good, labels)?, folder.files(side, &folder.classes)?),
        None => {
            let class = |label: &Label| Class { name: label.name.clone(), verdict: label.verdict };
            let known: Vec<Class> = labels.iter().map(class).collect();
            let files = folder.files(side, &known);
            let hint = "the data must be labelled in the bundle's words, or --good-label name the class of good parts";
            (truth::same_labels(labels), files.context(hint)?)
        }
    };
    let name = args.data.as_deref().and_then(|data| data.file_name()).unwrap_or_default();
    let split = args.split.as_deref().and_then(|split| split.file_name());
    let split = split.map(|split| format!(", test side of `{}`", split.display())).unwrap_or_default();
    let words = format!("folder `{}`{split}", name.display());
    Ok(Source { classes, samples: Box::new(files), digest: folder.digest()?, words })
}

/// A folder for each view of the bundle, of the same parts.
fn views<'a>(args: &Args, data: &Path, model: &dyn Model) -> anyhow::Result<Source<'a>> {
    ensure!(args.split.is_none(), "--split: data of several views are folders, one for each view; leave the list out");
    let manifest = model.manifest();
    let folders = ViewFolders::open(data, manifest.views())?;
    folders.first().notes.iter().for_each(|note| tracing::warn!("{note}"));
    let side = folders.first().has_test_side().then_some(Side::Test);
    let labels = &manifest.labels;
    let (classes, known) = match &args.good_label {
        Some(good) => (truth::against_good(&folders.first().classes, good, labels)?, folders.first().classes.clone()),
        None => {
            let class = |label: &Label| Class { name: label.name.clone(), verdict: label.verdict };
            (truth::same_labels(labels), labels.iter().map(class).collect())
        }
    };
    let hint = "the data must be labelled in the bundle's words, or --good-label name the class of good parts";
    let parts = folders.parts(side, &known, &manifest.preprocess).context(hint)?;
    let lack = match args.without.as_slice() {
        [] => String::new(),
        names => format!(", without {}", names.join(", ")),
    };
    let words = format!(
        "folder `{}`, {}{lack}",
        data.file_name().unwrap_or_default().display(),
        manifest.views().join(" and ")
    );
    Ok(Source { classes, samples: Box::new(parts), digest: folders.digest()?, words })
}

fn synthetic<'a>(args: &Args, set: &'a TrainingSet, parts: usize, model: &dyn Model) -> anyhow::Result<Source<'a>> {
    let labels = &model.manifest().labels;
    let classes = match &args.good_label {
        Some(good) => truth::against_good(&LABELS.map(Class::named), good, labels)?,
        None if labels.iter().map(|label| label.name.as_str()).eq(LABELS) => truth::same_labels(labels),
        None => bail!("the bundle has other labels than the synthetic line: give `--good-label good`"),
    };
    let digest = format!("synthetic line of inspectd {}, seed {}", env!("CARGO_PKG_VERSION"), args.seed);
    let words = format!("{parts} parts of the synthetic line, seed {}", args.seed);
    Ok(Source { classes, samples: Box::new(Drawn::half_good(set, 0, parts)), digest, words })
}

fn measure(args: &Args, model: &dyn Model, source: &Source<'_>, scored: &[Scored]) -> anyhow::Result<Measured> {
    let Source { classes, samples, digest, .. } = source;
    let mut settings = Settings { confidence: args.confidence, ..Settings::of(model.manifest()) };
    let mut operating_point = None;
    if let Some(escapes_at_most) = args.escapes_at_most {
        let aim = Aim { escapes_at_most, confidence: args.confidence };
        operating_point = Some(choose(scored, classes, &mut settings, aim, digest.clone())?);
    }
    let report = Report::new(scored, classes, &settings, |index| samples.name(index));
    let detail = Detail::new(scored, classes, &settings);
    let latency = latency::measure(model, samples.as_ref())?;
    Ok(Measured { settings, report, detail, latency, digest: digest.clone(), operating_point })
}

fn score(args: &Args, model: &dyn Model, source: &Source<'_>) -> anyhow::Result<Vec<Scored>> {
    let Source { classes, samples, .. } = source;
    let bar = ProgressBar::new(samples.len() as u64);
    let style = ProgressStyle::with_template("measuring {bar:28} {pos} of {len}  {eta} left");
    bar.set_style(style.expect("the template is fixed and names known keys"));
    let threads = args.threads.map(usize::from);
    let scored = score_all(model, samples.as_ref(), classes.len(), threads, &|| bar.inc(1));
    bar.finish_and_clear();
    Ok(scored?)
}

/// Sets the thresholds that keep to the aim, and gives the evidence.
fn choose(
    scored: &[Scored],
    classes: &[TrueClass],
    settings: &mut Settings,
    aim: Aim,
    data_digest: String,
) -> anyhow::Result<OperatingPoint> {
    let ranking = Detail::new(scored, classes, settings).ranking;
    let ranking = ranking.context("the bundle has no label that passes a part: there are no escapes to speak of")?;
    let chosen = operating_point::choose(&ranking, aim)?;
    operating_point::set(&mut settings.labels, chosen.threshold);
    Ok(chosen.evidence(aim, data_digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_people_write_them() {
        for (text, value) in [("0.5%", 0.005), ("0.5 %", 0.005), ("95%", 0.95), ("0.005", 0.005)] {
            assert!((share(text).unwrap() - value).abs() < 1e-12, "{text}");
        }
        for text in ["5", "0", "100%", "1", "-1%", "NaN", "half", "%"] {
            assert!(share(text).unwrap_err().contains("no share between 0 and 1"), "{text}");
        }
    }
}
