//! Attribute gauge studies (AIAG, "Measurement Systems Analysis"): parts whose truth is known are shown to the line again and again, and to people
//! if one wants to. How well does the line agree with itself, with the truth, with them? docs/GAUGE.md.
//!
//! - [`study`]: one study, and what comes next. [`figures`] and [`kappa`]: what the ratings say. [`report`]: for others.
//! - Here: the log that keeps all of it, and the lock. What the line says counts at once and is written by the next look; a kill between the
//!   two costs these ratings, and the study asks for them again.

pub mod figures;
pub mod kappa;
pub mod report;
pub mod study;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::check::{CheckMark, Known, Purpose, goes_on};
use stages::inspection::Inspection;
use stages::recipe::RecipeInForce;
use stages::verdict::Verdict;
use thiserror::Error;

use self::study::{LINE, MOST_PEOPLE, Plan, Rating, Study};
use crate::checks::kept::Kept;
use crate::linelog::LogError;

/// Studies that are kept.
const MOST_STUDIES: usize = 200;

/// Why something was not done.
#[derive(Debug, Error)]
pub enum GaugeError {
    /// Nobody knows it.
    #[error("there is no gauge study {0}: `inspectd gauge list` shows those that are")]
    Unknown(u64),
    /// The plan, or a rating, cannot be.
    #[error("{0}")]
    Unfit(String),
    /// It does not go now.
    #[error("{0}")]
    Conflict(String),
    /// It could not be kept.
    #[error("gauge study: {0}")]
    Log(#[from] LogError),
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Planned {
        study: u64,
        at: Timestamp,
        by: Arc<str>,
        plan: Plan,
    },
    /// Recipe and model that the line's ratings are of.
    Under {
        study: u64,
        recipe: Arc<str>,
        model: Arc<str>,
    },
    Rated {
        study: u64,
        rating: Rating,
    },
    /// This rating of the line does not count: another part was shown.
    Voided {
        study: u64,
        part: usize,
        repeat: usize,
        at: Timestamp,
        by: Arc<str>,
    },
    Removed {
        study: u64,
        at: Timestamp,
        by: Arc<str>,
    },
}

/// The studies of one line.
pub struct Gauge {
    studies: Mutex<Studies>,
    /// Taken before `studies`, never under it.
    kept: Mutex<Kept<Event>>,
    /// Parts are taken: looked at for every part, so without a lock.
    on: AtomicBool,
}

/// The studies of one moment.
#[derive(Default)]
pub struct Studies {
    all: BTreeMap<u64, Study>,
    next: u64,
    /// Which one takes the parts that come, and since when.
    collecting: Option<(u64, Instant)>,
    /// Why it does no more.
    halted: Option<String>,
    pending: Vec<Event>,
}

impl Studies {
    /// The one that takes the parts that come.
    pub fn on(&self) -> Option<&Study> {
        self.all.get(&self.collecting?.0)
    }

    /// One of them.
    ///
    /// # Errors
    /// There is no such study.
    pub fn get(&self, number: u64) -> Result<&Study, GaugeError> {
        self.all.get(&number).ok_or(GaugeError::Unknown(number))
    }

    /// All, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &Study> {
        self.all.values().rev()
    }

    /// Why no study takes parts any more, where it stopped by itself.
    pub fn halted(&self) -> Option<&str> {
        self.halted.as_deref()
    }

    fn apply(&mut self, event: &Event) {
        match event.clone() {
            Event::Planned { study, at, by, plan } => {
                self.next = self.next.max(study);
                self.all.insert(study, Study { number: study, plan, at, by, under: None, ratings: Vec::new() });
            }
            Event::Under { study, recipe, model } => {
                if let Some(study) = self.all.get_mut(&study) {
                    study.under = Some((recipe, model));
                }
            }
            Event::Rated { study, rating } => {
                if let Some(study) = self.all.get_mut(&study) {
                    let same = |old: &Rating| {
                        (&old.appraiser, old.part, old.repeat) == (&rating.appraiser, rating.part, rating.repeat)
                    };
                    study.ratings.retain(|old| !same(old));
                    study.ratings.push(rating);
                }
            }
            Event::Voided { study, part, repeat, .. } => {
                if let Some(study) = self.all.get_mut(&study) {
                    let is = |it: &Rating| &*it.appraiser == LINE && (it.part, it.repeat) == (part, repeat);
                    study.ratings.retain(|rating| !is(rating));
                }
            }
            Event::Removed { study, .. } => {
                self.all.remove(&study);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        self.apply(&event);
        self.pending.push(event);
    }
}

impl Gauge {
    /// Opens what is kept in `dir`. No study takes parts until somebody says so.
    ///
    /// # Errors
    /// It cannot be read or written, or another process has it.
    pub fn open(dir: &Path) -> Result<Gauge, LogError> {
        let kept = Kept::open(dir, "gauge.log")?;
        let mut studies = Studies::default();
        kept.events().iter().for_each(|event| studies.apply(event));
        Ok(Gauge { studies: Mutex::new(studies), kept: Mutex::new(kept), on: AtomicBool::new(false) })
    }

    /// The studies, as long as the guard is held. Not for long: verdicts wait meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, Studies> {
        self.studies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a study takes parts.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// A new study; its number.
    ///
    /// # Errors
    /// The plan cannot be, there are too many studies, or it could not be kept.
    pub fn plan(&self, plan: Plan, by: &Arc<str>) -> Result<u64, GaugeError> {
        if let Some(problem) = plan.problem() {
            return Err(GaugeError::Unfit(problem));
        }
        let mut kept = self.kept();
        let study = {
            let studies = self.lock();
            if studies.all.len() >= MOST_STUDIES {
                return Err(GaugeError::Conflict(format!("there are {MOST_STUDIES} studies: remove one first")));
            }
            studies.next + 1
        };
        let event = Event::Planned { study, at: Timestamp::now(), by: by.clone(), plan };
        kept.append(vec![event.clone()])?;
        self.lock().apply(&event);
        Ok(study)
    }

    /// From the next part on, the study takes what comes.
    ///
    /// # Errors
    /// It is complete, or its first ratings were made with another recipe or model.
    pub fn collect(&self, number: u64, recipe: &RecipeInForce) -> Result<(), GaugeError> {
        let mut kept = self.kept();
        let under = (recipe.tag.clone(), recipe.model.digest().clone());
        let known = {
            let studies = self.lock();
            let study = studies.get(number)?;
            if study.next().is_none() {
                return Err(GaugeError::Conflict(format!("study {number} is complete: the line has seen every part")));
            }
            study.under.clone()
        };
        match known {
            Some(known) if known != under => {
                let words = format!(
                    "study {number} began with recipe {} and model {:.12}; in force are {} and {:.12}: a study measures one of them, so plan a \
                     new one",
                    known.0, known.1, under.0, under.1
                );
                return Err(GaugeError::Conflict(words));
            }
            Some(_) => {}
            None => {
                let event = Event::Under { study: number, recipe: under.0, model: under.1 };
                kept.append(vec![event.clone()])?;
                self.lock().apply(&event);
            }
        }
        let mut studies = self.lock();
        (studies.collecting, studies.halted) = (Some((number, Instant::now())), None);
        self.on.store(true, Ordering::Release);
        Ok(())
    }

    /// Parts that come are production again.
    pub fn pause(&self) {
        let mut studies = self.lock();
        self.on.store(false, Ordering::Release);
        studies.collecting = None;
    }

    /// The line's last rating does not count: another part was shown.
    ///
    /// # Errors
    /// There is none, or it could not be kept.
    pub fn void(&self, number: u64, by: &Arc<str>) -> Result<(), GaugeError> {
        let mut kept = self.kept();
        // The log must have the rating before what takes it back.
        self.write_to(&mut kept)?;
        let last = self.lock().get(number)?.ratings.iter().rev().find(|rating| &*rating.appraiser == LINE).cloned();
        let Some(Rating { part, repeat, .. }) = last else {
            let words = format!("study {number} has no rating of the line that could be taken back");
            return Err(GaugeError::Conflict(words));
        };
        let event = Event::Voided { study: number, part, repeat, at: Timestamp::now(), by: by.clone() };
        kept.append(vec![event.clone()])?;
        self.lock().apply(&event);
        Ok(())
    }

    /// What a person says of parts: all of it, or nothing. A rating of the same part at the same repeat replaces the one before.
    ///
    /// # Errors
    /// A name, a part or a repeat that is none; or it could not be kept.
    pub fn rate(&self, number: u64, person: &str, said: &[(usize, usize, bool)]) -> Result<(), GaugeError> {
        let mut kept = self.kept();
        let events: Vec<Event> = {
            let studies = self.lock();
            let study = studies.get(number)?;
            let fault = || {
                if !study::is_name(person) || person == LINE {
                    return Some(format!(
                        "`appraiser` is `{person}`: give a person's name; `{LINE}` is the line itself"
                    ));
                }
                let people = study.appraisers();
                if people.len() > MOST_PEOPLE && !people.iter().any(|known| known.name == person) {
                    return Some(format!("study {number} has {MOST_PEOPLE} people already"));
                }
                let (parts, repeats) = (study.plan.parts.len(), study.plan.repeats);
                said.iter()
                    .any(|(part, repeat, _)| *part >= parts || *repeat >= repeats)
                    .then(|| format!("study {number} has parts 1 to {parts} and repeats 1 to {repeats}"))
            };
            if let Some(words) = fault() {
                return Err(GaugeError::Unfit(words));
            }
            let (appraiser, at) = (Arc::<str>::from(person), Timestamp::now());
            let rating = |&(part, repeat, good): &(usize, usize, bool)| Rating {
                appraiser: appraiser.clone(),
                part,
                repeat,
                good,
                inspection: None,
                undecided: false,
                at,
            };
            said.iter().map(|said| Event::Rated { study: number, rating: rating(said) }).collect()
        };
        kept.append(events.clone())?;
        let mut studies = self.lock();
        events.iter().for_each(|event| studies.apply(event));
        Ok(())
    }

    /// Removes a study with all its ratings.
    ///
    /// # Errors
    /// There is none, it takes parts, or it could not be kept.
    pub fn remove(&self, number: u64, by: &Arc<str>) -> Result<(), GaugeError> {
        let mut kept = self.kept();
        {
            let studies = self.lock();
            studies.get(number)?;
            if studies.collecting.is_some_and(|(on, _)| on == number) {
                return Err(GaugeError::Conflict(format!("study {number} takes the parts that come: pause it first")));
            }
        }
        let event = Event::Removed { study: number, at: Timestamp::now(), by: by.clone() };
        kept.append(vec![event.clone()])?;
        self.lock().apply(&event);
        Ok(())
    }

    /// A verdict is about to go out. True: the part is one of the study's, and is marked so.
    pub fn verdict(&self, part: &mut Inspection, recipe: &RecipeInForce, triggered: Instant) -> bool {
        if !self.is_on() {
            return false;
        }
        let mut studies = self.lock();
        let Some((number, _)) = studies.collecting.filter(|(_, since)| triggered >= *since) else { return false };
        let Some(study) = studies.all.get(&number) else { return false };
        if study.under.as_ref().is_none_or(|(recipe, model)| *recipe != part.recipe || *model != part.model) {
            self.on.store(false, Ordering::Release);
            studies.collecting = None;
            studies.halted =
                Some(format!("study {number} was paused: recipe or model changed, and a study measures one of them"));
            return false;
        }
        let Some((at, repeat)) = study.place_of(part.serial.as_deref()) else { return false };
        let good = goes_on(part.verdict, recipe.recipe.review_as);
        let known = study.plan.parts[at].master;
        let number_of = |at: usize| u32::try_from(at + 1).unwrap_or(u32::MAX);
        part.check = Some(CheckMark {
            purpose: Purpose::Gauge,
            run: number,
            sample: number_of(at),
            repeat: number_of(repeat),
            known: Some(known),
            right: Some(good == (known == Known::Good)),
        });
        let rating = Rating {
            appraiser: LINE.into(),
            part: at,
            repeat,
            good,
            inspection: Some(part.id),
            undecided: matches!(part.verdict, Verdict::NoDecision(_)),
            at: part.triggered_at,
        };
        studies.happen(Event::Rated { study: number, rating });
        if studies.on().is_some_and(|study| study.next().is_none()) {
            self.on.store(false, Ordering::Release);
            studies.collecting = None;
        }
        true
    }

    /// Writes down what the line has said since the last look.
    ///
    /// # Errors
    /// It cannot be written; it is tried again with the next look.
    pub fn write(&self) -> Result<(), LogError> {
        self.write_to(&mut self.kept())
    }

    fn write_to(&self, kept: &mut Kept<Event>) -> Result<(), LogError> {
        let pending = std::mem::take(&mut self.lock().pending);
        if pending.is_empty() {
            return Ok(());
        }
        kept.append(pending.clone()).inspect_err(|_| {
            let mut studies = self.lock();
            let since = std::mem::replace(&mut studies.pending, pending);
            studies.pending.extend(since);
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept<Event>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
