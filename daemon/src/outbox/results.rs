//! Pushes the parts' results to destinations that want them (an MES).
//!
//! The journal is the queue: only a cursor is kept, and a message is made of the records after it once there is room. So an
//! MES that is away for a day costs neither memory nor a second copy of every record, and a kill at any moment neither loses a part
//! nor sends one under two ids: message and cursor are one line of the outbox's log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use stages::check::Purpose;
use stages::inspection::{Inspection, LabelScore};
use stages::verdict::{Cause, Verdict};

use super::destination::ResultsPush;
use super::entry::{Kind, Message};
use super::{Outbox, OutboxError, message_id};
use crate::store::{IndexState, Store, Stored, VerdictKind};

/// Messages with results that wait for one destination; the rest stays in the journal.
const MAX_WAITING: usize = 32;
/// Between two looks at the store.
const LOOK: Duration = Duration::from_millis(200);
/// After an error of the disk.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// The body of a message with results.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    line: &'a str,
    first_id: u64,
    last_id: u64,
    results: Vec<PartResult<'a>>,
}

/// One part, as an MES wants it.
#[derive(Serialize)]
struct PartResult<'a> {
    id: u64,
    serial: Option<&'a str>,
    triggered_at: Timestamp,
    verdict: &'static str,
    cause: Option<Cause>,
    label: Option<&'a str>,
    found: &'a [LabelScore],
    recipe: &'a str,
    model: &'a str,
    latency_ms: f64,
    /// It was sent through to check the line, and is no production.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Purpose>,
}

impl<'a> PartResult<'a> {
    fn of(inspection: &'a Inspection) -> PartResult<'a> {
        let cause = match inspection.verdict {
            Verdict::NoDecision(cause) => Some(cause),
            _ => None,
        };
        PartResult {
            id: inspection.id,
            serial: inspection.serial.as_deref(),
            triggered_at: inspection.triggered_at,
            verdict: VerdictKind::from(inspection.verdict).name(),
            cause,
            label: inspection.label.as_deref(),
            found: &inspection.found,
            recipe: &inspection.recipe,
            model: &inspection.model,
            latency_ms: f64::from(inspection.ledger.total_us) / 1000.0,
            check: inspection.check.as_ref().map(|check| check.purpose),
        }
    }
}

/// One destination's push.
struct Push {
    to: Arc<str>,
    wanted: ResultsPush,
    line: Arc<str>,
    /// When the records that wait for company were first seen.
    waits_since: Option<Timestamp>,
}

/// The thread that pushes.
pub struct ResultsPusher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl ResultsPusher {
    /// Pushes from now on. A destination that is new begins with the next part.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        outbox: Arc<Outbox>,
        store: Arc<Store>,
        line: &Arc<str>,
        wanted: Vec<(Arc<str>, ResultsPush)>,
    ) -> std::io::Result<ResultsPusher> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let push = |(to, wanted)| Push { to, wanted, line: line.clone(), waits_since: None };
        let mut pushes: Vec<Push> = wanted.into_iter().map(push).collect();
        let work = move || {
            while !told.load(Ordering::Acquire) {
                for push in &mut pushes {
                    if let Err(error) = push.round(&outbox, &store, Timestamp::now()) {
                        tracing::error!("results for `{}` wait in the journal: {error}", push.to);
                        std::thread::sleep(AFTER_ERROR);
                    }
                }
                std::thread::sleep(LOOK);
            }
        };
        let thread = std::thread::Builder::new().name("results".to_owned()).spawn(work)?;
        Ok(ResultsPusher { stop, thread })
    }

    /// Pushes no more; what is not pushed is after the next start.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("the thread that pushes results died");
        }
    }
}

impl Push {
    /// Makes messages of what is on record and not yet queued.
    fn round(&mut self, outbox: &Outbox, store: &Store, now: Timestamp) -> Result<(), OutboxError> {
        loop {
            let cursor = outbox.cursor(&self.to, || store.newest_id().unwrap_or(0))?;
            if outbox.waiting_for(&self.to) >= MAX_WAITING {
                return Ok(());
            }
            let records = store.after(cursor, self.wanted.parts);
            let Some((first, last)) = records.first().zip(records.last()) else {
                self.waits_since = None;
                return Ok(());
            };
            // While the index is built, older records cannot be found yet; to go on without them would lose them.
            if first.inspection.id != cursor + 1 && store.stats().index != IndexState::Ready {
                return Ok(());
            }
            if records.len() < self.wanted.parts {
                let since = *self.waits_since.get_or_insert(now);
                let waited = now.duration_since(since).as_secs();
                if (0..i64::from(self.wanted.within_s)).contains(&waited) {
                    return Ok(());
                }
            }
            self.waits_since = None;
            let last = last.inspection.id;
            outbox.push(vec![self.message(&records, last, now)?])?;
        }
    }

    fn message(&self, records: &[Stored], last: u64, now: Timestamp) -> Result<Message, OutboxError> {
        let first = records[0].inspection.id;
        let data = Data {
            line: &self.line,
            first_id: first,
            last_id: last,
            results: records.iter().map(|stored| PartResult::of(&stored.inspection)).collect(),
        };
        let body = serde_json::to_string(&Body { r#type: "results", timestamp: now, data })
            .map_err(|error| crate::linelog::LogError::Encode(error.to_string()))?;
        // A line's part ids are never used twice, and its first part's time tells two lives of a state directory apart.
        let born = records[0].inspection.triggered_at.to_string();
        Ok(Message {
            id: message_id(&["results", &self.to, &self.line, &first.to_string(), &last.to_string(), &born]),
            to: self.to.clone(),
            kind: Kind::Results,
            queued_at: now,
            subject: format!("results of parts {first} to {last}"),
            body: body.into(),
            last_part: Some(last),
        })
    }
}
