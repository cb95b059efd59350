//! Training in a process of its own, through the real program: killed, stopped, out of memory, and going on.

mod stripes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use models::bundle::Bundle;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stripes::stripes;

/// Long enough for a loaded machine; nothing here is measured by it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A training that takes some seconds and saves often.
fn train(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inspectd"));
    command.args(["train", "--data", "stripes", "--out", "s.bundle", "--steps", "100", "--patience", "0"]).args(more);
    command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
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

/// The worker of a running `inspectd train`.
fn worker_of(parent: &Child) -> Pid {
    let tasks = PathBuf::from(format!("/proc/{}/task", parent.id()));
    let children = || -> Option<Pid> {
        // The child hangs on the thread that started it.
        let tasks = fs::read_dir(&tasks).ok()?;
        let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
        lists.collect::<String>().split_whitespace().next()?.parse().ok().map(Pid::from_raw)
    };
    until("the worker", children)
}

fn is_gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // What nobody has reaped yet is a zombie: dead all the same.
    stat.rsplit(')').next().is_none_or(|rest| rest.trim().is_empty() || rest.trim().starts_with('Z'))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_training_that_is_killed_again_and_again_ends_with_the_same_network() {
    let folder = tempfile::tempdir().expect("a folder");
    stripes(folder.path(), 32);
    let checkpoint = folder.path().join("s.bundle.partial");
    let seen = |checkpoint: &Path| fs::metadata(checkpoint).and_then(|file| file.modified()).ok();
    let mut interrupted = 0;
    for round in 0..5_u64 {
        let before = seen(&checkpoint);
        let mut program = train(folder.path(), &["--resume", "--priority", "normal"]).spawn().expect("it starts");
        let worker = worker_of(&program);
        // At a new checkpoint and a little later, so that kills fall into steps, looks and writes.
        until("a checkpoint", || {
            (seen(&checkpoint) != before || program.try_wait().expect("a child").is_some()).then_some(())
        });
        sleep(Duration::from_millis(round * 23));
        // Each second time the worker alone dies, and its parent has to say so.
        let victim = if round % 2 == 0 { Pid::from_raw(program.id() as i32) } else { worker };
        let killed = kill(victim, Signal::SIGKILL);
        let output = program.wait_with_output().expect("a child");
        until("the worker's end", || is_gone(worker).then_some(()));
        // It was too late: the bundle was written, and is compared below like any other.
        if killed.is_err() || output.status.success() || folder.path().join("s.bundle").exists() {
            break;
        }
        interrupted += 1;
        if victim == worker {
            assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
            assert!(stderr(&output).contains("ended by SIGKILL"), "{}", stderr(&output));
        }
    }
    assert!(interrupted >= 3, "only {interrupted} kills hit a training: nothing was tested");
    let last = train(folder.path(), &["--resume", "--priority", "normal"]).output().expect("it starts");
    assert!(last.status.success(), "{}", stderr(&last));
    let resumed = Bundle::open(&folder.path().join("s.bundle")).expect("a sound bundle");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "only the data and the bundle are left: {left:?}");

    let whole = train(folder.path(), &["--priority", "normal", "--threads", "1"]).output().expect("it starts");
    assert!(whole.status.success(), "{}", stderr(&whole));
    let whole = Bundle::open(&folder.path().join("s.bundle")).expect("a sound bundle");
    assert!(whole.graph == resumed.graph, "{interrupted} kills and one thread changed the network");
}

/// The folders of logs, and how many event files each has.
fn logs(folder: &Path) -> Vec<(PathBuf, usize)> {
    let Ok(runs) = fs::read_dir(folder.join("logs")) else { return Vec::new() };
    let events = |run: &Path| {
        let names = fs::read_dir(run).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with("events.out.tfevents.")).count()
    };
    runs.map(|run| run.expect("an entry").path()).map(|run| (run.clone(), events(&run))).collect()
}

#[test]
fn a_log_goes_on_with_its_training_and_changes_no_network() {
    let folder = tempfile::tempdir().expect("a folder");
    stripes(folder.path(), 32);
    let logged = |more: &[&str]| {
        let mut command = train(folder.path(), &["--priority", "normal", "--tensorboard", "logs"]);
        command.args(more);
        command
    };
    let mut program = logged(&[]).spawn().expect("it starts");
    let worker = worker_of(&program);
    until("a checkpoint", || folder.path().join("s.bundle.partial").exists().then_some(()));
    program.kill().expect("it runs");
    program.wait().expect("a child");
    until("the worker's end", || is_gone(worker).then_some(()));
    let [(run, 1)] = &logs(folder.path())[..] else { panic!("{:?}", logs(folder.path())) };
    assert!(run.file_name().is_some_and(|name| name.to_string_lossy().starts_with("s-")), "{}", run.display());
    assert!(run.join("unfinished.json").exists() && !run.join("projector_config.pbtxt").exists());

    let last = logged(&["--resume"]).output().expect("it starts");
    assert!(last.status.success(), "{}", stderr(&last));
    assert_eq!(logs(folder.path()), [(run.clone(), 2)], "the same folder, and a file more");
    assert!(!run.join("unfinished.json").exists() && run.join("projector_config.pbtxt").exists());
    let with = Bundle::open(&folder.path().join("s.bundle")).expect("a sound bundle");
    assert!(!with.manifest.provenance.command.contains("tensorboard"), "it has no part in what was learned");
    let plain = train(folder.path(), &["--priority", "normal"]).output().expect("it starts");
    assert!(plain.status.success(), "{}", stderr(&plain));
    let without = Bundle::open(&folder.path().join("s.bundle")).expect("a sound bundle");
    assert!(with.graph == without.graph, "a log changed the network");
}

#[test]
fn a_log_is_refused_at_the_start_and_costs_no_training_later() {
    let folder = tempfile::tempdir().expect("a folder");
    stripes(folder.path(), 32);
    fs::write(folder.path().join("file"), "no folder").expect("written");
    let refused = train(folder.path(), &["--tensorboard", "file", "--priority", "normal"]).output().expect("it starts");
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("`file`") && stderr(&refused).contains("--tensorboard"), "{}", stderr(&refused));
    // What cannot be learned from is no run.
    let empty =
        train(folder.path(), &["--tensorboard", "logs", "--augment", "none.toml", "--priority", "normal"]).output();
    assert_eq!(empty.expect("it starts").status.code(), Some(1));
    assert!(logs(folder.path()).is_empty(), "{:?}", logs(folder.path()));

    let program = train(folder.path(), &["--tensorboard", "logs", "--priority", "normal"]).spawn().expect("it starts");
    until("a checkpoint", || folder.path().join("s.bundle.partial").exists().then_some(()));
    fs::rename(folder.path().join("logs"), folder.path().join("elsewhere")).expect("it is there");
    let output = program.wait_with_output().expect("a child");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("the TensorBoard log ends here").count(), 1, "{}", stderr(&output));
    Bundle::open(&folder.path().join("s.bundle")).expect("a sound bundle");
}

#[test]
fn ctrl_c_is_passed_on_and_leaves_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    stripes(folder.path(), 32);
    let program = train(folder.path(), &["--priority", "normal"]).spawn().expect("it starts");
    let worker = worker_of(&program);
    until("a checkpoint", || folder.path().join("s.bundle.partial").exists().then_some(()));
    kill(Pid::from_raw(program.id() as i32), Signal::SIGINT).expect("it runs");
    let output = program.wait_with_output().expect("a child");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("`--resume` goes on"), "{}", stderr(&output));
    assert!(output.stdout.is_empty() && is_gone(worker) && !folder.path().join("s.bundle").exists());

    let damaged = &fs::read(folder.path().join("s.bundle.partial")).expect("a checkpoint")[1..];
    fs::write(folder.path().join("s.bundle.partial"), damaged).expect("written");
    let output = train(folder.path(), &["--resume", "--priority", "normal"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is damaged") && stderr(&output).contains("without `--resume`"));
}

#[test]
fn a_worker_is_idle_has_no_graphics_card_and_dies_with_its_parent() {
    let folder = tempfile::tempdir().expect("a folder");
    stripes(folder.path(), 32);
    let mut program = train(folder.path(), &[]).spawn().expect("it starts");
    let worker = worker_of(&program);
    // Field 41 of proc(5)'s stat: the scheduling policy. 5 is SCHED_IDLE. The command's name may hold spaces; it ends at `)`.
    until("idle priority", || {
        let stat = fs::read_to_string(format!("/proc/{worker}/stat")).ok()?;
        (stat.rsplit(')').next()?.split_whitespace().nth(41 - 3)? == "5").then_some(())
    });
    let environment = fs::read_to_string(format!("/proc/{worker}/environ")).expect("a process");
    assert!(environment.split('\0').any(|it| it == "CUDA_VISIBLE_DEVICES="), "no graphics card is there for it");
    program.kill().expect("it runs");
    program.wait().expect("a child");
    until("the worker's end", || is_gone(worker).then_some(()));
}

#[test]
fn a_training_beyond_its_memory_ceiling_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    stripes(folder.path(), 32);
    let output = train(folder.path(), &["--memory-ceiling", "48", "--priority", "normal"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let words = stderr(&output);
    assert!(words.contains("memory ceiling of 48 MiB") && words.contains("--memory-ceiling"), "{words}");
    assert!(output.stdout.is_empty() && !folder.path().join("s.bundle").exists());
}

#[test]
fn options_that_do_not_fit_are_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    stripes(folder.path(), 32);
    for (options, code, words) in [
        (&["--schedule", "piecewise", "--boundaries", "5"][..], 1, "together"),
        (&["--schedule", "piecewise", "--boundaries", "5,5", "--rates", "1e-3,1e-4,1e-5"], 1, "must rise"),
        (&["--rates", "1e-3"], 1, "--schedule piecewise"),
        (&["--schedule", "piecewise", "--rate", "1e-3"], 1, "--rates"),
        (&["--layer-decay", "1.5"], 1, "at most 1"),
        (&["--class-weights", "1"], 1, "0.999"),
        (&["--accumulate", "0"], 1, "at least one image"),
        (&["--mixed"], 1, "this build has none"),
        (&["--from-scratch", "--trunk", "x"], 2, "cannot be used with"),
        (&["--epochs", "3"], 2, "cannot be used with"),
    ] {
        let output = train(folder.path(), options).arg("--priority").arg("normal").output().expect("it starts");
        assert_eq!(output.status.code(), Some(code), "{options:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{options:?}: {}", stderr(&output));
    }
}
