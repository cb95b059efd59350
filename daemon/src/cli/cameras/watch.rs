//! `inspectd cameras watch`: an aid for focus, aperture, exposure and network, one line a second.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use models::image::ImageView;
use stages::capture::Source;
use stages::frame::Frame;
use stages::quality::golden::{Change, Golden, GoldenConfig, change_of};

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
    /// Compare with this picture of a well set up camera.
    #[arg(long, value_name = "PICTURE")]
    golden: Option<PathBuf>,
}

/// Exit code 0 at the end of the time; trouble with the camera is said, and it is waited for.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let golden = args.golden.as_ref().map(|picture| Golden::load(&GoldenConfig::without_limits(picture)));
    let golden = golden.transpose().map_err(anyhow::Error::msg)?;
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
        if let (Some(golden), Some(view)) = (&golden, last.as_ref().and_then(view)) {
            line += &against(golden, view, statistics.exposure_us);
        }
        if let Some(trouble) = trouble {
            line += &format!("  {trouble}");
        }
        out::line(line)?;
    }
    Ok(ExitCode::from(SUCCESS))
}

/// How far a picture is from the golden one, and what would bring it there.
fn against(golden: &Golden, view: ImageView<'_>, exposure_us: Option<f64>) -> String {
    let Change { exposure, focus, light } = change_of(view, golden);
    let mut words = format!("  against golden: exposure {:.0} %", exposure * 100.0);
    if let Some(now) = exposure_us.filter(|_| exposure > 0.0 && (exposure - 1.0).abs() > 0.03) {
        words += &format!(" (try {:.0} us)", now / f64::from(exposure));
    }
    words += &focus.map_or_else(String::new, |focus| format!(", focus {:.0} %", focus * 100.0));
    words + &format!(", light {:.0} % off", light * 100.0)
}
