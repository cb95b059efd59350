//! Parts that are sent through to check the line itself, as the line sees them: golden samples, a gauge study, parts shown at set-up. One of
//! them at a time takes the parts that come.

pub(crate) mod kept;
#[cfg(test)]
pub(crate) mod testing;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use stages::check::Checker;
use stages::inspection::Inspection;
use stages::recipe::RecipeInForce;

use crate::background::yield_to_the_line;
use crate::gauge::Gauge;
use crate::golden::Golden;
use crate::linelog::LogError;
use crate::setup::Lesson;
use crate::supervise::Board;

/// How often the clock is looked at, and what happened is written down.
const LOOK: Duration = Duration::from_millis(200);

/// Everything of one line.
pub struct Checks {
    /// Golden samples.
    pub golden: Golden,
    /// Gauge studies.
    pub gauge: Gauge,
    /// Good parts from which a new line learns.
    pub lesson: Lesson,
}

impl Checks {
    /// Opens what is kept below a state directory.
    ///
    /// # Errors
    /// Something there cannot be read or written, or another process has it.
    pub fn open(state: &Path) -> Result<Checks, LogError> {
        let golden = Golden::open(&state.join("golden"))?;
        let gauge = Gauge::open(&state.join("gauge"))?;
        Ok(Checks { golden, gauge, lesson: Lesson::default() })
    }

    /// Who takes the parts that come, in words; none: they are production.
    pub fn taken(&self) -> Option<String> {
        if let Some(run) = self.golden.lock().on() {
            return Some(format!("golden samples are being shown (run {}): end that first", run.number));
        }
        if let Some(study) = self.gauge.lock().on() {
            return Some(format!(
                "gauge study {} (`{}`) takes the parts that come: pause it first",
                study.number, study.plan.name
            ));
        }
        self.lesson.is_on().then(|| "set-up takes the parts that come as good ones: end that first".to_owned())
    }
}

impl Checks {
    /// Looks at the clock and writes down what happens from now on.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(board: &Arc<Board>) -> anyhow::Result<AtWork> {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, board) = (stop.clone(), board.clone());
        let work = move || {
            yield_to_the_line();
            let mut trouble = None;
            loop {
                // Once more after the word to stop: what happened until then is written.
                let last = told.load(Ordering::Acquire);
                board.checks.round(&board, &mut trouble);
                if last {
                    break;
                }
                std::thread::sleep(LOOK);
            }
        };
        let thread = std::thread::Builder::new().name("checks".into()).spawn(work);
        Ok(AtWork { stop, thread: thread.context("golden samples get no thread")? })
    }

    fn round(&self, board: &Board, trouble: &mut Option<String>) {
        let recipe = board.recipe.load().in_force.clone();
        let written = self.golden.look(&recipe, &board.alerts.zone()).and_then(|()| self.gauge.write());
        let words = written.err().map(|error| error.to_string());
        // A disk that stays full is told once.
        if words != *trouble {
            if let Some(words) = &words {
                tracing::error!("golden samples and gauge studies are not written for now: {words}");
            }
            *trouble = words;
        }
    }
}

/// The thread that looks.
pub struct AtWork {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl AtWork {
    /// Ends it. What happened is written first.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("the thread of golden samples died");
        }
    }
}

impl Checker for Checks {
    fn refuses(&self, recipe: &RecipeInForce) -> Option<Arc<str>> {
        // What is shown now is no production; what comes between is judged when its verdict goes out.
        if self.lesson.is_on() || self.gauge.is_on() { None } else { self.golden.refusal(recipe) }
    }

    fn is_on(&self) -> bool {
        self.lesson.is_on() || self.gauge.is_on() || self.golden.lock().on().is_some()
    }

    fn verdict(&self, inspection: &mut Inspection, recipe: &RecipeInForce, triggered: Instant) {
        let taken = self.lesson.verdict(inspection, triggered) || self.gauge.verdict(inspection, recipe, triggered);
        if !taken {
            self.golden.verdict(inspection, recipe, triggered);
        }
    }
}
