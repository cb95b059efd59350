//! The service unit, as systemd reads it.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{text, words};

/// Exposure that `systemd-analyze security` may find, in tenths; lower is better.
const MAX_EXPOSURE: u32 = 20;

/// The unit with the program where it is now.
fn unit(dir: &Path) -> std::path::PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/inspectd.service");
    let unit =
        fs::read_to_string(source).expect("the unit").replace("/usr/bin/inspectd", env!("CARGO_BIN_EXE_inspectd"));
    let path = dir.join("inspectd.service");
    fs::write(&path, unit).expect("written");
    path
}

fn analyze(arguments: &[&str]) -> Option<(i32, String, String)> {
    let output = Command::new("systemd-analyze").args(arguments).output();
    if output.is_err() {
        eprintln!("SKIPPED: there is no systemd-analyze here");
    }
    output.ok().map(|output| words(&output))
}

#[test]
fn systemd_understands_every_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let unit = unit(dir.path());
    // It ends with 0 even if it does not know a key, so every word counts.
    let Some((code, _, stderr)) = analyze(&["verify", "--man=no", text(&unit)]) else { return };
    let ours: Vec<&str> = stderr.lines().filter(|line| line.contains("inspectd")).collect();
    assert_eq!((code, ours), (0, Vec::new()), "{stderr}");
}

#[test]
fn the_service_is_confined() {
    let dir = tempfile::tempdir().expect("a folder");
    let unit = unit(dir.path());
    let threshold = format!("--threshold={MAX_EXPOSURE}");
    let Some((code, stdout, stderr)) = analyze(&["security", "--offline=true", "--no-pager", &threshold, text(&unit)])
    else {
        return;
    };
    assert_eq!(code, 0, "{stdout}{stderr}");
}
