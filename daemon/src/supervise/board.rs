//! What everybody who looks at the line shares.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use stages::line::Line;

use super::recipe::Prepared;
use super::trend::Trend;
use crate::access::Access;
use crate::alerts::{Alerts, Facts, LineFacts, PlcFacts, ProviderFacts, StoreFacts};
use crate::checks::Checks;
use crate::health::HealthReport;
use crate::io::PlcLink;
use crate::learning::Learning;
use crate::outbox::Outbox;
use crate::quality::QualitySection;
use crate::recipes::Recipes;
use crate::retention::Retention;
use crate::serials::LineSerials;
use crate::setup::Learner;
use crate::store::{IndexState, Store};
use crate::traces;

/// Pictures a second that are made for the page while somebody looks.
const PREVIEWS_PER_SECOND: u32 = 10;

/// Where the parts come from, for people.
#[derive(Debug, Clone)]
pub struct SourceName {
    /// The camera's name.
    pub name: String,
    /// `kind` in the configuration.
    pub kind: &'static str,
}

/// A running line with everything around it.
pub struct Board {
    /// The line's name.
    pub name: Arc<str>,
    /// The line.
    pub line: Line,
    /// Its records.
    pub store: Arc<Store>,
    /// Who may do what with it, and who did.
    pub access: Arc<Access>,
    /// What is wrong, and who is told.
    pub alerts: Arc<Alerts>,
    /// What people say of its parts, and the models that came of it.
    pub learning: Arc<Learning>,
    /// When its shifts begin and end.
    pub quality: QualitySection,
    /// Its last ten minutes.
    pub trend: Arc<Trend>,
    /// Its parts' origin.
    pub source: SourceName,
    /// Its parts' serial numbers.
    pub serials: LineSerials,
    /// Parts that are sent through to check it.
    pub checks: Arc<Checks>,
    /// Versions of its recipe.
    pub recipes: Arc<Recipes>,
    /// What learns from good parts when it is set up.
    pub learner: Arc<Learner>,
    /// How long pictures and records are kept, and what is held.
    pub retention: Arc<Retention>,
    /// What became of its parts' traces, where a collector is told.
    pub traces: Option<Arc<traces::Counts>>,
    /// Who calls for its parts, if somebody does.
    pub plc: Option<PlcLink>,
    /// What is in force from the next part on.
    pub recipe: ArcSwap<Prepared>,
    /// When the program started.
    pub started_at: Timestamp,
    /// How many may follow the live events at once.
    pub max_viewers: usize,
    pub(super) viewers: Mutex<usize>,
}

/// Somebody who follows the live events. While there is one, the line makes previews.
pub struct Viewer(Arc<Board>);

impl Board {
    /// One more viewer, unless there are too many.
    pub fn watch(self: &Arc<Board>) -> Option<Viewer> {
        let mut viewers = self.viewers.lock().unwrap_or_else(PoisonError::into_inner);
        if *viewers >= self.max_viewers {
            return None;
        }
        *viewers += 1;
        self.line.watch(PREVIEWS_PER_SECOND);
        Some(Viewer(self.clone()))
    }

    /// How things are, for the alert rules.
    pub fn facts(&self, health: Arc<HealthReport>, outbox: &Outbox) -> Facts {
        let status = self.line.status();
        let prepared = self.recipe.load();
        let stats = self.store.stats();
        let index_off = match stats.index {
            IndexState::Off(reason) => Some(reason),
            IndexState::Ready | IndexState::Rebuilding(_) => None,
        };
        Facts {
            now: Timestamp::now(),
            line: LineFacts {
                state: status.state,
                camera: self.source.name.as_str().into(),
                source_trouble: status.source_trouble,
            },
            provider: ProviderFacts { active: prepared.in_force.model.provider(), fallbacks: prepared.fallbacks() },
            store: StoreFacts {
                failed: stats.failed.map(|reason| reason.to_string()),
                index_off,
                pictures_lost: stats.evidence.dropped + stats.evidence.failed,
            },
            plc: self.plc.as_ref().map(PlcFacts::of),
            drift: self.learning.drift.readings(Timestamp::now()),
            health,
            outbox: outbox.standings(),
            dead_letters: outbox.dead_letters(),
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut viewers = self.0.viewers.lock().unwrap_or_else(PoisonError::into_inner);
        *viewers -= 1;
        if *viewers == 0 {
            self.0.line.watch(0);
        }
    }
}
