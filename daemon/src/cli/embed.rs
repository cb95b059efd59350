//! `inspectd embed --plot out.html`: the map of what parts look like, as one page that needs nothing else: to be sent by mail, looked at
//! anywhere, kept beside a report. The map itself is the one of the page's *Features* ([`crate::features`]), drawn in a worker process.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use models::image::{decode, encode_jpeg};
use serde::Serialize;
use serde_json::json;

use super::replay::Bar;
use super::train::signals::Signals;
use super::{FAILURE, SUCCESS, out};
use crate::config::{self, Config};
use crate::features::map::{LEAST, MOST, POINTS, Point, Question};
use crate::store::{evidence_file, shrink, verdict_words};
use crate::worker::{self, Job, Worker, WorkerError};

/// The page around the points: it asks nobody for anything.
const PAGE: &str = include_str!("embed.html");
/// Where the points go.
const PLACE: &str = "/*POINTS*/";
/// A thumbnail's longer side.
const THUMBNAIL: u32 = 96;

/// Arguments of `embed`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Only parts that one model saw (the newest part's) are on the map. Beside a running line nothing is changed."
)]
pub struct Args {
    /// The state directory; default: where `run` keeps its records.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    state: Option<PathBuf>,
    /// The line's configuration: its state directory.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The page that is written.
    #[arg(long, value_name = "FILE")]
    plot: PathBuf,
    /// So many of the newest parts.
    #[arg(long, value_name = "PARTS", default_value_t = 2000, value_parser = parts)]
    limit: usize,
    /// Without pictures: a small file.
    #[arg(long)]
    no_thumbnails: bool,
}

fn parts(text: &str) -> Result<usize, String> {
    let parts = text.parse().ok().filter(|parts| (LEAST..=MOST).contains(parts));
    parts.ok_or_else(|| format!("`{text}`: give {LEAST} to {MOST}"))
}

/// A part as the page has it.
#[derive(Serialize)]
struct Shown {
    id: u64,
    x: f32,
    y: f32,
    at: String,
    verdict: &'static str,
    label: Option<String>,
    /// A JPEG as base64.
    picture: Option<String>,
}

/// Draws the map in a worker process and writes the page.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.config.as_deref().map(Config::load).transpose()?;
    let dir = args.state.clone().or_else(|| config.as_ref()?.store.dir.clone());
    let state = dir.unwrap_or_else(config::default_state_dir);
    let folder = tempfile::tempdir().context("a folder for the worker")?;
    let path = folder.path().join("question.json");
    let question = Question { state: state.clone(), models: Default::default(), limit: args.limit };
    fs::write(&path, serde_json::to_vec(&question)?).with_context(|| format!("`{}`", path.display()))?;
    let worker = Worker::spawn(&Job {
        arguments: vec!["map".into(), "--question".into(), path.into_os_string()],
        memory_ceiling_mib: worker::usual_ceiling_mib()?,
        idle: true,
    })?;
    let signals = Signals::pass_on(worker.stopper())?;
    let mut bar = Bar::new("drawing");
    let ended = worker.wait(&mut |progress| bar.show(progress.done, progress.eta));
    drop((bar, signals));
    match ended {
        Ok(_) => {}
        Err(WorkerError::Stopped(words)) => {
            tracing::warn!("{words}");
            return Ok(ExitCode::from(FAILURE));
        }
        Err(WorkerError::Died { how, words }) => {
            bail!("the worker {how} before the map was drawn{words}; ask for fewer parts")
        }
        Err(error) => return Err(error.into()),
    }
    let points: Vec<Point> =
        serde_json::from_slice(&fs::read(folder.path().join(POINTS))?).context("the worker's points")?;
    let shown = points.iter().map(|point| Shown {
        id: point.id,
        x: point.x,
        y: point.y,
        at: point.at.to_string(),
        verdict: verdict_words(point.verdict).0,
        label: point.label.as_deref().map(str::to_owned),
        picture: if args.no_thumbnails { None } else { thumbnail(&state, point) },
    });
    let shown: Vec<Shown> = shown.collect();
    let pictures = shown.iter().filter(|part| part.picture.is_some()).count();
    write(&args.plot, &shown).with_context(|| format!("the page `{}` cannot be written", args.plot.display()))?;
    out::json(&json!({ "parts": shown.len(), "pictures": pictures, "page": args.plot }))?;
    Ok(ExitCode::from(SUCCESS))
}

/// A picture that is gone, or that cannot be decoded, is left out.
fn thumbnail(state: &Path, point: &Point) -> Option<String> {
    let image = decode(&fs::read(evidence_file(state, point.evidence.as_ref()?)?).ok()?).ok()?;
    let small = shrink(image.view(), THUMBNAIL);
    let bytes = encode_jpeg(small.as_ref().map_or(image.view(), |small| small.view()), 70).ok()?;
    Some(STANDARD.encode(bytes))
}

fn write(path: &Path, parts: &[Shown]) -> anyhow::Result<()> {
    let (before, after) = PAGE.split_once(PLACE).context("the page has no place for the points")?;
    let mut page = BufWriter::new(File::create(path)?);
    page.write_all(before.as_bytes())?;
    // Labels come from people: none of them may end the script that they stand in.
    page.write_all(serde_json::to_string(parts)?.replace('<', "\\u003c").as_bytes())?;
    page.write_all(after.as_bytes())?;
    Ok(page.flush()?)
}
