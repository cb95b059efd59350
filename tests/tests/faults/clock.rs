//! A wall clock that is set, and a process that is halted.

use std::process::Command;
use std::thread;
use std::time::Duration;

use system_tests::{Program, binary, wait_for};

use crate::line::{configured, more, run, state};
use crate::oracle::{Oracle, everything, without_gaps};
use crate::shim::Shim;

#[test]
fn a_clock_that_is_set_by_an_hour_changes_no_order_and_no_verdict() {
    let Some(binary) = binary() else { return };
    let Some(shim) = Shim::build() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("state");
    let config = configured(folder.path(), &dir, "");
    let start = || Program::spawn(run(shim.command(&binary, &dir), &config)).unwrap_or_else(|why| panic!("{why}"));
    let oracle = Oracle::default();
    let program = start();
    let listener = oracle.listen(&program);
    more("parts", || oracle.count(), 10);
    let quiet = program.get("/api/v1/alerts")["active"].clone();
    let hour = 3_600_000;
    for offset in [-hour, 0, hour, 0] {
        shim.clock_off_by_ms(offset);
        more("parts after the clock was set", || oracle.count(), 25);
        assert_eq!(state(&program).0, "running");
        assert_eq!(program.counts().no_decision, 0, "the deadline follows the monotonic clock");
    }
    assert_eq!(program.get("/api/v1/alerts")["active"], quiet, "no false alarm");
    let kept = oracle.check(&program);
    without_gaps(&kept);
    let times: Vec<&str> = kept.values().map(|record| record["triggered_at"].as_str().expect("a time")).collect();
    let backwards = times.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert_eq!(backwards, 2, "it was set back twice: the order is that of the triggers all the same");

    // Across a start, too.
    program.kill();
    listener.join().expect("the oracle saw nothing wrong");
    shim.clock_off_by_ms(-hour);
    let program = start();
    let newest = *oracle.records().keys().next_back().expect("records");
    wait_for("a newer part", || everything(&program).keys().next_back().is_some_and(|id| *id > newest).then_some(()));
    oracle.check(&program);
    println!("clock set 5 times by an hour: {} acknowledged, order by id, 0 late, 0 alarms", oracle.count());
}

#[test]
fn a_process_that_was_halted_owes_no_part_and_loses_none() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let config = configured(folder.path(), &folder.path().join("state"), "");
    let program = Program::spawn(run(Command::new(&binary), &config)).unwrap_or_else(|why| panic!("{why}"));
    let oracle = Oracle::default();
    let listener = oracle.listen(&program);
    more("parts", || oracle.count(), 10);
    for signal in ["-STOP", "-CONT"] {
        let sent = Command::new("kill").args([signal, &program.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        if signal == "-STOP" {
            thread::sleep(Duration::from_secs(6));
        }
    }
    more("parts after it went on", || oracle.count(), 20);
    // What was in flight when it stopped was late by then, and says so; the deadline is 5 s.
    let kept = oracle.check(&program);
    without_gaps(&kept);
    let late = kept.values().filter(|record| record["cause"] == "late").count();
    println!("halted for 6 s: {} records, {late} late, 0 lost", kept.len());
    assert_eq!(state(&program).0, "running");
    program.kill();
    listener.join().expect("the oracle saw nothing wrong");
}
