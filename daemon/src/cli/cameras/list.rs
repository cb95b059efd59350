//! `inspectd cameras list`: which cameras answer.

use std::process::ExitCode;

use stages::capture::genicam::aravis::{State, discover};
use stages::capture::v4l;

use crate::cli::{SUCCESS, out};

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also the camera made up inside this program.
    #[arg(long)]
    fake: bool,
    /// One JSON line per camera.
    #[arg(long)]
    json: bool,
}

/// Exit code 0, also when none answers.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = discover(args.fake);
    for camera in &found {
        if args.json {
            out::json(camera)?;
            continue;
        }
        let state = match &camera.state {
            State::Free => "can be opened".to_owned(),
            State::HeldHere => "held by an inspectd that runs on this machine".to_owned(),
            State::HeldElsewhere => "held by another program or machine".to_owned(),
            State::Closed(reason) => format!("cannot be opened: {reason}"),
        };
        out::line(format_args!(
            "{}  {} {}  serial {}  {} {}  {state}",
            camera.id, camera.vendor, camera.model, camera.serial, camera.protocol, camera.address
        ))?;
    }
    let kernel = v4l::list();
    for camera in &kernel {
        if args.json {
            out::json(camera)?;
            continue;
        }
        let path = camera.path.display();
        out::line(format_args!("{path}  {}  driver {}  bus {}  V4L2", camera.card, camera.driver, camera.bus))?;
    }
    if found.is_empty() && kernel.is_empty() && !args.json {
        out::line(
            "no camera answers, and the kernel has none (V4L2): check power and cables, that the camera is in a subnet of this machine, and that no firewall drops UDP port 3956",
        )?;
    }
    Ok(ExitCode::from(SUCCESS))
}
