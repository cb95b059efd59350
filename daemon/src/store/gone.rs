//! Which records are gone by right: those of the journal's oldest files, which retention removed as wholes.
//!
//! Nothing is written down for it: the header of the oldest file that is left says which ids had come before it, and which of them were still open
//! and are therefore decided behind it. So what a start finds and what a running program knows cannot differ, whenever it was killed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::segment::{self, HeaderRead};

/// What went with the files before one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    /// Number of the oldest file that is left.
    pub(crate) first: u32,
    /// Ids below this are gone.
    pub(crate) below: u64,
    /// These are not: they were decided later.
    pub(crate) except: BTreeSet<u64>,
}

impl Gone {
    /// What is gone once the file `first` is the oldest. None: its header cannot be read, so nothing is claimed.
    pub(crate) fn before(dir: &Path, first: u32) -> Option<Gone> {
        let file = segment::open(dir, first).ok()?;
        let HeaderRead::Good(header, _) = segment::Header::read(&file).ok()? else { return None };
        let except = header.open.iter().map(|(id, _)| *id).collect();
        Some(Gone { first, below: header.next_id, except })
    }

    pub(crate) fn has(&self, id: u64) -> bool {
        id < self.below && !self.except.contains(&id)
    }

    /// No record below this is left.
    pub(crate) fn low(&self) -> u64 {
        self.except.first().map_or(self.below, |&open| open.min(self.below))
    }
}

/// What is gone at this moment, for all who read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forgotten(Arc<ArcSwap<Gone>>);

impl Forgotten {
    /// Of the journal in `dir`, as it is found.
    pub(crate) fn of(dir: &Path) -> Forgotten {
        let first = segment::list(dir).ok().and_then(|all| all.first().map(|(number, _)| *number));
        let gone = first.and_then(|first| Gone::before(dir, first));
        Forgotten(Arc::new(ArcSwap::from_pointee(gone.unwrap_or_default())))
    }

    pub(crate) fn now(&self) -> Arc<Gone> {
        self.0.load_full()
    }

    pub(crate) fn set(&self, gone: Gone) {
        self.0.store(Arc::new(gone));
    }
}
