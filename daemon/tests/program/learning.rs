//! Labels, jobs and models over HTTP and from a terminal: what they refuse, and that both say the same.

use serde_json::{Value, json};

use crate::support::{Program, agent, get, inspectd, json as read, text, tiny_bundle, wait_for, words};

/// A demo with the tiny model, whose network cannot learn kinds.
struct Demo {
    _program: Program,
    url: String,
    _dir: tempfile::TempDir,
}

impl Demo {
    fn start() -> Demo {
        let dir = tempfile::tempdir().expect("a folder");
        let bundle = tiny_bundle(dir.path());
        let state = dir.path().join("state");
        let arguments = ["demo", "--listen", "127.0.0.1:0", "--bundle", text(&bundle), "--state", text(&state)];
        let mut program = Program::start(&[&arguments[..], &["--rate", "40"]].concat());
        let url = program.url();
        let demo = Demo { _program: program, url, _dir: dir };
        wait_for("parts with pictures", || (demo.json("/api/v1/queue")["waiting"].as_u64()? >= 3).then_some(()));
        demo
    }

    fn json(&self, path: &str) -> Value {
        read(&format!("{}{path}", self.url))
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let request = agent().post(format!("{}{path}", self.url)).header("x-inspectd", "1");
        let answer = request.header("content-type", "application/json").send(body);
        let mut answer = answer.unwrap_or_else(|error| panic!("POST {path}: {error}"));
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or(Value::Null))
    }

    /// A command that asks this line: exit code, standard output, standard error.
    fn ask(&self, arguments: &[&str]) -> (i32, String, String) {
        words(&inspectd(&[arguments, &["--url", &self.url]].concat()).output().expect("the program starts"))
    }
}

#[test]
fn what_cannot_be_is_refused_and_says_why() {
    let demo = Demo::start();
    let id = &demo.json("/api/v1/queue")["items"][0]["id"];
    let label = format!("/api/v1/inspections/{id}/label");
    let long = "x".repeat(65);
    for (path, body, status, says) in [
        (label.as_str(), r#"{"answer":"label","label":""}"#, 422, "no name"),
        (&label, r#"{"answer":"label","label":"a/b"}"#, 422, "no name"),
        (&label, r#"{"answer":"label","label":"a\u0000b"}"#, 422, "no name"),
        (&label, &format!(r#"{{"answer":"label","label":"{long}"}}"#), 422, "no name"),
        (&label, r#"{"answer":"label"}"#, 422, "label"),
        (&label, r#"{"answer":"perhaps"}"#, 422, "perhaps"),
        (&label, r#"{"answer":"skip","label":"x"}"#, 422, "label"),
        (&label, r#"{"answer":"label","label":"burr","verdict":"pass"}"#, 422, "pass"),
        (&label, "[]", 422, ""),
        (&label, "{", 400, ""),
        ("/api/v1/inspections/4000000000/label", r#"{"answer":"unsure"}"#, 404, "no part"),
        ("/api/v1/inspections/-1/label", r#"{"answer":"unsure"}"#, 400, ""),
        ("/api/v1/labels/undo", "{}", 409, "no answer of yours"),
        ("/api/v1/models/abc/promote", "{}", 404, "register"),
        ("/api/v1/models/rollback", "{}", 409, "none to go back to"),
        ("/api/v1/models/rollback", r#"{"why":"x"}"#, 422, "why"),
        ("/api/v1/jobs/7/cancel", "{}", 404, "no job 7"),
        ("/api/v1/jobs/7/judge", "{}", 404, "no job 7"),
    ] {
        let (got, problem) = demo.post(path, body);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(got == status && detail.contains(says), "{path} {body}: {got} {problem}");
    }
    for query in ["limit=0", "limit=201", "limit=x", "sort=1"] {
        assert_eq!(get(&format!("{}/api/v1/queue?{query}", demo.url)).0, 400, "{query}");
    }
    let champion = demo.json("/api/v1/models")["champion"].as_str().expect("a digest").to_owned();
    let (status, problem) = demo.post(&format!("/api/v1/models/{champion}/promote"), r#"{"reason":"why not"}"#);
    assert!(status == 409 && problem["detail"].as_str().is_some_and(|it| it.contains("in force already")), "{problem}");
    assert_eq!(demo.json("/api/v1/learning")["answers"]["labelled"], 0, "nothing of that was kept");
}

#[test]
fn labels_are_kept_with_their_origin_and_can_be_taken_back() {
    let demo = Demo::start();
    let queue = demo.json("/api/v1/queue");
    let [first, second] = [0, 1].map(|at| queue["items"][at]["id"].as_u64().expect("an id"));
    let answer = |id: u64, body: Value| demo.post(&format!("/api/v1/inspections/{id}/label"), &body.to_string());
    assert!(!queue["items"][0]["scores"].as_array().expect("scores").is_empty());

    let (status, said) = answer(first, json!({ "answer": "label", "label": "scratch" }));
    assert_eq!((status, &said["way"], &said["new_kind"]), (200, &"queue".into(), &Value::Null), "{said}");
    let (_, again) = answer(first, json!({ "answer": "label", "label": "good" }));
    assert_eq!(again["way"], "override", "it waits no more, but anything on record can be labelled");
    let about = demo.json(&format!("/api/v1/inspections/{first}/label"));
    assert_eq!((&about["label"], about["answers"].as_array().map(Vec::len)), (&"good".into(), Some(2)));
    assert_eq!(answer(second, json!({ "answer": "skip" })).0, 200);
    assert!(
        demo.json("/api/v1/queue?limit=200")["items"].as_array().expect("items").iter().all(|it| it["id"] != second)
    );

    let (status, undone) = demo.post("/api/v1/labels/undo", &json!({ "id": first }).to_string());
    assert_eq!(status, 409, "the last answer was about another part: {undone}");
    assert_eq!(demo.post("/api/v1/labels/undo", "{}").1["id"], second);
    assert_eq!(demo.json(&format!("/api/v1/queue/{second}"))["id"], second);
    assert_eq!(demo.post("/api/v1/labels/undo", &json!({ "id": first }).to_string()).0, 200);
    assert_eq!(
        demo.json(&format!("/api/v1/inspections/{first}/label"))["label"],
        "scratch",
        "what was said before holds"
    );
    let learning = demo.json("/api/v1/learning");
    let scratch = learning["labels"].as_array().expect("labels").iter().find(|label| label["name"] == "scratch");
    assert_eq!(scratch.map(|it| &it["count"]), Some(&json!(1)), "{learning}");

    // This model's network cannot learn kinds: the label is kept all the same, and the next answer says why there is none.
    let body = json!({ "answer": "label", "label": "burr", "verdict": "review" });
    assert_eq!(answer(second, body.clone()).1["new_kind"]["shots"], 1);
    wait_for("the reason", || answer(second, body.clone()).1["new_kind"]["trouble"].as_str().map(str::to_owned));
    let known = demo.json("/api/v1/learning");
    let burr = known["labels"].as_array().expect("labels").iter().find(|label| label["name"] == "burr");
    assert_eq!(burr.map(|it| (&it["origin"], &it["verdict"])), Some((&"new".into(), &"review".into())), "{known}");
}

#[test]
fn a_terminal_does_what_the_page_does() {
    let demo = Demo::start();
    let (code, list, _) = demo.ask(&["queue", "list", "--json"]);
    let queue: Value = serde_json::from_str(&list).expect("JSON");
    let id = queue["items"][0]["id"].to_string();
    assert!(code == 0 && queue["waiting"].as_u64() > Some(0));
    let (code, said, _) = demo.ask(&["label", &id, "scratch"]);
    assert!(code == 0 && said.contains("scratch, by open"), "{said}");
    let (_, status, _) = demo.ask(&["queue", "status"]);
    assert!(status.contains("1  scratch (fail, model)") && status.contains("escapes not known"), "{status}");
    assert!(demo.ask(&["label", "--undo"]).1.contains(&format!("part {id} waits again")));

    // A training without a label fails, says why, and can be removed.
    assert!(demo.ask(&["jobs", "start", "--reason", "to see"]).1.contains("job 1"));
    let failed = wait_for("the failure", || {
        let (_, list, _) = demo.ask(&["jobs", "list"]);
        list.contains("failed").then_some(list)
    });
    assert!(failed.contains("no part was labelled yet"), "{failed}");
    assert!(demo.ask(&["jobs", "show", "1"]).1.contains("no part was labelled yet"));
    assert!(demo.ask(&["jobs", "delete", "1"]).1.contains("gone"));
    let (code, _, error) = demo.ask(&["jobs", "cancel", "1"]);
    assert!(code == 1 && error.contains("no job 1"), "{error}");

    let (_, models, _) = words(&inspectd(&["models", "list", "--line", &demo.url]).output().expect("it starts"));
    assert!(models.contains("champion") && models.contains("the recipe's own"), "{models}");
    let digest = &models[..12];
    let (_, shown, _) = words(&inspectd(&["models", "show", digest, "--line", &demo.url]).output().expect("it starts"));
    assert!(shown.contains(digest), "{shown}");
    let (code, _, error) = demo.ask(&["models", "rollback"]);
    assert!(code == 1 && error.contains("none to go back to"), "{error}");
    let nobody = ["queue", "list", "--url", "http://127.0.0.1:9"];
    let (code, _, error) = words(&inspectd(&nobody).output().expect("it starts"));
    assert!(code == 1 && error.contains("does one run there"), "{error}");
}
