//! `inspectd data`: looks at a data set before anything is learned from it, and cuts it into two sides.

mod check;
mod draw;
mod split;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use models::weights::{self, Weights};
use models::zoo::mobilenet_v3_small;
use models_train::check::{DataReport, Look};
use models_train::dataset::Folder;
use models_train::formats::Format;
use models_train::near::{Embed, TrunkEmbed};

use crate::supervise::shipped_bundle;

/// Arguments of `data`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say what is in a data set and what is wrong with it: unreadable images, the same picture twice, under two labels, on both
    /// sides.
    Check(check::Args),
    /// Write a list that cuts a data set into a side to learn from and one to measure on, with no part on both.
    Split(split::Args),
    /// Write parts of the synthetic line as a data set, each under several lights: for models of several views.
    Draw(draw::Args),
}

/// Which data.
#[derive(Debug, clap::Args)]
struct Source {
    /// Folder of images: one folder per class, COCO, Pascal VOC, exported records, or any layout with `--split`.
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// The list of the data: CSV with the columns path,label,split[,group], COCO's JSON, exported records, or a folder of XML files;
    /// a bare name is looked for in the data folder too.
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
    /// Form of the data: folders, csv, coco, voc or records; default: told by what is there.
    #[arg(long, value_name = "FORM")]
    format: Option<Format>,
    /// Weights whose trunk finds near duplicates: a bundle, an ONNX trunk or torchvision's .pth; default: the model that ships with
    /// inspectd.
    #[arg(long, value_name = "FILE")]
    trunk: Option<PathBuf>,
    /// Cosine from which two pictures look alike enough to be laid over each other; default: what nine in ten pictures would reach if
    /// they were shot again.
    #[arg(long, value_name = "COSINE", value_parser = cosine)]
    near: Option<f32>,
    /// Do not look for near duplicates: quicker, needs no network.
    #[arg(long, conflicts_with = "near")]
    no_near: bool,
    /// Threads; default: one per core.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

fn cosine(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(cosine) if (0.0..=1.0).contains(&cosine) => Ok(cosine),
        _ => Err("a cosine is a number from 0 to 1".into()),
    }
}

/// Exit code: see the actions.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::Check(args) => check::run(args),
        Action::Split(args) => split::run(args),
        Action::Draw(args) => draw::run(args),
    }
}

impl Source {
    fn open(&self) -> anyhow::Result<Folder> {
        Ok(Folder::open_as(&self.data, self.split.as_deref(), self.format)?)
    }

    fn embed(&self) -> anyhow::Result<Option<TrunkEmbed>> {
        if self.no_near {
            return Ok(None);
        }
        let weights = match &self.trunk {
            Some(path) => weights::load_trunk(path)?,
            None => {
                let bundle = shipped_bundle().context("name a trunk with --trunk, or leave it with --no-near")?;
                Weights::from_graph(&bundle.graph)?.only(&mobilenet_v3_small::layers())?
            }
        };
        Ok(Some(TrunkEmbed::new(&weights, self.threads.map(usize::from))?))
    }

    /// Looks at every image, with a bar on a terminal.
    fn look(&self, folder: &Folder) -> anyhow::Result<DataReport> {
        let embed = self.embed()?;
        let bar = ProgressBar::new(folder.entries().len() as u64);
        let style = ProgressStyle::with_template("{bar:28} {pos}/{len} images  {eta} left");
        bar.set_style(style.expect("the template is fixed and names known keys"));
        let look = Look { embed: embed.as_ref().map(|embed| embed as &dyn Embed), cosine: self.near };
        let report = models_train::check::check(folder, &look, &mut |done| {
            bar.set_position(done as u64);
            true
        });
        bar.finish_and_clear();
        Ok(report?)
    }
}

/// `DIR/name` as a person would write it.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
