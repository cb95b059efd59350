//! An update that was taken back leaves files of a newer program behind: none is taken for damage, none is written over, each message says what to do.

use std::fs;

use sha2::{Digest, Sha256};

use crate::command_line::sound;
use crate::earlier::backups;
use crate::support::{output, text, words};

/// Whatever a newer program may write beside its format.
const NEWER: &str = r#"{"format":9,"shelves":[]}"#;
const SAID: &str = "has format 9, this program knows 1: a newer inspectd wrote it";

#[test]
fn what_a_newer_program_wrote_is_named_and_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    let state = dir.path().join("state");
    let recipe = dir.path().join("bracket.toml");
    let counting = fs::read_to_string(&recipe).expect("a file") + "[identity]\nfrom = \"counted\"\n";
    fs::write(&recipe, counting).expect("written");
    let [state, config] = [&state, &config].map(|path| text(path));
    for (file, command) in [
        ("access/accounts.json", &["users", "list", "--state", state][..]),
        ("alerts/state.json", &["alerts", "list", "--state", state]),
        ("counters.json", &["run", "--config", config]),
    ] {
        let path = dir.path().join("state").join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, NEWER).expect("written");
        let (code, _, stderr) = words(&output(command));
        assert!(code == 1 && stderr.contains(SAID) && stderr.contains(state), "{file}: {code} {stderr}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), NEWER, "{file} is as it was");
        fs::remove_file(path).expect("removed");
    }
}

#[test]
fn a_newer_configuration_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    let newer = fs::read_to_string(&config).expect("a file").replace("format = 1", "format = 9");
    fs::write(&config, newer).expect("written");
    let (code, stdout, stderr) = words(&output(&["check", "--config", text(&config)]));
    assert!(code == 1 && format!("{stdout}{stderr}").contains("update inspectd"), "{code} {stdout} {stderr}");
}

#[test]
fn a_newer_backup_is_not_put_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let [to, back] = ["backups", "back"].map(|name| dir.path().join(name));
    backups(&to);
    let mut backups = fs::read_dir(to.join("backups")).expect("a folder");
    let manifest = backups.next().expect("one").expect("an entry").path();
    let written = fs::read_to_string(&manifest).expect("text").replacen("\"format\":1", "\"format\":9", 1);
    // Its checksum is right: it is no damage.
    let body = &written[..written.trim_end().rfind('\n').expect("lines") + 1];
    let sum: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(&manifest, format!("{body}sha256 {sum}\n")).expect("written");
    let (code, _, stderr) = words(&output(&["restore", text(&to), "--state", text(&back)]));
    assert!(code == 1 && stderr.contains(SAID), "{code} {stderr}");
    assert!(!back.exists() || fs::read_dir(&back).expect("a folder").next().is_none(), "nothing was put back");
}
