//! `inspectd demo`: figures, signals, and what can be in the way at the start.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Program, inspectd, law, output, text, tiny_bundle, wait_for, words};

fn last_json(stdout: &str) -> Value {
    let line = stdout.lines().last().unwrap_or_else(|| panic!("nothing was printed"));
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))
}

#[test]
fn it_ends_with_one_line_of_figures() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let demo =
        ["demo", "--parts", "80", "--defect-rate", "0.5", "--bad-frame-rate", "0.1", "--rate", "max", "--seed", "3"];
    let run = || words(&output(&[&demo[..], &["--no-serve", "--json", "--bundle", text(&bundle)]].concat()));
    let (code, stdout, stderr) = run();
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let figures = last_json(&stdout);
    assert_eq!(law(&figures), 80);
    assert_eq!(figures["in_flight"], 0);
    assert_eq!(figures["no_decision"], figures["bad_frames"], "nothing but spoilt frames is undecided: {figures}");
    let number = |name: &str| figures[name].as_u64().unwrap_or_else(|| panic!("no number `{name}`: {figures}"));
    assert_eq!(number("good") + number("defective") + number("bad_frames"), 80);
    assert!(number("defective") > 20 && number("bad_frames") > 0, "{figures}");
    let bands = figures["escapes_by_cnr"].as_array().expect("bands");
    let sum = |key: &str| bands.iter().map(|band| band[key].as_u64().expect("a number")).sum::<u64>();
    assert_eq!((sum("defective"), sum("escapes")), (number("defective"), number("escapes")));
    let latency = &figures["latency_ms"];
    let times = ["p50", "p95", "p99", "max"].map(|key| latency[key].as_f64().expect("a time"));
    assert!(times[0] > 0.0 && times.is_sorted(), "{latency}");
    assert!(figures["parts_per_s"].as_f64().expect("a rate") > 0.0);
    assert_eq!(figures["provider"], "cpu");
    assert!(figures.get("label_accuracy").is_some() && figures.get("overkill").is_some());

    // The same seed gives the same parts and, as nothing was late, the same verdicts.
    let again = last_json(&run().1);
    for key in ["pass", "fail", "review", "no_decision", "good", "defective", "escapes_by_cnr"] {
        assert_eq!(figures[key], again[key], "{key}");
    }
}

#[test]
fn the_first_signal_ends_it_in_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let state = dir.path().join("state");
    let arguments =
        ["demo", "--rate", "60", "--json", "--no-serve", "--bundle", text(&bundle), "--state", text(&state)];
    for signal in ["TERM", "INT"] {
        let program = Program::start(&arguments);
        wait_for("some records", || {
            let listed = output(&["records", "list", "--state", text(&state)]);
            (words(&listed).1.lines().count() >= 10).then_some(())
        });
        program.signal(signal);
        let (status, stdout, stderr) = program.end();
        assert_eq!(status.code(), Some(0), "{stderr}");
        let figures = last_json(&stdout);
        assert_eq!(figures["in_flight"], 0, "{figures}");
        assert!(law(&figures) >= 10, "{figures}");
        fs::remove_dir_all(&state).expect("the records of this round");
    }
}

#[test]
fn ids_go_on_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let state = dir.path().join("state");
    let demo = ["demo", "--parts", "5", "--rate", "max", "--no-serve", "--json", "--bundle"];
    for _ in 0..2 {
        let (code, _, stderr) = words(&output(&[&demo[..], &[text(&bundle), "--state", text(&state)]].concat()));
        assert_eq!(code, 0, "{stderr}");
    }
    let (_, listed, _) = words(&output(&["records", "list", "--state", text(&state)]));
    let ids: Vec<u64> =
        listed.lines().map(|line| line.split_whitespace().next().expect("an id").parse().expect("a number")).collect();
    assert_eq!(ids, (1..=10).collect::<Vec<u64>>());
}

#[test]
fn a_second_one_on_the_same_records_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let state = dir.path().join("state");
    let arguments = ["demo", "--listen", "127.0.0.1:0", "--bundle", text(&bundle), "--state", text(&state)];
    let mut first = Program::start(&arguments);
    first.url();
    let (code, _, stderr) = words(&output(&arguments));
    assert_eq!(code, 1);
    assert!(stderr.contains("another inspectd runs") && stderr.contains(text(&state)), "{stderr}");
}

#[test]
fn a_busy_port_is_said_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let started = Instant::now();
    let (code, _, stderr) = words(&output(&["demo", "--listen", &address]));
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("the address {address} is in use")) && stderr.contains("--listen"), "{stderr}");
    assert!(started.elapsed() < Duration::from_secs(30), "it took {:?}", started.elapsed());
}

/// Root may write anywhere, so the program runs as somebody else then.
#[test]
fn a_state_directory_that_cannot_be_written_is_said_in_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = dir.path().join("state");
    fs::create_dir(&state).expect("a folder");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o555)).expect("ours");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let arguments = ["demo", "--no-serve", "--parts", "1", "--state", text(&state)];
    let root = nix::unistd::geteuid().is_root();
    let mut command = if root {
        // The program must be where another user may run it.
        let program = dir.path().join("inspectd");
        fs::copy(env!("CARGO_BIN_EXE_inspectd"), &program).expect("copied");
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", text(&program)]).args(arguments);
        command
    } else {
        inspectd(&arguments)
    };
    let (code, _, stderr) = words(&command.output().expect("setpriv (util-linux) is there"));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(text(&state)) && stderr.contains("write access"), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}
