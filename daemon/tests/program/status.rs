//! `inspectd status` and `inspectd support-bundle`: a line at a glance, and what leaves the house of it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::support::{Program, output, png, text, tiny_bundle, wait_for, words};

fn configure(dir: &Path) -> std::path::PathBuf {
    tiny_bundle(dir);
    fs::create_dir_all(dir.join("camera")).expect("a folder");
    fs::write(dir.join("recipe.toml"), "name = \"cap\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 20000\n")
        .expect("written");
    fs::write(dir.join("mes.secret"), "whsec_UExBTlRFRC1GSUxFLVNFQ1JFVC1GT1ItVEhFLVRFU1Q=").expect("written");
    let config = "# PLANTED-COMMENT\nformat = 1\n[line]\nname = \"caps\"\nrecipe = \"recipe.toml\"\n[api]\nlisten = \"127.0.0.1:0\"\n[access]\nmode = \"open\"\n\
                  [source]\nkind = \"folder\"\npath = \"camera\"\nmode = \"watch\"\n[store]\ndir = \"state\"\n\
                  [alerts.destinations.mes]\nkind = \"webhook\"\nurl = \"https://mes.example/hooks/PLANTED-URL\"\nsecrets = [\"file:mes.secret\"]\n";
    fs::write(dir.join("line.toml"), config).expect("written");
    dir.join("line.toml")
}

/// Every file of a zip, by name.
fn unpacked(path: &Path) -> Vec<(String, String)> {
    let mut zip = zip::ZipArchive::new(File::open(path).expect("a file")).expect("a zip");
    (0..zip.len())
        .map(|at| {
            let mut file = zip.by_index(at).expect("a file");
            let mut text = String::new();
            file.read_to_string(&mut text).expect("text");
            (file.name().expect("a name").into_owned(), text)
        })
        .collect()
}

#[test]
fn a_line_is_seen_at_a_glance_and_its_bundle_holds_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let config = configure(dir);
    let state = dir.join("state");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    fs::write(dir.join("camera/.one"), png(240)).expect("written");
    fs::rename(dir.join("camera/.one"), dir.join("camera/one.png")).expect("put there");
    let status = |more: &[&str]| words(&output(&[&["status", "--url", &url][..], more].concat()));
    let (code, said, _) = wait_for("a part", || Some(status(&[])).filter(|(_, said, _)| said.contains("1 fail")));
    assert_eq!(code, 0, "{said}");
    for word in ["● caps, recipe cap@1", "State: running", "1 triggered: 0 pass, 1 fail", "Latency", "Alerts"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let (code, said, _) = status(&["--json"]);
    let json: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &json["answers"], &json["line"]["line"]), (0, &Value::Bool(true), &Value::from("caps")));

    // Secrets of every kind that a state holds.
    let (_, token, _) = words(&output(&["tokens", "add", "planted-name", "--role", "kiosk", "--state", text(&state)]));
    let token = token.split_whitespace().find(|it| it.starts_with("inspectd_")).expect("a token").to_owned();
    fs::write(state.join("access/key.pem"), "-----BEGIN PRIVATE KEY-----\nPLANTED-KEY\n-----END PRIVATE KEY-----\n")
        .expect("written");
    let file = dir.join("bundle.zip");
    let bundle = |url: &str| {
        let arguments =
            ["support-bundle", "--url", url, "--config", text(&config), "--state", text(&state), "--out", text(&file)];
        words(&output(&arguments))
    };
    let (code, said, why) = bundle(&url);
    assert_eq!(code, 0, "{said}{why}");
    let all = unpacked(&file);
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "about.txt",
        "config/inspectd.toml",
        "config/recipe.toml",
        "line/line.json",
        "line/alerts.json",
        "verdicts.jsonl",
        "doctor.txt",
        "state.txt",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let everything = all.iter().map(|(name, text)| format!("{name}\n{text}")).collect::<String>();
    for secret in ["PLANTED", &token, "UExBTlRFRC", "whsec_", "mes.secret", "BEGIN PRIVATE"] {
        assert!(!everything.contains(secret), "{secret} left the house");
    }
    let verdicts = &all.iter().find(|(name, _)| name == "verdicts.jsonl").expect("there").1;
    assert!(verdicts.contains("\"id\":1") && !verdicts.contains("\"heat\":{"), "{verdicts}");
    assert!(everything.contains("mes.example") && everything.contains("caps"));
    let (code, _, why) = bundle(&url);
    assert!(code == 1 && why.contains("--out"), "one that is there stays: {why}");

    // Without a line that answers: what lies on the disk, and what is lacking.
    program.signal("TERM");
    program.end();
    let (code, said, _) = status(&[]);
    assert!(code == 3 && said.contains("○ no line answers"), "{code} {said}");
    fs::remove_file(&file).expect("removed");
    let (code, said, _) = bundle(&url);
    assert!(code == 0 && said.contains("lacks line: no line answers"), "{said}");
    assert!(unpacked(&file).iter().any(|(name, text)| name == "verdicts.jsonl" && text.contains("\"id\":1")));
}
