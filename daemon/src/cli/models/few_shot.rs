//! `inspectd models few-shot`: how well kinds would be told apart that were registered from a few pictures.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use models::bundle::{Bundle, FORMAT, Manifest, Pooling, Provenance, Tolerance};
use models::heads::attention;
use models::heads::prototypes;
use models::preprocess::Preprocess;
use models::weights::load_trunk;
use models_train::dataset::Folder;
use models_train::few_shot::{Trial, measure};
use models_train::samples::Class;
use models_train::split::Side;
use serde_json::json;

use super::register::Seen;
use crate::cli::recipe::{RecipeArg, prepared};
use crate::cli::{SUCCESS, out};
use crate::learning::shots::synthetic_background;
use crate::supervise::{open_bundle, shipped_bundle};

/// Arguments of `models few-shot`.
#[derive(Debug, clap::Args)]
pub(super) struct FewShot {
    /// The model whose trunk looks at the pictures; default: the one that ships with the program.
    #[arg(long, value_name = "FILE", conflicts_with = "trunk")]
    bundle: Option<PathBuf>,
    /// A bare trunk instead: a bundle, an ONNX trunk or torchvision's .pth.
    #[arg(long, value_name = "FILE")]
    trunk: Option<PathBuf>,
    /// Input pixels each way of a bare trunk, a multiple of 32.
    #[arg(long, default_value_t = 224, requires = "trunk", value_parser = clap::value_parser!(u32).range(32..=2048))]
    size: u32,
    /// Folder of images.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// CSV with the columns path,label,split: shots are drawn from the train side, the test side is measured.
    #[arg(long, value_name = "FILE")]
    split: PathBuf,
    #[command(flatten)]
    recipe: RecipeArg,
    /// Pictures of each kind.
    #[arg(long, default_value_t = 5)]
    shots: usize,
    /// Times that they are drawn anew.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    draws: u16,
    /// Decides which are drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Views of each shot.
    #[arg(long, value_enum, default_value_t = Seen::Turns)]
    views: Seen,
    /// One JSON line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &FewShot) -> anyhow::Result<ExitCode> {
    models::runtime::init(None)?;
    let bundle = match (&args.bundle, &args.trunk) {
        (Some(path), _) => open_bundle(path)?,
        (None, Some(_)) => args.bare()?,
        (None, None) => shipped_bundle()?,
    };
    let own = prototypes::read(&bundle)?;
    let background = if own.is_some() { "the model's own" } else { "the synthetic line" };
    let head = own.map_or_else(|| synthetic_background(&bundle), Ok)?;
    let folder = prepared(Folder::open(&args.data, Some(&args.split))?, &args.recipe.preparation()?)?;
    let classes = folder.classes.clone();
    let (shots, test) = (folder.files(Some(Side::Train), &classes)?, folder.files(Some(Side::Test), &classes)?);
    let trial = Trial { shots: args.shots, draws: usize::from(args.draws), seed: args.seed, views: args.views.into() };
    let measured = measure(&bundle, &head, (&shots, &test), &classes, &trial)?;
    if args.json {
        let size = [bundle.manifest.preprocess.width, bundle.manifest.preprocess.height];
        out::json(
            &json!({ "model": bundle.manifest.name, "size": size, "background": background, "measured": measured }),
        )?;
        return Ok(ExitCode::from(SUCCESS));
    }
    out::line(format_args!(
        "{} kinds from {} pictures each, {} draws, measured on {} pictures; background: {background}",
        measured.kinds.len(),
        measured.shots,
        measured.draws,
        measured.images
    ))?;
    for method in &measured.methods {
        let percent = |share: Option<f64>, words: &str| {
            share.map_or(String::new(), |share| format!(", {:.1} % {words}", 100.0 * share))
        };
        let unknown = percent(method.unknown, "called unknown")
            + &percent(method.strangers_unknown, "of a kind that was left out");
        out::line(format_args!(
            "{:5.1} %  ({:.1} to {:.1}{unknown})  {}",
            100.0 * method.mean,
            100.0 * method.worst,
            100.0 * method.best,
            method.method
        ))?;
    }
    Ok(ExitCode::from(SUCCESS))
}

impl FewShot {
    /// A bundle of a trunk alone: its head is random and nobody asks it.
    fn bare(&self) -> anyhow::Result<Bundle> {
        let path = self.trunk.as_deref().context("a trunk")?;
        let mut weights = load_trunk(path)?;
        weights.merge(attention::init(1, 1));
        let side = self.size as usize;
        let class = Class::named("nothing");
        let label = models::bundle::Label { name: class.name, verdict: class.verdict, threshold: 0.5 };
        let manifest = Manifest {
            format: FORMAT,
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            labels: vec![label],
            preprocess: Preprocess::imagenet(self.size),
            pooling: Pooling::Mean,
            input: attention::INPUT.into(),
            scores: attention::SCORES.into(),
            heat: attention::HEAT.into(),
            heads: Default::default(),
            precision: Default::default(),
            graph_sha256: String::new(),
            files_sha256: Default::default(),
            tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
            provenance: Provenance::default(),
        };
        let graph = attention::build(&weights, [side, side], 1, Pooling::Mean)?;
        Ok(Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None })
    }
}
