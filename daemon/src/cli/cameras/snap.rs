//! `inspectd cameras snap`: one picture, and how it was taken.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use models::image::encode_png;
use serde_json::json;

use stages::frame::Frame;

use super::{Eye, Pick, view};
use crate::cli::{SUCCESS, out};

/// Arguments of `snap`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pick: Pick,
    /// Where the picture goes; a file that is there already is not written over.
    #[arg(long, short = 'o', value_name = "PNG", default_value = "snap.png")]
    out: PathBuf,
    /// How long to wait for the picture, seconds.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
    /// Let the camera run freely, whatever trigger the configuration asks for.
    #[arg(long)]
    free: bool,
    /// What is said of the picture as a line of JSON, with a histogram.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when the picture is there.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut eye = args.pick.open(args.free)?;
    let frame = first_whole(&mut eye, args.wait)?;
    let view = view(&frame).context("the camera sent no pixels")?;
    let png = encode_png(view)?;
    let unwritten = || format!("`{}` cannot be written", args.out.display());
    let mut file = std::fs::File::create_new(&args.out).with_context(unwritten)?;
    std::io::Write::write_all(&mut file, &png).with_context(unwritten)?;
    let health = stages::quality::health_of(view);
    if args.json {
        out::json(&json!({
            "width": view.width,
            "height": view.height,
            "brightness": health.brightness,
            "contrast": health.contrast,
            "sharpness": health.sharpness,
            "histogram": stages::quality::histogram_of(view),
        }))?;
        return Ok(ExitCode::from(SUCCESS));
    }
    out::line(format_args!(
        "{}: {} x {} {:?}, brightness {:.1}, contrast {:.1}, sharpness {:.1}",
        args.out.display(),
        view.width,
        view.height,
        view.format,
        health.brightness,
        health.contrast,
        health.sharpness.unwrap_or(0.0)
    ))?;
    Ok(ExitCode::from(SUCCESS))
}

/// The first picture that is whole: a network that loses packets now and then is no reason to give up.
fn first_whole(eye: &mut Eye, wait: u64) -> anyhow::Result<Frame> {
    let until = Instant::now() + Duration::from_secs(wait);
    let mut fault = None;
    while let Some(trigger) = eye.next(until.saturating_duration_since(Instant::now()))? {
        match trigger.frame {
            Ok(frame) => return Ok(frame),
            Err(why) => fault = Some(why),
        }
    }
    match fault {
        Some(fault) => bail!("pictures came, none of them whole in {wait} s: {}", fault.detail),
        None => bail!("no picture in {wait} s: does the camera wait for a trigger? `--free` does without"),
    }
}
