//! Disks that fail and disks that are full.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use system_tests::{Program, agent, binary, wait_for};

use crate::line::{configured, more, run, state};
use crate::oracle::Oracle;
use crate::rounds;
use crate::shim::Shim;

#[test]
fn after_an_error_on_sync_nothing_is_acknowledged_and_the_line_is_in_safe_hold() {
    let Some(binary) = binary() else { return };
    let Some(shim) = Shim::build() else { return };
    let mut slowest = Duration::ZERO;
    let times = rounds(1, 10);
    for round in 0..times {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("state");
        let config = configured(folder.path(), &dir, "");
        let start = || Program::spawn(run(shim.command(&binary, &dir), &config)).unwrap_or_else(|why| panic!("{why}"));
        let oracle = Oracle::default();
        let program = start();
        let listener = oracle.listen(&program);
        more("parts", || oracle.count(), 5 + round);

        shim.sync_fails(true);
        let began = Instant::now();
        wait_for("safe hold", || (state(&program).0 == "safe_hold").then_some(()));
        slowest = slowest.max(began.elapsed());
        let (_, reason) = state(&program);
        assert!(reason.contains("cannot sync journal") && reason.contains("check the disk"), "{reason}");
        // The events may still be on their way.
        thread::sleep(Duration::from_millis(200));
        let known = oracle.count();
        let held = program.counts();
        thread::sleep(Duration::from_millis(500));
        assert_eq!(oracle.count(), known, "nothing is acknowledged after the error");
        let counts = program.counts();
        assert!(counts.triggered > held.triggered && counts.no_decision > held.no_decision, "{held:?}, {counts:?}");
        assert!(agent().get(format!("{}/readyz", program.url)).call().is_err(), "not ready");
        program.kill();
        listener.join().expect("the oracle saw nothing wrong");

        shim.sync_fails(false);
        let program = start();
        oracle.check(&program);
    }
    println!("{times} times EIO on fsync: 0 acknowledged after it, 0 lost; safe hold after {slowest:?} at most");
    assert!(slowest < Duration::from_secs(5), "safe hold took {slowest:?}");
}

/// A small disk in memory. Unmounted when dropped.
pub(crate) struct Small(PathBuf);

impl Small {
    /// None, and a word on the terminal, where nothing may be mounted.
    pub(crate) fn mounted(at: &Path, megabytes: u32) -> Option<Small> {
        fs::create_dir(at).expect("made");
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: nothing may be mounted here, so no disk can be full");
            return None;
        }
        Some(Small(at.to_owned()))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(self.0.join("somebody-else")).expect("opened");
        for size in [1 << 20, 4096] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Takes so much that only so many megabytes are left.
    pub(crate) fn leave(&self, megabytes: u64) {
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(self.0.join("somebody-else")).expect("opened");
        while free_mb(&self.0) > megabytes && file.write_all(&vec![7; 1 << 20]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("somebody-else")).expect("removed");
    }
}

/// As `df` says it.
fn free_mb(path: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-m"]).arg(path).output().expect("df");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().last().and_then(|line| line.trim().parse().ok()).expect("a number")
}

impl Drop for Small {
    fn drop(&mut self) {
        let _gone_with_the_machine_else = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn written(program: &Program) -> u64 {
    let text = agent().get(format!("{}/metrics", program.url)).call().expect("metrics").body_mut().read_to_string();
    let text = text.expect("text");
    let line =
        text.lines().find(|line| line.starts_with("inspectd_evidence_pictures_total") && line.contains("\"written\""));
    line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).expect("a figure") as u64
}

#[test]
fn a_full_disk_costs_pictures_first_and_the_line_starts_on_it_and_recovers() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = Small::mounted(&folder.path().join("disk"), 64) else { return };
    let dir = disk.0.join("state");
    // One megabyte of records can be kept on a full disk here, so that the test can use it up.
    let config = configured(folder.path(), &dir, "reserve_mb = 1\n[store.evidence]\nleast_free_mb = 12\n");
    let start = || {
        Program::spawn(run(Command::new(&binary), &config))
            .unwrap_or_else(|why| panic!("no start on a full disk: {why}"))
    };
    let oracle = Oracle::default();
    let mut program = start();
    let mut listener = oracle.listen(&program);
    more("parts", || oracle.count(), 10);
    wait_for("pictures", || (written(&program) > 0).then_some(()));

    // Nearly full: no more pictures, and everything else as before.
    fs::write(disk.0.join("somebody-else"), vec![7; 48 << 20]).expect("written");
    wait_for("pictures to give way", || {
        // What was queued is still written.
        let (pictures, parts) = (written(&program), oracle.count());
        wait_for("parts", || (oracle.count() >= parts + 25).then_some(()));
        (written(&program) == pictures).then_some(())
    });

    // Full: records go on in the room that was kept.
    disk.fill();
    more("parts on a full disk", || oracle.count(), 40);
    assert_eq!(state(&program).0, "running");

    // A start, in order and after a kill.
    let (status, output) = program.terminate();
    assert!(status.success(), "{output}");
    listener.join().expect("the oracle saw nothing wrong");
    disk.fill();
    for _ in 0..rounds(1, 5) {
        program = start();
        listener = oracle.listen(&program);
        oracle.check(&program);
        more("parts after a start on a full disk", || oracle.count(), 20);
        program.kill();
        listener.join().expect("the oracle saw nothing wrong");
        disk.fill();
    }

    // Room again: pictures within seconds.
    program = start();
    listener = oracle.listen(&program);
    more("parts", || oracle.count(), 10);
    disk.make_room();
    let began = Instant::now();
    let before = written(&program);
    wait_for("pictures again", || (written(&program) > before).then_some(()));
    let pictures_after = began.elapsed();
    wait_for("the index", || (program.get("/api/v1/line")["store"]["state"] == "ok").then_some(()));
    let index_after = began.elapsed();
    oracle.check(&program);

    let mut times = vec![("pictures", pictures_after), ("the index", index_after)];

    // Full until even the room that was kept is used up: safe hold, and by itself out of it. That takes a minute.
    if rounds(0, 1) == 1 {
        disk.fill();
        let hold = wait_for_long("safe hold", || Some(state(&program)).filter(|(state, _)| state == "safe_hold"));
        assert!(hold.1.contains("free space on the disk"), "{}", hold.1);
        disk.fill();
        program.counts();
        disk.make_room();
        let began = Instant::now();
        wait_for("the line", || (state(&program).0 == "running").then_some(()));
        times.push(("the line, out of safe hold", began.elapsed()));
        more("parts", || oracle.count(), 20);
        oracle.check(&program);
    }
    program.kill();
    listener.join().expect("the oracle saw nothing wrong");
    let program = start();
    let kept = oracle.check(&program);
    println!(
        "full disk: {} records, {} acknowledged, 0 lost; after room was made again: {times:?}",
        kept.len(),
        oracle.count()
    );
    for (what, time) in times {
        assert!(time < Duration::from_secs(10), "{what} took {time:?}");
    }
}

/// A megabyte of records takes a while.
fn wait_for_long<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(200);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < until, "waited for {what}");
        thread::sleep(Duration::from_millis(100));
    }
}
