//! `inspectd cameras`: finding cameras and setting them up, one file an action.

mod list;
mod set;
mod show;
mod snap;
mod watch;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use clap::Subcommand;
use models::image::ImageView;
use stages::capture::genicam::{Genicam, GenicamConfig, Interface, Triggering};
use stages::capture::{Event, Source, SourceConfig, Trigger};
use stages::frame::{Content, Frame};

use crate::config::Config;

/// Arguments of `cameras`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say which cameras answer, and whether they can be opened.
    List(list::Args),
    /// Say what a camera can be set to: features, values, ranges.
    Show(show::Args),
    /// Set features of a camera and read them back.
    Set(set::Args),
    /// Take one picture and say how it was taken.
    Snap(snap::Args),
    /// Say each second how pictures come and how they are: an aid for focus and exposure.
    Watch(watch::Args),
}

/// Exit code 0 when the camera has done it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::List(args) => list::run(args),
        Action::Show(args) => show::run(args),
        Action::Set(args) => set::run(args),
        Action::Snap(args) => snap::run(args),
        Action::Watch(args) => watch::run(args),
    }
}

/// Which camera.
#[derive(Debug, clap::Args)]
struct Pick {
    /// Serial number, id, MAC or IP address; not needed where one camera answers alone.
    #[arg(long, short = 'c', value_name = "CAMERA", conflicts_with = "config")]
    camera: Option<String>,
    /// The camera of this configuration, set as its `[source]` says.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A camera made up inside this program, to try commands on.
    #[arg(long, conflicts_with_all = ["camera", "config"])]
    fake: bool,
}

impl Pick {
    fn config(&self) -> anyhow::Result<GenicamConfig> {
        if let Some(path) = &self.config {
            return match Config::load(path)?.source {
                SourceConfig::Genicam(config) => Ok(*config),
                other => bail!(
                    "the source of `{}` is of kind `{}`, no camera of this kind: name one with --camera",
                    path.display(),
                    other.kind()
                ),
            };
        }
        let mut config = GenicamConfig::for_camera(self.fake.then_some(Interface::Fake));
        if let Some(name) = &self.camera {
            match name.parse::<IpAddr>() {
                Ok(_) => config.address = Some(name.clone()),
                Err(_) => config.id = Some(name.clone()),
            }
        }
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { bail!(problems.join("; ")) }
    }

    /// Opens the camera for looking through it. Pictures that are alike are no fault here: a lens cap, a test pattern.
    fn open(&self, free: bool) -> anyhow::Result<Eye> {
        let mut config = self.config()?;
        config.frozen_after = 0;
        if free {
            config.trigger = Triggering::Free { rate: None };
        }
        let software = matches!(config.trigger, Triggering::Software { rate: None });
        let source = Genicam::open(config).map_err(|error| anyhow!("{error}"))?;
        Ok(Eye { source, software })
    }
}

/// A camera that somebody looks through.
struct Eye {
    source: Genicam,
    /// Pictures come only when asked for.
    software: bool,
}

impl Eye {
    /// Waits for the next picture, or the reason why it is none.
    fn next(&mut self, patience: Duration) -> anyhow::Result<Option<Trigger>> {
        let until = Instant::now() + patience;
        if self.software {
            self.source.expose().map_err(|error| anyhow!("{error}"))?;
        }
        while Instant::now() < until {
            let wait = until.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
            if let Event::Trigger(trigger) = self.source.next(wait).map_err(|error| anyhow!("{error}"))? {
                return Ok(Some(trigger));
            }
        }
        Ok(None)
    }
}

/// The pixels of a frame; none if it has none.
fn view(frame: &Frame) -> Option<ImageView<'_>> {
    match frame.content() {
        Content::Pixels { width, height, format } => Some(ImageView { width, height, format, data: frame.bytes() }),
        Content::Encoded => None,
    }
}
