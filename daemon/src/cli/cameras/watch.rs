//! `inspectd cameras watch`: an aid for focus, aperture, exposure and network, one line a second.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use stages::capture::Source;
use stages::frame::Frame;

use super::{Pick, view};
use crate::cli::{SUCCESS, out};

/// How often a line is printed.
const EVERY: Duration = Duration::from_secs(1);

/// Arguments of `watch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pick: Pick,
    /// End after so many seconds; else with Ctrl-C.
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Let the camera run freely, whatever trigger the configuration asks for.
    #[arg(long)]
    free: bool,
}

/// Exit code 0 at the end of the time; trouble with the camera is said, and it is waited for.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut eye = args.pick.open(args.free)?;
    out::line("turn the lens for the greatest sharpness; brightness between 60 and 200 leaves room for change")?;
    let end = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut sharpest = 0.0_f32;
    while end.is_none_or(|end| Instant::now() < end) {
        let began = Instant::now();
        let (mut pictures, mut lost, mut last, mut trouble) = (0_u32, 0_u32, None::<Frame>, None);
        while began.elapsed() < EVERY {
            match eye.next(EVERY.saturating_sub(began.elapsed())) {
                Ok(Some(trigger)) => match trigger.frame {
                    Ok(frame) => {
                        pictures += 1;
                        last = Some(frame);
                    }
                    Err(fault) => {
                        lost += 1;
                        trouble = Some(fault.detail);
                    }
                },
                Ok(None) => {}
                Err(error) => {
                    trouble = Some(error.to_string());
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
        let rate = f64::from(pictures) / began.elapsed().as_secs_f64();
        let statistics = eye.source.gauge().map(|gauge| gauge.read()).unwrap_or_default();
        let mut line = format!("{rate:5.1}/s  lost {lost:3}  packets resent {}", statistics.packets.resent);
        if let Some(health) = last.as_ref().and_then(view).map(stages::quality::health_of) {
            let sharpness = health.sharpness.unwrap_or(0.0);
            sharpest = sharpest.max(sharpness);
            let share = if sharpest > 0.0 { sharpness / sharpest } else { 0.0 };
            let bar = "#".repeat((share * 20.0).round() as usize);
            line += &format!(
                "  brightness {:5.1}  contrast {:5.1}  sharpness {sharpness:8.1} of {sharpest:.1} {bar}",
                health.brightness, health.contrast
            );
        }
        if let Some(trouble) = trouble {
            line += &format!("  {trouble}");
        }
        out::line(line)?;
    }
    Ok(ExitCode::from(SUCCESS))
}
