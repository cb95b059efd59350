//! Usage, `check`, `doctor`, `openapi`, `records`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{inspectd, output, text, tiny_bundle, words};

#[test]
fn a_wrong_command_line_is_usage() {
    for wrong in
        [vec![], vec!["no-such-thing"], vec!["demo", "--rate", "fast"], vec!["inspect"], vec!["demo", "--parts", "-1"]]
    {
        let (code, _, stderr) = words(&output(&wrong));
        assert_eq!(code, 2, "{wrong:?}: {stderr}");
    }
    let (code, _, stderr) = words(&output(&["demo", "--no-serve", "--defect-rate", "2"]));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("defect_rate"), "{stderr}");
}

#[test]
fn check_prints_every_problem() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("line.toml");
    fs::write(&file, "format = 1\n[line]\nnme = \"x\"\n[source]\nkind = \"folder\"\npath = \"\"\n").expect("written");
    let (code, stdout, _) = words(&output(&["check", "--config", text(&file)]));
    assert_eq!(code, 1);
    for problem in [
        "line 3: `line.nme` is no key that is known here; did you mean `name`?",
        "`line.name` is missing",
        "`line.recipe` is missing",
        "line 6: `source.path` is empty",
    ] {
        assert!(stdout.contains(problem), "no word of {problem} in:\n{stdout}");
    }
    assert_eq!(stdout.lines().count(), 4, "{stdout}");
}

/// A configuration with everything it needs.
pub(crate) fn sound(dir: &Path) -> std::path::PathBuf {
    tiny_bundle(dir);
    fs::create_dir_all(dir.join("camera")).expect("a folder");
    let recipe = "name = \"bracket\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 5000\n";
    fs::write(dir.join("bracket.toml"), recipe).expect("written");
    let config = format!(
        "format = 1\n[line]\nname = \"press-3\"\nrecipe = \"bracket.toml\"\n[source]\nkind = \"folder\"\npath = \"{}\"\n\
         mode = \"loop\"\nrate = 20.0\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\nmax_viewers = 1\n\
         [access]\nmode = \"open\"\n",
        dir.join("camera").display()
    );
    let file = dir.join("line.toml");
    fs::write(&file, config).expect("written");
    file
}

#[test]
fn check_tries_out_what_the_configuration_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = sound(dir.path());
    let (code, stdout, stderr) = words(&output(&["check", "--config", text(&file)]));
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("model `tiny`") && stdout.contains("can be run"), "{stdout}");

    fs::write(
        dir.path().join("bracket.toml"),
        "name = \"b\"\nversion = 1\nbundle = \"gone.bundle\"\ndeadline_ms = 5\n",
    )
    .expect("written");
    fs::remove_dir(dir.path().join("camera")).expect("removed");
    fs::remove_dir_all(dir.path().join("state")).expect("it was made by the first check");
    fs::write(dir.path().join("state"), "a file in the way").expect("written");
    let (code, stdout, _) = words(&output(&["check", "--config", text(&file)]));
    assert_eq!(code, 1, "{stdout}");
    for problem in ["gone.bundle", "camera`: cannot be read", "state` cannot be written"] {
        let there = stdout.lines().any(|line| line.starts_with("problem") && line.contains(problem));
        assert!(there, "no problem with {problem} in:\n{stdout}");
    }
    assert_eq!(stdout.lines().filter(|line| line.starts_with("problem")).count(), 3, "{stdout}");

    // Without looking around, the file itself is sound.
    let (code, _, _) = words(&output(&["check", "--no-io", "--config", text(&file)]));
    assert_eq!(code, 0);
}

#[test]
fn a_recipe_that_names_a_missing_class_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = sound(dir.path());
    let recipe = "name = \"b\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 5\n[thresholds]\ndent = 0.4\n";
    fs::write(dir.path().join("bracket.toml"), recipe).expect("written");
    for arguments in [["check", "--config", text(&file)], ["run", "--config", text(&file)]] {
        let (code, stdout, stderr) = words(&output(&arguments));
        assert_eq!(code, 1, "{arguments:?}");
        let said = format!("{stdout}{stderr}");
        assert!(said.contains("`thresholds.dent`") && said.contains("good, scratch"), "{said}");
    }
}

#[test]
fn doctor_says_something_of_each_subject() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = output(&["doctor", "--json", "--state", text(&dir.path().join("state"))]);
    let (code, stdout, stderr) = words(&output);
    let findings: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect();
    for what in ["processors", "state directory", "disk", "clock", "onnx runtime", "provider", "gpu"] {
        assert!(findings.iter().any(|finding| finding["what"] == what), "no word of {what}:\n{stdout}{stderr}");
    }
    let broken = findings.iter().any(|finding| finding["severity"] == "broken");
    assert_eq!(code, i32::from(broken), "{stdout}");
    for finding in findings.iter().filter(|finding| finding["severity"] == "broken" || finding["severity"] == "warning")
    {
        assert!(finding["remedy"].is_string(), "no remedy: {finding}");
    }
}

#[test]
fn the_committed_description_is_the_programs_own() {
    let (code, stdout, _) = words(&output(&["openapi"]));
    assert_eq!(code, 0);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &stdout).expect("written");
    }
    let committed = fs::read_to_string(&file).expect("daemon/openapi.json");
    assert!(
        committed == stdout,
        "daemon/openapi.json is not what `inspectd openapi` prints: run this test with UPDATE=1"
    );
}

#[test]
fn a_second_demo_goes_on_counting() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let state = dir.path().join("state");
    for _ in 0..2 {
        let demo = ["demo", "--parts", "5", "--rate", "max", "--no-serve", "--json", "--bundle"];
        let (code, _, stderr) = words(&output(&[&demo[..], &[text(&bundle), "--state", text(&state)]].concat()));
        assert_eq!(code, 0, "{stderr}");
        assert!(!stderr.contains("serial-repeated"), "{stderr}");
    }
    for serial in ["S000000", "S000004", "S000005", "S000009"] {
        let (_, parts, _) = words(&output(&["records", "list", "--serial", serial, "--state", text(&state)]));
        assert_eq!(parts.lines().count(), 1, "{serial}: {parts}");
    }
}

#[test]
fn records_are_listed_and_exported() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let state = dir.path().join("state");
    let demo =
        ["demo", "--parts", "30", "--rate", "max", "--no-serve", "--json", "--bad-frame-rate", "0.2", "--bundle"];
    let (code, _, stderr) = words(&output(&[&demo[..], &[text(&bundle), "--state", text(&state)]].concat()));
    assert_eq!(code, 0, "{stderr}");
    let records = |arguments: &[&str]| {
        let (code, stdout, stderr) = words(&output(&[arguments, &["--state", text(&state)]].concat()));
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        stdout
    };

    assert_eq!(records(&["records", "list"]).lines().count(), 30);
    let lines = records(&["records", "export"]);
    let ids: Vec<u64> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["inspection"]["id"].as_u64().expect("an id"))
        .collect();
    assert_eq!(ids, (1..=30).collect::<Vec<u64>>());
    let table = records(&["records", "export", "--format", "csv"]);
    let mut table = csv::Reader::from_reader(table.as_bytes());
    let verdict = table.headers().expect("a heading").iter().position(|name| name == "verdict").expect("a column");
    let rows: Vec<csv::StringRecord> = table.records().map(|row| row.expect("a whole row")).collect();
    assert_eq!(rows.len(), 30);
    let undecided = rows.iter().filter(|row| &row[verdict] == "no_decision").count();
    assert!(undecided > 0, "one frame in five is spoilt");
    assert_eq!(records(&["records", "list", "--verdict", "no_decision"]).lines().count(), undecided);
    assert_eq!(records(&["records", "list", "--serial", "S000003"]).lines().count(), 1);
    assert_eq!(records(&["records", "list", "--from", "2100-01-01T00:00:00Z"]), "");

    let (code, _, stderr) = words(&output(&["records", "list", "--state", text(&dir.path().join("gone"))]));
    assert_eq!(code, 1);
    assert!(stderr.contains("gone") && stderr.contains("--state"), "{stderr}");
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    use std::process::Stdio;
    let mut child = inspectd(&["openapi"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(words(&output), (0, String::new(), String::new()));
}
