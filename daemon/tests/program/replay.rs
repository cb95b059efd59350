//! `inspectd replay`: stored parts under other thresholds and another model, on records of real short runs.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command_line::sound;
use crate::support::{Program, biased_bundle, inspectd, jpeg, json, law, output, text, wait_for, words};

/// Every part of these tests falls into it.
const ALWAYS: [&str; 4] = ["--from", "2020-01-01T00:00:00Z", "--to", "2999-01-01T00:00:00Z"];

pub(crate) const RECIPE: &str = "name = \"bracket\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 60000\n";

/// A line that has inspected these pictures once, and kept this share of good ones.
fn inspected(dir: &Path, pass_fraction: &str, pictures: &[(&str, Vec<u8>)]) -> PathBuf {
    let config = once(dir, pass_fraction, pictures);
    let (code, _, stderr) = words(&output(&["run", "--once", "--config", text(&config)]));
    assert_eq!(code, 0, "{stderr}");
    config
}

/// A line that will inspect these pictures once, their names being their serial numbers.
pub(crate) fn once(dir: &Path, pass_fraction: &str, pictures: &[(&str, Vec<u8>)]) -> PathBuf {
    let config = sound(dir);
    let recipe = format!("{RECIPE}[evidence]\npass_fraction = {pass_fraction}\n");
    fs::write(dir.join("bracket.toml"), recipe).expect("written");
    let once = fs::read_to_string(&config).expect("text");
    let once = once.replace("mode = \"loop\"\nrate = 20.0\n", "mode = \"once\"\nserial_from_name = true\n");
    fs::write(&config, once).expect("written");
    for (serial, bytes) in pictures {
        fs::write(dir.join("camera").join(format!("{serial}.jpg")), bytes).expect("written");
    }
    config
}

/// The report of a replay that goes well.
fn replay(arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = words(&output(&[&["replay", "--json"], &ALWAYS[..], arguments].concat()));
    assert_eq!((code, stdout.lines().count()), (0, 1), "{arguments:?}: {stderr}");
    let report = serde_json::from_str(&stdout).expect("one JSON object");
    adds_up(&report);
    report
}

/// No part is left out: the law of a replay.
pub(crate) fn adds_up(report: &Value) {
    let number = |name: &str| report["parts"][name].as_u64().unwrap_or_else(|| panic!("no number `{name}`: {report}"));
    let sum = |names: &[&str]| names.iter().map(|name| number(name)).sum::<u64>();
    let fates =
        ["decided", "without_picture", "missing", "unreadable", "without_scores", "undecidable", "beyond_limit"];
    assert_eq!(number("asked_for"), sum(&fates), "{report}");
    assert_eq!(number("decided"), sum(&["changed", "unchanged"]), "{report}");
    let cells = report["verdicts"].as_array().expect("a table");
    assert_eq!(cells.iter().filter_map(|cell| cell["parts"].as_u64()).sum::<u64>(), number("decided"), "{report}");
    assert_eq!(report["changed"].as_array().expect("a list").len() as u64, number("changed"), "{report}");
    let steps = report["timeline"]["steps"].as_array().expect("steps");
    let all =
        |names: &[&str]| steps.iter().flat_map(|step| names.iter().filter_map(|name| step[name].as_u64())).sum::<u64>();
    assert_eq!(all(&["parts"]), number("asked_for") - number("beyond_limit"), "{report}");
    assert_eq!(all(&["decided"]), number("decided"), "{report}");
    assert_eq!(all(&["held_back", "let_through", "otherwise"]), number("changed"), "{report}");
}

/// What is said in words, whether it goes well or not.
fn said(arguments: &[&str]) -> (i32, String, String) {
    words(&output(&[&["replay"], &ALWAYS[..], arguments].concat()))
}

fn parts(report: &Value, name: &str) -> u64 {
    report["parts"][name].as_u64().expect("a number")
}

/// A good part, two that are nearly bad, a bad one, and a file that is no picture.
pub(crate) fn five() -> Vec<(&'static str, Vec<u8>)> {
    vec![("A1", jpeg(40)), ("B2", jpeg(123)), ("C3", jpeg(123)), ("D4", jpeg(190)), ("E5", b"no picture".to_vec())]
}

#[test]
fn thresholds_alone_need_no_picture_and_name_every_serial() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = inspected(dir.path(), "0.0", &five());
    let here = ["--config", text(&config)];
    let tried = |threshold: &str| replay(&[&here[..], &["--threshold", threshold]].concat());

    let report = tried("scratch=0.2");
    assert_eq!((&report["format"], &report["tried"]["from"]), (&1.into(), &"scores".into()));
    assert_eq!((parts(&report, "decided"), parts(&report, "changed"), parts(&report, "without_scores")), (4, 2, 1));
    assert_eq!(parts(&report, "not_reproduced"), 0, "the recipe of that time gives the verdicts on record");
    assert_eq!(
        (&report["recipes"][0]["recipe"], &report["recipes"][0]["source"]),
        (&"bracket@1".into(), &"file".into())
    );
    let change = &report["changes"][0];
    assert_eq!((&change["before"], &change["after"], &change["parts"]), (&"pass".into(), &"fail".into(), &2.into()));
    assert_eq!(change["serials"], serde_json::json!(["B2", "C3"]));
    assert_eq!((&change["first"]["serial"], &change["last"]["serial"]), (&"B2".into(), &"C3".into()));
    let first = &report["changed"][0];
    assert_eq!((&first["id"], &first["serial"], &first["before"]["label"]), (&2.into(), &"B2".into(), &"good".into()));
    assert_eq!((&first["after"]["verdict"], &first["after"]["label"]), (&"fail".into(), &"scratch".into()));
    assert_eq!(first["top"]["label"], "good");
    assert!(first["top"]["score"].as_f64().is_some_and(|score| (score - 0.7).abs() < 0.03), "{first}");

    // Milder: the bad one is sure enough to stay bad; nothing changes.
    assert_eq!(parts(&tried("scratch=0.9"), "changed"), 0);
    // Nobody's scratch: what was bad goes to a person, because good is not sure.
    let report = tried("scratch=1");
    assert_eq!((&report["changes"][0]["before"], &report["changes"][0]["after"]), (&"fail".into(), &"review".into()));

    let (code, stdout, stderr) = said(&[&here[..], &["--threshold", "scratch=0.2"]].concat());
    assert_eq!(code, 0, "{stderr}");
    for words in [
        "looked at 5 parts: 4 decided anew, of which 2 change and 2 keep their verdict",
        "no scores on record",
        "pass -> fail: 2 parts, first ",
        "serials: B2, C3",
        "fail (scratch)",
        "recipe bracket@1 (5 parts): as in the recipe file of this version",
    ] {
        assert!(stdout.contains(words), "no word of `{words}`:\n{stdout}");
    }
}

#[test]
fn the_question_can_be_narrowed_and_bounded() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = inspected(dir.path(), "0.0", &five());
    let tried = |more: &[&str]| replay(&[&["--config", text(&config), "--threshold", "scratch=0.2"], more].concat());
    let report = tried(&["--serial", "C3"]);
    assert_eq!((parts(&report, "asked_for"), &report["changed"][0]["serial"]), (1, &"C3".into()));
    assert_eq!(parts(&tried(&["--verdict", "fail"]), "changed"), 0);
    assert_eq!(parts(&tried(&["--label", "good"]), "changed"), 2);
    let report = tried(&["--limit", "2"]);
    assert_eq!((parts(&report, "decided"), parts(&report, "beyond_limit"), parts(&report, "changed")), (2, 3, 1));
}

#[test]
fn a_recipe_alone_is_tried_and_beside_a_threshold_it_stands_for_the_past() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = inspected(dir.path(), "0.0", &five());
    let (state, second) = (dir.path().join("state"), dir.path().join("second.toml"));
    let strict = RECIPE.replace("version = 1", "version = 2");
    fs::write(&second, format!("{strict}[thresholds]\nscratch = 0.2\n")).expect("written");
    let report = replay(&["--config", text(&config), "--recipe", text(&second)]);
    assert_eq!((parts(&report, "changed"), &report["tried"]["recipe"]), (2, &"bracket@2".into()));

    // Without the configuration nobody knows what bracket@1 was, and the report says so.
    let report = replay(&["--state", text(&state), "--recipe", text(&second), "--threshold", "good=0.9"]);
    assert_eq!(
        (&report["recipes"][0]["source"], &report["recipes"][0]["taken"]),
        (&"given".into(), &"bracket@2".into())
    );
    assert_eq!(parts(&report, "not_reproduced"), 2, "B2 and C3 would not have passed");
    let (_, stdout, _) = said(&["--state", text(&state), "--recipe", text(&second), "--threshold", "good=0.9"]);
    assert!(stdout.contains("NOT KNOWN HERE: bracket@2 is taken for it"), "{stdout}");
    assert!(stdout.contains("does not follow from the recipe taken"), "{stdout}");

    // And without any recipe nobody knows the model.
    let (code, _, stderr) = said(&["--state", text(&state), "--threshold", "scratch=0.2"]);
    assert!(code == 1 && stderr.contains("is not here") && stderr.contains("--config"), "{stderr}");
}

/// The pictures on record, by serial number.
fn picture(state: &Path, serial: &str) -> PathBuf {
    let (_, lines, _) =
        words(&output(&["records", "export", "--format", "jsonl", "--serial", serial, "--state", text(state)]));
    let line: Value = serde_json::from_str(lines.lines().next().expect("the part is on record")).expect("JSON");
    state.join("evidence").join(line["inspection"]["evidence"].as_str().expect("its picture was kept"))
}

#[test]
fn another_model_sees_the_kept_pictures_and_what_it_cannot_see_is_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let bad = ["F1", "F2", "F3", "F4", "F5"].map(|serial| (serial, jpeg(133)));
    let config = inspected(dir.path(), "0.0", &[five(), bad.to_vec()].concat());
    let (state, mild) = (dir.path().join("state"), biased_bundle(dir.path(), "mild", -2.0));
    let arguments = ["--config", text(&config), "--bundle", text(&mild)];
    let report = replay(&arguments);
    assert_eq!((&report["tried"]["from"], &report["tried"]["model"]["name"]), (&"pictures".into(), &"mild".into()));
    // A1 was not kept; B2 and C3 were, being odd enough for a person's look. D4 stays bad, E5 was no picture then and is none now.
    assert_eq!((parts(&report, "without_picture"), parts(&report, "decided"), parts(&report, "changed")), (1, 9, 5));
    assert_eq!((&report["changes"][0]["before"], &report["changes"][0]["after"]), (&"fail".into(), &"pass".into()));
    assert_eq!(report["changes"][0]["serials"], serde_json::json!(["F1", "F2", "F3", "F4", "F5"]));
    // Under thresholds of its own the milder model is as strict as the first.
    let strict = replay(&[&arguments[..], &["--threshold", "scratch=0.2"]].concat());
    assert_eq!(parts(&strict, "changed"), 0, "{strict}");
    // The model of that time says what it said then.
    assert_eq!(
        parts(&replay(&["--config", text(&config), "--bundle", text(&dir.path().join("tiny.bundle"))]), "changed"),
        0
    );

    fs::remove_file(picture(&state, "F1")).expect("removed");
    fs::write(picture(&state, "F2"), b"").expect("emptied");
    fs::write(picture(&state, "F3"), &jpeg(133)[..200]).expect("cut");
    let pipe = picture(&state, "F4");
    fs::remove_file(&pipe).expect("removed");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let report = replay(&arguments);
    assert_eq!((parts(&report, "missing"), parts(&report, "unreadable"), parts(&report, "changed")), (2, 2, 1));
    let serials = |name: &str| -> Vec<String> {
        report[name].as_array().expect("a list").iter().map(|it| it["serial"].as_str().expect("text").into()).collect()
    };
    assert_eq!(
        (serials("missing"), serials("unreadable")),
        (vec!["F1".into(), "F2".into()], vec!["F3".into(), "F4".into()])
    );
    let (code, stdout, _) = said(&arguments);
    assert_eq!(code, 0);
    for words in
        ["picture missing: ", "serial F1, fail", "picture unreadable: ", "serial F4, fail", "no picture was kept"]
    {
        assert!(stdout.contains(words), "no word of `{words}`:\n{stdout}");
    }
}

#[test]
fn a_line_beside_is_not_disturbed_and_former_recipes_are_found_in_the_audit_trail() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    fs::write(dir.path().join("camera/a.jpg"), jpeg(123)).expect("written");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    let newest = || json(&format!("{url}/api/v1/inspections?limit=1"))["items"].get(0).cloned();
    wait_for("a part", newest);
    let strict = RECIPE.replace("version = 1", "version = 2");
    fs::write(dir.path().join("bracket.toml"), format!("{strict}[thresholds]\nscratch = 0.2\n")).expect("written");
    program.signal("HUP");
    wait_for("a part under the new recipe", || newest().filter(|part| part["recipe"] == "bracket@2"));

    let before = json(&format!("{url}/api/v1/line"))["counts"].clone();
    let report = replay(&["--config", text(&config), "--threshold", "scratch=0.25"]);
    // Under 0.25 every part fails, those too that passed under bracket@1.
    assert!(parts(&report, "changed") > 0 && parts(&report, "not_reproduced") == 0, "{report}");
    let sources: Vec<_> = report["recipes"].as_array().expect("a list").iter().map(|it| it["source"].clone()).collect();
    assert_eq!(sources, ["trail", "file"]);
    let bundle = biased_bundle(dir.path(), "mild", -5.0);
    let report = replay(&["--config", text(&config), "--bundle", text(&bundle), "--verdict", "fail"]);
    assert!(parts(&report, "changed") > 0, "{report}");

    wait_for("the line to go on", || {
        let counts = json(&format!("{url}/api/v1/line"))["counts"].clone();
        (law(&counts) > law(&before)).then_some(())
    });
    assert_eq!(newest().expect("a part")["recipe"], "bracket@2");
    program.signal("TERM");
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_reason_and_the_way_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = inspected(dir.path(), "0.0", &five());
    let here = ["--config", text(&config)];
    let nonsense = dir.path().join("nonsense.bundle");
    fs::write(&nonsense, "no bundle").expect("written");
    let gone = dir.path().join("gone.bundle");
    let empty = tempfile::tempdir().expect("a folder");
    let refused = |arguments: &[&str], code: i32, all: &[&str]| {
        let (found, stdout, stderr) = said(arguments);
        assert_eq!((found, stdout.as_str()), (code, ""), "{arguments:?}: {stderr}");
        assert!(all.iter().all(|words| stderr.contains(words)), "{arguments:?}: {stderr}");
    };
    let with = |more: &[&'static str]| -> Vec<&str> { here.iter().copied().chain(more.iter().copied()).collect() };
    refused(&with(&["--threshold", "dent=0.4"]), 1, &["no label `dent`", "good, scratch"]);
    refused(&with(&["--threshold", "scratch=1.4"]), 2, &["between 0 and 1"]);
    refused(&with(&["--threshold", "scratch=NaN"]), 2, &["between 0 and 1"]);
    refused(&with(&["--threshold", "scratch"]), 2, &["LABEL=VALUE"]);
    refused(&with(&["--threshold", "scratch=0.1", "--threshold", "scratch=0.2"]), 1, &["`scratch` twice"]);
    refused(&with(&[]), 2, &["--bundle"]);
    refused(
        &with(&["--threshold", "scratch=0.1", "--serial", "Z9"]),
        1,
        &["no such part", "records reach from", "another serial number"],
    );
    refused(&with(&["--threshold", "scratch=0.1", "--verdict", "bad"]), 2, &["use pass, fail, review"]);
    refused(&[&here[..], &["--bundle", text(&gone)]].concat(), 1, &["gone.bundle", "check the path"]);
    refused(&[&here[..], &["--bundle", text(&nonsense)]].concat(), 1, &["nonsense.bundle"]);
    let bundle = dir.path().join("tiny.bundle");
    refused(&[&here[..], &["--bundle", text(&bundle), "--threshold", "dent=0.4"]].concat(), 1, &["no label `dent`"]);
    refused(&["--state", text(empty.path()), "--threshold", "scratch=0.1"], 1, &["no records in", "--state"]);
    refused(&["--state", "x", "--config", "y", "--threshold", "scratch=0.1"], 2, &["cannot be used with"]);

    let between = |from: &str, to: &str| {
        let question = ["replay", "--from", from, "--to", to, "--threshold", "scratch=0.1"];
        words(&output(&[&question[..], &here].concat()))
    };
    let (code, _, stderr) = between("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z");
    assert!(code == 1 && stderr.contains("not before") && stderr.contains("swap"), "{stderr}");
    let (code, _, stderr) = between("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    assert!(code == 1 && stderr.contains("records reach from"), "{stderr}");
    let (code, _, stderr) = between("yesterday", "2020-01-02T00:00:00Z");
    assert!(code == 2 && stderr.contains("--from"), "{stderr}");
    // A model whose maker this line does not trust.
    let mut settings = fs::read_to_string(&config).expect("text");
    let keys = dir.path().join("maker");
    assert_eq!(words(&output(&["models", "keygen", "--no-password", "--out", text(&keys)])).0, 0);
    let public = fs::read_to_string(keys.with_extension("pub")).expect("the key");
    let public = public.lines().nth(1).expect("a second line");
    settings.push_str(&format!("[models]\ntrusted_keys = [\"{public}\"]\nrequire_signature = true\n"));
    fs::write(&config, settings).expect("written");
    refused(&[&here[..], &["--bundle", text(&bundle)]].concat(), 1, &["not signed"]);
}

#[test]
fn hostile_serials_and_a_damaged_journal_cost_themselves_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = inspected(dir.path(), "0.0", &[five(), vec![("Z\u{1b}[2J", jpeg(123))]].concat());
    let arguments = ["--config", text(&config), "--threshold", "scratch=0.2"];
    let (code, stdout, stderr) = said(&arguments);
    assert_eq!(code, 0, "{stderr}");
    // What is no serial number never becomes one.
    assert!(stdout.contains("B2, C3; 1 part without a serial number") && !stdout.contains('\u{1b}'), "{stdout}");
    assert_eq!(replay(&arguments)["changes"][0]["serials"], serde_json::json!(["B2", "C3"]));

    let journal = fs::read_dir(dir.path().join("state/journal")).expect("the journal").next().expect("a segment");
    let path = journal.expect("readable").path();
    let bytes = fs::read(&path).expect("readable");
    let at = bytes.windows(7).position(|seven| seven == b"/B2.jpg").expect("the part is there") as u64;
    let file = fs::OpenOptions::new().write(true).open(&path).expect("opened");
    file.write_all_at(b"??", at).expect("damaged");
    let report = replay(&arguments);
    assert_eq!((parts(&report, "asked_for"), parts(&report, "changed")), (5, 2), "{report}");
    assert!(report["damaged_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{report}");
    assert_eq!(fs::metadata(&path).expect("there").len(), bytes.len() as u64, "nothing was mended by a reader");
}

#[test]
fn the_reader_of_the_output_may_go_away() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = inspected(dir.path(), "0.0", &five());
    let mut command =
        inspectd(&[&["replay", "--config", text(&config), "--threshold", "scratch=0.2"], &ALWAYS[..]].concat());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("the program starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
