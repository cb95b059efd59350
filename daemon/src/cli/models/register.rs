//! `inspectd models register` and `unregister`: kinds learned from a few pictures, without training.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use models::bundle::{Disposition, Metric, Unknown};
use models::heads::appearance::{Eye, Views};
use models::heads::prototypes::{self, MAX_SHOTS};
use models::image;
use serde_json::json;

use crate::cli::recipe::{Preparing, RecipeArg, seen};
use crate::cli::{SUCCESS, out};
use crate::learning::shots;
use crate::supervise::open_bundle;

/// Arguments of `models register`.
#[derive(Debug, clap::Args)]
pub(super) struct Register {
    /// The model to add to; it stays as it is.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Name of the new kind.
    #[arg(long, value_name = "NAME")]
    label: String,
    /// Pictures of the new kind, 1 to 20: files, or folders of files.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    recipe: RecipeArg,
    /// The bundle to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What the kind means for a part that the classifier is not sure of.
    #[arg(long, value_enum, default_value_t = Means::Fail)]
    verdict: Means,
    /// How distances from the kinds are measured, for all kinds; default: as the bundle has it, `lda` at first.
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// Views of each picture that count as the same kind: `one` for parts that always lie the same way.
    #[arg(long, value_enum, default_value_t = Seen::Turns)]
    views: Seen,
    /// What a part that is unlike every kind means, if the classifier would pass it: default `review`, or `keep` where
    /// the model does not know how its own labels look.
    #[arg(long, value_enum)]
    unknown: Option<Unlike>,
    /// One JSON line.
    #[arg(long)]
    json: bool,
}

/// Arguments of `models unregister`.
#[derive(Debug, clap::Args)]
pub(super) struct Unregister {
    /// The model to take it from; it stays as it is.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Name of the kind.
    #[arg(long, value_name = "NAME")]
    label: String,
    /// The bundle to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Means {
    /// The part is bad.
    Fail,
    /// A person should look.
    Review,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// By the spread within kinds (shrunk linear discriminant analysis).
    Lda,
    /// Plain squared distance.
    L2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Unlike {
    /// Nothing: the scores decide.
    Keep,
    /// A person should look.
    Review,
}

/// Views of a shot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Seen {
    /// As it is.
    One,
    /// Mirrored: four.
    Flips,
    /// Mirrored and turned: eight.
    Turns,
}

impl From<Seen> for Views {
    fn from(seen: Seen) -> Views {
        match seen {
            Seen::One => Views::One,
            Seen::Flips => Views::Flips,
            Seen::Turns => Views::Turns,
        }
    }
}

pub(super) fn register(args: &Register) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let files = files(&args.images)?;
    ensure!(
        (1..=MAX_SHOTS).contains(&files.len()),
        "{} pictures: a kind is registered from 1 to {MAX_SHOTS}; give some, or fewer",
        files.len()
    );
    let mut bundle = open_bundle(&args.bundle)?;
    if bundle.manifest.labels.iter().any(|label| label.name == args.label) {
        return Err(prototypes::PrototypeError::Taken(args.label.clone()).into());
    }
    models::runtime::init(None)?;
    let mut head = shots::head_of(&bundle)?;
    let mut eye = Eye::of(&bundle)?;
    let preparing = args.recipe.preparation()?;
    let shots =
        files.iter().map(|file| shot(&mut eye, file, args.views.into(), &preparing)).collect::<Result<Vec<_>, _>>()?;
    let verdict = match args.verdict {
        Means::Fail => Disposition::Fail,
        Means::Review => Disposition::Review,
    };
    // Without its own labels' centres a model would find every good part unlike what it knows.
    let first = !head.groups.is_empty() && !head.groups.iter().any(|group| group.kind.registered);
    head.register(&args.label, verdict, &shots)?;
    head.metric = args.method.map_or(head.metric, |method| match method {
        Method::Lda => Metric::Lda,
        Method::L2 => Metric::L2,
    });
    head.unknown = match args.unknown {
        Some(Unlike::Keep) => Unknown::Keep,
        Some(Unlike::Review) => Unknown::Review,
        None if first => Unknown::Review,
        None => head.unknown,
    };
    shots::put(&mut bundle, &head)?;
    bundle.save(&args.out)?;
    let seconds = started.elapsed().as_secs_f64();
    let spec = bundle.manifest.heads.prototypes.as_ref();
    if args.json {
        out::json(
            &json!({ "bundle": args.out, "label": args.label, "shots": files.len(), "seconds": seconds, "prototypes": spec }),
        )?;
    } else {
        let names: Vec<&str> =
            spec.iter().flat_map(|spec| spec.registered()).map(|(_, kind)| kind.name.as_str()).collect();
        out::line(format_args!(
            "wrote {} in {seconds:.1} s: `{}` from {} pictures; registered kinds: {}",
            args.out.display(),
            args.label,
            files.len(),
            names.join(", ")
        ))?;
    }
    Ok(ExitCode::from(SUCCESS))
}

pub(super) fn unregister(args: &Unregister) -> anyhow::Result<ExitCode> {
    let mut bundle = open_bundle(&args.bundle)?;
    models::runtime::init(None)?;
    let Some(mut head) = prototypes::read(&bundle)? else { bail!("this model has no registered kinds") };
    head.unregister(&args.label)?;
    if !head.groups.iter().any(|group| group.kind.registered) {
        head.unknown = Unknown::Keep;
    }
    shots::put(&mut bundle, &head)?;
    bundle.save(&args.out)?;
    out::line(format_args!("wrote {} without `{}`", args.out.display(), args.label))?;
    Ok(ExitCode::from(SUCCESS))
}

/// The appearance of each view of a picture.
fn shot(eye: &mut Eye, file: &Path, views: Views, preparing: &Preparing) -> anyhow::Result<Vec<Vec<f32>>> {
    let words = || format!("picture `{}`", file.display());
    let bytes = std::fs::read(file).with_context(words)?;
    let image = seen(image::decode(&bytes).with_context(words)?, preparing).with_context(words)?;
    Ok(eye.look_at_views(image.view(), views)?)
}

/// Files as they are; of a folder, its files by name.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let words = || format!("folder `{}` cannot be read", path.display());
        let mut own = Vec::new();
        for entry in std::fs::read_dir(path).with_context(words)? {
            let file = entry.with_context(words)?.path();
            if file.is_file() {
                own.push(file);
            }
        }
        own.sort();
        files.extend(own);
    }
    Ok(files)
}
