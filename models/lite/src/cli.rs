//! The command line. Exit codes are those of `inspectd inspect`: [`SUCCESS`], [`FAILURE`], clap's own 2 for usage, [`UNDECIDED`].

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::checked::Checked;
use crate::report::{self, Line};

/// Everything went as asked.
const SUCCESS: u8 = 0;
/// It did not; the reason stands on standard error.
pub(crate) const FAILURE: u8 = 1;
/// At least one file got no decision.
const UNDECIDED: u8 = 3;

/// Inspects pictures with a bundle, on a small device. First of all the bundle's own pictures: where their scores do not come out as
/// the bundle expects them, nothing is inspected.
#[derive(Debug, clap::Parser)]
#[command(name = "inspect-lite", version, about)]
#[command(after_help = "Exit codes: 0 success, 1 failure, 2 usage, 3 some file got no decision.")]
pub(crate) struct Args {
    /// The model: a bundle in fp32, fp16 or int8.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Pictures; of a folder, every file in it.
    #[arg(value_name = "IMAGE", required_unless_present = "self_check")]
    paths: Vec<PathBuf>,
    /// One JSON line per file.
    #[arg(long)]
    json: bool,
    /// Pictures that are looked at side by side, each by one thread.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Only say how well the bundle's own scores come out here.
    #[arg(long, conflicts_with = "paths")]
    self_check: bool,
}

/// Runs it.
///
/// # Errors
/// The bundle, or standard output, in words for a person. A picture that cannot be read is a line of the output.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match dispatch(args) {
        // Whoever read our output has seen enough of it.
        Err(error) if report::is_broken_pipe(&error) => Ok(ExitCode::from(SUCCESS)),
        result => result,
    }
}

fn dispatch(args: &Args) -> anyhow::Result<ExitCode> {
    let checked = Checked::open(&args.bundle)?;
    if args.self_check {
        report::check(&checked, args.json)?;
        return Ok(ExitCode::from(SUCCESS));
    }
    let mut undecided = false;
    for path in &args.paths {
        for batch in files(path)?.chunks(usize::from(args.threads)) {
            for line in side_by_side(&checked, batch) {
                undecided |= line.is_undecided();
                line.print(args.json)?;
            }
        }
    }
    Ok(ExitCode::from(if undecided { UNDECIDED } else { SUCCESS }))
}

/// Looks at each file on a thread of its own; the lines are in the files' order.
fn side_by_side(checked: &Checked, files: &[PathBuf]) -> Vec<Line> {
    if let [only] = files {
        return vec![Line::of(checked, only)];
    }
    std::thread::scope(|scope| {
        let started: Vec<_> = files.iter().map(|file| (file, scope.spawn(move || Line::of(checked, file)))).collect();
        let line = |(file, thread): (&PathBuf, std::thread::ScopedJoinHandle<'_, Line>)| {
            thread.join().unwrap_or_else(|_| Line::failed(file, "the program failed on this picture"))
        };
        started.into_iter().map(line).collect()
    })
}

/// A path as it is; of a folder, its files by name.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let words = || format!("folder `{}` cannot be read", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(words)? {
        let file = entry.with_context(words)?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
