//! Replays over HTTP: the same report as a terminal's, one at a time, cancelled, interrupted, kept within bounds, and asked by people
//! who mean ill.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::replay::{adds_up, five, once};
use crate::support::{Program, agent, get, jpeg, json as read, output, text, wait_for, words};

/// A line that has inspected its pictures and stands ready.
struct Line {
    dir: tempfile::TempDir,
    config: PathBuf,
    program: Program,
    url: String,
    /// A range that holds all of its parts.
    from: String,
    to: String,
}

impl Line {
    fn start(pictures: &[(&str, Vec<u8>)]) -> Line {
        let dir = tempfile::tempdir().expect("a folder");
        let config = once(dir.path(), "1.0", pictures);
        let from = (Timestamp::now() - Duration::from_secs(60)).to_string();
        let mut program = Program::start(&["run", "--config", text(&config)]);
        let url = program.url_of_a_short_line();
        let count = pictures.len() as u64;
        let parts = || (read(&format!("{url}/api/v1/line"))["counts"]["in_flight"] == 0).then_some(());
        wait_for("all parts", || {
            parts()?;
            (read(&format!("{url}/api/v1/inspections?limit=200"))["items"].as_array()?.len() as u64 == count)
                .then_some(())
        });
        let to = (Timestamp::now() + Duration::from_secs(3600)).to_string();
        Line { dir, config, program, url, from, to }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn replays(&self) -> PathBuf {
        self.state().join("replays")
    }

    fn json(&self, path: &str) -> Value {
        read(&format!("{}/api/v1/{path}", self.url))
    }

    /// A question about all of its parts.
    fn all(&self, more: Value) -> Value {
        let Value::Object(mut question) = more else { panic!("no object: {more}") };
        question.extend([("from".into(), json!(self.from)), ("to".into(), json!(self.to))]);
        Value::Object(question)
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        post(&self.url, path, body)
    }

    fn ask(&self, more: Value) -> u64 {
        let (status, replay) = self.post("replays", &self.all(more).to_string());
        assert_eq!((status, &replay["state"]), (201, &"running".into()), "{replay}");
        replay["id"].as_u64().expect("a number")
    }

    fn ended(&self, id: u64) -> Value {
        ended(&self.url, id)
    }

    fn done(&self, id: u64) -> Value {
        let replay = self.ended(id);
        assert_eq!(replay["state"], "done", "{replay}");
        replay
    }
}

fn post(url: &str, path: &str, body: &str) -> (u16, Value) {
    let request = agent().post(format!("{url}/api/v1/{path}")).header("x-inspectd", "1");
    let answer = request.header("content-type", "application/json").send(body);
    let mut answer = answer.unwrap_or_else(|error| panic!("POST {path}: {error}"));
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or(Value::Null))
}

fn delete(url: &str, id: u64) -> u16 {
    let request = agent().delete(format!("{url}/api/v1/replays/{id}")).header("x-inspectd", "1");
    request.call().expect("an answer").status().as_u16()
}

fn ended(url: &str, id: u64) -> Value {
    wait_for("the replay's end", || {
        let replay = read(&format!("{url}/api/v1/replays/{id}"));
        (replay["state"] != "running").then_some(replay)
    })
}

fn plain(url: &str) -> String {
    let mut answer = agent().get(url).call().expect("an answer");
    assert_eq!(answer.status(), 200, "{url}");
    answer.body_mut().read_to_string().expect("text")
}

/// Holds the worker of the replay that has just begun, so that it runs for as long as the test wants.
fn hold_worker(program: &Program) -> u32 {
    wait_for("a worker at idle priority", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", program.id())).expect("a process").flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let ids: Vec<u32> = children.flat_map(|ids| numbers(&ids)).collect();
        let worker = *ids.iter().find(|&&id| is_idle(id))?;
        let held = Command::new("kill").args(["-STOP", &worker.to_string()]).status().expect("kill runs");
        held.success().then_some(worker)
    })
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// Whether a process is scheduled when nothing else wants the processor; see proc_pid_stat(5). A worker is from the moment on from
/// which it also ends with its parent.
fn is_idle(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let policy = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(38));
    policy == Some("5")
}

#[test]
fn the_api_and_a_terminal_give_the_same_report() {
    let line = Line::start(&[five(), vec![("=2+3", jpeg(123))]].concat());
    let from_terminal = |arguments: &[&str]| -> Value {
        let config = text(&line.config);
        let range = ["replay", "--json", "--config", config, "--from", &line.from, "--to", &line.to];
        let (code, stdout, stderr) = words(&output(&[&range[..], arguments].concat()));
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).expect("JSON")
    };
    let id = line.ask(json!({ "thresholds": { "scratch": 0.2 } }));
    let replay = line.done(id);
    adds_up(&replay["report"]);
    let said = from_terminal(&["--threshold", "scratch=0.2", "--limit", "250000"]);
    assert_eq!(replay["report"], said, "nothing of so short a report is left out");
    assert_eq!(line.json(&format!("replays/{id}/report")), said);
    assert!(replay["left_out"].as_object().is_some_and(|all| all.values().all(|it| it == 0)), "{replay}");
    let changed = said["parts"]["changed"].as_u64().expect("a number");
    assert!(changed >= 2, "{said}");
    let first = &said["changed"][0];
    let part = json!({ "id": first["id"], "at": first["at"], "serial": first["serial"] });
    let found = json!({ "asked_for": 6, "decided": said["parts"]["decided"], "changed": changed, "first": part });
    assert_eq!(line.json("replays")["replays"][0]["found"], found);

    let table = plain(&format!("{}/api/v1/replays/{id}/serials", line.url));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len() as u64, changed + 1, "{table}");
    assert!(lines[0].starts_with("serial,part,time,before,"), "{table}");
    assert!(table.contains("\nB2,") && table.contains(",pass,good,fail,scratch,"), "{table}");
    assert!(table.contains("\n'=2+3,"), "no spreadsheet computes a serial number: {table}");

    // Narrowed, and by pictures with a model of the register.
    let id = line.ask(json!({ "thresholds": { "scratch": 0.2 }, "serial": "C3", "verdict": "pass", "limit": 3 }));
    let narrow = ["--threshold", "scratch=0.2", "--serial", "C3", "--verdict", "pass", "--limit", "3"];
    assert_eq!(line.done(id)["report"], from_terminal(&narrow));
    let digest = line.json("models")["champion"].as_str().expect("a digest").to_owned();
    let id = line.ask(json!({ "model": digest, "thresholds": { "scratch": 0.2 }, "limit": 100 }));
    let replay = line.done(id);
    adds_up(&replay["report"]);
    let tiny = line.dir.path().join("tiny.bundle");
    let by_picture = from_terminal(&["--bundle", text(&tiny), "--threshold", "scratch=0.2", "--limit", "100"]);
    assert_eq!(replay["report"], by_picture);
    assert_eq!((&replay["model"]["digest"], &by_picture["tried"]["from"]), (&digest.into(), &"pictures".into()));
    let left: Vec<_> = fs::read_dir(line.replays().join(id.to_string())).expect("its folder").flatten().collect();
    assert_eq!(left.len(), 4, "the model and the question are not kept: {left:?}");

    // An empty range has an answer too: the reason.
    let (_, begun) = line
        .post("replays", r#"{"from":"2020-01-01T00:00:00Z","to":"2020-01-02T00:00:00Z","thresholds":{"scratch":0.2}}"#);
    let empty = line.ended(begun["id"].as_u64().expect("a number"));
    assert_eq!((&empty["state"], &empty["report"]), (&"failed".into(), &Value::Null));
    assert!(empty["reason"].as_str().is_some_and(|it| it.contains("records reach from")), "{empty}");
    assert_eq!(get(&format!("{}/api/v1/replays/{}/report", line.url, empty["id"])).0, 409);

    let trail = line.json("audit?what=replay.start");
    assert_eq!(trail["items"].as_array().map(Vec::len), Some(4), "{trail}");
    let threshold = trail["items"][3]["after"]["thresholds"]["scratch"].as_f64();
    assert!(threshold.is_some_and(|it| (it - 0.2).abs() < 1e-6), "{trail}");
}

#[test]
fn one_runs_at_a_time_and_ends_when_told_or_with_the_program() {
    let line = Line::start(&five());
    let digest = line.json("models")["champion"].as_str().expect("a digest").to_owned();
    let question = json!({ "model": digest });
    let id = line.ask(question.clone());
    hold_worker(&line.program);
    let (status, problem) = line.post("replays", &line.all(question.clone()).to_string());
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(status == 409 && detail.contains(&format!("replay {id} has not ended")), "{status} {problem}");
    assert_eq!(delete(&line.url, id), 409, "it runs");
    assert_eq!(line.json(&format!("replays/{id}"))["report"], Value::Null);
    assert_eq!(line.post(&format!("replays/{id}/cancel"), "{}").0, 200);
    let cancelled = line.ended(id);
    assert_eq!((&cancelled["state"], &cancelled["reason"]), (&"cancelled".into(), &Value::Null), "{cancelled}");
    assert_eq!(line.post(&format!("replays/{id}/cancel"), "{}").0, 409, "it has ended");
    assert_eq!(delete(&line.url, id), 204);
    assert_eq!(get(&format!("{}/api/v1/replays/{id}", line.url)).0, 404);

    // The program dies: its worker with it, and the next start says what became of the replay.
    let id = line.ask(question.clone());
    let worker = hold_worker(&line.program);
    line.program.signal("KILL");
    wait_for("the worker's end", || {
        let stat = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
    let Line { dir, config, program, .. } = line;
    drop(program);
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url_of_a_short_line();
    let interrupted = ended(&url, id);
    assert_eq!(interrupted["state"], "failed", "{interrupted}");
    assert!(interrupted["reason"].as_str().is_some_and(|it| it.contains("the program ended")), "{interrupted}");
    assert!(!dir.path().join(format!("state/replays/{id}/model.bundle")).exists(), "nothing half done is kept");

    // And an end in order does not wait for it.
    let (from, to) = (Timestamp::now() - Duration::from_secs(3600), Timestamp::now() + Duration::from_secs(3600));
    let asked = json!({ "model": question["model"], "from": from, "to": to });
    let (status, begun) = post(&url, "replays", &asked.to_string());
    assert_eq!(status, 201, "{begun}");
    hold_worker(&program);
    program.signal("TERM");
    assert_eq!(program.end().0.code(), Some(0));
    let kept = fs::read_to_string(dir.path().join(format!("state/replays/{}/replay.json", begun["id"])));
    let kept: Value = serde_json::from_str(&kept.expect("it is kept")).expect("JSON");
    assert_eq!(kept["state"], "failed", "{kept}");
}

#[test]
fn the_newest_are_kept_and_damaged_ones_removed() {
    let line = Line::start(&five());
    let id = line.ask(json!({ "thresholds": { "scratch": 0.2 } }));
    line.done(id);
    line.program.signal("TERM");
    let Line { dir, config, program, .. } = line;
    assert_eq!(program.end().0.code(), Some(0));
    let replays = dir.path().join("state/replays");
    let copy = |number: u64| {
        let (from, to) = (replays.join("1"), replays.join(number.to_string()));
        fs::create_dir(&to).expect("a folder");
        for file in fs::read_dir(&from).expect("its folder").flatten() {
            fs::copy(file.path(), to.join(file.file_name())).expect("copied");
        }
        let path = to.join("replay.json");
        let mut replay: Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
        replay["number"] = number.into();
        fs::write(&path, replay.to_string()).expect("written");
    };
    (2..=30).for_each(copy);
    fs::write(replays.join("29/replay.json"), "{ half").expect("damaged");
    fs::create_dir(replays.join("31")).expect("an empty folder");
    // 24 is one that is larger than all may be together: it goes, and those before it.
    let large = fs::File::create(replays.join("24/report.json")).expect("a file");
    large.set_len(600 << 20).expect("it takes no room on disk");
    let mut program = Program::start(&["run", "--config", text(&config)]);
    let url = program.url_of_a_short_line();
    let ids = |list: &Value| -> Vec<u64> {
        list["replays"].as_array().expect("a list").iter().filter_map(|it| it["id"].as_u64()).collect()
    };
    let list = read(&format!("{url}/api/v1/replays"));
    let kept: Vec<u64> = (10..=30).rev().filter(|it| ![24, 29].contains(it)).collect();
    assert!(ids(&list).starts_with(&kept[..5]), "{list}");
    assert!(!ids(&list).contains(&24) && !ids(&list).contains(&29), "{list}");
    assert!(ids(&list).len() <= 20, "{list}");
    let on_disk = fs::read_dir(&replays).expect("the folder").count();
    assert_eq!(on_disk, ids(&list).len(), "what is not listed is not kept");
    // A report that is gone costs itself only.
    fs::remove_file(replays.join("30/excerpt.json")).expect("removed");
    let (status, _, problem) = get(&format!("{url}/api/v1/replays/30"));
    assert!(status == 500 && problem["detail"].as_str().is_some_and(|it| it.contains("replay 30")), "{problem}");
    assert_eq!(get(&format!("{url}/api/v1/replays/28")).0, 200);
    program.signal("TERM");
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn a_question_that_cannot_be_asked_names_the_field() {
    let line = Line::start(&five());
    let range = format!(r#""from":"{}","to":"{}""#, line.from, line.to);
    let long = "x".repeat(70_000);
    let many: String = (0..300).map(|n| format!(r#""l{n}":0.5,"#)).collect();
    let scratch = r#""thresholds":{"scratch":0.2}"#;
    for (body, status, says) in [
        (format!(r#"{{"from":"{}","to":"{}",{scratch}}}"#, line.to, line.from), 422, "`from`"),
        (format!(r#"{{"from":"{0}","to":"{0}",{scratch}}}"#, line.to), 422, "`from`"),
        (format!(r#"{{"from":"2020-01-01T00:00:00Z","to":"2026-01-01T00:00:00Z",{scratch}}}"#), 422, "`to`"),
        (format!(r#"{{"from":"yesterday","to":"{}",{scratch}}}"#, line.to), 422, "from"),
        (format!(r#"{{"to":"{}",{scratch}}}"#, line.to), 422, "from"),
        (format!("{{{range}}}"), 422, "`thresholds`"),
        (format!(r#"{{{range},"thresholds":{{}}}}"#), 422, "`model`"),
        (format!(r#"{{{range},"thresholds":{{"dent":0.2}}}}"#), 422, "`thresholds.dent`"),
        (format!(r#"{{{range},"thresholds":{{"scratch":1.5}}}}"#), 422, "`thresholds.scratch`"),
        (format!(r#"{{{range},"thresholds":{{"scratch":-0.1}}}}"#), 422, "`thresholds.scratch`"),
        (format!(r#"{{{range},"thresholds":{{"scratch":1e39}}}}"#), 422, "`thresholds.scratch`"),
        (format!(r#"{{{range},"thresholds":{{"scratch":NaN}}}}"#), 400, ""),
        (format!(r#"{{{range},"thresholds":{{"scratch":"low"}}}}"#), 422, "thresholds.scratch"),
        (format!(r#"{{{range},"thresholds":{{{many}"scratch":0.1}}}}"#), 422, "`thresholds`"),
        (format!(r#"{{{range},"model":"{}"}}"#, "0".repeat(64)), 422, "`model`"),
        (format!(r#"{{{range},"model":"../../etc/passwd"}}"#), 422, "`model`"),
        (format!(r#"{{{range},"model":""}}"#), 422, "`model`"),
        (format!(r#"{{{range},{scratch},"limit":0}}"#), 422, "`limit`"),
        (format!(r#"{{{range},{scratch},"limit":99999999999}}"#), 422, "`limit`"),
        (format!(r#"{{{range},{scratch},"limit":-1}}"#), 422, "limit"),
        (format!(r#"{{{range},{scratch},"serial":""}}"#), 422, "`serial`"),
        (format!(r#"{{{range},{scratch},"serial":"{}"}}"#, &long[..300]), 422, "`serial`"),
        (format!(r#"{{{range},{scratch},"label":"{}"}}"#, &long[..65]), 422, "`label`"),
        (format!(r#"{{{range},{scratch},"verdict":"bad"}}"#), 422, "`verdict`"),
        (format!(r#"{{{range},{scratch},"state":"/etc"}}"#), 422, "state"),
        (format!(r#"{{{range},{scratch},"serial":"{long}"}}"#), 413, ""),
        ("[]".to_owned(), 422, ""),
        ("{".to_owned(), 400, ""),
    ] {
        let (got, problem) = line.post("replays", &body);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(got == status && detail.contains(says), "{}: {got} {problem}", &body[..body.len().min(200)]);
    }
    for (path, status) in
        [("replays/7", 404), ("replays/x", 400), ("replays/7/report", 404), ("replays/-1/serials", 400)]
    {
        assert_eq!(get(&format!("{}/api/v1/{path}", line.url)).0, status, "{path}");
    }
    assert_eq!(line.post("replays/7/cancel", "{}").0, 404);
    assert_eq!(delete(&line.url, 7), 404);
    assert_eq!(line.json("replays"), json!({ "replays": [] }), "nothing of that began");
    assert!(is_empty(&line.replays()), "and nothing was written");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut files| files.next().is_none())
}
