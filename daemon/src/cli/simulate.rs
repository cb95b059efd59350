//! `inspectd simulate`: the machine around a line, for dry runs without one.

mod camera;
mod faults;
mod machine;
mod played;
mod report;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;

use self::faults::Fault;
use self::machine::Machine;
use super::{FAILURE, SUCCESS, out};

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Play PLC and conveyor against a line that runs (`[plc.modbus_server]`): call for parts, check each result, its order and its
    /// values.
    Line(LineArgs),
    /// Play a GigE Vision camera on this machine's loopback, with faults.
    Camera(camera::CameraArgs),
    /// The camera's own process; started by `simulate camera` itself.
    #[command(hide = true)]
    CameraProcess(played::PlayedArgs),
}

/// Arguments of `simulate line`.
#[derive(Debug, Clone, clap::Args)]
struct LineArgs {
    /// The line's Modbus TCP server.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1502")]
    plc: SocketAddr,
    /// Parts per second; default: each as soon as the line is ready for it.
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Parts to call for.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    parts: u64,
    /// What goes wrong on the PLC's side, over and over.
    #[arg(long, value_enum)]
    fault: Option<Fault>,
    /// Milliseconds between two scans of the PLC.
    #[arg(long, value_name = "MS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    scan_ms: u64,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1000.0 => Ok(rate),
        _ => Err("give parts per second, up to 1000".to_owned()),
    }
}

/// Exit code 0 if every part got its result as it should, else 1 with what was wrong.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let sound = match &args.what {
        What::Line(args) => machine(args)?,
        What::Camera(args) => camera::play(args)?,
        What::CameraProcess(args) => played::play(args)?,
    };
    Ok(ExitCode::from(if sound { SUCCESS } else { FAILURE }))
}

/// Plays PLC and conveyor. True: every part got its result as it should.
fn machine(args: &LineArgs) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let report = runtime.block_on(async {
        let mut machine = Machine::connect(args).await?;
        machine.run().await;
        anyhow::Ok(machine.report())
    })?;
    if args.json {
        out::json(&report)?;
    } else {
        for line in report.lines() {
            out::line(line)?;
        }
    }
    Ok(report.is_sound())
}

/// How long anything that should come is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
