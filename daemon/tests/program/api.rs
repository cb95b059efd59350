//! The HTTP interface of a running demo, over real connections.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::{Program, agent, get, json, law, text, tiny_bundle, wait_for};

/// A demo that runs on.
struct Demo {
    program: Program,
    url: String,
    _dir: tempfile::TempDir,
}

impl Demo {
    fn start(more: &[&str]) -> Demo {
        let dir = tempfile::tempdir().expect("a folder");
        let bundle = tiny_bundle(dir.path());
        let state = dir.path().join("state");
        let arguments = ["demo", "--listen", "127.0.0.1:0", "--bundle", text(&bundle), "--state", text(&state)];
        let mut program = Program::start(&[&arguments[..], more].concat());
        // A line of few parts may have ended before it is asked whether it is ready.
        let url = if more.contains(&"--parts") { program.url_of_a_short_line() } else { program.url() };
        Demo { program, url, _dir: dir }
    }

    fn json(&self, path: &str) -> Value {
        json(&format!("{}{path}", self.url))
    }

    /// Waits until so many parts are on record.
    fn recorded(&self, parts: u64) {
        wait_for("records", || (self.json("/api/v1/line")["store"]["acknowledged"].as_u64()? >= parts).then_some(()));
    }
}

#[test]
fn the_line_shows_itself_and_obeys_the_law() {
    let demo = Demo::start(&["--rate", "60"]);
    let mut seen = BTreeSet::new();
    wait_for("thirty different counts", || {
        let line = demo.json("/api/v1/line");
        seen.insert(law(&line["counts"]));
        (seen.len() >= 30).then_some(())
    });
    let line = demo.json("/api/v1/line");
    assert_eq!((&line["line"], &line["state"], &line["recipe"]), (&"demo".into(), &"running".into(), &"demo@1".into()));
    assert_eq!(line["source"]["kind"], "synthetic");
    assert_eq!((&line["model"]["name"], &line["model"]["provider"]), (&"tiny".into(), &"cpu".into()));
    assert_eq!(line["model"]["labels"][1], serde_json::json!({"name": "scratch", "verdict": "fail", "threshold": 0.5}));
    assert_eq!(line["model"]["fallbacks"].as_array().map(Vec::len), Some(2), "TensorRT and CUDA are not here: {line}");
    assert_eq!(line["deadline_ms"], 500);
    let stages: Vec<_> = line["stages"].as_array().expect("stages").iter().map(|stage| stage["name"].clone()).collect();
    assert_eq!(stages, ["quality", "identify", "align", "preprocess", "infer", "decide"]);
    assert!(line["latency"]["p50_us"].as_u64() > Some(0));

    wait_for("whole seconds", || (demo.json("/api/v1/line/trend")["points"].as_array()?.len() >= 2).then_some(()));
    let trend = demo.json("/api/v1/line/trend");
    for point in trend["points"].as_array().expect("points") {
        let sum: u64 =
            ["pass", "fail", "review", "no_decision"].map(|key| point[key].as_u64().expect("a number")).iter().sum();
        assert_eq!(point["triggered"], sum, "{point}");
    }
    assert!(demo.json("/api/v1/line")["parts_per_s"].as_f64() > Some(0.0));
}

#[test]
fn pages_join_without_gap_or_double() {
    let demo = Demo::start(&["--rate", "80"]);
    demo.recorded(60);
    let mut ids = Vec::new();
    let mut path = "/api/v1/inspections?limit=7".to_owned();
    loop {
        let page = demo.json(&path);
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 7);
        ids.extend(items.iter().map(|item| item["id"].as_u64().expect("an id")));
        match page["next"].as_u64() {
            Some(next) => path = format!("/api/v1/inspections?limit=7&before={next}"),
            None => break,
        }
    }
    let newest = ids[0];
    assert_eq!(ids, (1..=newest).rev().collect::<Vec<u64>>(), "newest first, each once");

    let one = demo.json("/api/v1/inspections/1");
    for key in [
        "id",
        "line",
        "camera",
        "serial",
        "origin",
        "triggered_at",
        "verdict",
        "cause",
        "detail",
        "label",
        "found",
        "scores",
        "heat",
        "recipe",
        "model",
        "provider",
        "ledger",
        "has_image",
        "truth",
        "late_result",
    ] {
        assert!(one.get(key).is_some(), "no `{key}` in {one}");
    }
    let named = demo.json("/api/v1/inspections?serial=S000004");
    assert_eq!(named["items"][0]["id"], 5);
    let failed = demo.json("/api/v1/inspections?verdict=fail&limit=200");
    assert!(failed["items"].as_array().expect("items").iter().all(|item| item["verdict"] == "fail"));
    assert_eq!(demo.json("/api/v1/inspections?from=2100-01-01T00:00:00Z")["items"], serde_json::json!([]));
    assert_eq!(
        demo.json("/api/v1/inspections?to=2100-01-01T00:00:00%2B01:00&limit=1")["items"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn a_failed_parts_picture_is_kept() {
    let demo = Demo::start(&["--rate", "40"]);
    let failed = wait_for("a failed part with its picture", || {
        let page = demo.json("/api/v1/inspections?verdict=fail&limit=1");
        page["items"].get(0).filter(|item| item["has_image"] == true).cloned()
    });
    let url = format!("{}/api/v1/inspections/{}/image", demo.url, failed["id"]);
    let bytes = wait_for("the picture on disk", || {
        let mut answer = agent().get(&url).call().expect("an answer");
        (answer.status() == 200).then(|| answer.body_mut().read_to_vec().expect("bytes"))
    });
    let mut image =
        models::image::Image { width: 0, height: 0, format: models::image::PixelFormat::Mono8, data: Vec::new() };
    models::image::decode_into(&bytes, &mut image).expect("a picture");
    assert_eq!((image.width, image.height), (512, 512));
    for (side, pixels) in [(320, 256), (512, 512), (2048, 512)] {
        let mut answer = agent().get(format!("{url}?side={side}")).call().expect("an answer");
        let small = answer.body_mut().read_to_vec().expect("bytes");
        models::image::decode_into(&small, &mut image).expect("a picture");
        assert_eq!((image.width, image.height), (pixels, pixels), "side={side}");
    }
    for side in ["0", "31", "4096", "-1", "large"] {
        assert_eq!(get(&format!("{url}?side={side}")).0, 400, "side={side}");
    }
    let heat = &failed["heat"];
    let cells =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, heat["cells"].as_str().expect("cells"));
    let (width, height) = (heat["width"].as_u64().expect("a number"), heat["height"].as_u64().expect("a number"));
    assert_eq!(cells.expect("base64").len() as u64, width * height);

    let (status, kind, problem) = get(&format!("{}/api/v1/inspections/999999999/image", demo.url));
    assert_eq!((status, kind.as_str()), (404, "application/problem+json"), "{problem}");
}

#[test]
fn what_cannot_be_understood_is_a_problem_in_words() {
    let demo = Demo::start(&["--rate", "5"]);
    for (path, status, words) in [
        ("/api/v1/inspections?limit=0", 400, "`limit` is 0"),
        ("/api/v1/inspections?limit=100000", 400, "give 1 to 200"),
        ("/api/v1/inspections?limit=many", 400, ""),
        ("/api/v1/inspections?verdict=maybe", 400, "pass, fail, review or no_decision"),
        ("/api/v1/inspections?from=yesterday", 400, "RFC 3339"),
        ("/api/v1/inspections?colour=red", 400, "colour"),
        ("/api/v1/inspections/first", 400, ""),
        ("/api/v1/inspections/999999999", 404, "no part 999999999"),
        ("/api/v1/nothing", 404, "/api/v1/openapi.json"),
        ("/nothing.html", 404, "no page"),
        ("/../../etc/passwd", 404, ""),
    ] {
        let (got, kind, problem) = get(&format!("{}{path}", demo.url));
        assert_eq!((got, kind.as_str()), (status, "application/problem+json"), "{path}: {problem}");
        assert_eq!(problem["status"], status);
        assert!(problem["type"].is_string() && problem["title"].is_string(), "{problem}");
        assert!(problem["detail"].as_str().expect("words").contains(words), "{path}: {problem}");
    }
    let mut posted = agent().post(format!("{}/api/v1/line", demo.url)).send_empty().expect("an answer");
    let problem: Value = posted.body_mut().read_json().expect("JSON");
    assert_eq!((posted.status().as_u16(), &problem["status"]), (405, &405.into()));
    // A place of an address that is no text, in every operation that has one.
    let document = demo.json("/api/v1/openapi.json");
    let paths = document["paths"].as_object().expect("paths").iter().filter(|(path, _)| path.contains('{'));
    let mut asked = 0;
    for (path, method) in
        paths.flat_map(|(path, item)| item.as_object().expect("methods").keys().map(move |method| (path, method)))
    {
        let (before, rest) = path.split_once('{').expect("a place");
        let target = format!("{before}%ff{}", rest.split_once('}').expect("its end").1);
        let head = format!(
            "{} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Inspectd: 1\r\n",
            method.to_uppercase()
        );
        let answer = raw(&demo.url, &format!("{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"));
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("application/problem+json"),
            "{method} {target}: {answer}"
        );
        asked += 1;
    }
    assert!(asked > 30, "{asked}");
    let line = demo.json("/api/v1/line");
    assert_eq!(line["state"], "running", "and the line runs on");
    drop(demo.program);
}

/// A request written by hand, as no decent client sends it.
fn raw(url: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("connected");
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn foreign_pages_are_kept_out() {
    let demo = Demo::start(&["--rate", "5"]);
    let rebound = raw(&demo.url, "GET /api/v1/line HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(rebound.starts_with("HTTP/1.1 421 "), "{rebound}");
    assert!(!rebound.contains("triggered") && rebound.contains("api.hosts"), "{rebound}");
    let ours = raw(&demo.url, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(ours.starts_with("HTTP/1.1 200 "), "{ours}");

    for path in ["/", "/api/v1/line", "/nothing"] {
        let answer = agent().get(format!("{}{path}", demo.url)).call().expect("an answer");
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(header("content-security-policy").starts_with("default-src 'self'"), "{path}");
        assert_eq!((header("x-content-type-options"), header("x-frame-options")), ("nosniff", "DENY"), "{path}");
        assert_eq!(header("access-control-allow-origin"), "", "no other origin may read");
    }
    let mut page = agent().get(format!("{}/", demo.url)).call().expect("a page");
    let page = page.body_mut().read_to_string().expect("text");
    assert!(page.contains("<title>"), "a page, built or placeholder");
    for script in page.split("<script").skip(1) {
        let tag = script.split('>').next().expect("a tag");
        assert!(tag.contains(" src=\"/"), "a script inside the page, which the policy would refuse: <script{tag}>");
    }
    let inline = page.split(|c: char| c.is_whitespace()).find(|word| word.starts_with("on") && word.contains("=\""));
    assert_eq!((inline, page.contains("javascript:")), (None, false), "code in an attribute");
}

#[test]
fn readiness_ends_with_the_parts() {
    let demo = Demo::start(&["--rate", "20", "--parts", "10"]);
    let (status, _, _) = get(&format!("{}/healthz", demo.url));
    assert_eq!(status, 200);
    let said = wait_for("the end of the parts", || {
        let mut answer = agent().get(format!("{}/readyz", demo.url)).call().expect("an answer");
        let said = answer.body_mut().read_to_string().expect("text");
        // Between the last trigger and the last verdict it says that it drains.
        (answer.status() == 503 && !said.starts_with("draining")).then_some(said)
    });
    assert!(said.contains("stopped"), "{said}");
    let line = demo.json("/api/v1/line");
    assert_eq!((&line["state"], law(&line["counts"])), (&"stopped".into(), 10));
    demo.program.signal("TERM");
    let (status, stdout, _) = demo.program.end();
    assert_eq!(status.code(), Some(0));
    assert!(stdout.contains("10 parts"), "{stdout}");
}

#[test]
fn the_description_names_what_answers() {
    let demo = Demo::start(&["--rate", "20"]);
    demo.recorded(1);
    let document = demo.json("/api/v1/openapi.json");
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() >= 9, "{paths:?}");
    let model = demo.json("/api/v1/line")["model"]["digest"].as_str().expect("a digest").to_owned();
    for (path, item) in paths {
        if path == "/api/v1/events" || item["get"].is_null() {
            continue; // it never ends; it cannot be looked at
        }
        let named = [("{id}", "1"), ("{number}", "1"), ("{digest}", model.as_str()), ("{tag}", "demo%401")];
        let names = named.into_iter().chain([("{ticket}", "made-up-1")]);
        let known = names.fold(path.clone(), |path, (name, value)| path.replace(name, value));
        let (status, _, _) = get(&format!("{}{known}", demo.url));
        // The first part's picture may not have been kept, and nobody has started a training, a replay or a study.
        let may_lack = path.ends_with("/image")
            || path.ends_with("/plc")
            || path.ends_with("/features/points")
            || ["jobs", "replays", "gauge"].iter().any(|it| path.contains(&format!("/{it}/")));
        // What has to be told which thing is meant says so.
        let parameters = item["get"]["parameters"].as_array();
        let needs = parameters.is_some_and(|all| all.iter().any(|it| it["in"] == "query" && it["required"] == true));
        // One of several: words, or a part.
        let needs = needs || path.ends_with("/found");
        let expected = if needs { status == 400 } else { status == 200 || (status == 404 && may_lack) };
        assert!(expected, "{path}: {status}");
    }
}
