//! The routine itself: which part is which sample, whether the line has shown that it judges right, and why it refuses. A plain state
//! machine without clock, disk or lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use stages::check::{CheckMark, GoldenSample, GoldenSamples, Known, Purpose};
use stages::inspection::Inspection;
use stages::recipe::RecipeInForce;
use stages::verdict::{Cause, Verdict};

use super::event::{Event, Judged, Outcome};
use crate::learning::schedule::Entry;

/// Runs that are remembered.
const REMEMBERED: usize = 1000;

/// A run: samples that are shown, or were.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// From 1.
    pub number: u64,
    /// When it began.
    pub at: Timestamp,
    /// Who shows them.
    pub by: Arc<str>,
    /// `name@version`.
    pub recipe: Arc<str>,
    /// SHA-256 of the model's graph.
    pub model: Arc<str>,
    /// What comes.
    pub samples: Vec<GoldenSample>,
    /// What the line has said so far.
    pub judged: Vec<Judged>,
    /// How it ended; none: it is on.
    pub ended: Option<Ended>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// Why, in words.
    pub words: String,
    /// Who ended it, if it was not the last sample.
    pub by: Option<Arc<str>>,
}

/// Why the line counts as one that judges right.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// Since when.
    pub at: Timestamp,
    /// With which recipe.
    pub recipe: Arc<str>,
    /// The run that passed; none: somebody has overridden.
    pub run: Option<u64>,
    /// Who showed the samples, or has overridden.
    pub by: Arc<str>,
    /// Why somebody has overridden.
    pub reason: Option<String>,
}

/// See the module.
#[derive(Default)]
pub struct Routine {
    /// Oldest first; only the last one can be on.
    runs: VecDeque<Run>,
    /// Since when samples of the run that is on may come.
    since: Option<Instant>,
    proof: Option<Proof>,
    /// Why the last run has to be repeated.
    failed: Option<Arc<str>>,
    /// Why the clock demands a run.
    due: Option<Arc<str>>,
    /// What the log does not have yet.
    pending: Vec<Event>,
    /// Grows with every change.
    pub(super) revision: u64,
}

impl Routine {
    /// Takes over what has happened.
    pub(super) fn apply(&mut self, event: &Event) {
        self.revision += 1;
        match event.clone() {
            Event::Started { run, at, by, recipe, model, samples } => {
                if self.runs.len() == REMEMBERED {
                    self.runs.pop_front();
                }
                self.runs.push_back(Run {
                    number: run,
                    at,
                    by,
                    recipe,
                    model,
                    samples,
                    judged: Vec::new(),
                    ended: None,
                });
            }
            Event::Judged { run, judged } => {
                if let Some(run) = self.run_mut(run) {
                    run.judged.push(judged);
                }
            }
            Event::Ended { run, at, outcome, words, by } => {
                self.since = None;
                let Some(run) = self.run_mut(run) else { return };
                run.ended = Some(Ended { at, outcome, words: words.clone(), by });
                let (number, recipe, by) = (run.number, run.recipe.clone(), run.by.clone());
                match outcome {
                    Outcome::Passed => self.proven(Proof { at, recipe, run: Some(number), by, reason: None }),
                    Outcome::Failed | Outcome::Interrupted => {
                        self.failed = Some(
                            format!(
                                "golden samples, run {number}: {words}; show them again, or an engineer overrides with a \
                                 reason (`inspectd golden`)"
                            )
                            .into(),
                        );
                    }
                    Outcome::Cancelled => {}
                }
            }
            Event::Overridden { at, by, reason, recipe } => {
                self.proven(Proof { at, recipe, run: None, by, reason: Some(reason) });
            }
        }
    }

    fn proven(&mut self, proof: Proof) {
        (self.proof, self.failed, self.due) = (Some(proof), None, None);
    }

    fn run_mut(&mut self, number: u64) -> Option<&mut Run> {
        self.runs.iter_mut().rev().find(|run| run.number == number)
    }

    /// The run that is on.
    pub fn on(&self) -> Option<&Run> {
        self.runs.back().filter(|run| run.ended.is_none())
    }

    /// Every run that is remembered, the newest first.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().rev()
    }

    /// Number of the next run.
    pub(super) fn next_number(&self) -> u64 {
        self.runs.back().map_or(1, |run| run.number + 1)
    }

    /// Why the line counts as one that judges right.
    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    /// Parts triggered from now on are samples of the run that was just started.
    pub(super) fn open(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// A change made here and now: it counts at once, and the log gets it with the next look.
    pub(super) fn happen(&mut self, event: Event) {
        self.apply(&event);
        self.pending.push(event);
    }

    pub(super) fn take_pending(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.pending)
    }

    /// What could not be written comes first the next time.
    pub(super) fn put_back(&mut self, mut events: Vec<Event>) {
        events.append(&mut self.pending);
        self.pending = events;
    }

    /// Why no part may be decided; none while samples are shown.
    pub fn refusal(&self, recipe: &RecipeInForce) -> Option<Arc<str>> {
        if self.on().is_some() { None } else { self.unproven(recipe) }
    }

    /// Why the line does not count as one that judges right.
    fn unproven(&self, recipe: &RecipeInForce) -> Option<Arc<str>> {
        let terms = recipe.recipe.golden_samples.as_ref()?;
        if let Some(failed) = &self.failed {
            return Some(failed.clone());
        }
        if !terms.is_demanded() {
            return None;
        }
        match &self.proof {
            None => Some("golden samples are due: none were shown on this line yet (`inspectd golden start`)".into()),
            Some(proof) if terms.on_changeover && proof.recipe != recipe.tag => Some(
                format!(
                    "golden samples are due: recipe {} came into force, the last ones were shown with {} (`inspectd golden start`)",
                    recipe.tag, proof.recipe
                )
                .into(),
            ),
            Some(_) => self.due.clone(),
        }
    }

    /// Looks at the clock, and whether what is in force still is what the run began with.
    pub(super) fn look(&mut self, recipe: &RecipeInForce, zone: &TimeZone, now: Timestamp) {
        let other = self.on().filter(|run| run.recipe != recipe.tag || run.model != *recipe.model.digest());
        if let Some(run) = other.map(|run| run.number) {
            self.interrupt(run, now, "recipe or model changed before all samples were seen");
        }
        let Some(terms) = &recipe.recipe.golden_samples else {
            self.due = None;
            return;
        };
        let due = self.proof.as_ref().and_then(|proof| overdue(terms, zone, proof.at, now));
        if due.is_some() != self.due.is_some() {
            self.revision += 1;
            self.due = due.map(Into::into);
        }
    }

    pub(super) fn interrupt(&mut self, run: u64, at: Timestamp, why: &str) {
        let words = format!("interrupted: {why}");
        self.happen(Event::Ended { run, at, outcome: Outcome::Interrupted, words, by: None });
    }

    /// A verdict is about to go out; see [`stages::check::Checker::verdict`].
    pub fn verdict(&mut self, part: &mut Inspection, recipe: &RecipeInForce, triggered: Instant, now: Timestamp) {
        if self.since.is_some_and(|since| triggered >= since)
            && let Some(run) = self.on()
        {
            let number = run.number;
            if run.recipe != part.recipe || run.model != part.model {
                self.interrupt(number, now, "recipe or model changed before all samples were seen");
            } else if let Some(sample) = run.place_of(part.serial.as_deref()) {
                let (known, right) =
                    (run.samples[sample].known, run.samples[sample].is_right(part, recipe.recipe.review_as));
                part.check = Some(mark(number, sample, known, right));
                let judged = Judged {
                    sample,
                    part: part.id,
                    serial: part.serial.clone(),
                    at: part.triggered_at,
                    verdict: part.verdict,
                    label: part.label.clone(),
                    right,
                };
                self.happen(Event::Judged { run: number, judged });
                self.end_if_all_are_seen(now);
                return;
            }
        }
        let terms = recipe.recipe.golden_samples.as_ref();
        if let (Some(terms), Some(serial)) = (terms, part.serial.as_deref())
            && let Some(sample) = terms.sample.iter().position(|sample| sample.is(serial))
        {
            let known = &terms.sample[sample];
            part.check = Some(mark(0, sample, known.known, known.is_right(part, recipe.recipe.review_as)));
            return;
        }
        if let Some(reason) = self.unproven(recipe)
            && !matches!(part.verdict, Verdict::NoDecision(_))
        {
            part.verdict = Verdict::NoDecision(Cause::SafeHold);
            part.detail = Some(reason.to_string());
        }
    }

    fn end_if_all_are_seen(&mut self, at: Timestamp) {
        let Some(run) = self.on().filter(|run| run.judged.len() == run.samples.len()) else { return };
        let (number, wrong) = (run.number, run.wrong());
        let (outcome, words) = match wrong.is_empty() {
            true => (Outcome::Passed, format!("all {} samples were judged right", run.samples.len())),
            false => (
                Outcome::Failed,
                format!("{} of {} judged wrong: {}", wrong.len(), run.samples.len(), wrong.join(", ")),
            ),
        };
        self.happen(Event::Ended { run: number, at, outcome, words, by: None });
    }
}

impl Run {
    /// Which sample a part is; none: none of those that are still to come.
    fn place_of(&self, serial: Option<&str>) -> Option<usize> {
        let mut open = (0..self.samples.len()).filter(|at| !self.judged.iter().any(|judged| judged.sample == *at));
        match self.samples.iter().any(|sample| sample.serial.is_some()) {
            true => open.find(|&at| serial.is_some_and(|serial| self.samples[at].is(serial))),
            false => open.next(),
        }
    }

    /// What was judged wrong, in words.
    pub(super) fn wrong(&self) -> Vec<String> {
        let words = |judged: &Judged| {
            let sample = &self.samples[judged.sample];
            let known = if sample.known == Known::Good { "good" } else { "bad" };
            let said = match judged.verdict {
                Verdict::Pass => "passed".to_owned(),
                Verdict::Fail => "failed".to_owned(),
                Verdict::Review => "went to review".to_owned(),
                Verdict::NoDecision(_) => "got no decision".to_owned(),
            };
            let label = sample.label.as_ref().map_or(String::new(), |label| format!(" ({label})"));
            let found = judged.label.as_ref().filter(|_| judged.verdict != Verdict::Pass);
            let found = found.map_or(String::new(), |label| format!(" as {label}"));
            format!("`{}` is {known}{label} and {said}{found}", sample.name)
        };
        self.judged.iter().filter(|judged| !judged.right).map(words).collect()
    }
}

fn mark(run: u64, sample: usize, known: Known, right: bool) -> CheckMark {
    let sample = u32::try_from(sample + 1).unwrap_or(u32::MAX);
    CheckMark { purpose: Purpose::GoldenSample, run, sample, repeat: 1, known: Some(known), right: Some(right) }
}

/// A clock that is set right may go back so far.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Why the clock demands a run, where it does.
fn overdue(terms: &GoldenSamples, zone: &TimeZone, shown: Timestamp, now: Timestamp) -> Option<String> {
    if shown.duration_since(now) > AHEAD {
        return Some(
            "golden samples are due: the clock was set back behind the last ones (`inspectd golden start`)".to_owned(),
        );
    }
    if let Some(at) = shifts(terms).filter_map(|entry| entry.last(zone, now)).max().filter(|at| *at > shown) {
        let time = at.to_zoned(zone.clone()).strftime("%H:%M").to_string();
        return Some(format!(
            "golden samples are due: the shift that began at {time} has not shown any (`inspectd golden start`)"
        ));
    }
    let until = hours(terms).and_then(|every| shown.checked_add(every).ok())?;
    let words = || {
        format!(
            "golden samples are due: every {} h, and the last were shown longer ago (`inspectd golden start`)",
            terms.every_h
        )
    };
    (now >= until).then(words)
}

/// When the clock will demand a run, if it goes on like this.
pub fn next_due(terms: &GoldenSamples, zone: &TimeZone, shown: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let by_hours = hours(terms).and_then(|every| shown.checked_add(every).ok());
    shifts(terms).filter_map(|entry| entry.next(zone, now)).chain(by_hours).min()
}

fn shifts(terms: &GoldenSamples) -> impl Iterator<Item = Entry> {
    terms.shifts.iter().filter_map(|time| Entry::parse(&format!("daily {time}")).ok())
}

fn hours(terms: &GoldenSamples) -> Option<SignedDuration> {
    (terms.every_h > 0.0).then(|| SignedDuration::from_millis((terms.every_h * 3_600_000.0) as i64))
}
