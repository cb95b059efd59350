//! `inspectd data split`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use models_train::check::DataReport;
use models_train::dataset::Folder;
use models_train::split::{Together, cut_by_group};

use super::super::{SUCCESS, out};
use super::{Source, shown};

/// Arguments of `data split`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// Share of each label to measure on.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = share)]
    test: f32,
    /// What stays together: `all` (groups that the data name, the same pixels, near duplicates), `named` (without near
    /// duplicates) or `none`.
    #[arg(long, value_enum, default_value_t = By::All, num_args = 0..=1, default_missing_value = "all", value_name = "WHAT")]
    by_group: By,
    /// Take the group from the file's name: what stands before the last of this character, as `7` in `7_top.png` with `_`.
    #[arg(long, value_name = "CHARACTER")]
    group_before: Option<char>,
    /// Decides every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The list to write: CSV with the columns path,label,split,group.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    All,
    Named,
    None,
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("a share lies between 0 and 1, as 0.2".into()),
    }
}

/// Exit code 0 when the list is written.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = args.source.open()?;
    let groups = args.groups(&folder)?;
    let number = |label: &str| folder.classes.iter().position(|class| class.name == label).unwrap_or(0);
    let labels: Vec<usize> = folder.entries().iter().map(|entry| number(entry.label())).collect();
    let (_, test) = cut_by_group(&labels, &groups, args.test, args.seed);
    let mut measured = vec![false; labels.len()];
    test.iter().for_each(|&index| measured[index] = true);
    write(args, &folder, &groups, &measured)?;

    let several = folder.entries().iter().filter(|entry| entry.labels.len() > 1).count();
    if several > 0 {
        tracing::warn!("{several} images have more than one label; a CSV keeps the first");
    }
    for (number, class) in folder.classes.iter().enumerate() {
        let all = labels.iter().filter(|&&label| label == number).count();
        let cut = test.iter().filter(|&&index| labels[index] == number).count();
        out::line(format_args!("{:>6} train  {cut:>6} test  {}", all - cut, class.name))?;
        if cut == 0 {
            tracing::warn!("`{}` has no image to measure on: all of its images belong together", class.name);
        }
    }
    let count = groups.iter().max().map_or(0, |top| top + 1);
    out::line(format_args!(
        "{count} groups of {} images, none on both sides; wrote {}",
        labels.len(),
        shown(&args.out)
    ))?;
    Ok(ExitCode::from(SUCCESS))
}

impl Args {
    /// The number of each image's group.
    fn groups(&self, folder: &Folder) -> anyhow::Result<Vec<usize>> {
        let images = folder.entries().len();
        let mut together = Together::new(images);
        match self.by_group {
            By::None => {}
            By::Named => together.join_equal(folder.groups(None)?.into_iter().enumerate()),
            By::All => {
                let report = self.source.look(folder)?;
                refuse_unreadable(&report)?;
                together.join_equal(report.together.into_iter().enumerate());
            }
        }
        if let Some(mark) = self.group_before {
            let names = folder.entries().iter().map(|entry| {
                let stem = std::path::Path::new(&entry.path).file_stem().and_then(|stem| stem.to_str());
                stem.and_then(|stem| Some(stem.rsplit_once(mark)?.0.to_owned()))
            });
            let names: Vec<Option<String>> = names.collect();
            anyhow::ensure!(names.iter().any(Option::is_some), "no file name holds `{mark}` (--group-before)");
            together.join_equal(names.into_iter().enumerate().filter_map(|(index, name)| Some((index, name?))));
        }
        Ok(together.groups())
    }
}

fn refuse_unreadable(report: &DataReport) -> anyhow::Result<()> {
    match report.unreadable.first() {
        Some(first) => anyhow::bail!(
            "{} images cannot be used; the first is `{}`: {}. `inspectd data check` lists them",
            report.unreadable.len(),
            first.path,
            first.reason
        ),
        None => Ok(()),
    }
}

/// Writes beside the file and renames, so that a list is whole or not there.
fn write(args: &Args, folder: &Folder, groups: &[usize], measured: &[bool]) -> anyhow::Result<()> {
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    groups.iter().for_each(|&group| *sizes.entry(group).or_default() += 1);
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["path", "label", "split", "group"])?;
    for ((entry, &group), &test) in folder.entries().iter().zip(groups).zip(measured) {
        // An image by itself needs no group; where several stand together a number says with whom.
        let group = if sizes[&group] > 1 { format!("g{group}") } else { String::new() };
        let side = if test { "test" } else { "train" };
        csv.write_record([entry.path.as_str(), entry.label(), side, &group])?;
    }
    let name = args.out.file_name().with_context(|| format!("`{}` names no file", args.out.display()))?;
    let beside = args.out.with_file_name(format!(".{}.partial", name.to_string_lossy()));
    let failed = || format!("cannot write `{}`", args.out.display());
    std::fs::write(&beside, csv.into_inner()?).with_context(failed)?;
    std::fs::rename(&beside, &args.out).with_context(failed)
}
