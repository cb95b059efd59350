//! `inspectd models export`: a model in another number format, with what that costs and gains, measured.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{bail, ensure};
use clap::ValueEnum;
use indicatif::ProgressBar;
use models::bundle::{Bundle, Certificate, Compared, Export, Figures, Machine};
use models::certify::{Agreement, Duel};
use models::image::Image;
use models::precision::int8::{Quantised, quantise};
use models::precision::{Precision, to_half};
use models::predictor::{Predictor, expectations};
use models::ruling::verdict_by_scores;
use models::runtime::{Provider, SessionOptions, init};
use models_train::dataset::{Files, Folder};
use models_train::samples::Samples;
use models_train::split::Side;
use serde_json::json;

use super::{bundle_or_shipped, classes};
use crate::cli::recipe::{RecipeArg, prepared};
use crate::cli::{SUCCESS, out};

/// Pictures that ranges are found on: more change little and take their time.
const CALIBRATION: usize = 128;

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model, in fp32; default: the one that ships with the program.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// The number format of the new model.
    #[arg(long, value_enum)]
    precision: Wanted,
    /// Pictures to calibrate and to measure with: one folder per class, or any layout with `--split`. int8 needs them. Without
    /// `--split` every second one calibrates and the others measure.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// CSV with the columns path,label,split: its train side calibrates, its test side measures.
    #[arg(long, value_name = "FILE", requires = "data")]
    split: Option<PathBuf>,
    #[command(flatten)]
    recipe: RecipeArg,
    /// The bundle to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The largest share of verdicts that may flip.
    #[arg(long, value_name = "SHARE", default_value = "0.1%")]
    max_flips: Share,
    /// One JSON line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// 16-bit floats: half the size; for CUDA. Processors compute it in 32 bits.
    Fp16,
    /// 8-bit integers between quantisation steps: for TensorRT, and for processors with integer kernels.
    Int8,
}

/// A share, as `0.1%` or `0.001`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Share(f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number.trim_end(), 0.01));
        match number.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&(share * unit)) => Ok(Share(share * unit)),
            _ => Err("give a share as 0.1% or 0.001, at most 100%".to_owned()),
        }
    }
}

/// The pictures, and which serve for what.
struct Pictures {
    files: Files,
    calibrate: Vec<usize>,
    measure: Vec<usize>,
    digest: String,
}

/// Exit code 0 when the bundle is written. It is not when too many verdicts flip.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let original = bundle_or_shipped(args.bundle.as_deref())?;
    init(None)?;
    let pictures = args.pictures(&original)?;
    let (mut converted, method) = args.convert(&original, pictures.as_ref())?;
    let images = original.expectations.iter().map(|it| it.image.clone()).collect();
    converted.expectations = expectations(&converted, images)?;
    let (agreement, [of_original, of_converted]) = duel(&original, &converted, pictures.as_ref())?;
    let export = Export {
        method,
        most_flips: args.max_flips.0,
        data_digest: pictures.map(|it| it.digest).unwrap_or_default(),
        original: of_original,
        converted: of_converted,
    };
    if agreement.flip_share() > args.max_flips.0 {
        bail!(
            "`{}` was not written, since its verdicts are not the original's: {agreement}, where {:.3} % may flip ({}). {}. Calibrate with \
             more pictures of what the line sees, stay with the original, or allow more with --max-flips",
            args.out.display(),
            100.0 * args.max_flips.0,
            export.method,
            figures(&export)
        );
    }
    certified(&original, &mut converted, &agreement, &export);
    // What is handed out has gone through its own file format and has reproduced its own scores once.
    let copy = Bundle::from_bytes(&converted.to_bytes()?)?;
    Predictor::load(copy, &SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() })?;
    converted.save(&args.out)?;
    if args.json {
        let precision = converted.manifest.precision;
        out::json(&json!({ "bundle": args.out, "precision": precision, "agreement": agreement, "export": export }))?;
    } else {
        out::line(format_args!("wrote {}: {}", args.out.display(), export.method))?;
        out::line(format_args!("{agreement}\n{}", figures(&export)))?;
    }
    Ok(ExitCode::from(SUCCESS))
}

impl Args {
    fn pictures(&self, original: &Bundle) -> anyhow::Result<Option<Pictures>> {
        let Some(data) = &self.data else { return Ok(None) };
        let folder = prepared(Folder::open(data, self.split.as_deref())?, &self.recipe.preparation()?)?;
        let digest = folder.digest()?;
        let classes = classes(original);
        let (files, calibrate, measure) = if self.split.is_some() {
            // Both sides in one list: the train side first.
            let train = folder.files(Some(Side::Train), &classes)?.len();
            let names: Vec<String> = names(&folder.files(Some(Side::Train), &classes)?);
            let files = folder.files(None, &classes)?;
            let (calibrate, measure): (Vec<usize>, Vec<usize>) =
                (0..files.len()).partition(|&index| names.contains(&files.name(index)));
            ensure!(calibrate.len() == train, "a picture stands twice in the split: name each once");
            (files, calibrate, measure)
        } else {
            let files = folder.files(None, &classes)?;
            let (calibrate, measure) = match self.precision {
                // Nothing is chosen by any picture, so all may measure.
                Wanted::Fp16 => (Vec::new(), (0..files.len()).collect()),
                Wanted::Int8 => (0..files.len()).partition(|index| index % 2 == 0),
            };
            (files, calibrate, measure)
        };
        ensure!(!measure.is_empty(), "`{}` holds no picture to measure with: give at least two", data.display());
        Ok(Some(Pictures { files, calibrate, measure, digest }))
    }

    fn convert(&self, original: &Bundle, pictures: Option<&Pictures>) -> anyhow::Result<(Bundle, String)> {
        let mut converted = Bundle { model_card: None, certificate: None, ..original.clone() };
        let method = match (self.precision, pictures) {
            (Wanted::Fp16, _) => {
                converted.manifest.precision = Precision::Fp16;
                converted.graph = to_half(&original.graph)?;
                "convolutions in 16-bit floats, pooling and softmax in 32".to_owned()
            }
            (Wanted::Int8, None) => bail!(
                "int8 is calibrated with pictures of what the line sees, so it needs them: give --data DIR (a hundred pictures do)"
            ),
            (Wanted::Int8, Some(pictures)) => {
                let images = pictures.calibration_images(original)?;
                let bar = ProgressBar::new_spinner().with_message(format!("calibrating on {} pictures", images.len()));
                bar.enable_steady_tick(std::time::Duration::from_millis(200));
                let most = (self.max_flips.0 * images.len() as f64) as usize;
                let quantised = quantise(original, &images, verdict_by_scores, most)?;
                bar.finish_and_clear();
                converted.manifest.precision = Precision::Int8;
                let words = words(&quantised, images.len());
                converted.graph = quantised.graph;
                words
            }
        };
        converted.manifest.graph_sha256 = models::bundle::sha256(&converted.graph);
        Ok((converted, method))
    }
}

fn names(files: &Files) -> Vec<String> {
    (0..files.len()).map(|index| files.name(index)).collect()
}

fn words(quantised: &Quantised, images: usize) -> String {
    let Quantised { clip, in_float, quantised, .. } = quantised;
    let rest = match in_float.as_slice() {
        [] => String::new(),
        names => format!(", {} left in floats ({})", names.len(), names.join(", ")),
    };
    format!("{quantised} convolutions in 8-bit integers{rest}; ranges up to the {clip}, from {images} pictures")
}

impl Pictures {
    /// Up to [`CALIBRATION`] of them, spread evenly, at the size of the input.
    fn calibration_images(&self, original: &Bundle) -> anyhow::Result<Vec<Image>> {
        ensure!(!self.calibrate.is_empty(), "no picture to calibrate with: the split has no train side");
        let count = self.calibrate.len().min(CALIBRATION);
        let load = |at: usize| {
            let image = self.files.load(self.calibrate[at * self.calibrate.len() / count])?.image;
            let mut small = Image::empty();
            original.manifest.preprocess.fill_image(image.view(), &mut small);
            Ok(small)
        };
        (0..count).map(load).collect()
    }
}

/// Both models on the pictures that measure; without any, on the bundle's own.
fn duel(
    original: &Bundle,
    converted: &Bundle,
    pictures: Option<&Pictures>,
) -> anyhow::Result<(Agreement, [Figures; 2])> {
    let mut duel = Duel::new(original, converted, verdict_by_scores)?;
    let Some(Pictures { files, measure, .. }) = pictures else {
        for (index, expectation) in original.expectations.iter().enumerate() {
            duel.picture(&format!("calibration image {index}"), expectation.image.view(), None)?;
        }
        return Ok(duel.finish());
    };
    let bar = ProgressBar::new(measure.len() as u64);
    for &index in measure {
        let sample = files.load(index)?;
        duel.picture(&files.name(index), sample.image.view(), Some(&sample.labels))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(duel.finish())
}

fn figures(export: &Export) -> String {
    let one = |name: &str, figures: &Figures| {
        let accuracy = figures.accuracy.map_or("not measured".to_owned(), |share| format!("{:.2} %", 100.0 * share));
        let Figures { latency_ms, graph_bytes, .. } = figures;
        format!("{name}: accuracy {accuracy}, {latency_ms:.1} ms on one thread, {:.2} MB", *graph_bytes as f64 / 1e6)
    };
    format!("{}; {}", one("original", &export.original), one("converted", &export.converted))
}

/// Writes certificate and model card.
fn certified(original: &Bundle, converted: &mut Bundle, agreement: &Agreement, export: &Export) {
    let precision = converted.manifest.precision;
    let note = format!(
        "\n## Converted to {precision}\n\n{}. Beside the original: {agreement}. {}.\n",
        export.method,
        figures(export)
    );
    converted.model_card = original.model_card.as_ref().map(|card| format!("{card}{note}"));
    converted.certificate = Some(Certificate {
        compared_with: Compared::Original {
            graph_sha256: original.manifest.graph_sha256.clone(),
            precision: original.manifest.precision,
        },
        agreement: agreement.clone(),
        provider: Provider::Cpu,
        machine: Machine::this(),
        export: Some(export.clone()),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_with_and_without_a_percent_sign() {
        assert_eq!("0.1%".parse(), Ok(Share(0.001)));
        assert_eq!("0.5 %".parse(), Ok(Share(0.005)));
        assert_eq!("0".parse(), Ok(Share(0.0)));
        for wrong in ["", "%", "-1", "101%", "NaN", "1.5"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
