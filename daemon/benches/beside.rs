//! `make bench`: what a training costs the line beside it.
//!
//! The real program inspects the synthetic line at ten parts a second, with the model that ships with it and the page's port open. A
//! training of all layers runs beside it as a worker, at idle priority, one thread a core. Windows without and with it take turns: the
//! worker is halted (SIGSTOP) for one and goes on (SIGCONT) for the other, so that whatever else runs on the machine meets both alike.

#![allow(clippy::print_stdout)] // a report for the person who runs it

mod line;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use models::image::encode_jpeg;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stages::capture::synthetic::{LABELS, TrainingSet};

use line::{Line, PACE, PARTS, PATIENCE, SETTLE, end, quantile};

/// Windows without and with the training.
const PAIRS: usize = 9;
/// Pictures that are learned from.
const PICTURES: u64 = 200;
/// What the ratio should stay below.
const BOUND: f64 = 1.25;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let line = Line::start(folder.path());
    let training = Training::start(folder.path());
    println!(
        "{PACE} parts/s, {PAIRS} pairs of windows of {} parts, {} cores, a worker that trains all layers beside it",
        PARTS - SETTLE,
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 1..=PAIRS {
        let mut worked = 0.0;
        let mut window = |runs: bool| {
            training.signal(if runs { Signal::SIGCONT } else { Signal::SIGSTOP });
            let (before, since) = (training.processor_s(), Instant::now());
            let latencies = line.window();
            let share = (training.processor_s() - before) / since.elapsed().as_secs_f64();
            assert!(runs || share < 0.05, "the training works though it is halted: {share:.2} processors");
            worked += share;
            latencies
        };
        let (without, with) = match pair % 2 {
            0 => (window(false), window(true)),
            _ => {
                let with = window(true);
                (window(false), with)
            }
        };
        let (p99, p99_beside) = (quantile(&without, 0.99), quantile(&with, 0.99));
        println!(
            "pair {pair}: p99 {p99:.1} ms alone, {p99_beside:.1} ms beside the training, which had {worked:.2} processors; ratio {:.3}",
            p99_beside / p99
        );
        ratios.push(p99_beside / p99);
        alone.extend(without);
        beside.extend(with);
    }
    for (name, share) in [("p50", 0.50), ("p99", 0.99)] {
        let (alone, beside) = (quantile(&alone, share), quantile(&beside, share));
        println!(
            "all windows, {name}: {alone:.1} ms alone, {beside:.1} ms beside the training, ratio {:.3}",
            beside / alone
        );
    }
    ratios.sort_by(f64::total_cmp);
    // Between the second and the second last of nine lies the median with 96 % confidence (sign test).
    println!(
        "p99 beside / p99 alone: median {:.3}, interval {:.3} to {:.3} (wanted: <= {BOUND})",
        ratios[PAIRS / 2],
        ratios[1],
        ratios[PAIRS - 2]
    );
}

/// A training and its worker.
struct Training {
    program: Child,
    worker: Pid,
}

impl Training {
    /// Trains on a folder of pictures of the synthetic line, as a job would; returns when all layers learn.
    fn start(folder: &Path) -> Training {
        pictures(&folder.join("pictures"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_inspectd"));
        command.args(["train", "--size", "224", "--no-near", "--steps", "1000000", "--patience", "0", "--json"]);
        command.args(["--data".as_ref(), folder.join("pictures").as_os_str()]);
        command.args(["--out".as_ref(), folder.join("candidate.bundle").as_os_str()]);
        let mut program = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the training starts");
        let mut said = BufReader::new(program.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let worker = child_of(&program);
        let began = said.by_ref().any(|line| line.contains("all:"));
        assert!(began, "the training ended before all layers learned");
        std::thread::spawn(move || said.for_each(drop));
        Training { program, worker }
    }

    fn signal(&self, signal: Signal) {
        kill(self.worker, signal).expect("the worker runs");
    }

    /// Processor time that the worker had so far, in seconds.
    fn processor_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.worker)).expect("the worker runs");
        let fields = stat.rsplit(')').next().expect("fields").split_whitespace().skip(11).take(2);
        // The kernel counts in hundredths, whatever its own tick is (USER_HZ).
        fields.map(|field| field.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
    }
}

/// A folder of parts, one a label.
fn pictures(folder: &Path) {
    let parts = TrainingSet::new(7, 256);
    for index in 0..PICTURES {
        let label = folder.join(LABELS[parts.label(index)]);
        fs::create_dir_all(&label).expect("a folder");
        let jpeg = encode_jpeg(parts.sample(index).image.view(), 90).expect("an image");
        fs::write(label.join(format!("{index}.jpg")), jpeg).expect("written");
    }
}

fn child_of(program: &Child) -> Pid {
    let since = Instant::now();
    loop {
        // The child hangs on the thread that started it.
        let tasks = fs::read_dir(format!("/proc/{}/task", program.id())).expect("the training runs");
        let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        if let Some(pid) = lists.collect::<String>().split_whitespace().next().and_then(|pid| pid.parse().ok()) {
            return Pid::from_raw(pid);
        }
        assert!(since.elapsed() < PATIENCE, "the training has no worker");
        sleep(Duration::from_millis(20));
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        // Its worker dies with it, halted or not.
        end(&mut self.program);
    }
}
