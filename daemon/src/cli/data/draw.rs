//! `inspectd data draw`: parts of the synthetic line as a data set on disk, each under several lights.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use models::image::encode_png;
use rayon::prelude::*;
use stages::capture::synthetic::{LABELS, Lamp, TrainingSet};

use super::super::{SUCCESS, out};

/// Arguments of `draw`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write; it must not exist, or be empty. A folder for each light, in it one for each label.
    #[arg(value_name = "DIR")]
    out: PathBuf,
    /// Lights under which each part is drawn.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "bright-field,dark-field")]
    light: Vec<Light>,
    /// Parts, every second one good.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    parts: u32,
    /// Same seed, same parts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pixels across and down.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=2048))]
    size: u32,
    /// Parts to measure on: none of them can be among those that a training draws, whatever the seeds.
    #[arg(long)]
    to_measure: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Light {
    Diffuse,
    BrightField,
    DarkField,
}

impl From<Light> for Lamp {
    fn from(light: Light) -> Lamp {
        match light {
            Light::Diffuse => Lamp::Diffuse,
            Light::BrightField => Lamp::BrightField,
            Light::DarkField => Lamp::DarkField,
        }
    }
}

/// Exit code 0 when all pictures are written.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let taken = fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(!taken, "`{}` is not empty: give a folder that does not exist", args.out.display());
    let drawn = match args.to_measure {
        true => TrainingSet::to_measure_on(args.seed, args.size),
        false => TrainingSet::new(args.seed, args.size),
    };
    let lamps: Vec<Lamp> = args.light.iter().map(|&light| light.into()).collect();
    let sets: Vec<(Lamp, TrainingSet)> = lamps.iter().map(|&lamp| (lamp, drawn.under(lamp))).collect();
    for (lamp, label) in lamps.iter().flat_map(|lamp| LABELS.map(|label| (lamp, label))) {
        let folder = args.out.join(lamp.name()).join(label);
        fs::create_dir_all(&folder).with_context(|| format!("folder `{}`", folder.display()))?;
    }
    let defects = LABELS.len() as u64 - 1;
    (0..u64::from(args.parts)).into_par_iter().try_for_each(|part| {
        // Each round of ten has every label once: a round for each part.
        let label = if part % 2 == 0 { 0 } else { 1 + part / 2 % defects };
        let place = part * LABELS.len() as u64 + label;
        sets.iter().try_for_each(|(lamp, set)| {
            let folder = args.out.join(lamp.name()).join(LABELS[set.label(place)]);
            write(&folder.join(format!("part-{part:06}.png")), &set.sample(place).image)
        })
    })?;
    let names = lamps.iter().map(|lamp| lamp.name()).collect::<Vec<_>>().join(",");
    out::line(format_args!("wrote {} parts under {names} to {}", args.parts, super::shown(&args.out)))?;
    Ok(ExitCode::from(SUCCESS))
}

fn write(path: &Path, image: &models::image::Image) -> anyhow::Result<()> {
    let bytes = encode_png(image.view())?;
    fs::write(path, bytes).with_context(|| format!("`{}`", path.display()))
}
