//! A line under a real systemd, by the unit that it is installed with: ready, hung and killed, started anew, drained.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use system_tests::{Counts, agent, binary, wait_for};

use super::manager::Manager;
use super::units::systemd_folder;

const UNIT: &str = "inspectd-under-test.service";
const WATCHDOG: &str = "WatchdogSec=20";

/// Sections of the unit that only the machine's own systemd can grant: users, devices, mounts, weights. `make accept` boots a whole
/// system for them. What the kernel's system call filters do is kept.
const OF_THE_MACHINE: [&str; 21] = [
    "User=",
    "Group=",
    "SupplementaryGroups=",
    "StateDirectory",
    "CacheDirectory",
    "ConfigurationDirectory",
    "Slice=",
    "CPUWeight=",
    "IOWeight=",
    "Nice=",
    "OOMScoreAdjust=",
    "LimitRTPRIO=",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "Private",
    "Protect",
    "ProcSubset=",
    "RemoveIPC=",
    "DevicePolicy=",
    "DeviceAllow=",
    "KeyringMode=",
];

/// The unit, with the program and configuration of this test and less patience.
fn unit(program: &Path, config: &Path) -> String {
    let unit = fs::read_to_string(systemd_folder().join("inspectd.service")).expect("the unit");
    assert!(unit.contains(WATCHDOG) && unit.contains("SystemCallFilter=@system-service"));
    let kept = unit.lines().filter(|line| !OF_THE_MACHINE.iter().any(|key| line.starts_with(key)));
    let text: String = kept.flat_map(|line| [line, "\n"]).collect();
    text.replace("/usr/bin/inspectd", program.to_str().expect("text"))
        .replace("/etc/inspectd/inspectd.toml", config.to_str().expect("text"))
        .replace(WATCHDOG, "WatchdogSec=3")
}

/// A line of synthetic parts at a port that is free now.
fn configuration(dir: &Path) -> (PathBuf, String) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let bundle = systemd_folder().with_file_name("models").join("weights/default.bundle");
    fs::write(
        dir.join("recipe.toml"),
        format!("name = \"demo\"\nversion = 1\nbundle = {bundle:?}\ndeadline_ms = 20000\n"),
    )
    .expect("written");
    let config = format!(
        "format = 1\n[line]\nname = \"demo\"\nrecipe = \"recipe.toml\"\n[line.limits]\nhang_ms = 20000\n[store]\ndir = \"state\"\n\
         [api]\nlisten = \"127.0.0.1:{port}\"\n[access]\nmode = \"open\"\n[source]\nkind = \"synthetic\"\nrate = 4.0\n"
    );
    let path = dir.join("line.toml");
    fs::write(&path, config).expect("written");
    (path, format!("http://127.0.0.1:{port}"))
}

fn asked(url: &str, path: &str) -> Option<Value> {
    agent().get(format!("{url}{path}")).call().ok()?.body_mut().read_json().ok()
}

/// Waits until the line has decided some parts; gives the counts.
fn parts(url: &str) -> Counts {
    wait_for("ten parts", || {
        let counts = Counts::of(&asked(url, "/api/v1/line")?["counts"]);
        (counts.triggered - counts.in_flight >= 10).then_some(counts)
    })
}

/// The newest records: id, and what is said of the verdict.
fn on_record(url: &str) -> BTreeMap<u64, String> {
    let page = wait_for("records", || asked(url, "/api/v1/inspections?limit=200"));
    let items = page["items"].as_array().unwrap_or_else(|| panic!("no items in {page}"));
    items.iter().map(|item| (item["id"].as_u64().expect("an id"), item["detail"].to_string())).collect()
}

#[test]
fn it_is_ready_ended_when_it_hangs_started_anew_and_drained() {
    let Some(program) = binary() else { return };
    let mut manager = match Manager::start() {
        Ok(manager) => manager,
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            return;
        }
    };
    let dir = tempfile::tempdir().expect("a folder");
    let (config, url) = configuration(dir.path());
    manager.add(UNIT, &unit(&program, &config));

    // `start` comes back when the program has said that it takes parts, and not before.
    manager.does(&["start", UNIT]);
    assert_eq!(manager.says(UNIT, "SubState"), "running");
    assert!(agent().get(format!("{url}/readyz")).call().is_ok(), "{}", manager.says(UNIT, "StatusText"));
    parts(&url);
    let before = on_record(&url);
    let first = manager.says(UNIT, "MainPID");

    // It hangs as a whole: nobody feeds the watchdog.
    assert!(Command::new("kill").args(["-STOP", &first]).status().expect("kill runs").success());
    let again = wait_for("another process", || {
        let process = manager.says(UNIT, "MainPID");
        (manager.says(UNIT, "NRestarts") == "1" && !["0", first.as_str()].contains(&process.as_str()))
            .then_some(process)
    });
    wait_for("readiness", || (manager.says(UNIT, "ActiveState") == "active").then_some(()));
    assert_ne!(first, again);
    let after = on_record(&url);
    let lost: Vec<&u64> = before.keys().filter(|id| !after.contains_key(id)).collect();
    assert!(lost.is_empty(), "records {lost:?} were shown before and are not there");

    // It feeds the watchdog by itself for longer than that waits, and reloads without a restart.
    parts(&url);
    manager.does(&["reload", UNIT]);
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!((manager.says(UNIT, "MainPID"), manager.says(UNIT, "NRestarts")), (again, "1".to_owned()));

    // The drain: systemd did not have to kill it, and no part was left to be closed by the next start.
    let asked_to = Instant::now();
    manager.does(&["stop", UNIT]);
    assert_eq!(manager.says(UNIT, "Result"), "success", "after {:?}", asked_to.elapsed());
    assert_eq!(manager.says(UNIT, "ExecMainStatus"), "0");
    manager.does(&["start", UNIT]);
    parts(&url);
    let newest = *after.keys().max().expect("records");
    let cut_off: Vec<_> =
        on_record(&url).into_iter().filter(|(id, detail)| *id > newest && detail.contains("restart")).collect();
    assert!(cut_off.is_empty(), "cut off while draining: {cut_off:?}");
}
