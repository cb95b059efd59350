//! `inspectd run`: a folder as a camera, recipes reloaded, signals.

use std::fs;
use std::os::unix::net::UnixDatagram;

use crate::command_line::sound;
use crate::support::{PATIENCE, Program, inspectd, jpeg, json, law, output, text, wait_for, words};

fn recipe(version: u32, more: &str) -> String {
    format!("name = \"bracket\"\nversion = {version}\nbundle = \"tiny.bundle\"\ndeadline_ms = 5000\n{more}")
}

#[test]
fn a_recipe_is_reloaded_between_parts_and_a_bad_one_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    let file = dir.path().join("bracket.toml");
    // Dark enough to pass, unless the threshold of `scratch` is next to nothing.
    fs::write(dir.path().join("camera/a.jpg"), jpeg(100)).expect("written");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    let newest = || json(&format!("{url}/api/v1/inspections?limit=1"))["items"].get(0).cloned();
    let passed = wait_for("a part", newest);
    assert_eq!((&passed["verdict"], &passed["recipe"]), (&"pass".into(), &"bracket@1".into()));

    fs::write(&file, recipe(2, "[thresholds]\nscratch = 0.0001\n")).expect("written");
    program.signal("HUP");
    let failed = wait_for("a part under the new recipe", || newest().filter(|part| part["recipe"] == "bracket@2"));
    assert_eq!(failed["verdict"], "fail");
    assert_eq!(json(&format!("{url}/api/v1/line"))["recipe"], "bracket@2");

    for (bad, words) in [
        (recipe(3, "[thresholds]\ndent = 0.5\n"), "`thresholds.dent`"),
        (recipe(3, "colour = \"red\"\n"), "`colour` is no key"),
        (recipe(2, "[thresholds]\nscratch = 0.5\n"), "raise it"),
        ("not toml [".to_owned(), "not TOML"),
    ] {
        fs::write(&file, bad).expect("written");
        program.signal("HUP");
        wait_for(words, || program.printed().contains(words).then_some(()));
        let line = json(&format!("{url}/api/v1/line"));
        assert_eq!(line["recipe"], "bracket@2", "the old one stays in force");
        law(&line["counts"]);
    }
    assert!(program.printed().contains("bracket@2 stays in force"), "{}", program.printed());

    program.signal("TERM");
    let (status, _, stderr) = program.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("in_flight=0"), "{stderr}");
}

#[test]
fn a_folder_is_inspected_once_to_its_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    let once = fs::read_to_string(&config).expect("text").replace("\"loop\"", "\"once\"").replace("rate = 20.0\n", "");
    fs::write(&config, once).expect("written");
    for (name, bytes) in
        [("a.jpg", jpeg(40)), ("b.jpg", jpeg(215)), ("c.jpg", jpeg(40)[..200].to_vec()), ("d.txt", b"x".to_vec())]
    {
        fs::write(dir.path().join("camera").join(name), bytes).expect("written");
    }
    let (code, _, stderr) = words(&output(&["run", "--once", "--config", text(&config)]));
    assert_eq!(code, 0, "{stderr}");
    let state = dir.path().join("state");
    let (_, table, _) = words(&output(&["records", "export", "--format", "csv", "--state", text(&state)]));
    let verdicts: Vec<String> = csv::Reader::from_reader(table.as_bytes())
        .deserialize::<std::collections::HashMap<String, String>>()
        .map(|row| row.expect("a whole row"))
        .map(|row| format!("{} {}", row["verdict"], row["cause"]))
        .collect();
    assert_eq!(verdicts, ["pass ", "fail ", "no_decision truncated", "no_decision unreadable"]);
}

#[test]
fn a_source_that_is_not_there_is_said_in_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    fs::remove_dir(dir.path().join("camera")).expect("removed");
    let (code, _, stderr) = words(&output(&["run", "--config", text(&config)]));
    assert_eq!(code, 1);
    assert!(stderr.contains("camera") && stderr.contains("mounted"), "{stderr}");
}

/// Plays the service manager.
#[test]
fn the_service_manager_is_told_of_every_turn() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    fs::write(dir.path().join("camera/a.jpg"), jpeg(40)).expect("written");
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut command = inspectd(&["run", "--config", text(&config)]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    let program = Program::spawn(command);
    let told = |what: &str| loop {
        let mut message = [0; 1024];
        let length = manager.recv(&mut message).unwrap_or_else(|error| panic!("waited for {what}: {error}"));
        let message = String::from_utf8_lossy(&message[..length]).into_owned();
        if message.lines().any(|line| line == what) {
            return message;
        }
    };
    told("READY=1");
    told("WATCHDOG=1");
    told("WATCHDOG=1");
    program.signal("HUP");
    let reloading = told("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    told("READY=1");
    program.signal("TERM");
    told("STOPPING=1");
    assert_eq!(program.end().0.code(), Some(0));
}
