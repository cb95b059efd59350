//! The rig of the whole-system tests: starts the real program, speaks to it over HTTP, kills it.

#![allow(clippy::print_stderr)] // a test says on the terminal that it was skipped

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a loaded CI machine may take for something that usually takes a moment.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test, from `INSPECTD_BIN`. Without it a test is skipped, except in CI, where that is a failure.
pub fn binary() -> Option<PathBuf> {
    needed("INSPECTD_BIN").map(PathBuf::from)
}

/// Lines of a program's output that a failed test shows.
const LAST_WORDS: usize = 60;

/// Data for development and tests, from `INSPECTD_DATA`.
pub fn data() -> Option<PathBuf> {
    needed("INSPECTD_DATA").map(PathBuf::from)
}

/// Where `setup.sh test` put Python packages, if `tool` is to be had.
pub fn python_tools(tool: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let folder = root.join(".setup/python");
    if !folder.join("pinned.txt").exists() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{tool} is not there, but CI must run this test");
        eprintln!("SKIPPED: {tool} is not there (`./setup.sh test` installs it where the network allows)");
        return None;
    }
    Some(folder)
}

fn needed(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{variable} is not set, but CI must run this test");
        eprintln!("SKIPPED: {variable} is not set (use `make test`)");
    }
    value
}

/// Asks `probe` until it has an answer.
///
/// # Panics
/// After [`PATIENCE`], with `what` in the message.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < until, "waited {PATIENCE:?} for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A running program that serves HTTP. Killed when dropped.
pub struct Program {
    child: Child,
    /// The dashboard's address, without a slash at its end.
    pub url: String,
    /// From the start of the process to the first good answer of `/readyz`.
    pub ready_after: Duration,
    output: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Starts the program and waits until it is ready.
    ///
    /// # Panics
    /// If it ends before, or is not ready within [`PATIENCE`]; its output is in the message.
    pub fn start(binary: &Path, arguments: &[&str]) -> Program {
        let mut command = Command::new(binary);
        command.args(arguments);
        Program::spawn(command).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same with a command of one's own.
    ///
    /// # Errors
    /// It ends before it is ready; with its output.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn spawn(mut command: Command) -> Result<Program, String> {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`{command:?}` cannot be started: {error}"));
        let output = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().expect("piped"), output.clone());
        collect(child.stderr.take().expect("piped"), output.clone());
        let mut program = Program { child, url: String::new(), ready_after: Duration::ZERO, output };
        let ready = wait_for("readiness", || {
            if let Some(status) = program.child.try_wait().expect("a child can be asked") {
                thread::sleep(Duration::from_millis(50)); // the readers drain what is left in the pipes
                return Some(Err(format!("the program ended ({status}):\n{}", program.output())));
            }
            let url = program.lines().iter().find_map(|line| address(line))?;
            agent().get(format!("{url}/readyz")).call().ok().map(|_| Ok(url))
        });
        program.url = ready?;
        program.ready_after = started.elapsed();
        Ok(program)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads a JSON resource.
    ///
    /// # Panics
    /// If the answer is not success and JSON.
    pub fn get(&self, path: &str) -> Value {
        let mut answer = agent()
            .get(format!("{}{path}", self.url))
            .call()
            .unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.output()));
        answer.body_mut().read_json().unwrap_or_else(|error| panic!("GET {path} is not JSON: {error}"))
    }

    /// Changes something.
    ///
    /// # Panics
    /// If the answer is not success and JSON.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let (status, text) = self.refused(path, body);
        assert!((200..300).contains(&status), "POST {path}: {status} {text}\n{}", self.output());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("POST {path} is not JSON: {error}"))
    }

    /// The same where a refusal is expected: status and body.
    ///
    /// # Panics
    /// If there is no answer at all.
    pub fn refused(&self, path: &str, body: &Value) -> (u16, String) {
        self.try_post(path, body).unwrap_or_else(|error| panic!("POST {path}: {error}\n{}", self.output()))
    }

    /// The same for a program that may be killed meanwhile.
    ///
    /// # Errors
    /// There is no whole answer.
    pub fn try_post(&self, path: &str, body: &Value) -> Result<(u16, String), ureq::Error> {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        let agent: ureq::Agent = config.build().into();
        let mut answer = agent.post(format!("{}{path}", self.url)).header("x-inspectd", "1").send_json(body)?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), text))
    }

    /// The line's counts, after checking the law on them.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.get("/api/v1/line")["counts"])
    }

    /// Ends the process at once, as a power cut or the kernel would.
    pub fn kill(mut self) {
        self.child.kill().expect("a running child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Asks the program to finish (SIGTERM) and waits for its end; gives what it printed.
    ///
    /// # Panics
    /// If it does not end within [`PATIENCE`].
    pub fn terminate(mut self) -> (ExitStatus, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        let status = wait_for("the program's end", || self.child.try_wait().expect("a child can be asked"));
        thread::sleep(Duration::from_millis(50)); // the readers drain what is left in the pipes
        (status, self.output())
    }

    /// Everything printed so far.
    pub fn output(&self) -> String {
        self.lines().join("\n")
    }

    fn lines(&self) -> Vec<String> {
        self.output.lock().expect("readers do not panic").clone()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
        if thread::panicking() {
            let lines = self.lines();
            eprintln!("the program's last words:\n{}", lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n"));
        }
    }
}

fn collect(pipe: impl Read + Send + 'static, into: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            into.lock().expect("readers do not panic").push(line);
        }
    });
}

fn address(line: &str) -> Option<String> {
    let from = line.find("http://127.0.0.1:")?;
    let address: String = line[from..].chars().take_while(|c| !c.is_whitespace() && *c != '"').collect();
    Some(address.trim_end_matches('/').to_owned())
}

/// Starts a simulated line whose deadline is far off: a crowded machine costs time, and neither parts nor the line.
///
/// # Panics
/// As [`Program::start`].
pub fn synthetic_line(binary: &Path, dir: &Path, listen: &str) -> Program {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/weights/default.bundle");
    let recipe = format!("name = \"demo\"\nversion = 1\nbundle = {bundle:?}\ndeadline_ms = 20000\n");
    std::fs::write(dir.join("recipe.toml"), recipe).expect("written");
    let config = format!(
        "format = 1\n[line]\nname = \"demo\"\nrecipe = \"recipe.toml\"\n[line.limits]\nhang_ms = 20000\n[store]\ndir = \"state\"\n[api]\nlisten = \"{listen}\"\n\
         [access]\nmode = \"open\"\n[source]\nkind = \"synthetic\"\nseed = 12\nrate = 4.0\ndefect_rate = 0.5\n"
    );
    let path = dir.join("line.toml");
    std::fs::write(&path, config).expect("written");
    Program::start(binary, &["run", "--config", path.to_str().expect("a plain path")])
}

/// A client with a bound on every wait.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(20))).build().into()
}

/// The numbers of the law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Parts that came.
    pub triggered: u64,
    /// Good.
    pub pass: u64,
    /// Bad.
    pub fail: u64,
    /// For a person.
    pub review: u64,
    /// No answer.
    pub no_decision: u64,
    /// On their way.
    pub in_flight: u64,
}

impl Counts {
    /// Reads them and checks the law.
    ///
    /// # Panics
    /// If a number is missing or the law is broken.
    pub fn of(json: &Value) -> Counts {
        let number = |name: &str| json[name].as_u64().unwrap_or_else(|| panic!("no number `{name}` in {json}"));
        let counts = Counts {
            triggered: number("triggered"),
            pass: number("pass"),
            fail: number("fail"),
            review: number("review"),
            no_decision: number("no_decision"),
            in_flight: number("in_flight"),
        };
        let accounted = counts.pass + counts.fail + counts.review + counts.no_decision + counts.in_flight;
        assert_eq!(counts.triggered, accounted, "the law is broken: {counts:?}");
        counts
    }
}
