//! Drift on a line that runs: its pictures become darker, the alarm rings, the terminal says so, an engineer says that it is well so.

use std::path::Path;

use models::image::{Image, PixelFormat, encode_png};
use serde_json::{Value, json};

use crate::support::{Program, agent, inspectd, json as read, law, text, tiny_bundle, wait_for, words};

/// Parts that say what is usual.
const USUAL: usize = 60;

/// A picture of its own, about as bright as asked.
fn picture(number: usize, level: u8) -> Vec<u8> {
    let value = |at: usize| level.saturating_add(((at * 7919 + number * 31) % 41) as u8);
    let data = (0..64 * 64).map(value).collect();
    encode_png(Image { width: 64, height: 64, format: PixelFormat::Mono8, data }.view()).expect("a small picture")
}

fn play(camera: &Path, from: usize, count: usize, level: u8) {
    for number in from..from + count {
        let unfinished = camera.parent().expect("a folder").join("unfinished");
        std::fs::write(&unfinished, picture(number, level)).expect("written");
        std::fs::rename(unfinished, camera.join(format!("{number:05}.png"))).expect("in place");
    }
}

fn post(url: &str, path: &str, method: &str, body: &Value) -> (u16, Value) {
    let url = format!("{url}{path}");
    let request = if method == "PUT" { agent().put(url) } else { agent().post(url) };
    let mut answer = request.header("x-inspectd", "1").send_json(body).expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or(Value::Null))
}

#[test]
fn a_line_that_darkens_says_so_until_somebody_says_that_it_is_meant() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let camera = dir.path().join("camera");
    std::fs::create_dir(&camera).expect("a folder");
    let config = format!(
        "format = 1\n[line]\nname = \"caps\"\nrecipe = \"recipe.toml\"\n[source]\nkind = \"folder\"\npath = \"camera\"\nmode = \"watch\"\n\
         after = \"move\"\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n[access]\nmode = \"open\"\n\
         [learning.drift]\nusual_parts = {USUAL}\nusual_min = 0\nleast_parts = 20\n"
    );
    std::fs::write(dir.path().join("line.toml"), config).expect("written");
    let recipe = format!("name = \"cap\"\nversion = 1\nbundle = \"{}\"\ndeadline_ms = 20000\n", text(&bundle));
    std::fs::write(dir.path().join("recipe.toml"), recipe).expect("written");
    let line = dir.path().join("line.toml");
    let mut program = Program::start(&["run", "--config", text(&line)]);
    let url = program.url();
    let drift = || read(&format!("{url}/api/v1/drift"));
    let seen = |parts: usize| {
        wait_for("all parts", || {
            let counts = read(&format!("{url}/api/v1/line"))["counts"].clone();
            (law(&counts) == parts as u64 && counts["in_flight"] == 0).then_some(())
        });
    };
    let of = |measure: &str| {
        drift()["now"].as_array().expect("readings").iter().find(|it| it["measure"] == measure).cloned()
    };
    assert_eq!((&drift()["product"], &drift()["usual"]["pictures"]["parts"]), (&"".into(), &0.into()));
    let rule = json!({ "for_s": 0, "resolve_after_s": 0, "when": { "kind": "drift", "measures": ["brightness"] } });
    assert!(post(&url, "/api/v1/alerts/rules/drift", "PUT", &rule).0 < 300);

    play(&camera, 0, USUAL - 1, 140);
    seen(USUAL - 1);
    wait_for("figures", || (drift()["usual"]["pictures"]["parts"] == USUAL - 1).then_some(()));
    assert_eq!(of("brightness"), None, "not known yet: {}", drift());
    let (_, said, _) = words(&inspectd(&["drift", "show", "--url", &url]).output().expect("it starts"));
    assert!(said.contains(&format!("{} of {USUAL} parts", USUAL - 1)), "{said}");

    play(&camera, USUAL - 1, 31, 140);
    seen(USUAL + 30);
    let brightness = wait_for("a reading", || of("brightness"));
    assert_eq!((&brightness["beyond"], &drift()["usual"]["pictures"]["known"]), (&false.into(), &true.into()));
    assert!((brightness["value"].as_f64().expect("a number") - 160.0).abs() < 2.0, "{brightness}");

    play(&camera, USUAL + 30, 150, 90);
    seen(USUAL + 180);
    let brightness = wait_for("darkness", || of("brightness").filter(|it| it["beyond"] == true));
    assert!(brightness["words"].as_str().is_some_and(|words| words.contains("median 110")), "{brightness}");
    assert_eq!(of("contrast").expect("one")["beyond"], false, "as flat as ever");
    let alarms = || read(&format!("{url}/api/v1/alerts"))["active"].as_array().expect("alerts").clone();
    let alarm = wait_for("an alarm", || alarms().into_iter().find(|alarm| alarm["rule"] == "drift"));
    assert_eq!(alarm["subject"], "brightness", "{alarm}");
    let (code, said, _) = words(&inspectd(&["drift", "show", "--url", &url]).output().expect("it starts"));
    assert!(code == 0 && said.contains("brightness  CHANGED since"), "{said}");
    let (_, raw, _) = words(&inspectd(&["drift", "show", "--json", "--url", &url]).output().expect("it starts"));
    let raw: Value = serde_json::from_str(&raw).expect("JSON");
    assert_eq!(raw["product"], "cap");

    // What is usual outlives a stop, and so does the alarm.
    program.signal("TERM");
    program.end();
    let mut program = Program::start(&["run", "--config", text(&line)]);
    let url = program.url();
    assert_eq!(read(&format!("{url}/api/v1/drift"))["usual"]["pictures"]["known"], true);
    let (code, ..) = words(&inspectd(&["drift", "begin-anew", "--url", &url]).output().expect("it starts"));
    assert_eq!(code, 0);
    let drift = read(&format!("{url}/api/v1/drift"));
    assert_eq!((&drift["usual"]["pictures"]["known"], &drift["now"]), (&false.into(), &json!([])));
    assert_eq!(post(&url, "/api/v1/drift/usual", "POST", &json!({})).0, 200);
}

#[test]
fn what_drift_cannot_be_is_refused_with_the_key_and_the_way_out() {
    let dir = tempfile::tempdir().expect("a folder");
    for (text_of, says) in [
        ("usual_parts = 3", "`learning.drift.usual_parts` is 3: give 50 to 1000000"),
        ("psi = nan", "`learning.drift.psi` is NaN: give 0.01 to 10"),
        ("far_times = 0.5", "`learning.drift.far_times` is 0.5: give 1 to 20"),
        ("image_change = -1.0", "`learning.drift.image_change` is -1: give 0 to 10"),
        ("usual_min = 99999", "`learning.drift.usual_min` is 99999"),
        ("least = 3", "learning.drift.least"),
    ] {
        let path = dir.path().join("line.toml");
        let head = "format = 1\n[line]\nname = \"caps\"\nrecipe = \"recipe.toml\"\n[source]\nkind = \"synthetic\"\n";
        std::fs::write(&path, format!("{head}[learning.drift]\n{text_of}\n")).expect("written");
        let (code, said, _) =
            words(&inspectd(&["check", "--no-io", "--config", text(&path)]).output().expect("it starts"));
        assert!(code == 1 && said.contains(says), "{text_of}: {code} {said}");
    }
}
