//! The map of what parts look like over HTTP: drawn beside the line, its parts sent to review, and asked by people who mean ill.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::replay::{five, once};
use crate::support::{Program, agent, get, json as read, output, text, wait_for, words};

fn post(url: &str, path: &str, body: &str) -> (u16, Value) {
    let request = agent().post(format!("{url}/api/v1/{path}")).header("x-inspectd", "1");
    let answer = request.header("content-type", "application/json").send(body);
    let mut answer = answer.unwrap_or_else(|error| panic!("POST {path}: {error}"));
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or(Value::Null))
}

fn ended(url: &str) -> Value {
    wait_for("the map's end", || {
        let map = read(&format!("{url}/api/v1/features"))["map"].clone();
        (map["state"] != "running").then_some(map)
    })
}

/// A line of sixty simulated parts, seen by the model that ships: it gives an embedding. Its deadline is far off, so that a crowded machine
/// costs time and no part.
fn sixty(dir: &Path) -> PathBuf {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/weights/default.bundle");
    let recipe = format!("name = \"map\"\nversion = 1\nbundle = {bundle:?}\ndeadline_ms = 20000\n");
    std::fs::write(dir.join("recipe.toml"), recipe + "[evidence]\npass_fraction = 1.0\n").expect("written");
    let config = "format = 1\n[line]\nname = \"map\"\nrecipe = \"recipe.toml\"\n[line.limits]\nhang_ms = 20000\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
                  [access]\nmode = \"open\"\n[source]\nkind = \"synthetic\"\nseed = 5\nrate = 5.0\nparts = 60\ndefect_rate = 0.5\n";
    std::fs::write(dir.join("line.toml"), config).expect("written");
    dir.join("line.toml")
}

#[test]
fn a_map_is_drawn_and_its_parts_are_sent_to_review() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sixty(dir.path());
    let state = dir.path().join("state");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url_of_a_short_line();
    assert_eq!(read(&format!("{url}/api/v1/features")), json!({ "map": null }));
    assert_eq!(get(&format!("{url}/api/v1/features/points")).0, 404, "there is none yet");
    assert_eq!(post(&url, "features/cancel", "").0, 409, "nothing is being drawn");
    wait_for("parts", || (read(&format!("{url}/api/v1/line"))["store"]["acknowledged"].as_u64()? >= 60).then_some(()));
    let (status, begun) = post(&url, "features", r#"{"limit":50}"#);
    assert_eq!((status, &begun["state"], &begun["limit"]), (201, &"running".into(), &50.into()), "{begun}");
    let (status, problem) = post(&url, "features", "{}");
    assert!(status == 409, "one at a time: {status} {problem}");
    let map = ended(&url);
    assert_eq!((&map["state"], &map["found"]["parts"]), (&"done".into(), &50.into()), "{map}");

    let points = read(&format!("{url}/api/v1/features/points"));
    let column = |name: &str| points[name].as_array().unwrap_or_else(|| panic!("no `{name}` in {points}")).clone();
    let columns = ["ids", "x", "y", "at_ms", "verdicts", "said", "labels", "waiting", "pictures"];
    assert!(columns.iter().all(|name| column(name).len() == 50), "{points}");
    let ids: Vec<u64> = column("ids").iter().filter_map(Value::as_u64).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "oldest first: {ids:?}");
    let places = [column("x"), column("y")].concat();
    assert!(places.iter().all(|at| at.as_f64().is_some_and(|at| (-1.0..=1.0).contains(&at))), "{points}");
    assert!(places.iter().any(|at| at.as_f64() != places[0].as_f64()), "they do not all lie in one place");

    // What somebody circles waits for a look: once, first of all, and whatever the budget says.
    let pictured = ids.iter().zip(column("pictures")).zip(column("waiting"));
    let free: Vec<u64> = pictured
        .filter(|((_, seen), waits)| *seen == true && *waits == false)
        .map(|((id, _), _)| *id)
        .take(3)
        .collect();
    assert_eq!(free.len(), 3, "{points}");
    let chosen = json!({ "ids": [free[0], free[1], free[2], free[2], 999_999_999] }).to_string();
    let (status, sent) = post(&url, "queue", &chosen);
    assert_eq!(
        (status, sent),
        (200, json!({ "queued": 3, "waiting": 0, "without_picture": 0, "checks": 0, "unknown": 1 }))
    );
    let (_, again) = post(&url, "queue", &chosen);
    assert_eq!(again, json!({ "queued": 0, "waiting": 3, "without_picture": 0, "checks": 0, "unknown": 1 }));
    let queue = read(&format!("{url}/api/v1/queue?limit=200"));
    let items = queue["items"].as_array().expect("a list");
    let asked = |id: &u64| items.iter().find(|item| item["id"] == *id).map(|item| item["reasons"][0]["reason"].clone());
    assert!(free.iter().all(|id| asked(id) == Some("asked".into())), "{queue}");
    let now = read(&format!("{url}/api/v1/features/points"));
    let waits = |id: &u64| now["waiting"][ids.iter().position(|it| it == id).expect("on the map")] == true;
    assert!(free.iter().all(waits), "the map says that they wait");
    let trail = read(&format!("{url}/api/v1/audit?what=queue.send"));
    assert_eq!(trail["items"][1]["after"]["ids"].as_array().map(Vec::len), Some(4), "{trail}");
    assert_eq!(read(&format!("{url}/api/v1/audit?what=features.draw"))["items"].as_array().map(Vec::len), Some(2));

    // Both outlive the program. Meanwhile the records alone make a page that needs nothing else.
    program.signal("KILL");
    program.end();
    let page = dir.path().join("map.html");
    let embed =
        |limit: &str| words(&output(&["embed", "--state", text(&state), "--limit", limit, "--plot", text(&page)]));
    let (code, said, problem) = embed("40");
    assert_eq!(code, 0, "{problem}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert!(said["parts"] == 40 && said["pictures"].as_u64() > Some(5), "{said}");
    let written = std::fs::read_to_string(&page).expect("a page");
    let points = written.split_once("const parts = ").and_then(|(_, rest)| rest.split_once(";\n")).expect("points").0;
    let parts: Vec<Value> = serde_json::from_str(points).expect("JSON");
    assert_eq!(parts.len(), 40);
    assert!(!written.contains("http://") && !written.contains("https://") && !points.contains('<'), "it asks nobody");
    let (code, _, problem) = embed("5");
    assert!(code == 2 && problem.contains("give 20 to 10000"), "{code} {problem}");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url_of_a_short_line();
    assert_eq!(read(&format!("{url}/api/v1/features"))["map"]["found"]["parts"], 50);
    assert_eq!(read(&format!("{url}/api/v1/features/points"))["ids"], json!(ids));
    let queue = read(&format!("{url}/api/v1/queue?limit=200"));
    let kept = queue["items"].as_array().expect("a list").iter().filter(|item| item["reasons"][0]["reason"] == "asked");
    assert_eq!(kept.count(), 3, "{queue}");
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = once(dir.path(), "1.0", &five());
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url_of_a_short_line();
    let many = format!(r#"{{"ids":[{}1]}}"#, "1,".repeat(500));
    for (path, body, status, says) in [
        ("features", r#"{"limit":0}"#, 422, "`limit`"),
        ("features", r#"{"limit":19}"#, 422, "`limit`"),
        ("features", r#"{"limit":10001}"#, 422, "`limit`"),
        ("features", r#"{"limit":-1}"#, 422, "limit"),
        ("features", r#"{"limit":1e9}"#, 422, "limit"),
        ("features", r#"{"state":"/etc"}"#, 422, "state"),
        ("features", "{", 400, ""),
        ("queue", r#"{"ids":[]}"#, 422, "`ids`"),
        ("queue", &many, 422, "`ids`"),
        ("queue", r#"{"ids":[-1]}"#, 422, "ids"),
        ("queue", r#"{"ids":"all"}"#, 422, "ids"),
        ("queue", r#"{"ids":[1],"why":"x"}"#, 422, "why"),
        ("queue", "{}", 422, "ids"),
    ] {
        let (got, problem) = post(&url, path, body);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(got == status && detail.contains(says), "{path} {}: {got} {problem}", &body[..body.len().min(80)]);
    }
    assert_eq!(read(&format!("{url}/api/v1/features")), json!({ "map": null }), "nothing of that began");

    // Five parts, by a model that gives no embedding: the reason is an answer.
    assert_eq!(post(&url, "features", "{}").0, 201);
    let map = ended(&url);
    assert_eq!((&map["state"], &map["found"]), (&"failed".into(), &Value::Null), "{map}");
    let reason = map["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("a map takes 20 parts") && reason.contains("without a sketch"), "{map}");
}
