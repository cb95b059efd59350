//! Server-sent events: live, resumed, bounded.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::Value;

use crate::command_line::sound;
use crate::support::{Program, get, jpeg, json, law, text, tiny_bundle, wait_for};

/// One event as it came.
#[derive(Debug)]
struct Event {
    name: String,
    id: Option<u64>,
    data: Value,
}

/// Follows the events from after `last`, until `enough` of them are there.
fn follow(url: &str, last: Option<u64>, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).build().into();
    let mut request = agent.get(format!("{url}/api/v1/events"));
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last.to_string());
    }
    let mut answer = request.call().expect("a stream");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut events = Vec::new();
    let (mut name, mut id, mut data) = (String::new(), None, Value::Null);
    for line in BufReader::new(answer.body_mut().as_reader()).lines() {
        let line = line.expect("the stream goes on until there is enough");
        match line.split_once(':').map(|(key, value)| (key, value.trim_start())) {
            Some(("event", value)) => name = value.to_owned(),
            Some(("id", value)) => id = Some(value.parse().expect("a part id")),
            Some(("data", value)) => data = serde_json::from_str(value).expect("JSON"),
            _ if line.is_empty() && !name.is_empty() => {
                events.push(Event { name: std::mem::take(&mut name), id: id.take(), data: data.take() });
                if enough(&events) {
                    return events;
                }
            }
            _ => {}
        }
    }
    panic!("the stream ended after {} events", events.len());
}

fn ids(events: &[Event]) -> Vec<u64> {
    events.iter().filter(|event| event.name == "inspection").map(|event| event.id.expect("its id")).collect()
}

#[test]
fn pages_hear_when_there_is_something_new_to_label() {
    let mut program = Program::start(&["demo", "--rate", "40", "--listen", "127.0.0.1:0"]);
    let url = program.url();
    let events = follow(&url, None, |events| events.iter().filter(|event| event.name == "learning").count() >= 2);
    assert!(events.iter().all(|event| event.name != "learning" || event.data == serde_json::json!({})));
}

#[test]
fn a_client_that_was_away_gets_what_it_missed() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let state = dir.path().join("state");
    let arguments =
        ["demo", "--rate", "60", "--listen", "127.0.0.1:0", "--bundle", text(&bundle), "--state", text(&state)];
    let mut program = Program::start(&arguments);
    let url = program.url();

    let first = follow(&url, None, |events| ids(events).len() >= 15 && events.iter().any(|it| it.name == "status"));
    let seen = ids(&first);
    assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "in order, each once: {seen:?}");
    assert!(first.iter().all(|event| event.name != "gap"));
    for event in &first {
        match event.name.as_str() {
            "status" => drop(law(&event.data["counts"])),
            _ => assert_eq!(event.data["id"].as_u64(), event.id, "the id is the part's"),
        }
    }

    let last = *seen.last().expect("some");
    let newest = || json(&format!("{url}/api/v1/inspections?limit=1"))["items"][0]["id"].as_u64();
    wait_for("thirty parts more", || (newest()? > last + 30).then_some(()));
    let resumed = ids(&follow(&url, Some(last), |events| ids(events).len() >= 40));
    assert_eq!(resumed, (last + 1..=last + resumed.len() as u64).collect::<Vec<u64>>(), "from the first missed one on");

    // An id from other records hides nothing.
    let strange = follow(&url, Some(1_000_000), |events| ids(events).len() >= 2);
    assert_eq!(strange.iter().filter(|event| event.name == "gap").count(), 1, "{strange:?}");

    // Somebody watches: pictures of good parts are shown too.
    let shown = follow(&url, None, |events| {
        events.iter().any(|it| it.data["verdict"] == "pass" && it.data["has_image"] == true)
    });
    let passed =
        shown.iter().rev().find(|it| it.data["verdict"] == "pass" && it.data["has_image"] == true).expect("found");
    let (status, kind, _) = get(&format!("{url}/api/v1/inspections/{}/image", passed.data["id"]));
    assert_eq!((status, kind.as_str()), (200, "image/jpeg"));
}

#[test]
fn a_client_that_was_away_too_long_is_told_of_a_gap() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let state = dir.path().join("state");
    let arguments = ["demo", "--rate", "max", "--parts", "700", "--listen", "127.0.0.1:0", "--bundle", text(&bundle)];
    let mut program = Program::start(&[&arguments[..], &["--state", text(&state)]].concat());
    let url = program.url_of_a_short_line();
    wait_for("all parts", || (json(&format!("{url}/api/v1/line"))["store"]["acknowledged"] == 700).then_some(()));
    let events = follow(&url, Some(1), |events| events.iter().any(|event| event.name == "gap"));
    let sent = ids(&events);
    assert!(sent.len() <= 500, "{} were sent", sent.len());
    assert!(sent.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn only_so_many_may_follow_and_a_wrong_id_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    std::fs::write(dir.path().join("camera/a.jpg"), jpeg(40)).expect("written");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    // `max_viewers` is 1 there. The second asks while the first one is served.
    let refused = std::cell::Cell::new(None);
    follow(&url, None, |_| {
        refused.set(Some(get(&format!("{url}/api/v1/events"))));
        true
    });
    let (status, kind, problem) = refused.take().expect("asked");
    assert_eq!((status, kind.as_str()), (503, "application/problem+json"), "{problem}");
    assert!(problem["detail"].as_str().expect("words").contains("api.max_viewers"), "{problem}");
    // When the first has gone, there is room again; and what is no id is refused before.
    wait_for("room", || {
        let mut answer = crate::support::agent()
            .get(format!("{url}/api/v1/events"))
            .header("Last-Event-ID", "x")
            .call()
            .expect("an answer");
        let problem: Value = answer.body_mut().read_json().expect("JSON");
        (problem["status"] == 400).then_some(())
    });
    follow(&url, None, |events| !events.is_empty());
}
