//! What a start owes to the process before it: a verdict for each part that was in flight, and the newest records in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use stages::inspection::Inspection;
use stages::ledger::Ledger;
use stages::verdict::{Cause, Verdict};

use super::entry::{Entry, LateRecord};
use super::error::StoreError;
use super::live::Live;
use super::reader::Reader;
use super::recover::{LastEnd, Recovered};
use super::segment::Position;
use super::{OpenReport, Shared};

/// Fills the memory with the newest records of the segments that were read anyway.
pub(super) fn refill(live: &Live, reader: &Reader, recovered: &Recovered) {
    let late: BTreeMap<u64, Position> = recovered.late.iter().copied().collect();
    for (id, position) in &recovered.recent {
        let late = late.get(id).map(|position| late_at(reader, *position));
        match (inspection_at(reader, *position), late.transpose()) {
            (Ok(Some(inspection)), Ok(late)) => live.refill(inspection, late.flatten()),
            (Ok(None), _) => {}
            (Err(error), _) | (_, Err(error)) => tracing::error!("{error}"),
        }
    }
}

/// Writes, syncs and acknowledges `NoDecision(Restart)` for every part that has no verdict.
pub(super) fn account(
    shared: &Shared,
    open: &BTreeMap<u64, Timestamp>,
    line: &Arc<str>,
    damaged: bool,
) -> Result<(), StoreError> {
    let journal = &shared.journal;
    journal.started().map_err(StoreError::Failed)?;
    let detail = if damaged {
        "the process ended while the part was in flight, or the part's record was among the damaged bytes"
    } else {
        "the process ended while the part was in flight"
    };
    for (count, (id, at)) in open.iter().enumerate() {
        journal.decided(Arc::new(unfinished(*id, *at, line, detail))).map_err(StoreError::Failed)?;
        // No thread syncs yet, and only so many may wait.
        if count % 1000 == 999 {
            shared.sync_once()?;
        }
    }
    // A round waits for work: none may be left.
    while journal.unsynced() {
        shared.sync_once()?;
    }
    Ok(())
}

/// The record of a part of which only the trigger is known. What is not known is empty.
fn unfinished(id: u64, triggered_at: Timestamp, line: &Arc<str>, detail: &str) -> Inspection {
    Inspection {
        id,
        line: line.clone(),
        camera: "".into(),
        serial: None,
        lot: None,
        identity: None,
        call: None,
        origin: None,
        triggered_at,
        verdict: Verdict::NoDecision(Cause::Restart),
        detail: Some(detail.into()),
        label: None,
        found: Vec::new(),
        scores: Vec::new(),
        heat: None,
        regions: Vec::new(),
        views: Arc::default(),
        recipe: "".into(),
        model: "".into(),
        provider: None,
        ledger: Ledger::default(),
        evidence: None,
        truth: None,
        conditions: Vec::new(),
        check: None,
        image: None,
        pose: None,
        sample: Default::default(),
    }
}

/// Says in the log what opening found.
pub(super) fn log(report: &OpenReport) {
    for damage in &report.damage {
        tracing::error!(
            "journal {}: {} bytes at {} are {}; kept in {}",
            damage.path.display(),
            damage.bytes,
            damage.offset,
            if damage.torn_tail { "a torn end and were cut off" } else { "damaged and are left out" },
            damage.kept.display()
        );
    }
    if !report.missing_segments.is_empty() {
        tracing::error!("journal: files {:?} are missing; their records cannot be found", report.missing_segments);
    }
    match report.last_end {
        LastEnd::First | LastEnd::Closed => {}
        LastEnd::Killed => tracing::warn!("the process before this one was killed or crashed"),
        LastEnd::PowerCut => {
            tracing::warn!("the machine went down without a shutdown; ids go on at {}", report.next_id);
        }
    }
    if !report.restarted.is_empty() {
        tracing::warn!("{} parts were in flight then: NoDecision(restart)", report.restarted.len());
    }
}

/// The inspection whose frame starts at `position`.
pub(super) fn inspection_at(reader: &Reader, position: Position) -> Result<Option<Arc<Inspection>>, StoreError> {
    Ok(match reader.entry(position)? {
        Entry::Decided(inspection) => Some(inspection),
        _ => None,
    })
}

/// The late result whose frame starts at `position`.
pub(super) fn late_at(reader: &Reader, position: Position) -> Result<Option<Arc<LateRecord>>, StoreError> {
    Ok(match reader.entry(position)? {
        Entry::Late(late) => Some(late),
        _ => None,
    })
}
