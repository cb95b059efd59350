//! What the program tells Prometheus, read by Prometheus' own checker; and that rules and dashboard ask for nothing that is not told.
#![allow(clippy::print_stdout)] // what is skipped is said

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use system_tests::{Program, agent, binary, wait_for};

const RULES: &str = "systemd/prometheus/inspectd.rules.yml";
const RULES_TRIED: &str = "systemd/prometheus/inspectd.rules.test.yml";
const DASHBOARD: &str = "systemd/prometheus/grafana-dashboard.json";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Prometheus' checker, as `./setup.sh test` fetches it.
fn promtool() -> Option<PathBuf> {
    let own = root().join(".setup/prometheus/promtool");
    if own.exists() {
        return Some(own);
    }
    assert!(std::env::var_os("CI").is_none(), "promtool is not here: run ./setup.sh test");
    println!("SKIPPED: promtool is not here: run ./setup.sh test");
    None
}

fn demo(binary: &Path, state: &Path) -> Program {
    let state = state.to_str().expect("text");
    Program::start(binary, &["demo", "--listen", "127.0.0.1:0", "--rate", "20", "--state", state])
}

fn metrics(program: &Program) -> String {
    let mut answer = agent().get(format!("{}/metrics", program.url)).call().expect("an answer");
    let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
    assert_eq!(kind, "text/plain; version=0.0.4");
    answer.body_mut().read_to_string().expect("text")
}

/// The value of a sample by its whole name with labels, as it is written.
fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn prometheus_finds_nothing_wrong_and_the_law_holds() {
    let Some(binary) = binary() else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = demo(&binary, state.path());
    let text = wait_for("twenty parts", || {
        let text = metrics(&program);
        (sample(&text, "inspectd_verdict_latency_seconds_count{line=\"demo\"}")? >= 20.0).then_some(text)
    });
    let of = |verdict: &str| sample(&text, &format!("inspectd_parts_total{{line=\"demo\",verdict=\"{verdict}\"}}"));
    let decided: f64 =
        ["pass", "fail", "review", "no_decision"].map(|verdict| of(verdict).expect(verdict)).iter().sum();
    let triggered = sample(&text, "inspectd_parts_triggered_total{line=\"demo\"}");
    assert_eq!(triggered, Some(decided + sample(&text, "inspectd_parts_in_flight{line=\"demo\"}").expect("there")));
    let verdicts = sample(&text, "inspectd_verdict_latency_seconds_count{line=\"demo\"}").expect("there");
    let within = sample(&text, "inspectd_verdict_latency_seconds_bucket{line=\"demo\",le=\"5\"}").expect("there");
    assert!(within <= verdicts && within > 0.0);

    let Some(promtool) = promtool() else { return };
    let mut checker = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    checker.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let said = checker.wait_with_output().expect("it ends");
    let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.trim().is_empty(), "{words}");
}

#[test]
fn rules_and_dashboard_ask_for_what_is_told() {
    let Some(binary) = binary() else { return };
    let state = tempfile::tempdir().expect("a folder");
    let program = demo(&binary, state.path());
    // How busy the machine is is known from its second look on.
    let text = wait_for("the machine's figures", || Some(metrics(&program)).filter(|it| it.contains("cpu_busy")));
    let told: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    // The demo has neither camera, PLC nor card, and a disk that does not fill up; those names stand in the list of docs/METRICS.md.
    let documented = std::fs::read_to_string(root().join("docs/METRICS.md")).expect("docs/METRICS.md");
    for name in &told {
        assert!(documented.contains(&format!("`{name}`")), "docs/METRICS.md does not name {name}");
    }
    for file in [RULES, DASHBOARD] {
        let asks = std::fs::read_to_string(root().join(file)).expect(file);
        let names =
            asks.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|it| it.starts_with("inspectd_"));
        for name in names {
            let family = name.strip_suffix("_bucket").unwrap_or(name);
            let elsewhere = ["inspectd_camera_", "inspectd_plc_", "inspectd_gpu_", "inspectd_disk_full_"];
            let known = told.contains(family)
                || elsewhere.iter().any(|it| family.starts_with(it)) && documented.contains(&format!("`{family}`"));
            assert!(known, "{file} asks for {name}, which is not told");
        }
    }
}

/// What a dashboard must be for Grafana to load it, as far as that can be seen without one; and every question of it parses.
#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value =
        serde_json::from_slice(&std::fs::read(root().join(DASHBOARD)).expect(DASHBOARD)).expect("JSON");
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 36));
    let list = |of: &Value| of.as_array().cloned().unwrap_or_else(|| panic!("no list: {of}"));
    let variables: BTreeSet<String> = list(&dashboard["templating"]["list"])
        .iter()
        .map(|it| it["name"].as_str().expect("a name").to_owned())
        .collect();
    let (mut ids, mut taken, mut rules) = (BTreeSet::new(), BTreeSet::new(), String::new());
    for panel in list(&dashboard["panels"]) {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: its id is another panel's");
        assert!(["stat", "timeseries"].contains(&panel["type"].as_str().expect("a kind")), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title} is bound to one installation");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a place"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{title} is outside of the page");
        for place in (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y))) {
            assert!(taken.insert(place), "{title} lies over another panel");
        }
        let targets = list(&panel["targets"]);
        let names: BTreeSet<&str> = targets.iter().filter_map(|target| target["refId"].as_str()).collect();
        assert!(!targets.is_empty() && names.len() == targets.len(), "{title}: targets without names of their own");
        for target in &targets {
            let asks = target["expr"].as_str().expect("a question");
            assert!(asks.contains("line=~\"$line\""), "{title} shows lines that were not asked for");
            let used = asks.split('$').skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
            assert!(used.flatten().all(|name| variables.contains(name)), "{title}: {asks}");
            // Grafana puts the value in the variable's place; any value will do.
            let asks = serde_json::to_string(&asks.replace("$line", ".*")).expect("text");
            rules += &format!("  - {{ record: \"dashboard:{}:{}\", expr: {asks} }}\n", rules.len(), ids.len());
        }
    }
    assert!(ids.len() >= 20);

    let Some(promtool) = promtool() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("dashboard.yml");
    std::fs::write(&file, format!("groups:\n- name: dashboard\n  rules:\n{rules}")).expect("written");
    let said = Command::new(promtool).args(["check", "rules"]).arg(&file).output().expect("promtool runs");
    let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{words}");
}

#[test]
fn the_rules_say_what_they_should() {
    let Some(promtool) = promtool() else { return };
    for arguments in [["check", "rules", RULES], ["test", "rules", RULES_TRIED]] {
        let said = Command::new(&promtool).args(arguments).current_dir(root()).output().expect("promtool runs");
        let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{arguments:?}: {words}");
    }
    let read = |file: &str| std::fs::read_to_string(root().join(file)).expect(file);
    let (rules, tried) = (read(RULES), read(RULES_TRIED));
    let untried: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .filter(|name| !tried.contains(&format!("alertname: {name}")))
        .collect();
    assert!(untried.is_empty(), "{RULES_TRIED} does not try {untried:?}");
}
