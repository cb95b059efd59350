//! The newest inspections in memory, and those who want to hear of each.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use stages::inspection::Inspection;
use tokio::sync::broadcast;

use super::entry::LateRecord;
use super::journal::Ack;
use super::query::Stored;

/// Events a slow subscriber may be behind before it is told that it missed some.
const BEHIND: usize = 256;

/// Acknowledged inspections only.
pub(crate) struct Live {
    recent: RwLock<Recent>,
    keep: usize,
    sender: broadcast::Sender<Arc<Inspection>>,
    acknowledged: AtomicU64,
    late: AtomicU64,
}

struct Recent {
    /// By id.
    items: VecDeque<Stored>,
    /// Every acknowledged part with an id from here on is in `items`.
    floor: u64,
}

impl Live {
    pub(crate) fn new(keep: usize, floor: u64) -> Live {
        let recent = RwLock::new(Recent { items: VecDeque::new(), floor });
        let (sender, _) = broadcast::channel(BEHIND);
        Live { recent, keep, sender, acknowledged: AtomicU64::new(0), late: AtomicU64::new(0) }
    }

    /// Puts back what was acknowledged before this process; nobody is told.
    pub(crate) fn refill(&self, inspection: Arc<Inspection>, late: Option<Arc<LateRecord>>) {
        self.insert(Stored { inspection, late });
    }

    pub(crate) fn acknowledge(&self, ack: Ack) {
        match ack {
            Ack::Decided(inspection) => {
                self.insert(Stored { inspection: inspection.clone(), late: None });
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                // An error only says that nobody listens.
                let _ = self.sender.send(inspection);
            }
            Ack::Late(late) => {
                let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
                if let Ok(at) = recent.place(late.id) {
                    recent.items[at].late = Some(late);
                }
                self.late.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn insert(&self, stored: Stored) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        let id = stored.inspection.id;
        if id < recent.floor {
            return;
        }
        match recent.place(id) {
            Ok(at) => recent.items[at] = stored,
            Err(at) => recent.items.insert(at, stored),
        }
        if recent.items.len() > self.keep
            && let Some(oldest) = recent.items.pop_front()
        {
            recent.floor = oldest.inspection.id + 1;
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<Stored> {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        recent.place(id).ok().map(|at| recent.items[at].clone())
    }

    /// The floor, and everything at or above it that `wanted` takes, oldest first: at one moment.
    pub(crate) fn newest(&self, wanted: impl Fn(&Inspection) -> bool) -> (u64, Vec<Stored>) {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        (recent.floor, recent.items.iter().filter(|s| wanted(&s.inspection)).cloned().collect())
    }

    pub(crate) fn floor(&self) -> u64 {
        self.recent.read().unwrap_or_else(PoisonError::into_inner).floor
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Inspection>> {
        self.sender.subscribe()
    }

    /// Inspections and late results acknowledged by this process.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.acknowledged.load(Ordering::Relaxed), self.late.load(Ordering::Relaxed))
    }
}

impl Recent {
    fn place(&self, id: u64) -> Result<usize, usize> {
        // New ones come at the end, nearly always.
        match self.items.back() {
            Some(last) if last.inspection.id < id => Err(self.items.len()),
            _ => self.items.binary_search_by_key(&id, |s| s.inspection.id),
        }
    }
}
