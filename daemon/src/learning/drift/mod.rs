//! Whether the line still is what it was: parts that look like nothing the model learned from, scores that are spread otherwise, pictures that
//! become darker, flatter or less sharp. docs/DRIFT.md has the picture.
//!
//! What is kept here are figures about parts, not parts: losing the last minutes of them in a crash costs nothing but those.

mod config;
mod course;
mod reading;
mod stats;
mod stretch;
mod usual;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use models::bundle::{Disposition, Manifest, Reference};
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use stages::sample::{Reason, Why};

pub use config::DriftSection;
pub use course::Hour;
pub use reading::{Measure, Reading};

use course::{Course, Seen};

use crate::access::files;

/// Between two writes of the figures.
const KEEP: Duration = Duration::from_secs(60);
/// Products whose course is kept.
const PRODUCTS: usize = 32;
/// Version of the file's format.
const FORMAT: u32 = 1;
/// How much a look at a part is worth that lies far from what the model learned from, while more do so than usual.
const VALUE: f32 = 0.6;

/// See the module.
pub struct Drift {
    file: PathBuf,
    section: DriftSection,
    state: Mutex<State>,
}

struct State {
    figures: Figures,
    kept_at: Instant,
}

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Figures {
    format: u32,
    /// Every part up to this one was seen.
    seen: u64,
    /// Name of the recipe of the last part.
    product: String,
    /// By name of the recipe.
    courses: BTreeMap<String, Course>,
}

/// The model that finds parts good or bad.
pub struct Judge<'a> {
    /// Its digest, registered kinds aside: they change no score.
    pub trunk: &'a Arc<str>,
    /// Its labels.
    pub manifest: &'a Manifest,
    /// What it learned from, where it says so.
    pub reference: Option<&'a Reference>,
}

/// How much has been gathered of what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gathered {
    /// Since when; none: no part came yet.
    pub since: Option<Timestamp>,
    /// Parts so far.
    pub parts: u64,
    /// Whether that is enough.
    pub whole: bool,
}

/// The course of the present product, to be shown.
pub struct View {
    /// Name of its recipe; empty before the first part.
    pub product: String,
    /// The model that counts.
    pub model: Arc<str>,
    /// What is usual of the scores and of what parts look like.
    pub by_model: Gathered,
    /// What is usual of the pictures.
    pub by_image: Gathered,
    /// How things are.
    pub now: Vec<Reading>,
    /// Hour by hour, the present one last.
    pub hours: Vec<Hour>,
}

impl Drift {
    /// Opens what is kept in `dir`. What cannot be read is begun anew, and said.
    pub fn open(dir: &Path, section: DriftSection) -> Drift {
        let file = dir.join("drift.json");
        let nothing = || Figures { format: FORMAT, seen: 0, product: String::new(), courses: BTreeMap::new() };
        let figures = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| error.to_string())
                .and_then(|figures: Figures| match figures.format {
                    FORMAT => Ok(figures),
                    other => Err(format!("its format is {other}, this program writes {FORMAT}")),
                })
                .unwrap_or_else(|error| {
                    tracing::error!("drift: {} cannot be used and is begun anew: {error}", file.display());
                    nothing()
                }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => nothing(),
            Err(error) => {
                tracing::error!("drift: {} cannot be read and is begun anew: {error}", file.display());
                nothing()
            }
        };
        Drift { file, section, state: Mutex::new(State { figures, kept_at: Instant::now() }) }
    }

    /// One more part on record. A reason to look at it, where parts drift away from what the model learned from and it is one of them.
    pub fn part(&self, part: &Inspection, decided_by: &Arc<str>, judge: &Judge<'_>) -> Option<Reason> {
        let mut state = self.lock();
        let figures = &mut state.figures;
        if part.id <= figures.seen {
            return None;
        }
        figures.seen = part.id;
        let product = part.recipe.rsplit_once('@').map_or(&*part.recipe, |(name, _)| name);
        if figures.product != product {
            product.clone_into(&mut figures.product);
        }
        if !figures.courses.contains_key(product) && figures.courses.len() == PRODUCTS {
            let longest_ago =
                figures.courses.iter().min_by_key(|(_, course)| course.last()).map(|(name, _)| name.clone());
            longest_ago.into_iter().for_each(|name| drop(figures.courses.remove(&name)));
        }
        let course = figures.courses.entry(product.to_owned()).or_default();
        let its_own = decided_by == judge.trunk;
        let seen = Seen {
            at: part.triggered_at,
            image: part.image,
            badness: if its_own { badness(part, judge.manifest) } else { None },
            sketch: part.sample.sketch.filter(|_| its_own),
        };
        let distance = course.add(&seen, (judge.trunk, judge.reference), &self.section)?;
        let drifts = |reading: &Reading| reading.measure == Measure::Embedding && reading.is_beyond();
        let (far, usual) = (distance.distance, distance.usual);
        let wanted = distance.is_far() && course.readings(part.triggered_at, &self.section).iter().any(drifts);
        wanted.then(|| Reason {
            why: Why::Drifted,
            value: VALUE,
            detail: format!("{far:.2} from the nearest picture that the model learned from; {usual:.2} is usual"),
        })
    }

    /// Writes the figures down, if that was long ago.
    pub fn keep_now_and_then(&self) {
        if self.lock().kept_at.elapsed() >= KEEP {
            self.keep();
        }
    }

    /// Writes the figures down.
    pub fn keep(&self) {
        let bytes = {
            let mut state = self.lock();
            state.kept_at = Instant::now();
            serde_json::to_vec(&state.figures)
        };
        let written = bytes.map_err(std::io::Error::from).and_then(|bytes| files::replace(&self.file, &bytes));
        if let Err(error) = written {
            tracing::warn!("drift: {}: {error}", self.file.display());
        }
    }

    /// How things are with the present product.
    pub fn readings(&self, now: Timestamp) -> Vec<Reading> {
        let state = self.lock();
        state.course().map_or_else(Vec::new, |course| course.readings(now, &self.section))
    }

    /// From now on the present product's line counts as it usually is.
    pub fn begin_anew(&self) {
        {
            let figures = &mut self.lock().figures;
            figures.courses.get_mut(&figures.product).into_iter().for_each(Course::begin_anew);
        }
        self.keep();
    }

    /// The course of the present product.
    pub fn view(&self, now: Timestamp) -> View {
        let state = self.lock();
        let none = Course::default();
        let course = state.course().unwrap_or(&none);
        let gathered = |span: &usual::Span| Gathered { since: span.since, parts: span.parts, whole: span.whole };
        View {
            product: state.figures.product.clone(),
            model: course.model.clone(),
            by_model: gathered(&course.by_model.span),
            by_image: gathered(&course.by_image.span),
            now: course.readings(now, &self.section),
            hours: course.hours(&self.section),
        }
    }

    /// `[learning.drift]`.
    pub fn section(&self) -> &DriftSection {
        &self.section
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn course(&self) -> Option<&Course> {
        self.figures.courses.get(&self.figures.product)
    }
}

/// How bad the scores say a part is: one minus the best passing score, or where no label passes the highest score.
fn badness(part: &Inspection, manifest: &Manifest) -> Option<f32> {
    let highest = |passing: bool| {
        let counts = |name: &str| {
            !passing || manifest.label_index(name).is_some_and(|at| manifest.labels[at].verdict == Disposition::Pass)
        };
        let scores = part.scores.iter().filter(|it| counts(&it.label)).map(|it| it.score);
        scores.fold(None, |best: Option<f32>, score| Some(best.map_or(score, |best| best.max(score))))
    };
    highest(true).map(|best| 1.0 - best).or_else(|| highest(false))
}

#[cfg(test)]
mod tests;
