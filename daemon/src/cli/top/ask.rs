//! Asks the line in a thread of its own, so that keys are heard while it takes its time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::super::line::LineArgs;
use super::view::{Answers, Gone, Known, View, clean};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// For one answer. A line that takes longer is shown as silent meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// Without an answer for so long it is said.
const SILENT: Duration = Duration::from_secs(3);
/// Verdicts that a tall terminal has room for.
const VERDICTS: &str = "inspections?limit=24";

/// Asks until the program ends.
pub(super) struct Asker {
    url: String,
    started: Instant,
    heard: Arc<Mutex<Heard>>,
    thread: JoinHandle<()>,
}

/// What was heard of the line so far.
#[derive(Default)]
struct Heard {
    answers: Answers,
    /// When it last answered.
    at: Option<Instant>,
    /// Why the last look failed.
    why: Option<String>,
}

impl Asker {
    pub(super) fn start(line: LineArgs) -> anyhow::Result<Asker> {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (url, told) = (line.url.clone(), heard.clone());
        let work = move || {
            for round in 0_u64.. {
                let began = Instant::now();
                look(&line, round, &told);
                thread::sleep(EVERY.saturating_sub(began.elapsed()));
            }
        };
        let thread = thread::Builder::new().name("top-ask".into()).spawn(work);
        let thread = thread.context("no thread to ask the line with")?;
        Ok(Asker { url, started: Instant::now(), heard, thread })
    }

    /// It never does, but by a panic.
    pub(super) fn ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// What is known now, and since when nothing more is.
    pub(super) fn view(&self, colour: bool) -> View {
        let heard = lock(&self.heard);
        let silence = heard.at.unwrap_or(self.started).elapsed();
        let why = heard.why.clone().or_else(|| (silence > SILENT).then(|| "it takes long to answer".to_owned()));
        View {
            url: clean(&self.url),
            known: heard.at.map(|_| Known::of(&heard.answers)),
            gone: why.map(|why| Gone { why, seconds: silence.as_secs() }),
            paused: false,
            help: false,
            colour,
        }
    }
}

/// One look: what changes with each part each time, what changes slowly or is dear less often.
fn look(line: &LineArgs, round: u64, heard: &Mutex<Heard>) {
    let answer = match line.get_within("line", PATIENCE).and_then(object) {
        Ok(answer) => answer,
        Err(error) => {
            lock(heard).why = Some(clean(&crate::words::of(&error)));
            return;
        }
    };
    {
        let mut heard = lock(heard);
        heard.answers.line = answer;
        heard.at = Some(Instant::now());
        heard.why = None;
    }
    // A token may be allowed to see less: the rest of the screen goes on without.
    let ask = |path: &str| line.get_within(path, PATIENCE).map_err(|error| clean(&crate::words::of(&error)));
    if round.is_multiple_of(2) {
        let (trend, parts) = (ask("line/trend"), ask(VERDICTS));
        let mut heard = lock(heard);
        (heard.answers.trend, heard.answers.parts) = (trend, parts);
    }
    if round.is_multiple_of(4) {
        let (health, alerts) = (ask("health"), ask("alerts"));
        let mut heard = lock(heard);
        (heard.answers.health, heard.answers.alerts) = (health, alerts);
    }
}

fn object(answer: Value) -> anyhow::Result<Value> {
    if !answer.is_object() {
        bail!("something answers there that is no line of inspectd (`--url` names another place)");
    }
    Ok(answer)
}

/// A thread that panicked leaves whole answers behind.
fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
