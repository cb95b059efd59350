//! A GigE Vision camera on the loopback, which loses its link, stops answering, freezes or loses packets: it is played by a process of its own
//! (`played.rs`), so that the line meets what it would meet on a wire.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::faults::Times;
use super::played::{FREEZE, THAW};
use crate::cli::line::LineArgs;
use crate::cli::out;

/// How long a fault's detection or recovery is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the line is asked.
const LOOK: Duration = Duration::from_millis(20);
/// Between two faults all is well for so long.
const CALM: Duration = Duration::from_secs(3);

/// Arguments of `simulate camera`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CameraArgs {
    /// The camera's serial number: what the line's `[source]` names.
    #[arg(long, value_name = "SERIAL", default_value = "SIM1", value_parser = serial)]
    serial: String,
    /// Share of packets that are lost on the way, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    lost_packets: f64,
    /// What goes wrong, over and over; without it the camera runs until Ctrl-C.
    #[arg(long, value_enum)]
    fault: Option<CameraFault>,
    /// Faults that are played.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    faults: u32,
    /// Seconds that a fault lasts after the line has noticed it.
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=600))]
    away: u64,
    /// The line is asked whether it has noticed.
    #[command(flatten)]
    line: LineArgs,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CameraFault {
    /// The camera is gone, and comes back.
    LinkLoss,
    /// The camera is there and answers nothing.
    Hang,
    /// The camera sends the same picture over and over.
    Frozen,
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("give a share from 0 to 1".to_owned()),
    }
}

pub(super) fn serial(text: &str) -> Result<String, String> {
    let fits = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits { Ok(text.to_owned()) } else { Err("give 1 to 15 letters, digits or hyphens".to_owned()) }
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    faults: usize,
    /// From the fault until the line said that its camera is away.
    detection: Option<Times>,
    /// From the camera's return until the line had it again.
    recovery: Option<Times>,
    wrong: Vec<String>,
}

/// Plays the camera. True: the line noticed and mended every fault.
pub(super) fn play(args: &CameraArgs) -> anyhow::Result<bool> {
    end_together()?;
    let mut camera = Camera::start(args)?;
    out::line(format_args!("camera {} answers on 127.0.0.1; end it with Ctrl-C", args.serial))?;
    let Some(fault) = args.fault else {
        let status = camera.0.wait().context("the camera's process")?;
        bail!("the camera has ended by itself ({status})");
    };
    let line = Watcher(&args.line);
    ensure!(line.until(Seen::Connected).is_some(), "the line has not found camera {} within {PATIENCE:?}", args.serial);
    let (mut detection, mut recovery, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=args.faults {
        std::thread::sleep(CALM);
        match fault {
            CameraFault::LinkLoss => camera.stop(),
            CameraFault::Hang => camera.signal("STOP")?,
            CameraFault::Frozen => camera.signal(FREEZE)?,
        }
        let noticed = match fault {
            CameraFault::LinkLoss | CameraFault::Hang => line.until(Seen::Away),
            CameraFault::Frozen => line.until(Seen::More("frozen")),
        };
        match noticed {
            Some(after) => detection.push(after),
            None => wrong.push(format!("fault {number}: not noticed within {PATIENCE:?}")),
        }
        std::thread::sleep(Duration::from_secs(args.away));
        match fault {
            CameraFault::LinkLoss => camera = Camera::start(args)?,
            CameraFault::Hang => camera.signal("CONT")?,
            CameraFault::Frozen => camera.signal(THAW)?,
        }
        let mended = match fault {
            CameraFault::LinkLoss | CameraFault::Hang => line.until(Seen::Connected),
            CameraFault::Frozen => line.until(Seen::More("pictures")),
        };
        match mended {
            Some(after) => recovery.push(after),
            None => wrong.push(format!("fault {number}: the camera was not found again within {PATIENCE:?}")),
        }
    }
    let faults = args.faults as usize;
    let report = Report { faults, detection: Times::of(detection), recovery: Times::of(recovery), wrong };
    if args.json {
        out::json(&report)?;
        return Ok(report.wrong.is_empty());
    }
    for (what, times) in [("fault to its detection", &report.detection), ("return to recovery", &report.recovery)] {
        if let Some(times) = times {
            out::line(format_args!("{what}: {}", times.words()))?;
        }
    }
    for wrong in &report.wrong {
        out::line(format_args!("WRONG: {wrong}"))?;
    }
    out::line(format_args!("{faults} faults were played"))?;
    Ok(report.wrong.is_empty())
}

/// The camera's process that runs; 0: none.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Whoever ends this program ends the camera, too: its process would hold the port for ever.
fn end_together() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("signals")?;
    let end = move || {
        let Some(signal) = signals.forever().next() else { return };
        let id = PROCESS.load(Ordering::SeqCst);
        if id > 0 {
            // What cannot be ended has ended.
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        }
        if let Err(error) = signal_hook::low_level::emulate_default_handler(signal) {
            tracing::error!("this program does not end by its signal: {error}");
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(end).context("no thread")?;
    Ok(())
}

/// The camera's process. Ends with this.
struct Camera(Child);

impl Camera {
    fn start(args: &CameraArgs) -> anyhow::Result<Camera> {
        let mut command = Command::new(std::env::current_exe().context("this program does not find itself")?);
        command.args(["simulate", "camera-process", "--serial", &args.serial]);
        command.arg(format!("--lost-packets={}", args.lost_packets));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let child = child.context("the camera's process does not start")?;
        let mut camera = Camera(child);
        PROCESS.store(camera.0.id(), Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        if camera.0.try_wait().context("the camera's process")?.is_some() {
            let mut said = String::new();
            let _ = camera.0.stderr.take().map(|mut pipe| pipe.read_to_string(&mut said));
            bail!("the camera does not start: {}", said.trim().trim_start_matches("inspectd: "));
        }
        Ok(camera)
    }

    fn stop(&mut self) {
        // Another one may have taken its place.
        let _ = PROCESS.compare_exchange(self.0.id(), 0, Ordering::SeqCst, Ordering::SeqCst);
        // It may have ended by itself: then there is nothing to stop.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status();
        ensure!(sent.context("`kill` does not run")?.success(), "the camera's process has ended");
        Ok(())
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Asks the line about its camera.
struct Watcher<'a>(&'a LineArgs);

impl Watcher<'_> {
    /// How many milliseconds it took until this was seen.
    fn until(&self, wanted: Seen) -> Option<f64> {
        let began = Instant::now();
        let before = self.statistics();
        let number = |of: &Option<Value>, name: &str| of.as_ref()?[name].as_u64();
        while began.elapsed() < PATIENCE {
            let now = self.statistics();
            let connected = now.as_ref().and_then(|now| now["connected"].as_bool());
            let seen = match wanted {
                Seen::Connected => connected == Some(true),
                Seen::Away => connected == Some(false),
                Seen::More(name) => number(&now, name) > number(&before, name).or(Some(0)),
            };
            if seen {
                return Some(began.elapsed().as_secs_f64() * 1e3);
            }
            std::thread::sleep(LOOK);
        }
        None
    }

    fn statistics(&self) -> Option<Value> {
        self.0.get("line").ok()?.pointer("/source/statistics").cloned()
    }
}

/// What the line can be seen to have noticed of its camera.
#[derive(Debug, Clone, Copy)]
enum Seen {
    Connected,
    Away,
    /// A count of its statistics has grown.
    More(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_and_shares_that_no_camera_has_are_refused() {
        assert!(serial("SIM-1").is_ok() && share("0.02").is_ok());
        for text in ["", "a b", "x'; rm", "1234567890123456", "ä"] {
            assert!(serial(text).is_err(), "{text}");
        }
        for text in ["-0.1", "1.1", "nan", "many"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
