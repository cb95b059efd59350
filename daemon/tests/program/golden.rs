//! Golden samples and gauge studies through the whole program: a line that was not shown its samples refuses, over the API and to the PLC;
//! hostile requests change nothing.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use models::image::encode_png;
use serde_json::{Value, json};

use crate::plc::rig::Plc;
use crate::support::{Program, agent, get, json, law, output, png, text, textured, tiny_bundle, wait_for, words};

/// Dark pictures are good, bright ones bad (`tiny_bundle`).
const SAMPLES: &str = "[golden_samples]\non_changeover = true\n[[golden_samples.sample]]\nname = \"GOOD-1\"\nknown = \"good\"\n\
                       [[golden_samples.sample]]\nname = \"BAD-1\"\nknown = \"bad\"\nlabel = \"scratch\"\n";

fn configure(dir: &Path, recipe: &str, more: &str) -> PathBuf {
    tiny_bundle(dir);
    fs::create_dir_all(dir.join("camera")).expect("a folder");
    let head = "name = \"cap\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 20000\n";
    fs::write(dir.join("recipe.toml"), format!("{head}{recipe}")).expect("written");
    let config = format!(
        "format = 1\n[line]\nname = \"caps\"\nrecipe = \"recipe.toml\"\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
         [access]\nmode = \"open\"\n[source]\nkind = \"folder\"\npath = \"camera\"\nserial_from_name = true\n{more}"
    );
    fs::write(dir.join("line.toml"), config).expect("written");
    dir.join("line.toml")
}

const WATCH: &str = "mode = \"watch\"\n";

/// A part goes by: dark or bright.
fn show(dir: &Path, name: &str, level: u8) {
    let camera = dir.join("camera");
    fs::write(camera.join(format!(".{name}")), encode_png(textured(level, 64).view()).expect("a picture"))
        .expect("written");
    fs::rename(camera.join(format!(".{name}")), camera.join(format!("{name}.png"))).expect("put there");
}

fn record_of(url: &str, serial: &str) -> Value {
    wait_for("the record", || {
        let page = json(&format!("{url}/api/v1/inspections?serial={serial}"));
        page["items"][0].is_object().then(|| page["items"][0].clone())
    })
}

fn post(url: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut answer =
        agent().post(format!("{url}/api/v1/{path}")).header("x-inspectd", "1").send_json(body).expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or(Value::Null))
}

fn state(url: &str) -> (String, String) {
    let line = json(&format!("{url}/api/v1/line"));
    law(&line["counts"]);
    let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    (word("state"), word("state_reason"))
}

#[test]
fn the_line_refuses_until_its_samples_are_judged_right_also_across_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = configure(dir.path(), SAMPLES, WATCH);
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url_of_a_short_line();
    let (word, reason) = wait_for("the page", || Some(state(&url)).filter(|(word, _)| !word.is_empty()));
    assert_eq!(word, "not_ready");
    assert!(reason.contains("none were shown on this line yet"), "{reason}");
    let (ready, _, _) = get(&format!("{url}/readyz"));
    assert_eq!(ready, 503);
    // A part that comes all the same is a reject with a reason.
    show(dir.path(), "early", 30);
    let early = record_of(&url, "early");
    assert_eq!((&early["verdict"], &early["cause"]), (&"no_decision".into(), &"safe_hold".into()));

    // The bad sample is shown as a good-looking one: the line must not pass it, and it does.
    let (code, said, stderr) = words(&output(&["golden", "start", "--url", &url]));
    assert!(code == 0 && said.contains("run 1 is on"), "{said} {stderr}");
    show(dir.path(), "s1", 30);
    record_of(&url, "s1");
    show(dir.path(), "s2", 35);
    let second = record_of(&url, "s2");
    assert_eq!(second["check"]["purpose"], "golden_sample");
    assert_eq!((&second["check"]["sample"], &second["check"]["right"]), (&2.into(), &false.into()));
    assert_eq!(second["verdict"], "pass", "its verdict stands as the line gave it");
    let (word, reason) = state(&url);
    assert_eq!(word, "not_ready");
    assert!(reason.contains("`BAD-1` is bad (scratch) and passed"), "{reason}");
    let (code, said, _) = words(&output(&["golden", "status", "--url", &url]));
    assert!(code == 1 && said.contains("NOT READY"), "{said}");

    // Killed in the middle of the next run: it has to be repeated.
    assert_eq!(post(&url, "golden/runs", &json!({})).0, 200);
    show(dir.path(), "s3", 30);
    record_of(&url, "s3");
    program.signal("KILL");
    let _ = program.end();
    // A watched folder's pictures are parts again after a start.
    fs::remove_dir_all(dir.path().join("camera")).expect("removed");
    fs::create_dir(dir.path().join("camera")).expect("a folder");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url_of_a_short_line();
    let (word, reason) = wait_for("the page", || Some(state(&url)).filter(|(word, _)| !word.is_empty()));
    assert!(word == "not_ready" && reason.contains("interrupted"), "{word} {reason}");

    assert_eq!(post(&url, "golden/runs", &json!({})).0, 200);
    show(dir.path(), "s4", 30);
    record_of(&url, "s4");
    show(dir.path(), "s5", 220);
    record_of(&url, "s5");
    wait_for("readiness", || matches!(state(&url).0.as_str(), "ready" | "running").then_some(()));
    show(dir.path(), "p1", 30);
    let part = record_of(&url, "p1");
    assert!(part["verdict"] == "pass" && part["check"].is_null(), "{part}");
    // Golden samples are not learned from.
    let id = record_of(&url, "s5")["id"].clone();
    let (status, refused) =
        post(&url, &format!("inspections/{id}/label"), &json!({ "answer": "label", "label": "good" }));
    assert!(status == 422 && refused["detail"].as_str().is_some_and(|it| it.contains("check the line")), "{refused}");
    let (status, sent) = post(&url, "queue", &json!({ "ids": [id] }));
    assert_eq!((status, &sent["queued"], &sent["checks"]), (200, &0.into(), &1.into()), "nor looked at: {sent}");
    let runs = json(&format!("{url}/api/v1/golden/runs"));
    let outcomes: Vec<_> = runs["runs"].as_array().expect("a list").iter().map(|run| run["outcome"].clone()).collect();
    assert_eq!(outcomes, ["passed", "interrupted", "failed"]);
    let (_, said, _) = words(&output(&["golden", "history", "--url", &url]));
    assert_eq!(said.lines().count(), 3, "{said}");
    assert_eq!(law(&json(&format!("{url}/api/v1/line"))["counts"]), 3, "since this start, golden samples among them");
    // They are on record, and are no production.
    let of = |purpose: &str| json(&format!("{url}/api/v1/inspections/count?purpose={purpose}"))["parts"].clone();
    wait_for("all to be counted", || (of("production") == 2 && of("golden_sample").as_u64() >= Some(4)).then_some(()));
    let (from, to) =
        (Timestamp::now() - SignedDuration::from_hours(1), Timestamp::now() + SignedDuration::from_hours(1));
    let quality = json(&format!("{url}/api/v1/quality?from={from}&to={to}"));
    assert_eq!(quality["totals"]["parts"], 2, "the early part and the last: {}", quality["totals"]);
    let (status, _, refused) = get(&format!("{url}/api/v1/inspections?purpose=fun"));
    assert!(status == 400 && refused["detail"].as_str().is_some_and(|it| it.contains("use production, golden_sample")));
}

#[test]
fn a_plc_is_told_not_ready_until_the_samples_were_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let plc = "mode = \"loop\"\n[trigger]\nby = \"plc\"\nframe_ms = 2000\n[plc]\n[plc.modbus_server]\nlisten = \"127.0.0.1:0\"\n";
    let config = configure(dir.path(), SAMPLES, plc);
    // In turn: dark, bright.
    for (name, level) in [("a.png", 30), ("b.png", 220)] {
        fs::write(dir.path().join("camera").join(name), png(level)).expect("written");
    }
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url_of_a_short_line();
    let address = wait_for("the PLC's port", || {
        let printed = program.printed();
        let rest = printed.split("Modbus TCP server on ").nth(1)?;
        rest.split_whitespace().next()?.parse().ok()
    });
    let mut plc = Plc::connect(address, 255);
    plc.wait("the heart", |said| said.beat > 1);
    plc.raise(1, 0, "");
    let said = plc.wait("an answer", |said| said.error);
    assert!(!said.trigger_ready && !said.trigger_ack && said.error_code != 0, "{said:?}");
    plc.lower();
    assert_eq!(post(&url, "golden/runs", &json!({})).0, 200);
    for id in [2, 3] {
        plc.wait("readiness", |said| said.trigger_ready);
        plc.trigger(id, 0, "");
        plc.wait("a result", |said| said.result_ready);
        plc.acknowledge();
    }
    plc.wait("production", |said| said.trigger_ready);
    let golden = json(&format!("{url}/api/v1/golden"));
    assert_eq!((&golden["refused"], &golden["runs"][0]["outcome"]), (&Value::Null, &"passed".into()), "{golden}");
}

#[test]
fn an_override_is_audited_and_what_makes_no_sense_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = configure(dir.path(), SAMPLES, WATCH);
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url_of_a_short_line();
    wait_for("the page", || Some(state(&url)).filter(|(word, _)| !word.is_empty()));
    let long = "x".repeat(501);
    for (path, body, status) in [
        ("golden/override", json!({}), 422),
        ("golden/override", json!({ "reason": "  " }), 422),
        ("golden/override", json!({ "reason": long }), 422),
        ("golden/override", json!({ "reason": "two\nlines" }), 422),
        ("golden/override", json!({ "reason": "x", "more": 1 }), 422),
        ("golden/cancel", json!({}), 409),
        ("golden/cancel", json!({ "reason": 7 }), 422),
        ("gauge", json!({ "name": "x", "parts": [], "repeats": 2 }), 422),
        ("gauge", json!({ "name": "x", "parts": [{ "name": "a", "master": "fine" }], "repeats": 2 }), 422),
        ("gauge/1/collect", json!({ "on": true }), 404),
        ("gauge/x/collect", json!({ "on": true }), 400),
        ("gauge/1/ratings", json!({ "appraiser": "ann", "ratings": [] }), 422),
        ("gauge/1/void", json!({}), 404),
    ] {
        assert_eq!(post(&url, path, &body).0, status, "{path} {body}");
    }
    for (path, status) in [
        ("golden/runs?limit=0", 400),
        ("golden/runs?limit=x", 400),
        ("gauge/9", 404),
        ("gauge/1/report?format=exe", 400),
    ] {
        assert_eq!(get(&format!("{url}/api/v1/{path}")).0, status, "{path}");
    }
    let without = agent().post(format!("{url}/api/v1/golden/runs")).send_json(json!({})).expect("an answer");
    assert_eq!(without.status(), 403, "no page of another site may start it");
    assert_eq!(state(&url).0, "not_ready", "nothing of that has changed anything");

    let (code, said, stderr) =
        words(&output(&["golden", "override", "--reason", "samples are at the lab", "--url", &url]));
    assert!(code == 0 && said.contains("overridden: samples are at the lab"), "{said} {stderr}");
    assert_eq!(post(&url, "golden/override", &json!({ "reason": "again" })).0, 409);
    let audit = json(&format!("{url}/api/v1/audit"));
    let entry = audit["items"].as_array().expect("a list").iter().find(|it| it["what"] == "golden.override");
    assert_eq!(entry.expect("it is there")["reason"], "samples are at the lab");
    std::thread::sleep(std::time::Duration::from_secs(2));
    eprintln!("{:?} {}", state(&url), json(&format!("{url}/api/v1/golden/runs")));
    eprintln!("{}", json(&format!("{url}/api/v1/inspections?limit=20")));
    wait_for("readiness", || matches!(state(&url).0.as_str(), "ready" | "running").then_some(()));
}

#[test]
fn a_gauge_study_from_its_plan_to_its_report() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = configure(dir.path(), "", WATCH);
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url();
    let file = |name: &str, content: &str| {
        fs::write(dir.path().join(name), content).expect("written");
        dir.path().join(name)
    };
    let parts = file("parts.csv", "part,master\np1,good\np2,bad\np3,good\np4,bad\n");
    let (code, said, stderr) =
        words(&output(&["gauge", "new", "cap", "--parts", text(&parts), "--repeats", "2", "--url", &url]));
    assert!(code == 0 && said.starts_with("study 1"), "{said} {stderr}");
    // Golden samples and the study do not take the same parts.
    let (code, _, stderr) = words(&output(&["gauge", "collect", "1", "--url", &url]));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(post(&url, "golden/runs", &json!({})).0, 409);
    for shown in 0..8 {
        let study = json(&format!("{url}/api/v1/gauge/1"));
        let name = study["next"]["name"].as_str().expect("not complete");
        // The line is wrong once: the last part looks good whatever it is.
        let good = name == "p1" || name == "p3" || shown == 7;
        let serial = format!("shown-{shown}");
        show(dir.path(), &serial, if good { 30 } else { 220 });
        assert_eq!(record_of(&url, &serial)["check"]["purpose"], "gauge");
    }
    let study = json(&format!("{url}/api/v1/gauge/1"));
    assert_eq!((&study["next"], &study["on"], &study["seen"]), (&Value::Null, &false.into(), &8.into()));
    show(dir.path(), "after", 30);
    assert!(record_of(&url, "after")["check"].is_null(), "production again");
    let ratings = file("ann.csv", "part,repeat,rating\np1,1,good\np1,2,good\np2,1,bad\np2,2,bad\n");
    let (code, said, stderr) =
        words(&output(&["gauge", "rate", "1", "--ratings", text(&ratings), "--appraiser", "ann", "--url", &url]));
    assert!(code == 0 && said.contains("ann: acceptable"), "{said} {stderr}");
    let line = &json(&format!("{url}/api/v1/gauge/1"))["figures"]["appraisers"][0];
    let seen =
        |what: &str| (line[what]["seen"].as_u64().expect("a count"), line[what]["of"].as_u64().expect("a count"));
    // Which part came last is drawn by lot: a bad one that passed is missed, a good one is right.
    let missed = seen("miss").0;
    assert_eq!((seen("false_alarm"), seen("effectiveness")), ((0, 4), (4 - missed, 4)), "{line}");
    for ending in ["html", "csv"] {
        let to = dir.path().join(format!("study.{ending}"));
        let (code, _, stderr) = words(&output(&["gauge", "report", "1", "--out", text(&to), "--url", &url]));
        assert_eq!(code, 0, "{stderr}");
        let written = fs::read_to_string(to).expect("it is there");
        assert!(written.contains("ann") && written.contains("p4"), "{written}");
    }
    assert_eq!(law(&json(&format!("{url}/api/v1/line"))["counts"]), 9);
}
