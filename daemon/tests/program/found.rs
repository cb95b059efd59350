//! Parts by words, by their like and by a picture, over HTTP and from the command line, of a line that inspects; and people who mean ill.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use models::image::encode_jpeg;
use serde_json::Value;
use stages::capture::synthetic::{LABELS, TrainingSet};

use crate::support::{Program, agent, json, output, text, wait_for, words as words_of};

fn found(url: &str, query: &str) -> Value {
    json(&format!("{url}/api/v1/inspections/found?{query}"))
}

fn items(answer: &Value) -> Vec<(f64, &Value)> {
    let items = answer["items"].as_array().expect("a list");
    items.iter().map(|item| (item["likeness"].as_f64().expect("a number"), &item["part"])).collect()
}

/// Of so many parts, how many have this label in truth: the simulated line knows.
fn truly(items: &[(f64, &Value)], label: &str) -> usize {
    let has = |part: &Value| part["truth"]["defects"].as_array().into_iter().flatten().any(|it| it["label"] == label);
    items.iter().filter(|(_, part)| has(part)).count()
}

#[test]
fn a_line_is_searched_by_words_by_a_part_and_by_a_picture() {
    let dir = tempfile::tempdir().expect("a folder");
    let line =
        ["demo", "--listen", "127.0.0.1:0", "--parts", "400", "--rate", "max", "--defect-rate", "0.7", "--state"];
    let mut program = Program::start(&[&line[..], &[text(dir.path())]].concat());
    let url = program.url_of_a_short_line();
    let all = || json(&format!("{url}/api/v1/inspections/count"))["parts"] == 400;
    wait_for("400 parts", || all().then_some(()));

    words(&url);
    like(&url);
    picture(&url);
    command_line(&url);
    hostile(&url);
}

fn words(url: &str) {
    let english = found(url, "words=scratch&limit=10");
    let all = items(&english);
    assert_eq!(all.len(), 10);
    assert!(all.is_sorted_by(|a, b| a.0 >= b.0) && all.iter().all(|(likeness, _)| (0.0..=1.0).contains(likeness)));
    // By chance it would be one in ten.
    assert!(truly(&all, "scratch") >= 8, "{english:#}");
    assert_eq!(english["understood"][0]["concept"], "scratch");
    assert_eq!((&english["understood"][0]["de"], &english["unknown"]), (&"kratzer".into(), &Value::Array(Vec::new())));
    for same in ["words=Kratzer&limit=10", "words=%E5%88%92%E7%97%95&limit=10"] {
        assert_eq!(found(url, same)["items"], english["items"], "{same}");
    }
    let odd = found(url, "words=scratch%20flurbity&limit=10");
    assert_eq!((&odd["unknown"][0], &odd["items"]), (&"flurbity".into(), &english["items"]), "it counts for nothing");
    let bad = found(url, "words=pit&limit=20&verdict=fail");
    assert!(items(&bad).iter().all(|(_, part)| part["verdict"] == "fail"));
    let none = found(url, "words=pit&to=2001-01-01T00:00:00Z");
    assert!(items(&none).is_empty());
}

fn like(url: &str) {
    let first = found(url, "words=edge%20chip&limit=1&verdict=fail");
    let id = items(&first)[0].1["id"].as_u64().expect("an id");
    let alike = found(url, &format!("like={id}&limit=5"));
    let all = items(&alike);
    assert!(all.iter().all(|(_, part)| part["id"] != id), "the part itself is not asked for");
    assert!(truly(&all, "edge_chip") >= 4, "{alike:#}");
}

fn picture(url: &str) {
    // A part that the line never saw.
    let set = TrainingSet::to_measure_on(977, 512);
    let stain = LABELS.iter().position(|label| *label == "stain").expect("a label") as u64;
    let part = (0..20).map(|round| set.sample(10 * round + stain));
    let part = part.max_by(|a, b| a.cnr[0].total_cmp(&b.cnr[0])).expect("one of twenty");
    let jpeg = encode_jpeg(part.image.view(), 92).expect("encoded");
    let send = |bytes: &[u8], query: &str| {
        let request = agent().post(format!("{url}/api/v1/inspections/found{query}")).header("x-inspectd", "1");
        let mut answer = request.content_type("image/jpeg").send(bytes).expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_json::<Value>().expect("JSON"))
    };
    let (status, answer) = send(&jpeg, "?limit=5");
    assert_eq!(status, 200, "{answer}");
    assert!(truly(&items(&answer), "stain") >= 4, "{answer:#}");
    for (what, bytes, query, expected) in [
        ("no picture", &b"GIF89a nonsense"[..], "", 422),
        ("cut short", &jpeg[..jpeg.len() / 2], "", 422),
        ("nothing", &[], "", 422),
        ("words as well", &jpeg, "?words=pit", 400),
    ] {
        let (status, answer) = send(bytes, query);
        assert_eq!(status, expected, "{what}: {answer}");
        assert!(answer["detail"].as_str().is_some_and(|words| words.len() > 10), "{what}: {answer}");
    }
    // A body of more than 64 KiB is taken here alone; of more than 4 MiB, not even here, and unread.
    for (path, length, status) in
        [("/api/v1/inspections/found", (4 << 20) + 1, "413"), ("/api/v1/queue", (64 << 10) + 1, "413")]
    {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("a connection");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Inspectd: 1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let mut said = Vec::new();
        // The end of the answer may be cut off by the body that nobody read.
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {said}");
    }
}

fn command_line(url: &str) {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inspectd"));
        let output = command.args(["search-archive", "--url", url]).args(arguments).output().expect("it starts");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (success, text) = run(&["Kratzer oben flurbity", "--limit", "3"]);
    assert!(success && text.contains("understood: scratch, top"), "{text}");
    assert!(text.contains("not understood, and left out: flurbity") && text.lines().count() == 5, "{text}");
    let (success, text) = run(&["scratch", "--json"]);
    let answer: Value = serde_json::from_str(text.trim()).expect("JSON");
    assert!(success && answer["items"].as_array().is_some_and(|items| items.len() == 10));
    let (success, text) = run(&["flurbity"]);
    assert!(!success && text.contains("flurbity") && text.contains("as `scratch top left`"), "{text}");
    let (success, text) = run(&["--picture", "/nonexistent.png"]);
    assert!(!success && text.contains("/nonexistent.png"), "{text}");
    assert!(!run(&[]).0 && !run(&["scratch", "--like", "3"]).0);
}

fn hostile(url: &str) {
    let long = "a".repeat(401);
    for (query, status, says) in [
        ("", 400, "either `words`, or `like`"),
        ("words=pit&like=3", 400, "either `words`, or `like`"),
        ("words=", 400, "says nothing"),
        ("words=%20the%20of", 400, "says nothing"),
        ("words=%00%ff", 400, ""),
        ("like=99999999", 404, "no part 99999999"),
        ("like=x", 400, ""),
        ("words=pit&limit=0", 400, "`limit` is 0"),
        ("words=pit&limit=201", 400, "`limit` is 201"),
        (&format!("words={long}"), 400, "more than 400 letters"),
    ] {
        let mut answer = agent().get(format!("{url}/api/v1/inspections/found?{query}")).call().expect("an answer");
        let text = answer.body_mut().read_to_string().expect("text");
        assert_eq!(answer.status().as_u16(), status, "{query}: {text}");
        assert!(text.contains(says), "{query}: {text}");
    }
    // Whoever asks the list for words is told where they are taken.
    let mut answer = agent().get(format!("{url}/api/v1/inspections?words=pit")).call().expect("an answer");
    assert_eq!(answer.status(), 400);
    assert!(answer.body_mut().read_to_string().expect("text").contains("/api/v1/inspections/found"));
}

/// The shipped retriever on parts that no training drew. `accept retrieval` has the long run.
#[test]
fn the_shipped_retriever_finds_more_than_a_rule_does() {
    let (code, stdout, stderr) = words_of(&output(&["retrieval", "eval", "--parts", "600", "--seed", "5", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(stdout.trim()).expect("JSON");
    let recall = |way: &str| report["answers"][way]["recall_at_10"].as_f64().expect("a figure");
    let [english, rule] = ["English", "no learning: score, then where the map is highest"].map(recall);
    assert!(english >= 0.8 && english > rule + 0.03, "{report:#}");
    assert!(recall("German") == english && recall("Chinese") == english, "they say the same: {report:#}");
    assert!(recall("English, another model's sketches") >= 0.75, "{report:#}");
    let surfaces = ["by class and surface", "by class and surface, another model's sketches"].map(recall);
    assert!(surfaces[0] > surfaces[1] + 0.2, "what the trunk saw tells surfaces apart: {report:#}");
}
