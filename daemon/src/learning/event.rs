//! What happens to parts that people look at. The log of these, replayed in order, is the state of queue and labels.

use std::sync::Arc;

use jiff::Timestamp;
use models::bundle::{Disposition, Manifest};
use models::sketch::Sketch;
use serde::{Deserialize, Serialize};
use stages::sample::{Reason, Why};
use stages::verdict::Verdict;

/// A part in the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The part.
    pub id: u64,
    /// When it came.
    pub at: Timestamp,
    /// Its serial number, where one is known.
    pub serial: Option<Arc<str>>,
    /// What the line said.
    pub verdict: Verdict,
    /// The label that it rested on.
    pub label: Option<Arc<str>>,
    /// Why a person should look.
    pub reasons: Vec<Reason>,
    /// What it looks like.
    pub sketch: Option<Sketch>,
    /// SHA-256 of the graph that decided it.
    pub model: Arc<str>,
}

impl Item {
    /// The value of a look: that of the best reason.
    pub fn value(&self) -> f32 {
        self.reasons.iter().map(|reason| reason.value).fold(0.0, f32::max)
    }

    /// Whether the lot fell on it.
    pub fn is_audited(&self) -> bool {
        self.reasons.iter().any(|reason| reason.why == Why::Audit)
    }

    /// Whether it is here for its oddity, which the budget bounds, and not because the lot or a person wants it.
    pub fn is_chosen(&self) -> bool {
        !self.reasons.iter().any(|reason| matches!(reason.why, Why::Audit | Why::Asked))
    }
}

/// What a person says of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It is this.
    Label {
        /// Its name.
        label: Arc<str>,
        /// Of a new kind: what it means for a part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        means: Option<Disposition>,
    },
    /// It cannot be told.
    Unsure,
    /// Not now, not by me.
    Skip,
}

impl Answer {
    /// The label, where it is one.
    pub fn label(&self) -> Option<&Arc<str>> {
        match self {
            Answer::Label { label, .. } => Some(label),
            Answer::Unsure | Answer::Skip => None,
        }
    }
}

/// How a person came to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The queue put it before them.
    Queue,
    /// They saw it elsewhere and had something to say.
    Override,
    /// Somebody else had answered before, and the lot asked for a second opinion.
    SecondOpinion,
}

/// An answer with where it comes from. It is never changed; it can only be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Grows with every answer.
    pub number: u64,
    /// The part.
    pub id: u64,
    /// What was said.
    #[serde(flatten)]
    pub answer: Answer,
    /// By whom.
    pub by: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// How they came to it.
    pub way: Way,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A part waits for a look.
    Queued(Item),
    /// It waits no more: a better one took its place.
    Dropped {
        /// The part.
        id: u64,
    },
    /// A person said something.
    Answered {
        /// What, of what, by whom.
        #[serde(flatten)]
        answered: Answered,
        /// The part as it was on record then: what is needed to learn from it and to compare.
        item: Box<Item>,
    },
    /// An answer was taken back.
    Undone {
        /// Its number.
        number: u64,
        /// By whom.
        by: Arc<str>,
        /// When.
        at: Timestamp,
    },
}

/// What a model can call a part, and what each means for it: its labels, then the kinds that were registered.
pub fn names(manifest: &Manifest) -> impl Iterator<Item = (&str, Disposition)> {
    let labels = manifest.labels.iter().map(|label| (label.name.as_str(), label.verdict));
    let spec = manifest.heads.prototypes.iter();
    labels.chain(spec.flat_map(|spec| spec.registered()).map(|(_, kind)| (kind.name.as_str(), kind.verdict)))
}
