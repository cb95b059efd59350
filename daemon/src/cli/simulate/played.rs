//! The process that plays a camera until it is killed, or until whoever started it is gone.

use anyhow::{Context, anyhow};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use stages::capture::genicam::aravis::Played;

use super::camera::{serial, share};

/// Signals by which the pictures freeze, and move again.
pub(super) const FREEZE: &str = "USR1";
pub(super) const THAW: &str = "USR2";

/// Arguments of `simulate camera-process`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PlayedArgs {
    #[arg(long, value_parser = serial)]
    serial: String,
    #[arg(long, value_parser = share)]
    lost_packets: f64,
}

/// Never returns but with an error.
pub(super) fn play(args: &PlayedArgs) -> anyhow::Result<bool> {
    set_pdeathsig(Signal::SIGKILL).context("a played camera must end with its parent")?;
    let mut signals = Signals::new([SIGUSR1, SIGUSR2]).context("signals")?;
    let _camera = Played::start(&args.serial, args.lost_packets).map_err(|words| anyhow!(words))?;
    for signal in signals.forever() {
        Played::freeze(signal == SIGUSR1);
    }
    Ok(true)
}
