//! A process that is killed, five times, at moments it does not choose.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use inspectd::store::LastEnd;
use stages::record::Recorder;
use stages::verdict::{Cause, Verdict};

use crate::support::{Dice, all, inspection, open, options, time};

const DIR: &str = "INSPECTD_TEST_KILL_DIR";

/// Not a test of its own: the process that is killed. Says `ready`, then each acknowledged id.
#[test]
#[ignore = "the child of a_killed_process_loses_nothing_that_was_acknowledged"]
fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let (store, report) = open(&dir, options());
    let mut hears = store.subscribe();
    let mut out = std::io::stdout();
    writeln!(out, "\nready {}", report.next_id).expect("the parent listens");
    let mut first = report.next_id;
    loop {
        // Three at a time are in flight.
        for id in first..first + 3 {
            store.opened(id, time(id)).expect("kept");
        }
        for id in first..first + 3 {
            store.record(inspection(id), None).expect("kept");
        }
        first += 3;
        while let Ok(part) = hears.try_recv() {
            writeln!(out, "acknowledged {}", part.id).expect("the parent listens");
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut dice = Dice(4711);
    let mut acknowledged: Vec<u64> = Vec::new();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["kill::child", "--exact", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let want = 20 + dice.roll(200);
        let mut heard = 0;
        for line in lines {
            let line = line.expect("text");
            if let Some(id) = line.strip_prefix("acknowledged ") {
                acknowledged.push(id.parse().expect("an id"));
                heard += 1;
                if heard == want {
                    child.kill().expect("killed");
                }
            }
        }
        child.wait().expect("ended");
        assert!(heard >= want, "round {round}: the child ended by itself");
    }
    let (store, report) = open(dir.path(), options());
    assert_eq!(report.last_end, LastEnd::Killed);
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    let found = all(&store);
    let expected: Vec<u64> = (1..report.next_id).collect();
    assert_eq!(found.iter().map(|i| i.id).collect::<Vec<_>>(), expected, "every trigger once");
    for id in acknowledged {
        assert_eq!(*found[id as usize - 1], inspection(id), "part {id} was acknowledged");
    }
    let restarted = found.iter().filter(|i| i.verdict == Verdict::NoDecision(Cause::Restart)).count();
    assert!(restarted <= 5 * 3, "three in flight at each kill: {restarted}");
}
