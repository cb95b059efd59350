//! Retention and holds through the whole program: what is let go, what is held, what is said of it; hostile requests change nothing.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Program, agent, get, json as answer, law, output, png, text, tiny_bundle, wait_for, words};

/// Dark pictures are good, bright ones bad (`tiny_bundle`).
pub(crate) fn configure(dir: &Path, retention: &str) -> PathBuf {
    tiny_bundle(dir);
    fs::create_dir_all(dir.join("camera")).expect("a folder");
    let recipe = "name = \"cap\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 20000\n[evidence]\npass_fraction = 1.0\n\
                  [review]\nper_hour = 0\naudit_fraction = 0.0\n[identity]\nlot = '^(?<lot>[^-]+)-'\n";
    fs::write(dir.join("recipe.toml"), recipe).expect("written");
    let config = format!(
        "format = 1\n[line]\nname = \"caps\"\nrecipe = \"recipe.toml\"\n[api]\nlisten = \"127.0.0.1:0\"\n[access]\nmode = \"open\"\n\
         [source]\nkind = \"folder\"\npath = \"camera\"\nmode = \"watch\"\nserial_from_name = true\n[store]\ndir = \"state\"\n{retention}"
    );
    fs::write(dir.join("line.toml"), config).expect("written");
    dir.join("line.toml")
}

/// A part goes by: dark (good) or bright (bad).
pub(crate) fn show(dir: &Path, name: &str, bad: bool) {
    let camera = dir.join("camera");
    fs::write(camera.join(format!(".{name}")), png(if bad { 240 } else { 10 })).expect("written");
    fs::rename(camera.join(format!(".{name}")), camera.join(format!("{name}.png"))).expect("put there");
}

pub(crate) fn part(url: &str, serial: &str) -> Value {
    wait_for("the record", || {
        let page = answer(&format!("{url}/api/v1/inspections?serial={serial}"));
        page["items"][0].is_object().then(|| page["items"][0].clone())
    })
}

fn post(url: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut answer =
        agent().post(format!("{url}/api/v1/{path}")).header("x-inspectd", "1").send_json(body).expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or(Value::Null))
}

/// Whether the evidence is there: previews of new parts are another thing.
fn is_kept(dir: &Path, id: &Value) -> bool {
    let name = format!("{id}.png");
    let mut folders = vec![dir.join("state/evidence")];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).into_iter().flatten().flatten() {
            if item.path().is_dir() {
                folders.push(item.path());
            } else if item.file_name().to_str() == Some(&name) {
                return true;
            }
        }
    }
    false
}

#[test]
fn pictures_go_by_their_limits_and_what_is_held_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let config = configure(dir, "[store.retention]\npictures.pass.count = 4\npictures.fail.count = 3\n");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();

    // Two good parts are held before they could go: one by itself, one by its lot, which is held before it comes.
    let (status, hold) = post(&url, "holds", &json!({ "of": { "lot": "L7" }, "reason": "claim 4711" }));
    assert_eq!((status, hold["words"].as_str()), (200, Some("lot L7")), "{hold}");
    show(dir, "L1-1", false);
    let first = part(&url, "L1-1")["id"].clone();
    let line = ["--url", &url];
    let of_first = first.to_string();
    let put = [&["holds", "put", "--part", &of_first, "--reason", "the customer asks"][..], &line].concat();
    let (code, said, _) = words(&output(&put));
    assert!(code == 0 && said.contains(&format!("part {first}")), "{said}");
    show(dir, "L7-1", false);
    let lot = part(&url, "L7-1")["id"].clone();

    let mut good = Vec::new();
    let mut bad = Vec::new();
    for at in 0..8 {
        show(dir, &format!("L2-{at}"), false);
        good.push(part(&url, &format!("L2-{at}"))["id"].clone());
        show(dir, &format!("L3-{at}"), true);
        bad.push(part(&url, &format!("L3-{at}"))["id"].clone());
    }
    let health = |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        wait_for(what, || Some(answer(&format!("{url}/api/v1/health"))["kept"].clone()).filter(|kept| wanted(kept)))
    };
    let kept = health("pictures to go", &|kept| kept["let_go"]["pictures"].as_u64() == Some(9));
    assert_eq!(
        (kept["held"].as_u64(), kept["holds"].as_u64(), kept["limited"].as_bool()),
        (Some(2), Some(2), Some(true))
    );
    for id in good[..4].iter().chain(&bad[..5]) {
        assert!(!is_kept(dir, id), "part {id}");
        let (status, _, problem) = get(&format!("{url}/api/v1/inspections/{id}/image"));
        assert!(status == 404 && problem["detail"].as_str().is_some_and(|it| it.contains("retention")), "{problem}");
    }
    for id in good[4..].iter().chain(&bad[5..]).chain([&first, &lot]) {
        assert!(is_kept(dir, id), "part {id}");
    }
    // Records stay, and so do the counts.
    assert_eq!(answer(&format!("{url}/api/v1/inspections/count"))["parts"], 18);
    assert_eq!(law(&answer(&format!("{url}/api/v1/line"))["counts"]), 18);

    // Which holds are over a part; a hold that is lifted lets go.
    let over = |id: &Value| answer(&format!("{url}/api/v1/holds?part={id}"))["holds"].clone();
    assert_eq!(over(&lot)[0]["reason"], "claim 4711");
    assert_eq!(over(&good[7]), json!([]));
    let (status, lifted) = post(&url, &format!("holds/{}/lift", hold["number"]), &json!({ "reason": "settled" }));
    assert_eq!((status, lifted["number"].clone()), (200, hold["number"].clone()));
    wait_for("the lot to go", || (!is_kept(dir, &lot)).then_some(()));
    assert!(is_kept(dir, &first));

    // Everything of it is in the trail, and a restart forgets none.
    let (_, trail, _) = words(&output(&["audit", "list", "--state", text(&dir.join("state"))]));
    for word in ["hold.put", "hold.lift", "claim 4711", "settled", "the customer asks"] {
        assert!(trail.contains(word), "{word}: {trail}");
    }
    program.signal("TERM");
    program.end();
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    assert_eq!(answer(&format!("{url}/api/v1/holds?part={first}"))["holds"][0]["number"], 2);
    let kept = wait_for("the count", || {
        Some(answer(&format!("{url}/api/v1/health"))["kept"].clone()).filter(|kept| kept["counted"] == true)
    });
    assert_eq!((kept["pictures"].as_u64(), kept["let_go"]["pictures"].as_u64()), (Some(8), Some(10)), "{kept}");
    let (status, again) = post(&url, "holds", &json!({ "of": { "lot": "L9" }, "reason": "x" }));
    assert_eq!((status, again["number"].as_u64()), (200, Some(3)), "no number twice");
    hostile(&url, &first);
}

/// What makes no sense is refused in words, and nothing has changed.
fn hostile(url: &str, part: &Value) {
    let before = answer(&format!("{url}/api/v1/holds"));
    for (body, status) in [
        (json!({ "of": {}, "reason": "all" }), 422),
        (json!({ "of": { "part": part } }), 422),
        (json!({ "of": { "part": part }, "reason": "" }), 422),
        (json!({ "of": { "part": part }, "reason": "a\nb" }), 422),
        (json!({ "of": { "part": part }, "reason": "x".repeat(501) }), 422),
        (json!({ "of": { "part": 999_999 }, "reason": "x" }), 404),
        (json!({ "of": { "part": -1 }, "reason": "x" }), 422),
        (json!({ "of": { "part": u64::MAX }, "reason": "x" }), 404),
        (json!({ "of": { "lot": "" }, "reason": "x" }), 422),
        (json!({ "of": { "lot": "L".repeat(100_000) }, "reason": "x" }), 413),
        (json!({ "of": { "lot": "L".repeat(1000) }, "reason": "x" }), 422),
        (json!({ "of": { "verdict": "good" }, "reason": "x" }), 422),
        (json!({ "of": { "model": "zz" }, "reason": "x" }), 422),
        (json!({ "of": { "from": "yesterday" }, "reason": "x" }), 422),
        (json!({ "of": { "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z" }, "reason": "x" }), 422),
        (json!({ "of": { "everything": true }, "reason": "x" }), 422),
        (json!([1]), 422),
    ] {
        let (got, problem) = post(url, "holds", &body);
        assert_eq!(got, status, "{body}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|words| !words.is_empty()), "{body}: {problem}");
    }
    for (path, status) in [("holds/99/lift", 404), ("holds/0/lift", 404), ("holds/x/lift", 400), ("holds/-1/lift", 400)]
    {
        assert_eq!(post(url, path, &json!({ "reason": "x" })).0, status, "{path}");
    }
    assert_eq!(post(url, "holds/2/lift", &json!({})).0, 422);
    for (query, status) in [("part=x", 400), ("part=999999", 404), ("parts=1", 400)] {
        assert_eq!(get(&format!("{url}/api/v1/holds?{query}")).0, status, "{query}");
    }
    assert_eq!(answer(&format!("{url}/api/v1/holds")), before);
}

#[test]
fn damaged_lines_of_the_holds_hold_everything_until_somebody_has_looked() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let config = configure(dir, "[store.retention]\npictures.pass.count = 1\n");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    post(&url, "holds", &json!({ "of": { "lot": "L1" }, "reason": "claim 1" }));
    post(&url, "holds", &json!({ "of": { "lot": "L2" }, "reason": "claim 2" }));
    program.signal("TERM");
    program.end();
    let log = dir.join("state/retention/holds.log");
    let mut bytes = fs::read(&log).expect("a log");
    bytes[20] ^= 1;
    fs::write(&log, &bytes).expect("written");

    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    let holds = answer(&format!("{url}/api/v1/holds"))["holds"].clone();
    assert_eq!(holds[0]["reason"], "claim 2", "{holds}");
    assert!(holds[1]["reason"].as_str().is_some_and(|it| it.contains("damaged")), "{holds}");
    assert!(log.with_file_name("holds.log.damaged").exists());
    for at in 0..4 {
        show(dir, &format!("L5-{at}"), false);
    }
    let last = part(&url, "L5-3")["id"].clone();
    wait_for("pictures", || is_kept(dir, &last).then_some(()));
    wait_for("what is held to be known", || {
        (answer(&format!("{url}/api/v1/health"))["kept"]["held"].as_u64() == Some(3)).then_some(())
    });
    let (status, _) = post(&url, &format!("holds/{}/lift", holds[1]["number"]), &json!({ "reason": "L1 is settled" }));
    assert_eq!(status, 200);
    wait_for("pictures to go", || {
        (answer(&format!("{url}/api/v1/health"))["kept"]["let_go"]["pictures"].as_u64() == Some(3)).then_some(())
    });
}

#[test]
fn limits_that_make_no_sense_are_named_with_their_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    for (retention, word) in [
        ("pictures_mb = 0\n", "store.retention.pictures_mb"),
        ("least_free_mb = 100\n", "store.evidence.least_free_mb"),
        ("pictures.pass.days = 0\n", "store.retention.pictures.pass.days"),
        ("records.pass.days = 30\n", "store.retention.records.fail"),
        ("pictures.pass.weeks = 3\n", "weeks"),
        ("pictures.pass.days = -3\n", "days"),
    ] {
        let config = configure(dir, &format!("[store.retention]\n{retention}"));
        let (code, said, why) = words(&output(&["check", "--config", text(&config)]));
        assert!(code == 1 && format!("{said}{why}").contains(word), "{retention}: {code} {said} {why}");
    }
}
