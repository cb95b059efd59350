//! Serial numbers from outside: sent over HTTP, taken from file names, counted on through a restart; repeated and left out ones.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::command_line::sound;
use crate::support::{Program, agent, jpeg, json, law, output, text, wait_for, words};

fn recipe(dir: &Path, identity: &str) {
    let recipe = format!(
        "name = \"bracket\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 5000\n[identity]\n{identity}\n"
    );
    fs::write(dir.join("bracket.toml"), recipe).expect("written");
}

fn ask(method: &str, url: &str, body: &Value) -> (u16, Value) {
    let url = format!("{url}/api/v1/serials");
    let mut answer = match method {
        "POST" => agent().post(&url).header("x-inspectd", "1").send_json(body),
        "DELETE" => agent().delete(&url).header("x-inspectd", "1").call(),
        _ => agent().get(&url).call(),
    }
    .expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.body_mut().read_json().expect("JSON"))
}

fn parts(url: &str) -> Vec<Value> {
    let mut parts = json(&format!("{url}/api/v1/inspections?limit=200"))["items"].as_array().expect("a list").clone();
    parts.reverse();
    parts
}

#[test]
fn serial_numbers_that_were_sent_are_taken_in_turn_and_bad_ones_refused_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    recipe(dir.path(), "from = \"api\"\nconsecutive = true");
    fs::write(dir.path().join("camera/a.jpg"), jpeg(100)).expect("written");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    wait_for("a part without one", || parts(&url).into_iter().find(|part| part["identity"]["state"] == "unread"));
    for (serials, status, words) in [
        (json!(["A1", "<script>alert(1)</script>"]), 422, "serial number 2 of the message has the character U+003C"),
        (json!(["A1\n"]), 200, ""),
        (json!([]), 422, "empty"),
        (json!(vec!["A1"; 1001]), 409, "at most 1000"),
    ] {
        let (said, body) = ask("POST", &url, &json!({ "serials": serials }));
        assert_eq!(said, status, "{body}");
        assert!(words.is_empty() || body["detail"].as_str().is_some_and(|text| text.contains(words)), "{body}");
        assert!(!body.to_string().contains("alert(1)"), "what was refused is not repeated");
    }
    let (status, _) = ask("POST", &url, &json!({ "serials": ["A2", "A2", "A6"] }));
    assert_eq!(status, 200);
    let last = |serial: &str| parts(&url).into_iter().rfind(|part| part["serial"] == serial);
    let six = wait_for("the last one", || last("A6"));
    // Between A2 and A6 nobody was without.
    assert_eq!(six["identity"]["missing"], json!({ "count": 3, "first": "A3", "last": "A5" }));
    let two: Vec<Value> = parts(&url).into_iter().filter(|part| part["serial"] == "A2").collect();
    assert_eq!(two[1]["identity"]["repeats"], two[0]["id"]);
    let line = json(&format!("{url}/api/v1/line"));
    let identity = &line["identity"];
    assert_eq!((&identity["from"], &identity["read"], &identity["repeated"]), (&json!("api"), &json!(4), &json!(1)));
    assert_eq!((&identity["gaps"], &identity["missing"]), (&json!(1), &json!(3)));
    assert!(identity["unread"].as_u64().is_some_and(|unread| unread > 0));
    law(&line["counts"]);
    let (_, view) = ask("GET", &url, &Value::Null);
    assert_eq!((&view["sent"], &view["given"], &view["in_use"]), (&json!(4), &json!(4), &json!(true)));
    let (status, view) = ask("DELETE", &url, &Value::Null);
    assert_eq!((status, &view["waiting"]), (200, &json!([])));
    program.signal("TERM");
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn counted_numbers_go_on_after_an_end_and_after_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    recipe(dir.path(), "from = \"counted\"\nprefix = \"P3-\"\nstart = 500\ndigits = 5");
    fs::write(dir.path().join("camera/a.jpg"), jpeg(100)).expect("written");
    let mut seen = Vec::new();
    for end in ["TERM", "KILL", "TERM"] {
        let mut program = Program::start(&["run", "--config", text(&config)]);
        let url = program.url();
        let enough = seen.len() + 5;
        seen = wait_for("five parts more", || {
            let serials: Vec<String> =
                parts(&url).iter().filter_map(|part| part["serial"].as_str().map(str::to_owned)).collect();
            (serials.len() >= enough).then_some(serials)
        });
        program.signal(end);
        let _ = program.end();
    }
    assert_eq!(seen[0], "P3-00500");
    let numbers: Vec<u64> = seen.iter().map(|serial| serial[3..].parse().expect("a number")).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
}

#[test]
fn hostile_file_names_give_clean_serials_or_none_and_the_table_no_formula() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    let once = fs::read_to_string(&config).expect("text").replace("\"loop\"", "\"once\"").replace("rate = 20.0\n", "");
    fs::write(&config, once).expect("written");
    recipe(dir.path(), "from = \"name\"\npattern = '(?s)^(?<serial>.*)_'");
    let long = format!("{}_x.jpg", "A".repeat(200));
    let names = [
        "B7_x.jpg",
        "=1+2_x.jpg",
        "C\n7_x.jpg",
        "C\u{1b}[31m_x.jpg",
        "C\u{202e}_x.jpg",
        "<b>_x.jpg",
        "a..%_x.jpg",
        &long,
    ];
    for name in names {
        fs::write(dir.path().join("camera").join(name), jpeg(100)).expect("written");
    }
    let broken = std::ffi::OsString::from(std::ffi::OsStr::new("bad"));
    let broken = {
        use std::os::unix::ffi::OsStringExt;
        let mut bytes = broken.into_vec();
        bytes.extend_from_slice(b"\xff\xfe_x.jpg");
        std::ffi::OsString::from_vec(bytes)
    };
    fs::write(dir.path().join("camera").join(broken), jpeg(100)).expect("written");
    let (status, _, stderr) = words(&output(&["run", "--once", "--config", text(&config)]));
    assert_eq!(status, 0, "{stderr}");
    let state = dir.path().join("state");
    let (status, table, stderr) = words(&output(&["records", "export", "--format", "csv", "--state", text(&state)]));
    assert_eq!(status, 0, "{stderr}");
    let mut lines = csv::Reader::from_reader(table.as_bytes());
    let mut serials: Vec<String> = lines.records().map(|line| line.expect("a line")[3].to_owned()).collect();
    serials.sort();
    assert_eq!(serials.iter().filter(|serial| !serial.is_empty()).collect::<Vec<_>>(), ["'=1+2", "B7"], "{table}");
    assert_eq!(serials.len(), names.len() + 1);
}
