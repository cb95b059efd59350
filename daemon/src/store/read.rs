//! Finding records: the newest in memory, the others through the index. Every answer is checked against the record itself.

use stages::inspection::Inspection;

use super::error::StoreError;
use super::evidence::{PictureError, StoredPicture};
use super::query::{Filter, Page, Stored};
use super::scan::Look;
use super::{Shared, Store, restart};

/// Records that one query looks at, at most, before it hands back what it has and where to go on.
const LOOKS_PER_PAGE: usize = 20_000;

impl Store {
    /// One inspection. While the index is built, an older one may not be found yet: see [`StoreStats::index`](super::StoreStats::index).
    ///
    /// # Errors
    /// The record is there and cannot be read.
    pub fn get(&self, id: u64) -> Result<Option<Stored>, StoreError> {
        match self.shared.live.get(id) {
            Some(stored) => Ok(Some(stored)),
            None => self.shared.indexed(id),
        }
    }

    /// A page of inspections, newest first.
    pub fn query(&self, filter: &Filter) -> Page {
        let limit = filter.limit.clamp(1, Filter::MAX_LIMIT);
        let before = filter.before_id.unwrap_or(u64::MAX);
        let (floor, mut newest) = self.shared.live.newest(|i| i.id < before && filter.matches(i));
        newest.reverse();
        let mut page = Page { items: newest, ..Page::default() };
        if page.items.len() <= limit {
            self.shared.older(filter, before.min(floor), limit, &mut page);
        }
        if page.items.len() > limit {
            page.items.truncate(limit);
            page.next = page.items.last().map(|s| s.inspection.id);
        }
        page.rebuilding = self.rebuilding();
        page
    }

    /// Inspections with ids above `id`, oldest first, `limit` at most: what a client that was away has missed.
    /// While the index is built, older ones may be missing: see [`StoreStats::index`](super::StoreStats::index).
    pub fn after(&self, id: u64, limit: usize) -> Vec<Stored> {
        let (floor, newest) = self.shared.live.newest(|i| i.id > id);
        let ids = match id.checked_add(1) {
            Some(low) if low < floor => self.shared.index.ask(|trees| trees.ids(low, floor).take(limit).collect()),
            _ => None,
        };
        let ids: Vec<u64> = ids.unwrap_or_default();
        let mut found: Vec<Stored> = ids.into_iter().filter_map(|id| self.shared.readable(id)).collect();
        found.extend(newest);
        found.truncate(limit);
        found
    }

    /// The newest part's id, if any part is on record.
    pub fn newest_id(&self) -> Option<u64> {
        self.query(&Filter { limit: 1, ..Filter::default() }).items.first().map(|s| s.inspection.id)
    }

    /// A part's picture: the evidence, else the preview.
    ///
    /// # Errors
    /// There is none, with the reason.
    pub fn picture(&self, id: u64) -> Result<StoredPicture, PictureError> {
        let stored = self.get(id)?.ok_or(PictureError::NoRecord(id))?;
        self.shared.evidence.picture(&stored.inspection)
    }

    /// The same with a longer side of so many pixels at most.
    ///
    /// # Errors
    /// As [`Store::picture`].
    pub fn picture_at_most(&self, id: u64, side: u32) -> Result<StoredPicture, PictureError> {
        let stored = self.get(id)?.ok_or(PictureError::NoRecord(id))?;
        self.shared.evidence.picture_at_most(&stored.inspection, side)
    }

    /// Whether [`Store::picture`] would find one now.
    pub fn has_picture(&self, inspection: &Inspection) -> bool {
        self.shared.evidence.has(inspection)
    }
}

impl Shared {
    /// Adds older matches below `before` until the page has one more than `limit`.
    fn older(&self, filter: &Filter, before: u64, limit: usize, page: &mut Page) {
        let low = filter.after_id.map_or(0, |after| after.saturating_add(1));
        let candidates = self.index.ask(|trees| Ok(trees.candidates(filter, low, before)));
        let Some(mut candidates) = candidates else { return };
        for looked in 0.. {
            // Each step is guarded for itself: sled reads as it goes.
            let id = match self.index.ask(|_| candidates.next()) {
                Some(Some(Look::At(id))) => id,
                Some(Some(Look::Pause(next))) => {
                    page.next = Some(next);
                    return;
                }
                Some(None) | None => return,
            };
            match self.indexed(id) {
                Ok(Some(stored)) if filter.matches(&stored.inspection) => page.items.push(stored),
                Ok(_) => {}
                Err(error) => {
                    tracing::error!("{error}");
                    page.unreadable += 1;
                }
            }
            if page.items.len() > limit {
                return;
            }
            if looked >= LOOKS_PER_PAGE {
                page.next = Some(id);
                return;
            }
        }
    }

    /// A record found by the index.
    pub(super) fn indexed(&self, id: u64) -> Result<Option<Stored>, StoreError> {
        let Some(Some((position, late))) = self.index.ask(|trees| trees.find(id)) else { return Ok(None) };
        let Some(inspection) = restart::inspection_at(&self.reader, position)? else { return Ok(None) };
        let late = match late {
            Some(position) => restart::late_at(&self.reader, position)?,
            None => None,
        };
        Ok(Some(Stored { inspection, late }))
    }

    fn readable(&self, id: u64) -> Option<Stored> {
        self.indexed(id).unwrap_or_else(|error| {
            tracing::error!("{error}");
            None
        })
    }
}
