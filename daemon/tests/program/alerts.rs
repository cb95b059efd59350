//! Alerts of a running line: rules, acknowledgement, and a receiver that verifies what it gets, through kills.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use inspectd::outbox::{Secret, signature};
use serde_json::{Value, json as object};

use crate::command_line::sound;
use crate::support::{Program, agent, jpeg, json, output, text, wait_for, words};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Takes messages, verifies their signatures, and can be away.
struct Receiver {
    address: String,
    away: Arc<AtomicBool>,
    /// By id: the body, and how often it came.
    got: Arc<Mutex<BTreeMap<String, (Value, usize)>>>,
}

impl Receiver {
    fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let receiver = Receiver {
            address: listener.local_addr().expect("an address").to_string(),
            away: Arc::default(),
            got: Arc::default(),
        };
        let (away, got) = (receiver.away.clone(), receiver.got.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Away: the connection is cut without a word.
                if !away.load(Ordering::Relaxed) {
                    take(BufReader::new(stream), &got);
                }
            }
        });
        receiver
    }

    fn messages(&self) -> Vec<Value> {
        self.got.lock().expect("nobody panics with it").values().map(|(body, _)| body.clone()).collect()
    }
}

/// A sender that is killed in the middle sends half a request: that is none.
fn take(mut reader: BufReader<std::net::TcpStream>, got: &Mutex<BTreeMap<String, (Value, usize)>>) -> Option<()> {
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let (id, timestamp) = (headers["webhook-id"].clone(), headers["webhook-timestamp"].parse().expect("seconds"));
    let expected = signature(&[Secret::parse(SECRET).expect("a secret")], &id, timestamp, &body);
    assert_eq!(headers["webhook-signature"], expected);
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let mut got = got.lock().expect("nobody panics with it");
    let entry = got.entry(id).or_insert((body.clone(), 0));
    assert_eq!(entry.0, body, "one id, two bodies");
    entry.1 += 1;
    drop(got);
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok()
}

/// A configuration that tells this receiver, with results of each part.
fn told(dir: &Path, receiver: &Receiver, results: &str) -> PathBuf {
    let config = sound(dir);
    let mut text = fs::read_to_string(&config).expect("text");
    text += &format!(
        "[alerts]\ngroup_wait_s = 0\nallow = [\"{0}\"]\n[alerts.destinations.mes]\nurl = \"http://{0}/hook\"\n\
         secrets = [\"{SECRET}\"]\n{results}",
        receiver.address
    );
    fs::write(&config, text).expect("written");
    config
}

fn post(url: &str, body: &Value) -> (u16, Value) {
    let mut answer = agent()
        .post(url)
        .header("x-inspectd", "1")
        .send_json(body)
        .unwrap_or_else(|error| panic!("POST {url}: {error}"));
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or(Value::Null))
}

fn active(url: &str) -> Vec<Value> {
    json(&format!("{url}/api/v1/alerts"))["active"].as_array().expect("a list").clone()
}

#[test]
fn an_alert_fires_is_seen_and_is_told_to_a_receiver_that_verifies() {
    let dir = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start();
    let config = told(dir.path(), &receiver, "");
    // Bright: each part fails.
    fs::write(dir.path().join("camera/a.jpg"), jpeg(215)).expect("written");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    let find = |rule: &str| active(&url).into_iter().find(|alert| alert["rule"] == rule);
    let alert = wait_for("the alert", || find("fails-in-a-row"));
    assert_eq!((&alert["severity"], &alert["acknowledged"]), (&"warning".into(), &Value::Null));
    wait_for("the receiver", || {
        let all = receiver.messages();
        all.into_iter().find(|it| it["type"] == "alert.fired" && it["data"]["changes"][0]["alert"]["id"] == alert["id"])
    });

    let id = alert["id"].as_str().expect("an id");
    let seen = format!("{url}/api/v1/alerts/{id}/acknowledge");
    let foreign = agent().post(&seen).header("x-inspectd", "1").header("origin", "http://evil.example");
    let foreign = foreign.send_json(object!({}));
    assert_eq!(foreign.expect("an answer").status(), 403, "a foreign page may change nothing");
    for bad in [object!({"x": 1}), object!({"comment": 1}), object!({"comment": "a".repeat(2000)})] {
        assert_eq!(post(&seen, &bad).0, 422, "{bad}");
    }
    assert_eq!(post(&format!("{url}/api/v1/alerts/alert_x/acknowledge"), &object!({})).0, 404);
    let (status, answer) = post(&seen, &object!({"comment": "on my way"}));
    assert_eq!((status, &answer["acknowledged"]["comment"]), (200, &"on my way".into()));

    let rules = format!("{url}/api/v1/alerts/rules");
    let rule = object!({"resolve_after_s": 0, "when": {"kind": "fails_in_a_row", "count": 9999}});
    let put = |name: &str, rule: &Value| {
        let answer =
            agent().put(format!("{rules}/{name}")).header("x-inspectd", "1").send_json(rule).expect("an answer");
        answer.status().as_u16()
    };
    assert_eq!(put("x", &object!({"when": {"kind": "fails_in_a_row", "count": 1}})), 422);
    assert_eq!(put("X..", &rule), 422);
    assert_eq!(put("fails-in-a-row", &rule), 204);
    assert_eq!(json(&rules)["fails-in-a-row"]["origin"], "api");
    let delete = || {
        let answer = agent().delete(format!("{rules}/fails-in-a-row")).header("x-inspectd", "1").call();
        answer.expect("an answer").status().as_u16()
    };
    assert_eq!((delete(), &json(&rules)["fails-in-a-row"]["origin"]), (204, &"built_in".into()));
    assert_eq!(delete(), 404);
    let (_, trail, _) = words(&output(&["audit", "list", "--state", text(&dir.path().join("state"))]));
    for deed in ["alert.acknowledge", "alert_rule.put", "alert_rule.delete"] {
        assert!(trail.contains(deed), "no {deed} in {trail}");
    }

    let health = json(&format!("{url}/api/v1/health"));
    assert!(health["cpu"]["cores"].as_u64() > Some(0) && health["queues"]["dead_letters"] == 0, "{health}");
    let (_, listed, _) = words(&output(&["alerts", "list", "--config", text(&config)]));
    assert!(listed.contains(id) || listed.contains("fails-in-a-row"), "{listed}");
    program.signal("TERM");
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn results_reach_an_mes_through_its_absence_and_kills() {
    let dir = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start();
    let config = told(dir.path(), &receiver, "alerts = false\nresults = { parts = 7, within_s = 1 }\n");
    fs::write(dir.path().join("camera/a.jpg"), jpeg(40)).expect("written");
    receiver.away.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for life in 0..4 {
        // In the second half of the lives the receiver is there, and kills hit deliveries too.
        receiver.away.store(life < 2, Ordering::Relaxed);
        let mut program = Program::start(&["run", "--config", text(&config)]);
        let url = program.url();
        let before = acknowledged;
        wait_for("more parts", || {
            acknowledged = json(&format!("{url}/api/v1/inspections?limit=1"))["items"][0]["id"].as_u64()?;
            (acknowledged >= before + 30).then_some(())
        });
        program.signal("KILL");
        program.end();
    }
    let mut program = Program::start(&["run", "--config", text(&config)]);
    program.url();
    let first = wait_for("every result", || {
        let messages = receiver.messages();
        let of = |message: &Value| message["data"]["results"].as_array().expect("results").clone();
        let mut times: BTreeMap<u64, usize> = BTreeMap::new();
        for part in messages.iter().flat_map(of) {
            *times.entry(part["id"].as_u64().expect("an id")).or_default() += 1;
        }
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "parts under two ids: {twice:?}");
        let ids: BTreeSet<u64> = times.into_keys().collect();
        let first = *ids.first()?;
        (first..=acknowledged).all(|id| ids.contains(&id)).then_some(first)
    });
    assert!(first <= 8, "the first life's first parts are missing: it begins at {first}");
    program.signal("TERM");
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn the_command_line_tries_lists_and_sends_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start();
    let config = told(dir.path(), &receiver, "");
    let (code, stdout, stderr) = words(&output(&["alerts", "test", "--config", text(&config)]));
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert_eq!(receiver.messages()[0]["data"]["changes"][0]["alert"]["rule"], "test");
    let (code, _, stderr) = words(&output(&["alerts", "test", "--config", text(&config), "--to", "nobody"]));
    assert!(code == 1 && stderr.contains("there are: mes"), "{stderr}");

    let unallowed =
        fs::read_to_string(&config).expect("text").replace(&format!("allow = [\"{}\"]", receiver.address), "");
    fs::write(&config, &unallowed).expect("written");
    let (code, stdout, _) = words(&output(&["check", "--no-io", "--config", text(&config)]));
    assert!(code == 1 && stdout.contains("alerts.destinations.mes.url"), "{stdout}");
    fs::write(&config, unallowed.replace("http://", "https://")).expect("written");
    let (code, stdout, _) = words(&output(&["alerts", "test", "--config", text(&config)]));
    assert!(code == 1 && stdout.contains("loopback") && stdout.contains("alerts.allow"), "{stdout}");

    let state = dir.path().join("state");
    let (code, stdout, stderr) = words(&output(&["alerts", "list", "--json", "--state", text(&state)]));
    assert_eq!(code, 0, "{stderr}");
    let listed: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(listed["active"], object!([]));
    let (code, stdout, _) = words(&output(&["alerts", "replay", "--state", text(&state)]));
    assert!(code == 0 && stdout.starts_with("0 messages"), "{stdout}");
    let (code, _, stderr) = words(&output(&["alerts", "replay", "msg_x", "--state", text(&state)]));
    assert!(code == 1 && stderr.contains("no dead letter `msg_x`"), "{stderr}");
}

#[test]
fn no_graphics_card_is_normal() {
    let (_, stdout, _) = words(&output(&["doctor"]));
    if !stdout.contains("no NVIDIA driver") {
        println!("SKIPPED: this machine has a graphics card");
        return;
    }
    assert!(stdout.contains("which is normal"), "{stdout}");
    let dir = tempfile::tempdir().expect("a folder");
    let config = sound(dir.path());
    fs::write(dir.path().join("camera/a.jpg"), jpeg(40)).expect("written");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    wait_for("a few looks", || {
        (json(&format!("{url}/api/v1/line"))["store"]["acknowledged"].as_u64()? > 60).then_some(())
    });
    let gpu = active(&url).into_iter().find(|alert| {
        alert["rule"].as_str().is_some_and(|rule| rule.starts_with("gpu") || rule.starts_with("provider"))
    });
    assert_eq!(gpu, None);
    let loud: Vec<String> = program
        .printed()
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("is not used"))
        .map(str::to_owned)
        .collect();
    assert!(loud.is_empty(), "{loud:?}");
    assert_eq!(json(&format!("{url}/api/v1/health"))["gpus"], object!({"cards": [], "trouble": null}));
}
