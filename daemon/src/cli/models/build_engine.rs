//! `inspectd models build-engine`: TensorRT's engine, ahead of time.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use indicatif::ProgressBar;
use models::runtime::{SessionOptions, build_engine, init};

use super::bundle_or_shipped;
use crate::cli::{SUCCESS, out};
use crate::config;

/// Arguments of `build-engine`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model; default: the one that ships with the program.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// What the engine computes with.
    #[arg(long, value_enum, default_value_t = Precision::Fp16)]
    precision: Precision,
    /// Memory that TensorRT may use to try out kernels, as 1GiB or 512MiB.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    workspace: usize,
    /// Where engines are kept; default: `engines` in the state directory of `run`.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Does the work, in the child process.
    #[arg(long, hide = true)]
    in_child: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// 16-bit floats where TensorRT finds them faster.
    Fp16,
}

/// Exit code 0 when the engine is there.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Precision::Fp16 = args.precision;
    let cache = args.cache.clone().unwrap_or_else(|| config::default_state_dir().join("engines"));
    if args.in_child {
        let bundle = bundle_or_shipped(args.bundle.as_deref())?;
        init(None)?;
        let options = SessionOptions { cache_dir: Some(cache), ..SessionOptions::default() };
        build_engine(&bundle, &options, args.workspace)?;
    } else {
        in_child_process()?;
        out::line(format_args!("the engine is in `{}`", cache.display()))?;
    }
    Ok(ExitCode::from(SUCCESS))
}

/// TensorRT takes gigabytes, and may bring its process down: so it gets one of its own, with the same arguments.
fn in_child_process() -> anyhow::Result<()> {
    let program = std::env::current_exe().context("this program does not find itself")?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg("--in-child")
        .spawn()
        .context("the child process cannot be started")?;
    let progress = ProgressBar::new_spinner().with_message("TensorRT tries out kernels; this takes minutes");
    progress.enable_steady_tick(Duration::from_millis(200));
    let status = child.wait().context("the child process was lost")?;
    progress.finish_and_clear();
    if !status.success() {
        bail!("no engine was built ({status}); the reason stands above, and `inspectd doctor` looks at the card");
    }
    Ok(())
}

/// Bytes, as `1GiB`, `512MiB` or a bare number.
fn size(text: &str) -> Result<usize, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err("give a size as 1GiB or 512MiB".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| "give a size as 1GiB or 512MiB".to_owned())?;
    match number.checked_mul(1 << shift) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err("give a size above 0 that fits this machine".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!((size("1GiB"), size("512MiB"), size("7")), (Ok(1 << 30), Ok(512 << 20), Ok(7)));
        for wrong in ["", "0", "GiB", "1GB", "-1", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
