//! Notes in each record which alerts about the machine were on: a verdict that was made on a card that slows itself down should
//! say so.

use std::sync::Arc;

use stages::inspection::Inspection;
use stages::record::{LateResult, Picture, RecordError, Recorder};

use super::service::Conditions;

/// A recorder that stamps, in front of another.
pub struct Stamped<R> {
    /// Where records go.
    pub recorder: Arc<R>,
    /// What is on.
    pub conditions: Arc<Conditions>,
}

impl<R: Recorder> Recorder for Stamped<R> {
    fn opened(&self, id: u64, triggered_at: jiff::Timestamp) -> Result<(), RecordError> {
        self.recorder.opened(id, triggered_at)
    }

    fn record(&self, mut inspection: Inspection, picture: Option<Picture>) -> Result<(), RecordError> {
        let conditions = self.conditions.load();
        if !conditions.is_empty() {
            inspection.conditions.clone_from(&conditions);
        }
        self.recorder.record(inspection, picture)
    }

    fn late(&self, result: LateResult) -> Result<(), RecordError> {
        self.recorder.late(result)
    }
}
