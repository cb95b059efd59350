//! Versions of a recipe and the first run through the whole program: what is put in force counts after a restart, until the file changes; what is
//! not sound or not allowed changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Program, agent, get, json, law, png, text, tiny_bundle, wait_for};

const RECIPE: &str = "# by hand\nname = \"cap\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 20000\n[evidence]\npass_fraction = 1.0\n";

fn configure(dir: &Path) -> PathBuf {
    tiny_bundle(dir);
    fs::create_dir_all(dir.join("camera")).expect("a folder");
    fs::write(dir.join("recipe.toml"), RECIPE).expect("written");
    for (name, level) in [("a.png", 30), ("b.png", 40)] {
        fs::write(dir.join("camera").join(name), png(level)).expect("written");
    }
    let config = "format = 1\n[line]\nname = \"caps\"\nrecipe = \"recipe.toml\"\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
                  [access]\nmode = \"open\"\n[source]\nkind = \"folder\"\npath = \"camera\"\nmode = \"loop\"\nrate = 20.0\n";
    fs::write(dir.join("line.toml"), config).expect("written");
    dir.join("line.toml")
}

fn post(url: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut answer =
        agent().post(format!("{url}/api/v1/{path}")).header("x-inspectd", "1").send_json(body).expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or(Value::Null))
}

fn in_force(url: &str) -> String {
    let line = json(&format!("{url}/api/v1/line"));
    law(&line["counts"]);
    line["recipe"].as_str().expect("a recipe").to_owned()
}

#[test]
fn a_version_comes_into_force_between_two_parts_and_outlives_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = configure(dir.path());
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    let recipes = json(&format!("{url}/api/v1/recipes"));
    assert_eq!((&recipes["in_force"], &recipes["versions"][0]["by"]), (&"cap@1".into(), &"file".into()));

    let area = json!({ "x": 4, "y": 4, "width": 40, "height": 40 });
    let change = json!({ "regions": [{ "name": "lid", "area": area }], "thresholds": { "scratch": 0.75 } });
    let (status, made) = post(&url, "recipes", &json!({ "from": "cap@1", "change": change, "reason": "the lid only" }));
    assert_eq!((status, &made["tag"], &made["in_force"]), (200, &"cap@2".into(), &false.into()), "{made}");
    let keys: Vec<&str> =
        made["changes"].as_array().expect("a list").iter().filter_map(|it| it["key"].as_str()).collect();
    assert!(keys.contains(&"regions[0].area.width") && keys.contains(&"thresholds.scratch"), "{keys:?}");
    assert_eq!(in_force(&url), "cap@1", "making it changes nothing");
    let (status, said) = post(&url, "recipes/cap%402/enforce", &json!({ "reason": "tried on ten parts" }));
    assert_eq!((status, &said["in_force"]), (200, &"cap@2".into()), "{said}");
    let part = wait_for("a part under it", || {
        let newest = json(&format!("{url}/api/v1/inspections?limit=1"))["items"][0].clone();
        (newest["recipe"] == "cap@2").then_some(newest)
    });
    assert_eq!((&part["regions"][0]["region"], &part["regions"][0]["tile"]), (&"lid".into(), &json!([4, 4, 40, 40])));
    let audit = json(&format!("{url}/api/v1/audit?what=recipe.changeover"));
    assert_eq!(
        (&audit["items"][0]["subject"], &audit["items"][0]["reason"]),
        (&"cap@2".into(), &"tried on ten parts".into())
    );
    assert_eq!(post(&url, "recipes/cap%402/enforce", &json!({})).0, 409, "it is in force");

    // Killed, not ended: the page had the last word.
    program.signal("KILL");
    let _ = program.end();
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    assert_eq!(in_force(&url), "cap@2");
    // A reload of a file that has not changed changes nothing; one of a new file does.
    program.signal("HUP");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(in_force(&url), "cap@2");
    fs::write(dir.path().join("recipe.toml"), RECIPE.replace("version = 1", "version = 5")).expect("written");
    program.signal("HUP");
    wait_for("the file's recipe", || (in_force(&url) == "cap@5").then_some(()));
    let (_, made) = post(&url, "recipes", &json!({ "from": "cap@2", "change": { "deadline_ms": 15_000 } }));
    assert_eq!(made["tag"], "cap@6", "numbers are never used twice");
    assert_eq!(fs::read_to_string(dir.path().join("recipe.toml")).expect("there").lines().next(), Some("# by hand"));
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = configure(dir.path());
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    let from = |change: Value| json!({ "from": "cap@1", "change": change });
    for (path, body, status) in [
        ("recipes", from(json!({})), 422),
        ("recipes", from(json!({ "version": 9 })), 422),
        ("recipes", from(json!({ "name": "other" })), 422),
        ("recipes", from(json!({ "deadline_ms": 0 })), 422),
        ("recipes", from(json!({ "deadline_ms": -1 })), 422),
        ("recipes", from(json!({ "nonsense": true })), 422),
        ("recipes", from(json!({ "regions": [{ "name": "a\nb" }] })), 422),
        (
            "recipes",
            from(json!({ "regions": [{ "name": "a", "area": { "x": 0, "y": 0, "width": 0, "height": 9 } }] })),
            422,
        ),
        ("recipes", from(json!({ "mask": [{ "polygon": [[0, 0], [1, 1]] }] })), 422),
        ("recipes", from(json!({ "thresholds": { "scratch": "high" } })), 422),
        ("recipes", json!({ "from": "cap@9", "change": { "deadline_ms": 9 } }), 404),
        ("recipes", json!({ "from": "cap@1", "change": [] }), 422),
        ("recipes/cap%409/enforce", json!({}), 404),
        ("recipes/..%2F..%2Fetc/enforce", json!({}), 404),
        ("setup/lesson", json!({ "parts": 9 }), 422),
        ("setup/lesson", json!({ "parts": 501 }), 422),
        ("setup/learn", json!({}), 422),
    ] {
        let (got, said) = post(&url, path, &body);
        assert_eq!(got, status, "{path} {body}: {said}");
    }
    // Sound by itself, and does not fit the model: found when it is to come into force.
    let (status, made) = post(&url, "recipes", &from(json!({ "thresholds": { "burr": 0.5 } })));
    assert_eq!((status, &made["tag"]), (200, &"cap@2".into()));
    let (status, said) = post(&url, "recipes/cap%402/enforce", &json!({}));
    assert!(status == 422 && said["detail"].as_str().is_some_and(|it| it.contains("no such label")), "{said}");
    for (path, status) in [("recipes/nothing", 404), ("setup/tradeoff?label=burr", 404), ("setup/tradeoff", 400)] {
        assert_eq!(get(&format!("{url}/api/v1/{path}")).0, status, "{path}");
    }
    assert_eq!(in_force(&url), "cap@1");
    let trade = json(&format!("{url}/api/v1/setup/tradeoff?label=scratch"));
    assert_eq!(
        (trade["points"].as_array().map(Vec::len), &trade["good"]),
        (Some(101), &0.into()),
        "nothing is labelled"
    );
}

#[test]
fn parts_that_are_shown_as_good_are_no_production() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = configure(dir.path());
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    assert_eq!(post(&url, "setup/lesson", &json!({ "parts": 10 })).0, 200);
    let lesson = wait_for("ten parts", || {
        let lesson = json(&format!("{url}/api/v1/setup"))["lesson"].clone();
        (lesson["on"] == false).then_some(lesson)
    });
    let parts = lesson["parts"].as_array().expect("a list").clone();
    assert_eq!(parts.len(), 10);
    let first = wait_for("the record", || {
        let (status, _, part) = get(&format!("{url}/api/v1/inspections/{}", parts[0]));
        (status == 200).then_some(part)
    });
    assert_eq!((&first["check"]["purpose"], &first["check"]["known"]), (&"set_up".into(), &"good".into()));
    let left = agent().delete(format!("{url}/api/v1/setup/lesson/{}", parts[3])).header("x-inspectd", "1").call();
    assert_eq!(left.expect("an answer").status(), 200);
    assert_eq!(json(&format!("{url}/api/v1/setup"))["lesson"]["parts"].as_array().map(Vec::len), Some(9));
    // Nine are too few to learn from.
    assert_eq!(post(&url, "setup/learn", &json!({})).0, 422);
    in_force(&url);
}
