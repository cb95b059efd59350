//! A backup of a line under load, put back: exactly what was acknowledged when it began, and nothing that never was; a byte that flips is found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use system_tests::{Program, binary};

use crate::line::{configured, more, run};
use crate::oracle::{Oracle, everything, restarts, without_gaps};

/// Runs a command to its end: exit code, output, both streams.
fn inspectd(binary: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(binary).args(arguments).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Every file below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).expect("a folder").flatten() {
            if item.path().is_dir() { folders.push(item.path()) } else { found.push(item.path()) }
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn a_backup_under_load_is_what_was_acknowledged_when_it_began_and_a_flipped_byte_is_found() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (state, dest) = (folder.path().join("state"), folder.path().join("stick"));
    let config = configured(folder.path(), &state, "");
    let oracle = Oracle::default();
    let program = Program::spawn(run(Command::new(&binary), &config)).unwrap_or_else(|why| panic!("{why}"));
    let listener = oracle.listen(&program);
    more("parts", || oracle.count(), 30);
    let part = *oracle.records().keys().next().expect("parts");
    program.post(&format!("/api/v1/inspections/{part}/label"), &json!({ "answer": "label", "label": "scratch" }));
    program.post("/api/v1/holds", &json!({ "of": { "part": part }, "reason": "claim" }));

    // Twice under load: the second costs what is new.
    let take = |further: &[&str]| -> (BTreeSet<u64>, Value) {
        let acknowledged = oracle.records().into_keys().collect();
        let common = ["backup", text(&dest), "--state", text(&state), "--json"];
        let (code, said) = inspectd(&binary, &[&common, further].concat());
        assert_eq!(code, 0, "{said}");
        (
            acknowledged,
            serde_json::from_str(said.lines().find(|line| line.starts_with('{')).expect("a line")).expect("JSON"),
        )
    };
    let (_, first) = take(&[]);
    more("parts", || oracle.count(), 20);
    let (before, second) = take(&["--again"]);
    more("parts", || oracle.count(), 20);
    let figure = |value: &Value, key: &str| value[key].as_u64().expect("a number");
    assert!(figure(&second, "new_bytes") < figure(&second, "bytes") * 3 / 4, "{first} {second}");
    let (code, said) = inspectd(&binary, &["backup", "--verify", text(&dest)]);
    assert!(code == 0 && said.contains("2 whole backups"), "{said}");
    // With the parts that were decided before anybody listened.
    let shown = everything(&program);
    program.kill();
    listener.join().expect("the oracle saw nothing wrong");

    // What is secret and made anew stays out, and nobody else may look.
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&dest).expect("there").permissions().mode() & 0o077, 0);

    // Put back, each one.
    let acknowledged = oracle.records();
    let put_back = |at: Option<&str>, into: &str| {
        let restored = folder.path().join(into);
        let mut arguments = vec!["restore", text(&dest), "--state", text(&restored)];
        arguments.extend(at.iter().flat_map(|at| ["--at", at]));
        let (code, said) = inspectd(&binary, &arguments);
        assert_eq!(code, 0, "{said}");
        let (code, said) = inspectd(&binary, &["restore", text(&dest), "--state", text(&restored)]);
        assert!(code == 1 && said.contains("not empty"), "{said}");
        restored
    };
    let restored = put_back(None, "restored");
    assert!(!restored.join("access/sessions.json").exists() && !restored.join("index").exists());
    let (code, said) = inspectd(&binary, &["audit", "verify", "--state", text(&restored)]);
    assert_eq!(code, 0, "{said}");
    let again = configured(folder.path(), &restored, "");
    let config = fs::read_to_string(&again).expect("a configuration").replace("rate = 20.0", "rate = 0.001");
    fs::write(&again, config).expect("written");
    let program = Program::spawn(run(Command::new(&binary), &again)).unwrap_or_else(|why| panic!("{why}"));
    let found = everything(&program);
    for id in &before {
        assert_eq!(found.get(id), acknowledged.get(id), "part {id} was acknowledged when the backup began");
    }
    let newest = figure(&second, "newest_part");
    let was = |id: &u64| acknowledged.get(id).or(shown.get(id));
    let unknown: Vec<&u64> = found
        .iter()
        .filter(|(id, record)| record["cause"] != "restart" && was(id) != Some(record) && **id <= newest)
        .map(|(id, _)| id)
        .collect();
    assert_eq!(unknown, Vec::<&u64>::new(), "no record is there that never was");
    without_gaps(&found.clone().into_iter().filter(|(id, _)| *id <= newest).collect());
    let said = program.get(&format!("/api/v1/inspections/{part}/label"));
    assert!(said.to_string().contains("scratch"), "{said}");
    assert_eq!(program.get(&format!("/api/v1/holds?part={part}"))["holds"][0]["reason"], "claim");
    println!(
        "backup under load: {} acknowledged when it began, {} put back, {} closed by a restart; {} of {} bytes were new",
        before.len(),
        found.len(),
        restarts(&found),
        second["new_bytes"],
        second["bytes"]
    );
    program.kill();
    put_back(first["name"].as_str(), "earlier");

    let (tried, all) = flipped(&binary, &dest);
    println!("{tried} of {all} files: each flipped bit and each cut was found and named");
    refused(&binary, folder.path(), &dest);
}

/// One byte in any file, found and named; and the file as it was is sound again.
fn flipped(binary: &Path, dest: &Path) -> (usize, usize) {
    let all: Vec<PathBuf> = files(dest).into_iter().filter(|path| !path.ends_with("lock")).collect();
    let every = (all.len() / 12).max(1);
    let some = all.iter().enumerate().filter(|(at, path)| at % every == 0 || path.extension().is_some());
    let mut count = 0;
    for (at, path) in some {
        let sound = fs::read(path).expect("readable");
        if sound.is_empty() {
            continue;
        }
        let mut damaged = sound.clone();
        let place = at * 7919 % damaged.len();
        damaged[place] ^= 1 << (at % 8);
        fs::write(path, &damaged).expect("written");
        let (code, said) = inspectd(binary, &["backup", "--verify", text(dest)]);
        assert!(code == 1 && said.contains(text(path)), "byte {place} of {}: {said}", path.display());
        fs::write(path, &sound[..sound.len() - 1]).expect("written");
        let (code, said) = inspectd(binary, &["backup", "--verify", text(dest)]);
        assert!(code == 1 && said.contains(text(path)), "{} cut short: {said}", path.display());
        fs::write(path, &sound).expect("written");
        count += 1;
    }
    let (code, said) = inspectd(binary, &["backup", "--verify", text(dest)]);
    assert_eq!(code, 0, "{said}");
    (count, all.len())
}

fn refused(binary: &Path, folder: &Path, dest: &Path) {
    let state = folder.join("restored");
    let foreign = folder.join("foreign");
    fs::create_dir(&foreign).expect("made");
    fs::write(foreign.join("thesis.txt"), "mine").expect("written");
    let inside = state.join("backups");
    let (new, empty) = (folder.join("new"), folder.join("mount-point"));
    fs::create_dir(&empty).expect("made");
    for (arguments, word) in [
        (vec!["backup", text(&foreign), "--state", text(&state)], "holds no backups"),
        (vec!["backup", "--again", text(&empty), "--state", text(&state)], "is its disk there?"),
        (vec!["backup", text(&inside), "--state", text(&state)], "lies in the state directory"),
        (vec!["backup", text(dest), "--state", text(&foreign)], "journal"),
        (vec!["backup", "--verify", text(&foreign)], "no whole backup"),
        (vec!["restore", text(&foreign), "--state", text(&new)], "backups"),
        (vec!["restore", text(dest), "--state", text(&new), "--at", "../x"], "no whole backup"),
    ] {
        let (code, said) = inspectd(binary, &arguments);
        assert!(code == 1 && said.contains(word), "{arguments:?}: {said}");
    }
    assert_eq!(fs::read_to_string(foreign.join("thesis.txt")).expect("there"), "mine");
    assert_eq!(files(&empty), Vec::<PathBuf>::new(), "a disk that is not there is not filled");

    // A damaged piece: nothing is put back under the name.
    let piece = files(&dest.join("objects")).pop().expect("a piece");
    let sound = fs::read(&piece).expect("readable");
    fs::write(&piece, [&sound[..], b"x"].concat()).expect("written");
    let _may_be_of_one_backup_only = inspectd(binary, &["restore", text(dest), "--state", text(&new)]);
    let (code, said) = inspectd(binary, &["backup", "--verify", text(dest)]);
    assert!(code == 1 && said.contains(text(&piece)), "{said}");
    fs::write(&piece, &sound).expect("written");

    // Older ones make room; what is left is whole.
    let _gone = fs::remove_dir_all(&new);
    let (code, said) = inspectd(binary, &["backup", text(dest), "--state", text(&state), "--keep", "1"]);
    assert!(code == 0 && said.contains("2 older ones were removed"), "{said}");
    let (code, said) = inspectd(binary, &["backup", "--verify", text(dest)]);
    assert!(code == 0 && said.contains("1 whole backups"), "{said}");
}
