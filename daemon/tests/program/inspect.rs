//! `inspectd inspect`, on good files and hostile ones.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{jpeg, output, png, text, tiny_bundle, words};

fn lines(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn inspect(bundle: &Path, files: &[PathBuf]) -> (i32, Vec<Value>, String) {
    let mut arguments = vec!["inspect", "--json", "--bundle", text(bundle)];
    arguments.extend(files.iter().map(|file| text(file)));
    let (code, stdout, stderr) = words(&output(&arguments));
    (code, lines(&stdout), stderr)
}

#[test]
fn good_files_are_decided_with_their_scores() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let [dark, bright] = [("dark.png", png(120)), ("bright.jpg", jpeg(215))].map(|(name, bytes)| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    });
    let (code, lines, stderr) = inspect(&bundle, &[dark.clone(), bright]);
    assert_eq!((code, lines.len()), (0, 2), "{stderr}");
    assert_eq!((&lines[0]["verdict"], &lines[0]["label"]), (&"pass".into(), &"good".into()));
    assert_eq!((&lines[1]["verdict"], &lines[1]["label"]), (&"fail".into(), &"scratch".into()));
    assert_eq!(lines[0]["path"], text(&dark));
    assert_eq!(lines[0]["cause"], Value::Null);
    assert!(lines[0]["latency_ms"].as_f64().expect("a number") > 0.0);
    // (120 / 255 - 0.5) / 0.25 per channel, times 3 channels, times 4 between the labels' logits.
    let expected = 1.0 / (1.0 + f64::exp(12.0 * (120.0 / 255.0 - 0.5) / 0.25));
    let good = lines[0]["scores"]["good"].as_f64().expect("a score");
    assert!((good - expected).abs() < 2e-2, "{good} instead of {expected}");
}

#[test]
fn hostile_files_get_no_decision_with_a_cause_and_never_a_panic() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let whole = jpeg(128);
    let mut huge = b"P6\n60000 60000\n255\n".to_vec();
    huge.resize(1000, 7);
    let hostile: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty.jpg", Vec::new(), "unreadable"),
        ("text.png", b"this is no picture".to_vec(), "unreadable"),
        ("half.jpg", whole[..whole.len() / 2].to_vec(), "truncated"),
        ("no-end.jpg", whole[..whole.len() - 2].to_vec(), "truncated"),
        ("half.png", png(128)[..60].to_vec(), "truncated"),
        ("huge.ppm", huge, "unreadable"),
        ("nul.jpg", vec![0; 4096], "unreadable"),
    ];
    let mut files = Vec::new();
    for (name, bytes, _) in &hostile {
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("written");
        files.push(path);
    }
    files.push(dir.path().join("not-there.jpg"));
    files.push(dir.path().join("good.jpg"));
    fs::write(dir.path().join("good.jpg"), whole).expect("written");

    let (code, lines, stderr) = inspect(&bundle, &files);
    assert_eq!(code, 3, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(lines.len(), files.len());
    for (line, (name, _, cause)) in lines.iter().zip(&hostile) {
        assert_eq!((&line["verdict"], &line["cause"]), (&"no_decision".into(), &(*cause).into()), "{name}: {line}");
        assert!(!line["detail"].as_str().expect("words").is_empty());
    }
    assert_eq!(lines[files.len() - 2]["cause"], "unreadable", "a file that is not there");
    assert_ne!(lines[files.len() - 1]["verdict"], "no_decision", "the good one after them is still decided");
}

#[test]
fn a_folder_stands_for_its_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let folder = dir.path().join("pictures");
    fs::create_dir(&folder).expect("a folder");
    for name in ["b.jpg", "a.jpg"] {
        fs::write(folder.join(name), jpeg(40)).expect("written");
    }
    let (code, lines, _) = inspect(&bundle, &[folder]);
    let names: Vec<_> = lines.iter().map(|line| line["path"].as_str().expect("a path").rsplit('/').next()).collect();
    assert_eq!((code, names), (0, vec![Some("a.jpg"), Some("b.jpg")]));
}

#[test]
fn a_damaged_bundle_is_refused_in_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let picture = dir.path().join("a.jpg");
    fs::write(&picture, jpeg(40)).expect("written");
    let mut bytes = fs::read(&bundle).expect("a bundle");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&bundle, bytes).expect("written");
    let (code, lines, stderr) = inspect(&bundle, std::slice::from_ref(&picture));
    assert_eq!((code, lines.len()), (1, 0), "{stderr}");
    assert!(stderr.contains("tiny.bundle") && !stderr.contains("panicked"), "{stderr}");

    let (code, _, stderr) = inspect(&dir.path().join("gone.bundle"), &[picture]);
    assert_eq!(code, 1);
    assert!(stderr.contains("gone.bundle"), "{stderr}");
}

#[test]
fn a_picture_taken_otherwise_than_the_golden_one_is_refused_in_words() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let write = |name: &str, level: u8| {
        let path = dir.path().join(name);
        std::fs::write(&path, png(level)).expect("written");
        path
    };
    let (golden, same, dark) = (write("golden.png", 60), write("same.png", 63), write("dark.png", 30));
    let recipe = dir.path().join("recipe.toml");
    let text_of = |picture: &str| {
        format!(
            "name = \"cap\"\nversion = 1\nbundle = \"{}\"\ndeadline_ms = 900\n[quality.golden]\npicture = \"{picture}\"\nmax_exposure = 0.2\n",
            text(&bundle)
        )
    };
    std::fs::write(&recipe, text_of("golden.png")).expect("written");
    let said = |path: &Path| {
        let (_, out, err) = words(&output(&["inspect", "--json", "--recipe", text(&recipe), text(path)]));
        serde_json::from_str::<serde_json::Value>(out.trim()).unwrap_or_else(|_| panic!("{out}{err}"))
    };
    assert_eq!([said(&golden)["verdict"].clone(), said(&same)["verdict"].clone()], ["pass", "pass"]);
    let refused = said(&dark);
    assert_eq!(refused["verdict"], "no_decision");
    assert!(refused["detail"].as_str().is_some_and(|words| words.contains("darker than the golden one")), "{refused}");
    std::fs::write(&recipe, text_of("lost.png")).expect("written");
    let (code, _, err) = words(&output(&["inspect", "--recipe", text(&recipe), text(&same)]));
    assert!(code != 0 && err.contains("lost.png") && err.contains("cannot be read"), "{err}");
}
