//! What the rules look at, as plain data, so that every rule can be tested without a line, a card or a clock.

use std::sync::Arc;

use jiff::Timestamp;
use models::runtime::Provider;
use stages::line::LineState;

use crate::health::HealthReport;
use crate::learning::drift::Reading;
use crate::outbox::Standing;

/// Everything at one moment.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When.
    pub now: Timestamp,
    /// The line.
    pub line: LineFacts,
    /// What computes the scores.
    pub provider: ProviderFacts,
    /// The records.
    pub store: StoreFacts,
    /// How far the line has drifted, by measure.
    pub drift: Vec<Reading>,
    /// The machine.
    pub health: Arc<HealthReport>,
    /// Messages to others, by destination.
    pub outbox: Vec<(Arc<str>, Standing)>,
    /// Messages that were given up.
    pub dead_letters: usize,
}

/// The line.
#[derive(Debug, Clone, PartialEq)]
pub struct LineFacts {
    /// State.
    pub state: LineState,
    /// The source's name.
    pub camera: Arc<str>,
    /// What is wrong with the source, in words.
    pub source_trouble: Option<String>,
}

/// What computes the scores.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderFacts {
    /// The active one.
    pub active: Provider,
    /// Those that were tried before it, with the reason why they do not work.
    pub fallbacks: Vec<(Provider, String)>,
}

/// The records.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoreFacts {
    /// Why nothing is kept any more.
    pub failed: Option<String>,
    /// Why searching is limited.
    pub index_off: Option<String>,
    /// Evidence pictures that were to be kept and were not.
    pub pictures_lost: u64,
}
