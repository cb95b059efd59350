//! Holds: what must not be let go, whatever the limits say, until somebody lifts it. A part, a lot, or everything that some conditions take,
//! parts that come later included.
//!
//! A log of its own keeps them; each is in the audit trail, too, before it counts. Where lines of that log are damaged, nobody knows what they held: then
//! everything is held until a person has looked and lifts that.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use thiserror::Error;
use utoipa::ToSchema;

use crate::linelog::{Log, LogError, Opened};
use crate::store::{Filter, RealDisk, VerdictKind};

/// Holds that may stand at once: each is asked of each picture that is to go.
const MOST: usize = 1000;
/// Most characters of a condition.
const LONGEST: usize = 200;

/// Why a hold was not taken, or not lifted.
#[derive(Debug, Error)]
pub enum HoldError {
    /// It holds nothing in particular.
    #[error("a hold needs a part, a lot or another condition: without one it would hold everything")]
    Empty,
    /// A condition cannot be understood.
    #[error("`{key}` {text}")]
    Condition {
        /// Its name.
        key: &'static str,
        /// What is wrong with it.
        text: String,
    },
    /// There are too many.
    #[error("{MOST} holds stand already: lift those that are over, or hold a lot or a time instead of single parts")]
    Full,
    /// No such hold stands.
    #[error("no hold {0} stands")]
    Unknown(u64),
    /// It could not be kept.
    #[error("the hold was not changed: {0}")]
    Log(#[from] LogError),
}

/// What is held: all conditions that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = HoldOf)]
pub struct Selection {
    /// This part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u64>,
    /// Exactly this lot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    /// Exactly this serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// `pass`, `fail`, `review` or `no_decision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The label the verdict rests on, or one of those found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `name@version`, or the name for all its versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// The model whose digest begins so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// This camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// Triggered at or after this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
    /// Triggered before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Timestamp>,
}

/// A hold that stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Never given twice.
    pub number: u64,
    /// What it holds.
    pub of: Selection,
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: Arc<str>,
    /// Since when.
    pub at: Timestamp,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    /// Numbers below this were given.
    Numbers {
        below: u64,
    },
    Put {
        hold: Box<Hold>,
    },
    Lifted {
        number: u64,
    },
}

/// All holds.
pub struct Holds {
    state: RwLock<State>,
}

/// Holds of one moment. Nothing is held or lifted as long as this lives.
pub struct State {
    log: Log<Event>,
    holds: Vec<(Hold, Filter)>,
    next: u64,
    revision: u64,
}

impl Selection {
    /// Conditions in words.
    pub fn words(&self) -> String {
        let text = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value}"));
        let all = [
            self.part.map(|id| format!("part {id}")),
            text("lot", &self.lot),
            text("serial", &self.serial),
            text("verdict", &self.verdict),
            text("label", &self.label),
            text("recipe", &self.recipe),
            text("model", &self.model),
            text("camera", &self.camera),
            self.from.map(|from| format!("from {from}")),
            self.to.map(|to| format!("to {to}")),
        ];
        let all: Vec<String> = all.into_iter().flatten().collect();
        if all.is_empty() { "everything".into() } else { all.join(", ") }
    }

    /// As a question to the store; the part, which is none, apart.
    ///
    /// # Errors
    /// A condition cannot be understood.
    pub fn filter(&self) -> Result<Filter, HoldError> {
        let wrong = |key, text: String| HoldError::Condition { key, text };
        let texts = [
            ("lot", &self.lot),
            ("serial", &self.serial),
            ("label", &self.label),
            ("recipe", &self.recipe),
            ("camera", &self.camera),
        ];
        for (key, value) in texts {
            if value.as_ref().is_some_and(|it| it.trim().is_empty() || it.chars().count() > LONGEST) {
                return Err(wrong(key, format!("has 1 to {LONGEST} characters")));
            }
        }
        let verdict = self.verdict.as_ref().map(|word| word.parse::<VerdictKind>());
        let verdict = verdict.transpose().map_err(|words| wrong("verdict", format!("is not understood: {words}")))?;
        let model = self.model.as_ref().map(|digest| digest.to_ascii_lowercase());
        if model.as_ref().is_some_and(|it| it.len() < 4 || !it.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Err(wrong("model", "has at least 4 hexadecimal digits".into()));
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(wrong("to", "is not after `from`: no part lies between".into()));
        }
        Ok(Filter {
            from: self.from,
            to: self.to,
            verdict,
            label: self.label.clone(),
            serial: self.serial.clone(),
            lot: self.lot.clone(),
            recipe: self.recipe.clone(),
            model,
            camera: self.camera.clone(),
            before_id: self.part.and_then(|id| id.checked_add(1)),
            after_id: self.part.and_then(|id| id.checked_sub(1)),
            ..Filter::default()
        })
    }
}

impl Holds {
    /// Opens what is kept in `dir`.
    ///
    /// # Errors
    /// It cannot be read or written, or another process has it.
    pub fn open(dir: &Path) -> Result<Holds, LogError> {
        let Opened { log, entries, damaged } = Log::open(dir, "holds.log", Arc::new(RealDisk))?;
        let mut state = State { log, holds: Vec::new(), next: 1, revision: 1 };
        entries.into_iter().for_each(|event| state.apply(event));
        if damaged > 0 {
            tracing::error!(
                "{}: {damaged} lines are damaged, and what they held is not known: everything is held until somebody lifts that",
                dir.join("holds.log").display()
            );
            let reason = format!("{damaged} lines of the holds were damaged; see what they held, then lift this");
            state.keep_all(reason)?;
        }
        Ok(Holds { state: RwLock::new(state) })
    }

    /// Holds as they are, as long as this is kept.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds something from now on. On disk when this returns.
    ///
    /// # Errors
    /// It holds nothing in particular, there are too many, or it could not be kept.
    pub fn put(&self, of: Selection, reason: String, by: &Arc<str>) -> Result<Hold, HoldError> {
        of.filter()?;
        if of == Selection::default() {
            return Err(HoldError::Empty);
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.holds.len() >= MOST {
            return Err(HoldError::Full);
        }
        let hold = Hold { number: state.next, of, reason, by: by.clone(), at: Timestamp::now() };
        state.keep(Event::Put { hold: Box::new(hold.clone()) })?;
        Ok(hold)
    }

    /// Lifts a hold; what it was.
    ///
    /// # Errors
    /// There is none of this number, or it could not be kept.
    pub fn lift(&self, number: u64) -> Result<Hold, HoldError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let hold = state.find(number).cloned().ok_or(HoldError::Unknown(number))?;
        state.keep(Event::Lifted { number })?;
        Ok(hold)
    }
}

impl State {
    /// All that stand, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Hold> {
        self.holds.iter().map(|(hold, _)| hold)
    }

    /// One of them.
    pub fn find(&self, number: u64) -> Option<&Hold> {
        self.all().find(|hold| hold.number == number)
    }

    /// Whether none stands.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// Those that hold a part.
    pub fn over<'a>(&'a self, part: &'a Inspection) -> impl Iterator<Item = &'a Hold> {
        let mut over = self.holds.iter();
        std::iter::from_fn(move || over.find(|(hold, filter)| covers(hold, filter, part)).map(|(hold, _)| hold))
    }

    /// Grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn keep_all(&mut self, reason: String) -> Result<(), LogError> {
        if self.all().any(|hold| hold.of == Selection::default()) {
            return Ok(());
        }
        let of = Selection::default();
        let hold = Hold { number: self.next, of, reason, by: "inspectd".into(), at: Timestamp::now() };
        self.keep(Event::Put { hold: Box::new(hold) })
    }

    fn keep(&mut self, event: Event) -> Result<(), LogError> {
        let (holds, next) = (&self.holds, self.next);
        let before = || {
            let standing = holds.iter().map(|(hold, _)| Event::Put { hold: Box::new(hold.clone()) });
            [Event::Numbers { below: next }].into_iter().chain(standing).collect()
        };
        self.log.append(std::slice::from_ref(&event), true, before)?;
        self.apply(event);
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        self.revision += 1;
        match event {
            Event::Numbers { below } => self.next = self.next.max(below),
            Event::Put { hold } => {
                self.next = self.next.max(hold.number + 1);
                // What was understood when it was put is; a filter that a later program no longer understands holds everything.
                let filter = hold.of.filter().unwrap_or_default();
                self.holds.push((*hold, filter));
            }
            Event::Lifted { number } => self.holds.retain(|(hold, _)| hold.number != number),
        }
    }
}

/// A part of a hold is a condition like the others; the filter's paging knows only its neighbours.
fn covers(hold: &Hold, filter: &Filter, part: &Inspection) -> bool {
    hold.of.part.is_none_or(|id| id == part.id) && filter.matches(part)
}
