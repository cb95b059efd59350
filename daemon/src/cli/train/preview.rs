//! `inspectd train --preview`: pictures of what would be learned from.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use models::image::encode_png;
use models::preprocess::Preprocess;
use models_train::dataset::input_size;
use models_train::preview::{colour, sheet, with_views};
use models_train::sampler::{BalancedSampler, Plan};
use models_train::samples::{Sample, Samples};
use models_train::split::Side;

use super::{Args, SUCCESS, out};

/// Images of the batch that is shown: as many as stage two takes a step.
const BATCH: usize = 32;
/// Images of each label, and random views of each.
const OF_LABEL: usize = 4;
const VIEWS: usize = 7;

/// Writes `batch.png` and one sheet a label. Exit code 0.
pub(super) fn run(args: &Args, data: &Path, into: &Path) -> anyhow::Result<ExitCode> {
    let folder = args.options.open(data, args.split.as_deref(), &args.recipe.preparation()?)?;
    let augment = args.options.augment()?;
    let files = folder.files(Some(Side::Train), &folder.classes)?;
    let size = args.size.map_or_else(|| files.shortest_side().map(|side| input_size(side.unwrap_or(u32::MAX))), Ok)?;
    let files = args.options.teach(files.resized(&Preprocess::imagenet(size)))?;
    anyhow::ensure!(!files.is_empty(), "`{}` has no image to learn from", data.display());
    std::fs::create_dir_all(into).with_context(|| format!("cannot create `{}`", into.display()))?;

    let labels: Vec<usize> = (0..files.len()).map(|index| files.label(index)).collect();
    let plan = Plan { sampling: args.options.sampling, ..Plan::balanced(BATCH, args.seed) };
    let mut batch = BalancedSampler::new(&labels, &plan).next_batch();
    batch.sort_by_key(|&index| labels[index]);
    let views = |indices: &[usize], views| with_views(&files, (&augment, args.seed), indices, views);
    save(&views(&batch, 1)?, 8, 2, &into.join("batch.png"))?;
    let mut drawn: BTreeMap<usize, usize> = BTreeMap::new();
    batch.iter().for_each(|&index| *drawn.entry(labels[index]).or_default() += 1);

    out::line(format_args!(
        "{}: a batch of {BATCH}, each image and what became of it",
        into.join("batch.png").display()
    ))?;
    for (number, class) in folder.classes.iter().enumerate() {
        let some: Vec<usize> = (0..files.len()).filter(|&index| labels[index] == number).take(OF_LABEL).collect();
        if some.is_empty() {
            continue;
        }
        let path = into.join(format!("label-{number}-{}.png", file_name(&class.name)));
        save(&views(&some, VIEWS)?, VIEWS + 1, VIEWS + 1, &path)?;
        let (places, colour) = (drawn.get(&number).copied().unwrap_or(0), colour(number).1);
        out::line(format_args!("{}: `{}`, {colour}, {places} of the batch", path.display(), class.name))?;
    }
    Ok(ExitCode::from(SUCCESS))
}

fn save(samples: &[Sample], columns: usize, together: usize, path: &Path) -> anyhow::Result<()> {
    let png = encode_png(sheet(samples, columns, together).view())?;
    std::fs::write(path, png).with_context(|| format!("cannot write `{}`", path.display()))
}

/// A label as a file name: what could be a path or a hidden file becomes a line.
fn file_name(label: &str) -> String {
    label.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).take(60).collect()
}
