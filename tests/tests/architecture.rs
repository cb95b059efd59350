//! The structure that ARCHITECTURE.md draws, checked: which crate may use which, and which file may name what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The arrows of ARCHITECTURE.md: each crate, and the crates of ours that it may use.
const ARROWS: [(&str, &[&str]); 6] = [
    ("models", &[]),
    ("inspect-lite", &["models"]),
    ("models-train", &["models"]),
    ("stages", &["models"]),
    ("inspectd", &["models", "models-train", "stages"]),
    ("system-tests", &[]),
];

/// A dependency that belongs to one crate alone.
const OWNERS: [(&str, &str); 10] = [
    ("ort", "models"),
    ("tract-onnx", "inspect-lite"),
    ("burn", "models-train"),
    ("mpi", "models-train"),
    ("opencv", "stages"),
    ("aravis", "stages"),
    ("aravis-sys", "stages"),
    ("axum", "inspectd"),
    ("sled", "inspectd"),
    ("nvml-wrapper", "inspectd"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate stands in the workspace").to_owned()
}

/// Direct dependencies (of every kind) of each crate of the workspace.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().expect("dependencies");
            (text(&package["name"]), uses.iter().map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, out: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).expect("a source folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file is text");
                out.push((path, text));
            }
        }
    }
    let mut out = Vec::new();
    walk(&root().join(folder), &mut out);
    assert!(!out.is_empty(), "{folder} has no sources: was it moved?");
    out
}

#[test]
fn dependencies_run_one_way() {
    let dependencies = dependencies();
    assert_eq!(
        dependencies.keys().map(String::as_str).collect::<Vec<_>>(),
        ["inspect-lite", "inspectd", "models", "models-train", "stages", "system-tests"],
        "a crate came or went: give it its place in ARROWS and in ARCHITECTURE.md"
    );
    for (name, allowed) in ARROWS {
        for used in &dependencies[name] {
            let ours = dependencies.contains_key(used);
            assert!(
                !ours || allowed.contains(&used.as_str()),
                "`{name}` uses `{used}`: ARCHITECTURE.md has no such arrow"
            );
        }
    }
}

#[test]
fn each_heavy_library_belongs_to_one_crate() {
    for (crate_name, uses) in dependencies() {
        for (library, owner) in OWNERS {
            assert!(
                crate_name == owner || !uses.iter().any(|used| used == library),
                "`{crate_name}` uses `{library}`, which only `{owner}` may"
            );
        }
    }
}

#[test]
fn only_the_runtime_names_onnx_runtime() {
    let names_ort =
        |text: &str| text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("ort::"));
    let namers: Vec<_> =
        sources("models/src").into_iter().filter(|(_, text)| names_ort(text)).map(|(path, _)| path).collect();
    let allowed = root().join("models/src/runtime");
    assert!(!namers.is_empty(), "nobody names `ort`: this test looks for the wrong word");
    for path in namers {
        assert!(
            path.starts_with(&allowed) || path == allowed.with_extension("rs"),
            "{} names `ort`: only models/src/runtime may",
            path.display()
        );
    }
}

#[test]
fn files_stay_readable() {
    for folder in ["models/src", "models/lite/src", "models/train/src", "stages/src", "daemon/src", "tests/src"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 700, "{} has {lines} lines: which two things is it?", path.display());
            assert!(text.starts_with("//!"), "{} does not say what it is for", path.display());
        }
    }
}

#[test]
fn the_main_function_stays_short() {
    let lines = std::fs::read_to_string(root().join("daemon/src/main.rs")).expect("main.rs").lines().count();
    assert!(lines < 60, "main.rs has {lines} lines: it parses, loads, runs, exits");
}
