//! What the rules look at, as plain data, so that every rule can be tested without a line, a card or a clock.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use models::runtime::Provider;
use stages::line::LineState;

use crate::health::HealthReport;
use crate::io::PlcLink;
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
    /// The PLC; none: there is none.
    pub plc: Option<PlcFacts>,
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

/// The PLC that calls for parts.
#[derive(Debug, Clone, PartialEq)]
pub struct PlcFacts {
    /// How it is reached.
    pub link: String,
    /// For how long it was not heard of, if that is too long; and what went wrong last, in words.
    pub lost: Option<(Duration, Option<String>)>,
    /// Id of the result that waits too long for its acknowledgement, and for how long it has.
    pub overdue: Option<(u32, Duration)>,
    /// Results that wait.
    pub waiting: u64,
    /// Triggers that were missed so far.
    pub missed: u64,
}

impl PlcFacts {
    /// As they are now.
    pub fn of(link: &PlcLink) -> PlcFacts {
        let report = link.report();
        PlcFacts {
            link: link.description.clone(),
            lost: report.lost_for.map(|silent| (silent, report.contact.trouble)),
            overdue: report.overdue,
            waiting: report.tally.waiting,
            missed: report.tally.missed,
        }
    }
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
