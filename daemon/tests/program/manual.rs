//! Manual pages and completions: all that people may use, nothing that is hidden, and no fault that their readers would name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{output, text, words};

/// Every command that is not hidden has its page, down to the last `models register`.
fn expected(command: &clap::Command, name: &str, names: &mut BTreeSet<String>) {
    names.insert(format!("{name}.1"));
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        expected(below, &format!("{name}-{}", below.get_name()), names);
    }
}

#[test]
fn every_command_and_every_file_has_its_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("man");
    let (code, stdout, stderr) = words(&output(&["manual", "--out", text(&folder)]));
    assert_eq!(code, 0, "{stderr}");
    let pages: BTreeSet<String> = fs::read_dir(&folder)
        .expect("the pages")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    let mut names = BTreeSet::from(["inspectd.toml.5".to_owned(), "inspectd-recipe.toml.5".to_owned()]);
    expected(&<inspectd::cli::Cli as clap::CommandFactory>::command(), "inspectd", &mut names);
    assert_eq!(pages, names);
    assert!(stdout.starts_with(&format!("{} pages", pages.len())), "{stdout}");
    let whole = fs::read_to_string(folder.join("inspectd.1")).expect("the page");
    assert!(whole.contains("inspectd\\-run(1)") && !whole.contains("worker"), "{whole}");
    // Every key of the examples is on the page.
    for (example, page) in [("inspectd.toml", "inspectd.toml.5"), ("recipe.toml", "inspectd-recipe.toml.5")] {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(example);
        let page = fs::read_to_string(folder.join(page)).expect("the page").replace("\\-", "-");
        for line in fs::read_to_string(example).expect("the example").lines() {
            let code = line.strip_prefix("# ").unwrap_or(line);
            let key = code.split_once(" = ").map_or("", |(key, _)| key);
            assert!(page.contains(key), "no `{key}` on the page");
        }
    }
    let paths: Vec<_> = pages.iter().map(|page| folder.join(page)).collect();
    let Some(said) = said_by_groff(&paths) else { return };
    assert_eq!(said, "");
    let wrong = folder.join("wrong.1");
    fs::write(&wrong, ".TH wrong 1\n.SH NAME\nwrong \\- x\n.nosuchmacro\n").expect("written");
    assert_ne!(said_by_groff(&[wrong]), Some(String::new()), "groff finds nothing to say of anything");
}

/// What groff, which `man` hands pages to, says of their faults. Without it the test is skipped, except in CI.
#[allow(clippy::print_stderr)] // what is skipped is said
fn said_by_groff(pages: &[PathBuf]) -> Option<String> {
    let run = Command::new("groff").args(["-man", "-Tutf8", "-Kutf8", "-ww", "-z"]).args(pages).output();
    let Ok(output) = run else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "groff is not here, but CI must run this test");
        eprintln!("SKIPPED: there is no groff here (apt-get install groff)");
        return None;
    };
    Some(String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn completions_offer_what_people_may_use() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, stderr) = words(&output(&["completions", shell]));
        assert_eq!(code, 0, "{stderr}");
        assert!(script.contains("support-bundle") && script.contains("inspectd"), "{shell}: {script}");
        let hidden = script.split(|c: char| !c.is_alphanumeric()).any(|word| word == "worker");
        assert!(!hidden, "{shell} offers what is hidden");
        if shell == "bash" {
            let dir = tempfile::tempdir().expect("a folder");
            let file = dir.path().join("completions");
            fs::write(&file, script).expect("written");
            let checked = Command::new("bash").arg("-n").arg(&file).output().expect("bash");
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        }
    }
    let (code, _, stderr) = words(&output(&["completions", "csh"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("powershell"), "{stderr}");
}
