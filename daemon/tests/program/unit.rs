//! The units, as systemd reads them.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{text, words};

/// Exposure that `systemd-analyze security` may find, in tenths; lower is better.
const MAX_EXPOSURE: u32 = 20;
/// A training needs neither network nor devices.
const MAX_TRAINING_EXPOSURE: u32 = 8;

/// Every unit; the services stand before what starts them.
const UNITS: [&str; 4] =
    ["inspectd.service", "inspectd@.service", "inspectd-training.service", "inspectd-training.path"];

/// A unit with the program where it is now.
fn unit(dir: &Path, name: &str) -> std::path::PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(name);
    let unit =
        fs::read_to_string(source).expect("the unit").replace("/usr/bin/inspectd", env!("CARGO_BIN_EXE_inspectd"));
    let path = dir.join(name);
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
    // A template alone is none.
    let units =
        UNITS.map(|name| unit(dir.path(), name)).map(|path| match path.file_name().and_then(|name| name.to_str()) {
            Some("inspectd@.service") => {
                let instance = dir.path().join("inspectd@left.service");
                fs::rename(&path, &instance).expect("renamed");
                instance
            }
            _ => path,
        });
    // It ends with 0 even if it does not know a key, so every word counts.
    let arguments: Vec<&str> = ["verify", "--man=no"].into_iter().chain(units.iter().map(|path| text(path))).collect();
    let Some((code, _, stderr)) = analyze(&arguments) else { return };
    let ours: Vec<&str> = stderr.lines().filter(|line| line.contains("inspectd")).collect();
    assert_eq!((code, ours), (0, Vec::new()), "{stderr}");
}

#[test]
fn the_services_are_confined() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, most) in [("inspectd.service", MAX_EXPOSURE), ("inspectd-training.service", MAX_TRAINING_EXPOSURE)] {
        let unit = unit(dir.path(), name);
        let threshold = format!("--threshold={most}");
        let arguments = ["security", "--offline=true", "--no-pager", &threshold, text(&unit)];
        let Some((code, stdout, stderr)) = analyze(&arguments) else { return };
        assert_eq!(code, 0, "{stdout}{stderr}");
    }
}

#[test]
fn one_of_several_lines_is_confined_as_a_single_one_is() {
    let read = |name: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(name)).expect(name)
    };
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
    };
    let (one, several) = (lines(&read("inspectd.service")), lines(&read("inspectd@.service")));
    let other: Vec<(&str, &str)> = one
        .iter()
        .zip(&several)
        .filter(|(one, several)| one != several)
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(one.len(), several.len());
    assert_eq!(
        other,
        [
            ("Description=Inspection of a factory line", "Description=Inspection of factory line %i"),
            (
                "ExecStart=/usr/bin/inspectd run --config /etc/inspectd/inspectd.toml",
                "ExecStart=/usr/bin/inspectd run --config /etc/inspectd/%i.toml"
            ),
            ("StateDirectory=inspectd", "StateDirectory=inspectd/%i"),
            ("CacheDirectory=inspectd", "CacheDirectory=inspectd/%i"),
        ]
    );
}
