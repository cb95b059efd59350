//! A GigE Vision camera on the loopback, which loses its link, stops answering or loses packets: Aravis' own fake camera in a process of its
//! own, so that the line meets what it would meet on a wire.

use std::net::Ipv4Addr;
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
use crate::cli::line::LineArgs;
use crate::cli::out;

const PROGRAM: &str = "arv-fake-gv-camera-0.8";
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
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("give a share from 0 to 1".to_owned()),
    }
}

fn serial(text: &str) -> Result<String, String> {
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
        bail!("{PROGRAM} has ended by itself ({status})");
    };
    let line = Watcher(&args.line);
    ensure!(line.until(true).is_some(), "the line has not found camera {} within {PATIENCE:?}", args.serial);
    let (mut detection, mut recovery, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=args.faults {
        std::thread::sleep(CALM);
        match fault {
            CameraFault::LinkLoss => camera.stop(),
            CameraFault::Hang => camera.signal("STOP")?,
        }
        match line.until(false) {
            Some(after) => detection.push(after),
            None => wrong.push(format!("fault {number}: not noticed within {PATIENCE:?}")),
        }
        std::thread::sleep(Duration::from_secs(args.away));
        match fault {
            CameraFault::LinkLoss => camera = Camera::start(args)?,
            CameraFault::Hang => camera.signal("CONT")?,
        }
        match line.until(true) {
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
        let mut command = Command::new(PROGRAM);
        command.args(["-i", &Ipv4Addr::LOCALHOST.to_string(), "-s", &args.serial]);
        if args.lost_packets > 0.0 {
            // It takes them per thousand.
            command.args(["-r", &format!("{:.0}", (args.lost_packets * 1000.0).ceil())]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.with_context(|| format!("{PROGRAM} does not start: install the package aravis-tools"))?;
        let mut camera = Camera(child);
        PROCESS.store(camera.0.id(), Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        if let Some(status) = camera.0.try_wait().context("the camera's process")? {
            bail!("{PROGRAM} has ended at once ({status}): does another one hold UDP port 3956 of 127.0.0.1?");
        }
        Ok(camera)
    }

    fn stop(&mut self) {
        PROCESS.store(0, Ordering::SeqCst);
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
    /// How many milliseconds it took until the camera was connected, or was not.
    fn until(&self, connected: bool) -> Option<f64> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.connected() == Some(connected) {
                return Some(began.elapsed().as_secs_f64() * 1e3);
            }
            std::thread::sleep(LOOK);
        }
        None
    }

    fn connected(&self) -> Option<bool> {
        let answer = self.0.get("line").ok()?;
        answer.pointer("/source/statistics/connected").and_then(Value::as_bool)
    }
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
