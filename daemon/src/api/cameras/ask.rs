//! One question to cameras, put by a process of its own and answered in bounded time.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::api::problem::Problem;

/// Whoever asks waits no longer.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);
/// Longest answer: a camera with a thousand features tells half a megabyte.
const MOST: u64 = 8 << 20;

/// Two programs cannot have one camera, and two searches disturb each other.
static ASKING: Mutex<()> = Mutex::new(());

/// What `inspectd cameras ACTION ARGUMENTS` prints.
pub(super) fn ask(action: &str, arguments: &[&str]) -> Result<String, Problem> {
    let Ok(_one) = ASKING.try_lock() else {
        return Err(Problem::later("somebody is asking cameras already: try again in a few seconds"));
    };
    let failed = |error: std::io::Error| Problem::internal(format!("cameras could not be asked: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.args(["--log-level=off", "cameras", action]).args(arguments);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let answer = reader(child.stdout.take());
    let complaint = reader(child.stderr.take());
    let succeeded = wait(&mut child);
    let text = |reader: std::io::Result<JoinHandle<String>>| reader.map(|reader| reader.join().unwrap_or_default());
    let (answer, complaint) = (text(answer).map_err(failed)?, text(complaint).map_err(failed)?);
    match succeeded {
        Some(true) => Ok(answer),
        Some(false) => {
            let words = complaint.trim().trim_start_matches("inspectd: ").trim();
            Err(Problem::unprocessable(if words.is_empty() { "the camera's driver died" } else { words }))
        }
        None => Err(Problem::unprocessable(format!(
            "the camera has not answered in {} s: is it reachable, does it wait for a trigger?",
            PATIENCE.as_secs()
        ))),
    }
}

/// The answer's lines, each one JSON.
pub(super) fn lines<T: DeserializeOwned>(answer: &str) -> Result<Vec<T>, Problem> {
    let read = answer.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
    read.collect::<Result<_, _>>().map_err(|error| Problem::internal(format!("what cameras said is no JSON: {error}")))
}

/// Whether the program did what it should; none: it was ended, because it took too long.
fn wait(child: &mut Child) -> Option<bool> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) => std::thread::sleep(LOOK),
            Err(_) => return Some(false),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// Reads a pipe to its end, on a thread: a program whose pipe is full would wait for ever.
fn reader(pipe: Option<impl Read + Send + 'static>) -> std::io::Result<JoinHandle<String>> {
    std::thread::Builder::new().name("cameras".to_owned()).spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(MOST).read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
