//! `inspectd data check`.

use std::io;
use std::process::ExitCode;

use models_train::check::{ClassCount, DataReport, LeakKind};

use super::super::{FAILURE, SUCCESS, out};
use super::{Source, shown};

/// Arguments of `data check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// One JSON line with everything that was found.
    #[arg(long)]
    json: bool,
    /// Show at most this many of each kind.
    #[arg(long, value_name = "N", default_value_t = 10)]
    most: usize,
}

/// Exit code 0 if nothing is wrong, else 1. The same picture twice on one side under one label is told, and is not wrong.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = args.source.open()?;
    let report = args.source.look(&folder)?;
    match args.json {
        true => {
            let mut line = serde_json::to_value(&report)?;
            line["problems"] = report.problems().into();
            out::json(&line)?;
        }
        false => tell(args, &report)?,
    }
    Ok(ExitCode::from(if report.problems() == 0 { SUCCESS } else { FAILURE }))
}

fn tell(args: &Args, report: &DataReport) -> io::Result<()> {
    out::line(format_args!("{}: {} images ({})", shown(&args.source.data), report.images, report.format))?;
    table(&report.classes)?;
    let sizes = &report.sizes;
    let [from, to] = [sizes.smallest, sizes.largest].map(|[width, height]| format!("{width} x {height}"));
    let sizes_in_words = if from == to { from } else { format!("{from} to {to}, {} different", sizes.different) };
    out::line(format_args!("sizes    {sizes_in_words}; {} grey", sizes.grey))?;
    if report.groups > 0 {
        out::line(format_args!("groups   {} named by the list", report.groups))?;
    }
    report.notes.iter().try_for_each(|note| out::line(format_args!("note     {note}")))?;

    let some = args.most;
    let list = |paths: &[String]| -> String {
        let more = paths.len().saturating_sub(4);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        paths[..paths.len().min(4)].join(", ") + &rest
    };
    part("problem  cannot be used", &report.unreadable, some, |it| format!("{}: {}", it.path, it.reason))?;
    part("problem  same pixels, different labels", &report.conflicts, some, |it| {
        let images = it.images.iter().map(|(path, labels)| format!("{path} (`{}`)", labels.join("`, `")));
        images.collect::<Vec<_>>().join(", ")
    })?;
    part("problem  on both sides", &report.leaks, some, |it| {
        let why = match (it.kind, &it.group) {
            (LeakKind::Group, Some(group)) => format!("group `{group}`"),
            (LeakKind::Group, None) => "one group".into(),
            (LeakKind::Exact, _) => "the same pixels".into(),
            (LeakKind::Near, _) => "nearly the same".into(),
        };
        format!("{why}: train {}; test {}", list(&it.train), list(&it.test))
    })?;
    match &report.untrainable {
        Some(_) if report.good_only => {
            out::line("note     only good parts to learn from: for good-only training, and no classifier")?;
        }
        Some(reason) => out::line(format_args!("problem  {reason}"))?,
        None => {}
    }
    part("twice    same pixels", &report.duplicates, some, |it| list(it))?;
    if let Some(near) = &report.near {
        let heading = format!("near     cosine {:.2}, agreement {:.2} and above", near.cosine, near.agreement);
        part(&heading, &near.clusters, some, |it| list(it))?;
        let largest = near.clusters.iter().map(Vec::len).max().unwrap_or(0);
        if largest * 4 > report.images && largest > 8 {
            let text = "most of the pictures may simply look alike; a higher --near draws the line elsewhere";
            out::line(format_args!("note     the largest cluster holds {largest} images: {text}"))?;
        }
    }
    if let Some(digest) = &report.digest {
        out::line(format_args!("digest   {digest}"))?;
    }
    match report.problems() {
        0 => out::line("nothing is wrong"),
        count => out::line(format_args!("{count} problems")),
    }
}

fn table(classes: &[ClassCount]) -> io::Result<()> {
    let width = classes.iter().map(|class| class.label.chars().count()).max().unwrap_or(0).max(5);
    out::line(format_args!("  {:width$}  {:8}  {:>6}  {:>6}  {:>6}", "label", "verdict", "train", "test", "boxes"))?;
    for class in classes {
        let verdict = format!("{:?}", class.verdict).to_lowercase();
        out::line(format_args!(
            "  {:width$}  {verdict:8}  {:>6}  {:>6}  {:>6}",
            class.label, class.train, class.test, class.boxes
        ))?;
    }
    Ok(())
}

/// A heading with the count, and the first few below it.
fn part<T>(heading: &str, all: &[T], most: usize, words: impl Fn(&T) -> String) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    out::line(format_args!("{heading}: {}", all.len()))?;
    all.iter().take(most).try_for_each(|one| out::line(format_args!("           {}", words(one))))?;
    match all.len().saturating_sub(most) {
        0 => Ok(()),
        more => out::line(format_args!("           and {more} more (--most {})", all.len())),
    }
}
