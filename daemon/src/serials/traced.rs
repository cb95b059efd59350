//! Writes into each record whether its serial number was there before, and which ones were left out before it; in front of the store.

use std::sync::{Arc, Mutex};

use stages::identify::Origin;
use stages::inspection::{Identity, IdentityState, Inspection};
use stages::record::{LateResult, Picture, RecordError, Recorder};

use super::trace::{Step, Trace};
use super::{LineSerials, lock};
use crate::store::{Filter, Store};

/// A recorder that looks at serial numbers, in front of another.
pub struct Traced<R> {
    recorder: R,
    store: Arc<Store>,
    serials: LineSerials,
    trace: Mutex<Trace>,
}

impl<R> Traced<R> {
    /// Knows the newest records from the beginning.
    pub fn new(recorder: R, store: Arc<Store>, serials: LineSerials) -> Traced<R> {
        let mut trace = Trace::default();
        let page = store.query(&Filter { limit: Filter::MAX_LIMIT, ..Filter::default() });
        for part in page.items.iter().rev().map(|stored| &stored.inspection) {
            match &part.serial {
                Some(serial) => {
                    trace.seen(serial, part.id);
                    trace.step(serial);
                }
                None => trace.nameless(),
            }
        }
        Traced { recorder, store, serials, trace: Mutex::new(trace) }
    }

    fn look(&self, part: &mut Inspection) {
        let mut trace = lock(&self.trace);
        let Some(serial) = part.serial.clone() else {
            trace.nameless();
            let unread = part.identity.as_ref().is_some_and(|identity| identity.state == IdentityState::Unread);
            lock(&self.serials.0.tally).unread += u64::from(unread);
            return;
        };
        let repeats = trace.seen(&serial, part.id).or_else(|| self.on_record(&serial, part.id));
        let consecutive = part.identity.as_ref().is_some_and(|identity| identity.consecutive);
        let step = trace.step(&serial);
        drop(trace);
        let mut tally = lock(&self.serials.0.tally);
        tally.read += 1;
        tally.repeated += u64::from(repeats.is_some());
        if let Some(before) = repeats {
            identity_of(part).repeats = Some(before);
        }
        match step {
            Step::Missing(missing) if consecutive => {
                tally.gaps += 1;
                tally.missing += missing.count;
                identity_of(part).missing = Some(missing);
            }
            Step::Late if consecutive && repeats.is_none() => tally.late += 1,
            _ => {}
        }
    }

    /// The newest part on record before this one that had the serial number.
    fn on_record(&self, serial: &str, part: u64) -> Option<u64> {
        let filter = Filter { serial: Some(serial.to_owned()), before_id: Some(part), limit: 1, ..Filter::default() };
        self.store.query(&filter).items.first().map(|stored| stored.inspection.id)
    }
}

fn identity_of(part: &mut Inspection) -> &mut Identity {
    part.identity.get_or_insert_with(|| Identity::read(Origin::Source, false))
}

impl<R: Recorder> Recorder for Traced<R> {
    fn opened(&self, id: u64, triggered_at: jiff::Timestamp) -> Result<(), RecordError> {
        self.recorder.opened(id, triggered_at)
    }

    fn record(&self, mut inspection: Inspection, picture: Option<Picture>) -> Result<(), RecordError> {
        // Golden samples come again and again with the same number.
        if inspection.check.is_none() {
            self.look(&mut inspection);
        }
        self.recorder.record(inspection, picture)
    }

    fn late(&self, result: LateResult) -> Result<(), RecordError> {
        self.recorder.late(result)
    }
}
