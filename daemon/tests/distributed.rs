//! `--distributed` through the real program under `mpirun`: two processes learn what one learns, and go on after one was killed.
#![allow(clippy::print_stdout, reason = "a test that cannot run says so")]

mod stripes;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use models::bundle::Bundle;
use models::heads::attention;
use models::image::{Image, PixelFormat, encode_png};
use models::weights::{TrunkFile, Weights};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stripes::stripes;

/// Long enough for a loaded machine; nothing here is measured by it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How far a weight of one and of two processes may lie apart after ten steps: see [`lie_together`].
const CLOSE: f32 = 1e-6;

/// Stripes of a pitch and a direction of their own, which even ten steps tell apart better than a guess.
fn pitches(folder: &Path) {
    fs::create_dir_all(folder.join("pitches")).expect("a folder");
    for number in 0..24_usize {
        let pixel = |at: usize| {
            let (x, y) = (at % 64, at / 64);
            let along = if number.is_multiple_of(2) { x + number * y / 9 } else { y + number * x / 9 };
            (90 + 60 * ((along / (3 + number % 7)) % 2) + (at * 7919 + number * 31) % 17) as u8
        };
        let image =
            Image { width: 64, height: 64, format: PixelFormat::Mono8, data: (0..64 * 64).map(pixel).collect() };
        let path = folder.join(format!("pitches/{number}.png"));
        fs::write(path, encode_png(image.view()).expect("an image")).expect("written");
    }
}

/// The program by itself.
fn alone(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inspectd"));
    command.args(arguments).args(["--priority", "normal"]);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Two of them under `mpirun`, which refuses more processes than cores unless it is told that they are meant.
fn two(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["-n", "2", "--oversubscribe", "--bind-to", "none", env!("CARGO_BIN_EXE_inspectd")]);
    command.args(arguments).args(["--priority", "normal", "--distributed"]);
    started_anywhere(&mut command);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// By root, and in a container whose processes may not read each other's memory.
fn started_anywhere(mpirun: &mut Command) {
    mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    mpirun.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
}

/// Whether this build and this machine have MPI. In CI they must.
fn can_run() -> bool {
    let mpirun = Command::new("mpirun").arg("--version").output().is_ok_and(|output| output.status.success());
    let reason = match (cfg!(feature = "mpi"), mpirun) {
        (true, true) => return true,
        (false, _) => "this build has no feature `mpi`: `tests/run-suites` asks for it where mpicc is",
        (true, false) => "there is no mpirun: `./setup.sh test` installs it",
    };
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    println!("SKIPPED: {reason}");
    false
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn bundle(folder: &Path, name: &str) -> Bundle {
    Bundle::open(&folder.join(name)).expect("a sound bundle")
}

/// Weights of one and of two processes are the same, all of them, but where a sum in 64 bits was rounded on its way. Differences are shares of the
/// weight where that is above 1; the temperature is fitted to the scores at the end, and left out.
fn lie_together(a: &Weights, b: &Weights) {
    assert!(a.0.keys().eq(b.0.keys()), "the same tensors");
    let learned = a.0.iter().filter(|(name, _)| name.as_str() != attention::INVERSE_TEMPERATURE);
    let pairs = learned.flat_map(|(name, tensor)| tensor.data.iter().zip(&b.0[name].data));
    let farthest = pairs.map(|(a, b)| (a - b).abs() / a.abs().max(1.0)).fold(0.0, f32::max);
    println!("two processes are {farthest:.1e} from one");
    assert!(farthest < CLOSE, "{farthest}");
}

const TRAIN: [&str; 8] = ["train", "--data", "stripes", "--no-near", "--patience", "0", "--seed", "3"];

#[test]
fn two_processes_learn_what_one_learns() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    stripes(folder, 40);
    let train = |out| [&TRAIN[..], &["--steps", "10", "--out", out, "--json"]].concat();
    succeeded(&alone(folder, &train("one.bundle")).output().expect("it starts"));
    let output = two(folder, &train("two.bundle")).output().expect("mpirun starts");
    succeeded(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1, "one process speaks: {output:?}");
    let [one, two] = ["one.bundle", "two.bundle"].map(|name| bundle(folder, name));
    let [weights, others] = [&one, &two].map(|it| Weights::from_graph(&it.graph).expect("weights"));
    lie_together(&weights, &others);
    let command = &two.manifest.provenance.command;
    assert!(command.starts_with("mpirun -n 2 inspectd train --distributed --data stripes"), "{command}");
    assert_eq!(fs::read_dir(folder).expect("a folder").count(), 3, "no checkpoint is left behind");
}

#[test]
fn two_processes_pretrain_what_one_pretrains() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    pitches(folder);
    // Ten steps of 24 views, in three parts.
    let learn = |out| ["pretrain", "--data", "pitches", "--batch", "12", "--rounds", "5", "--out", out];
    succeeded(&alone(folder, &learn("one.onnx")).output().expect("it starts"));
    succeeded(&two(folder, &learn("two.onnx")).output().expect("mpirun starts"));
    let [one, two] = ["one.onnx", "two.onnx"].map(|name| models::weights::load_trunk(&folder.join(name)).expect("one"));
    lie_together(&one, &two);
    let bytes = fs::read(folder.join("two.onnx")).expect("it was written");
    let command = TrunkFile::provenance_in(&bytes).expect("a trunk").expect("ours").command;
    assert!(command.starts_with("mpirun -n 2 inspectd pretrain --distributed"), "{command}");
}

#[test]
fn a_process_that_is_killed_ends_the_others_and_resume_goes_on_to_the_same_bits() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    stripes(folder, 40);
    let train = |out, more: &[&'static str]| [&TRAIN[..], &["--steps", "60", "--out", out], more].concat();
    succeeded(&two(folder, &train("whole.bundle", &[])).output().expect("mpirun starts"));

    let checkpoint = folder.join("s.bundle.partial");
    let seen = || fs::metadata(&checkpoint).and_then(|file| file.modified()).ok();
    let program = two(folder, &train("s.bundle", &[])).spawn().expect("mpirun starts");
    let workers = until("both workers", || {
        let workers = workers_of(program.id());
        (workers.len() == 2).then_some(workers)
    });
    // The first one stands before the first step of all layers, the second one in the middle.
    let first = until("a checkpoint", seen);
    until("another checkpoint", || seen().filter(|now| *now != first));
    kill(workers[1], Signal::SIGKILL).expect("it runs");
    let output = program.wait_with_output().expect("a child");
    assert!(!output.status.success(), "one was killed");
    assert!(stderr(&output).contains("ended by SIGKILL"), "{}", stderr(&output));
    workers.iter().for_each(|&worker| until("the workers' end", || is_gone(worker).then_some(())));
    assert!(!folder.join("s.bundle").exists(), "the kill came too late: nothing was tested");

    succeeded(&two(folder, &train("s.bundle", &["--resume"])).output().expect("mpirun starts"));
    let [whole, resumed] = ["whole.bundle", "s.bundle"].map(|name| bundle(folder, name));
    assert!(whole.graph == resumed.graph, "a kill changed the network");
}

/// Two programs with different seeds would draw different batches.
#[test]
fn options_that_differ_end_all() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    stripes(folder, 40);
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "--bind-to", "none"]);
    for (at, seed) in ["1", "2"].into_iter().enumerate() {
        command.args([":"].iter().take(at)).args(["-n", "1", env!("CARGO_BIN_EXE_inspectd"), "train", "--data"]);
        command.args(["stripes", "--no-near", "--seed", seed, "--out", "s.bundle", "--distributed"]);
        command.args(["--priority", "normal"]);
    }
    started_anywhere(&mut command);
    let output = command.current_dir(folder).stdin(Stdio::null()).output().expect("mpirun starts");
    assert!(!output.status.success());
    assert!(stderr(&output).contains("does not do what the others do"), "{}", stderr(&output));
}

#[test]
fn a_program_without_mpi_says_how_to_get_one_with_it() {
    if cfg!(feature = "mpi") {
        println!("SKIPPED: this build has the feature `mpi`");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    stripes(folder.path(), 40);
    let train = [&TRAIN[..], &["--out", "s.bundle", "--distributed"]].concat();
    let output = alone(folder.path(), &train).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--features inspectd/mpi"), "{}", stderr(&output));
}

/// The workers of the programs that this `mpirun` started, in the order of their ranks.
fn workers_of(mpirun: u32) -> Vec<Pid> {
    let number = |pid: &str| pid.parse::<u32>().ok();
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        number(stat.rsplit(')').next()?.split_whitespace().nth(1)?)
    };
    let rank = |pid: u32| {
        let variables = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let of = |variable: &[u8]| number(str::from_utf8(variable.strip_prefix(b"OMPI_COMM_WORLD_RANK=")?).ok()?);
        variables.split(|&byte| byte == 0).find_map(of)
    };
    let pids = fs::read_dir("/proc").expect("processes").filter_map(|entry| number(entry.ok()?.file_name().to_str()?));
    let workers = pids.filter(|&pid| parent(pid).and_then(parent) == Some(mpirun));
    let mut workers: Vec<(u32, u32)> = workers.filter_map(|pid| Some((rank(pid)?, pid))).collect();
    workers.sort_unstable();
    workers.into_iter().map(|(_, pid)| Pid::from_raw(pid as i32)).collect()
}

fn is_gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // What nobody has reaped yet is a zombie: dead all the same.
    stat.rsplit(')').next().is_none_or(|rest| rest.trim().is_empty() || rest.trim().starts_with('Z'))
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(5));
    }
}
