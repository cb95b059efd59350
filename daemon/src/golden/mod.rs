//! Golden samples: parts whose answer is known, shown at the beginning of a shift, at a changeover, or when somebody wants to. The line
//! must judge them right, or it is not ready until it has, or until somebody with the right to it overrides. docs/GOLDEN.md.
//!
//! [`routine`] decides; here is the log that keeps it, and the lock. A start and an override are on disk before they count. What the line
//! says of a sample counts at once and is written by the next look: a kill between the two leaves a run without its end, and that has to be
//! repeated.

mod event;
mod routine;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::{Timestamp, tz::TimeZone};
use stages::inspection::Inspection;
use stages::recipe::RecipeInForce;
use thiserror::Error;

pub use event::{Event, Judged, Outcome};
pub use routine::{Ended, Proof, Routine, Run, next_due};

use crate::checks::kept::Kept;
use crate::linelog::LogError;

/// Why something was not done.
#[derive(Debug, Error)]
pub enum GoldenError {
    /// There is nothing to show.
    #[error("recipe {0} names no golden samples: add `[[golden_samples.sample]]` to it (docs/GOLDEN.md)")]
    NoSamples(Arc<str>),
    /// One at a time.
    #[error("run {0} is on: show its samples, or cancel it")]
    On(u64),
    /// There is none.
    #[error("no golden samples are being shown")]
    NotOn,
    /// There is nothing to override.
    #[error("the line does not refuse because of golden samples: there is nothing to override")]
    NothingToOverride,
    /// It could not be kept.
    #[error("golden samples: {0}")]
    Log(#[from] LogError),
}

/// The routine of one line.
pub struct Golden {
    routine: Mutex<Routine>,
    /// Taken before `routine`, never under it.
    kept: Mutex<Kept<Event>>,
}

impl Golden {
    /// Opens what is kept in `dir`. A run that was on is over: it has to be repeated.
    ///
    /// # Errors
    /// It cannot be read or written, or another process has it.
    pub fn open(dir: &Path) -> Result<Golden, LogError> {
        let kept = Kept::open(dir, "golden.log")?;
        let mut routine = Routine::default();
        kept.events().iter().for_each(|event| routine.apply(event));
        if let Some(run) = routine.on().map(|run| run.number) {
            routine.interrupt(run, Timestamp::now(), "the program ended before all samples were seen");
        }
        let golden = Golden { routine: Mutex::new(routine), kept: Mutex::new(kept) };
        golden.write()?;
        Ok(golden)
    }

    /// The routine, as long as the guard is held. Not for long: verdicts wait meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, Routine> {
        self.routine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the next part on, samples come.
    ///
    /// # Errors
    /// There are none, a run is on, or it could not be kept.
    pub fn start(&self, recipe: &RecipeInForce, by: &Arc<str>) -> Result<Run, GoldenError> {
        let mut kept = self.kept();
        self.write_to(&mut kept)?;
        let samples = recipe.recipe.golden_samples.as_ref().map(|terms| terms.sample.clone()).unwrap_or_default();
        if samples.is_empty() {
            return Err(GoldenError::NoSamples(recipe.tag.clone()));
        }
        let number = {
            let routine = self.lock();
            if let Some(run) = routine.on() {
                return Err(GoldenError::On(run.number));
            }
            routine.next_number()
        };
        let event = Event::Started {
            run: number,
            at: Timestamp::now(),
            by: by.clone(),
            recipe: recipe.tag.clone(),
            model: recipe.model.digest().clone(),
            samples,
        };
        kept.append(vec![event.clone()])?;
        let mut routine = self.lock();
        routine.apply(&event);
        routine.open(Instant::now());
        routine.on().cloned().ok_or(GoldenError::NotOn)
    }

    /// Ends the run that is on. What went wrong in it so far still counts.
    ///
    /// # Errors
    /// There is none, or it could not be kept.
    pub fn cancel(&self, by: &Arc<str>, reason: Option<String>) -> Result<(), GoldenError> {
        let mut kept = self.kept();
        self.write_to(&mut kept)?;
        let event = {
            let routine = self.lock();
            let run = routine.on().ok_or(GoldenError::NotOn)?;
            let wrong = run.wrong();
            let seen = format!("cancelled after {} of {} samples", run.judged.len(), run.samples.len());
            let why = reason.map_or(String::new(), |reason| format!(" ({reason})"));
            let (outcome, words) = match wrong.is_empty() {
                true => (Outcome::Cancelled, format!("{seen}{why}")),
                false => (Outcome::Failed, format!("{seen}{why}, judged wrong: {}", wrong.join(", "))),
            };
            Event::Ended { run: run.number, at: Timestamp::now(), outcome, words, by: Some(by.clone()) }
        };
        // The last sample may end it meanwhile: then that is what counts, and this line says nothing new.
        kept.append(vec![event.clone()])?;
        let mut routine = self.lock();
        if routine.on().is_some() {
            routine.apply(&event);
        }
        Ok(())
    }

    /// Lets the line go on although it has not shown that it judges right.
    ///
    /// # Errors
    /// It does not refuse, or it could not be kept.
    pub fn overrule(&self, recipe: &RecipeInForce, by: &Arc<str>, reason: String) -> Result<(), GoldenError> {
        let mut kept = self.kept();
        self.write_to(&mut kept)?;
        if self.lock().refusal(recipe).is_none() {
            return Err(GoldenError::NothingToOverride);
        }
        let event = Event::Overridden { at: Timestamp::now(), by: by.clone(), reason, recipe: recipe.tag.clone() };
        kept.append(vec![event.clone()])?;
        self.lock().apply(&event);
        Ok(())
    }

    /// See [`Routine::refusal`].
    pub fn refusal(&self, recipe: &RecipeInForce) -> Option<Arc<str>> {
        self.lock().refusal(recipe)
    }

    /// See [`Routine::verdict`].
    pub fn verdict(&self, part: &mut Inspection, recipe: &RecipeInForce, triggered: Instant) {
        self.lock().verdict(part, recipe, triggered, Timestamp::now());
    }

    /// Looks at the clock, and writes down what the line has said of samples since the last look.
    ///
    /// # Errors
    /// It cannot be written; it is tried again with the next look.
    pub fn look(&self, recipe: &RecipeInForce, zone: &TimeZone) -> Result<(), LogError> {
        self.lock().look(recipe, zone, Timestamp::now());
        self.write()
    }

    fn write(&self) -> Result<(), LogError> {
        self.write_to(&mut self.kept())
    }

    /// Whatever a person does next stands behind what they have seen.
    fn write_to(&self, kept: &mut Kept<Event>) -> Result<(), LogError> {
        let pending = self.lock().take_pending();
        if pending.is_empty() {
            return Ok(());
        }
        kept.append(pending.clone()).inspect_err(|_| self.lock().put_back(pending))
    }

    fn kept(&self) -> MutexGuard<'_, Kept<Event>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
