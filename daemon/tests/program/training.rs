//! Trainings of a line: by the clock, and in a unit of their own. There is no systemd here: a thread stands in for it, which does what
//! the two unit files say, and no more.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use inspectd::config::parse_recipe;
use inspectd::learning::Case;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::support::{Program, agent, inspectd, jpeg, json as read, text, tiny_bundle, wait_for, words};

/// Trainings run at idle priority: on a machine that builds at the same time they take long.
const LONG: Duration = Duration::from_secs(220);
/// Pictures that the line plays.
const PARTS: u8 = 32;
/// A training that takes a while, and one that does not.
const SLOW: &str = r#"["--size", "64", "--steps", "3000", "--patience", "0", "--no-near"]"#;
const QUICK: &str = r#"["--size", "64", "--epochs", "0", "--no-near"]"#;

/// A line whose parts are all labelled.
struct Rig {
    dir: tempfile::TempDir,
}

struct Line {
    program: Program,
    url: String,
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().expect("a folder");
        tiny_bundle(dir.path());
        fs::create_dir(dir.path().join("camera")).expect("a folder");
        let recipe = "name = \"strip\"\nversion = 1\nbundle = \"tiny.bundle\"\ndeadline_ms = 20000\n[evidence]\npass_fraction = 1.0\n";
        fs::write(dir.path().join("recipe.toml"), recipe).expect("written");
        for part in 0..PARTS {
            let level = if part % 2 == 0 { 40 } else { 200 } + part;
            fs::write(dir.path().join(format!("camera/{part}.jpg")), jpeg(level)).expect("written");
        }
        let rig = Rig { dir };
        let line = rig.start("");
        let parts = wait_for("the parts", || {
            let items = line.get("/api/v1/inspections?limit=100")["items"].as_array()?.clone();
            let kept: Vec<Value> = items.iter().filter(|part| part["has_image"] == true).cloned().collect();
            // A busy machine may drop a picture.
            (items.len() == usize::from(PARTS) && 4 * kept.len() >= 3 * items.len()).then_some(kept)
        });
        for part in parts {
            let label = if part["verdict"] == "pass" { "good" } else { "scratch" };
            let answer = json!({ "answer": "label", "label": label });
            line.post(&format!("/api/v1/inspections/{}/label", part["id"]), &answer);
        }
        rig
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A line with these further lines under `[learning]`.
    fn start(&self, learning: &str) -> Line {
        let config = format!(
            "format = 1\n[line]\nname = \"strip\"\nrecipe = \"recipe.toml\"\n[source]\nkind = \"folder\"\npath = \"camera\"\n\
             mode = \"watch\"\nafter = \"move\"\nrate = 20.0\n[store]\ndir = \"state\"\n[api]\nlisten = \"127.0.0.1:0\"\n[access]\nmode = \"open\"\n\
             [alerts]\ntime_zone = \"UTC\"\n[learning]\n{learning}\n"
        );
        fs::write(self.path("line.toml"), config).expect("written");
        let mut program = Program::start(&["run", "--config", text(&self.path("line.toml"))]);
        let url = program.url();
        Line { program, url }
    }

    fn in_a_unit(&self, train: &str) -> Line {
        self.start(&format!("worker = \"unit\"\ntrain = {train}"))
    }
}

impl Line {
    fn get(&self, path: &str) -> Value {
        read(&format!("{}{path}", self.url))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let request = agent().post(format!("{}{path}", self.url)).header("x-inspectd", "1");
        let mut answer = request.send_json(body).unwrap_or_else(|error| panic!("POST {path}: {error}"));
        let said = answer.body_mut().read_json().unwrap_or(Value::Null);
        assert!(answer.status().is_success(), "POST {path}: {said}");
        said
    }

    fn job(&self) -> Value {
        self.get("/api/v1/jobs")["jobs"][0].clone()
    }

    fn tell(&self, word: &str) {
        self.post(&format!("/api/v1/jobs/{}/{word}", self.job()["id"]), &json!({}));
    }

    /// Waits until the newest job is in one of these states.
    fn until(&self, states: &[&str]) -> Value {
        patiently(&format!("a job that is {states:?}"), || {
            let job = self.job();
            states.contains(&job["state"].as_str()?).then_some(job)
        })
    }
}

fn patiently<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(since.elapsed() < LONG, "waited {LONG:?} for {what}");
        sleep(Duration::from_millis(50));
    }
}

/// Stands in for systemd: while the path is there that the path unit names, it runs the service's `ExecStart`, one at a time.
struct Systemd {
    stop: Arc<AtomicBool>,
    now: Arc<Mutex<Option<Child>>>,
    started: Arc<Mutex<Vec<u32>>>,
    thread: Option<JoinHandle<()>>,
}

impl Systemd {
    fn start(state: &Path) -> Systemd {
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
        let read = |name: &str| {
            let unit = fs::read_to_string(units.join(name)).expect("a unit");
            unit.replace("/var/lib/inspectd", text(state)).replace("/usr/bin/inspectd", env!("CARGO_BIN_EXE_inspectd"))
        };
        let (path, service) = (read("inspectd-training.path"), read("inspectd-training.service"));
        assert_eq!(value(&path, "Unit"), "inspectd-training.service");
        let request = PathBuf::from(value(&path, "PathExists"));
        let command: Vec<String> = value(&service, "ExecStart").split_whitespace().map(str::to_owned).collect();
        let (name, set) = value(&service, "Environment")
            .split_once('=')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("one variable");
        let stop = Arc::new(AtomicBool::new(false));
        let (now, started) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(Vec::new())));
        let shared = (stop.clone(), now.clone(), started.clone());
        let work = move || {
            let (stop, now, started) = shared;
            while !stop.load(Ordering::Acquire) {
                let mut at_work = now.lock().expect("nobody panics with it");
                if at_work.as_mut().is_some_and(|child: &mut Child| child.try_wait().expect("a child").is_some()) {
                    *at_work = None;
                }
                if at_work.is_none() && request.exists() {
                    let mut worker = Command::new(&command[0]);
                    worker.args(&command[1..]).env(&name, &set).current_dir("/");
                    let child = worker.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
                    let child = child.expect("the worker starts");
                    started.lock().expect("nobody panics with it").push(child.id());
                    *at_work = Some(child);
                }
                drop(at_work);
                sleep(Duration::from_millis(20));
            }
        };
        Systemd { stop, now, started, thread: Some(std::thread::spawn(work)) }
    }

    /// The process that is at work.
    fn worker(&self) -> Option<u32> {
        let mut now = self.now.lock().expect("nobody panics with it");
        let child = now.as_mut()?;
        child.try_wait().expect("a child").is_none().then(|| child.id())
    }

    fn until_at_work(&self) -> u32 {
        patiently("a worker", || self.worker())
    }

    fn until_idle(&self) {
        patiently("the worker's end", || self.worker().is_none().then_some(()));
    }

    fn started(&self) -> usize {
        self.started.lock().expect("nobody panics with it").len()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        drop(self.thread.take().map(JoinHandle::join));
        if let Some(mut child) = self.now.lock().expect("nobody panics with it").take() {
            let _ended_already = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// The value of a key of a unit that has it once.
fn value(unit: &str, key: &str) -> String {
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let value = values.next().unwrap_or_else(|| panic!("no {key}= in {unit}"));
    assert_eq!(values.next(), None, "{key}= stands twice");
    value.to_owned()
}

/// A field of proc(5)'s stat, counted from 1.
fn stat(pid: u32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit(')').next()?.split_whitespace().nth(field.checked_sub(3)?)?.to_owned())
}

#[test]
fn a_training_in_a_unit_is_watched_halted_ended_and_mourned() {
    let rig = Rig::new();
    let systemd = Systemd::start(&rig.path("state"));
    let line = rig.in_a_unit(SLOW);
    line.post("/api/v1/jobs", &json!({}));
    let worker = systemd.until_at_work();
    patiently("idle priority", || (stat(worker, 41)? == "5").then_some(()));
    assert_ne!(stat(worker, 4), Some(line.program.id().to_string()), "it is nobody's child here");
    let environment = fs::read_to_string(format!("/proc/{worker}/environ")).expect("a process");
    assert!(environment.split('\0').any(|it| it == "CUDA_VISIBLE_DEVICES="), "{environment}");
    patiently("progress", || line.job()["progress"]["done"].as_f64());

    line.tell("pause");
    line.until(&["paused"]);
    systemd.until_idle();
    line.tell("resume");
    let second = systemd.until_at_work();
    assert_ne!(second, worker);
    patiently("progress", || line.job()["progress"]["done"].as_f64());

    // Somebody stops the unit: the job waits for a person.
    let told = |signal: &str, pid: u32| {
        assert!(Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill runs").success());
    };
    told("-TERM", second);
    line.until(&["paused"]);
    systemd.until_idle();
    line.tell("resume");
    let third = systemd.until_at_work();
    // Killed before it has taken the request it would only be started again.
    patiently("progress", || line.job()["progress"]["done"].as_f64());
    told("-KILL", third);
    let failed = line.until(&["failed"]);
    let reason = failed["reason"].as_str().expect("a reason");
    assert!(reason.contains("died") && reason.contains("journalctl -u inspectd-training.service"), "{reason}");

    line.post("/api/v1/jobs", &json!({}));
    systemd.until_at_work();
    patiently("progress", || line.job()["progress"]["done"].as_f64());
    line.tell("cancel");
    line.until(&["cancelled"]);
    systemd.until_idle();
    let left: Vec<_> =
        fs::read_dir(rig.path("state/training")).expect("a folder").flatten().map(|it| it.file_name()).collect();
    assert_eq!(left, ["lock"], "nothing is asked for any more");
}

#[test]
fn a_training_in_a_unit_outlives_the_daemon() {
    let rig = Rig::new();
    let systemd = Systemd::start(&rig.path("state"));
    let line = rig.in_a_unit(SLOW);
    line.post("/api/v1/jobs", &json!({}));
    let worker = systemd.until_at_work();
    patiently("progress", || line.job()["progress"]["done"].as_f64());
    let Line { program, .. } = line;
    program.signal("KILL");
    let (status, ..) = program.end();
    assert_eq!(status.signal(), Some(9));
    assert_eq!(systemd.worker(), Some(worker), "it goes on alone");

    let line = rig.in_a_unit(SLOW);
    line.until(&["running"]);
    patiently("progress", || line.job()["progress"]["done"].as_f64());
    assert_eq!((systemd.worker(), systemd.started()), (Some(worker), 1), "the same goes on");
    let Line { program, .. } = line;
    program.signal("TERM");
    let (status, _, stderr) = program.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(systemd.worker(), Some(worker), "an end in order leaves it alone, too");

    // With other options it is other work: what still runs ends first, and what was learned so far does not fit.
    let line = rig.in_a_unit(QUICK);
    line.tell("cancel");
    line.until(&["cancelled"]);
    let other = line.post("/api/v1/jobs", &json!({}));
    let done = line.until(&["done", "failed"]);
    assert_eq!((&done["id"], &done["state"]), (&other["id"], &"done".into()), "{done:#}");
    assert!(done["candidate"].is_string() && done["gate"]["passed"].is_boolean(), "{done:#}");

    // Done while the daemon was away: heard afterwards.
    line.post("/api/v1/jobs", &json!({}));
    systemd.until_at_work();
    drop(line);
    systemd.until_idle();
    let before = systemd.started();
    let line = rig.in_a_unit(QUICK);
    let done = line.until(&["done", "failed"]);
    assert_eq!(done["state"], "done", "{done:#}");
    assert!(systemd.started() <= before + 2, "at most a training that was killed early, and a judgement, came after");
}

#[test]
fn without_the_unit_a_training_says_what_to_switch_on() {
    let rig = Rig::new();
    let line = rig.in_a_unit(QUICK);
    line.post("/api/v1/jobs", &json!({}));
    let failed = line.until(&["failed"]);
    let reason = failed["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("systemctl enable --now inspectd-training.path") && reason.contains("state/training/request"),
        "{reason}"
    );
    assert!(!rig.path("state/training/request").exists(), "it is taken back");
}

#[test]
fn a_hostile_request_is_refused_and_said() {
    let dir = tempfile::tempdir().expect("a folder");
    let requests = text(dir.path()).to_owned();
    let run = |request: Option<&str>| {
        if let Some(request) = request {
            fs::write(dir.path().join("request"), request).expect("written");
        }
        words(&inspectd(&["worker", "--requests", &requests]).output().expect("it starts"))
    };
    let job = |arguments: &[&str]| {
        let unix: Vec<Value> = arguments.iter().map(|it| json!({ "Unix": it.as_bytes() })).collect();
        let job = json!({ "arguments": unix, "memory_ceiling_mib": 4096, "idle": false });
        json!({ "job": job, "folder": { "Unix": b"/" } }).to_string()
    };
    assert_eq!(run(None).0, 0, "nothing is asked for");
    for request in ["", "{", "[]", r#"{"job":1}"#, &"x".repeat(2 << 20)] {
        let (code, _, stderr) = run(Some(request));
        assert!(code == 1 && stderr.contains("cannot be read"), "{code} {stderr}");
    }
    for arguments in [&["rm", "-rf"][..], &["demo"], &["worker", "--requests", "/"], &[]] {
        let (code, ..) = run(Some(&job(arguments)));
        let said = fs::read_to_string(dir.path().join("messages")).expect("messages");
        assert!(
            code == 1 && said.lines().last().is_some_and(|it| it.starts_with("{\"failed\"")),
            "{arguments:?}: {said}"
        );
    }
    // A second one beside it does nothing.
    let lock = fs::File::open(dir.path().join("lock")).expect("a lock");
    lock.lock().expect("held");
    let (code, _, stderr) = run(Some(&job(&["judge", "--case", "x", "--identity", "y"])));
    assert!(code == 1 && stderr.contains("another worker"), "{stderr}");
    assert!(dir.path().join("request").exists(), "it is left for the other");
}

#[test]
fn a_missed_time_is_made_up_for_where_there_is_something_to_learn() {
    let rig = Rig::new();
    let hour_ago =
        (Timestamp::now() - SignedDuration::from_hours(1)).to_zoned(TimeZone::UTC).strftime("%H:%M").to_string();
    let schedule = format!("schedule = [\"daily {hour_ago}\"]\ntrain = {QUICK}");
    // It ran yesterday and was off since.
    let yesterday = json!({ format!("daily {hour_ago}"): Timestamp::now() - SignedDuration::from_hours(20) });
    let clock = rig.path("state/learning/clock.json");
    let off = || fs::write(&clock, yesterday.to_string()).expect("written");
    off();
    let line = rig.start(&schedule);
    let job = line.until(&["done", "failed"]);
    assert_eq!(
        (&job["why"], &job["by"]),
        (&format!("by the clock: daily {hour_ago}, made up for").into(), &"program".into())
    );
    assert_eq!(job["state"], "done", "{job:#}");
    drop(line);

    // Not twice, and not without anything new.
    let line = rig.start(&schedule);
    sleep(Duration::from_secs(3));
    assert_eq!(line.get("/api/v1/jobs")["jobs"].as_array().map(Vec::len), Some(1));
    drop(line);
    off();
    let line = rig.start(&schedule);
    wait_for("the reason", || line.program.printed().contains("no part was labelled since the last one").then_some(()));
    assert_eq!(line.get("/api/v1/jobs")["jobs"].as_array().map(Vec::len), Some(1));

    let checked =
        || words(&inspectd(&["check", "--config", text(&rig.path("line.toml"))]).output().expect("it starts")).1;
    let said = checked();
    assert!(
        said.contains("next training by the clock:") && said.contains(&format!("{hour_ago} UTC (daily {hour_ago})")),
        "{said}"
    );
    drop(line);
    let config = fs::read_to_string(rig.path("line.toml")).expect("text").replace("daily ", "payday ");
    fs::write(rig.path("line.toml"), config).expect("written");
    let said = checked();
    assert!(said.contains("`learning.schedule`") && said.contains("payday") && said.contains("or daily"), "{said}");
}

#[test]
fn a_judgement_is_of_the_case_and_the_champion_that_it_was_asked_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let recipe = format!("name = \"strip\"\nversion = 1\nbundle = \"{}\"\ndeadline_ms = 1000\n", text(&bundle));
    let case = Case {
        champion: bundle.clone(),
        champion_digest: "0".repeat(64),
        candidate: bundle,
        data: dir.path().to_owned(),
        later: None,
        shadow: Vec::new(),
        recipe: parse_recipe(Path::new("a recipe"), &recipe).expect("a recipe"),
        terms: Default::default(),
    };
    let path = dir.path().join("case.json");
    fs::write(&path, serde_json::to_vec(&case).expect("JSON")).expect("written");
    let judge = |identity: &str| {
        let arguments = ["worker", "--memory-ceiling", "4096", "judge", "--case", text(&path), "--identity", identity];
        words(&inspectd(&arguments).output().expect("it starts")).1
    };
    let mine = case.identity().expect("an identity");
    assert!(judge(&mine).contains("holds another model"), "{}", judge(&mine));
    assert!(judge(&"1".repeat(64)).contains("another by now"));
    let seen = Case { shadow: vec![path.clone()], ..case.clone() };
    assert_eq!(seen.identity().expect("an identity"), mine, "the same whichever parts of the line it sees");
    let other = Case { champion_digest: "2".repeat(64), ..case };
    assert_ne!(other.identity().expect("an identity"), mine);
}
