//! Records by their likeness to a question: the walk over the vectors of all records that a filter may take.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use models::retrieval::{Retriever, Vector};
use stages::inspection::Inspection;

use super::query::{Filter, Progress, Stored};
use super::row::Row;
use super::rows::Rows;
use super::scan::Wanted;
use super::vectors::{BYTES, Vectors};
use super::{Shared, Store};
use crate::retrieval::vector_of;

/// Records that one question looks at, at most.
const LOOKS: usize = 20_000;
/// Records beyond those asked for that are looked at first: few are refused by the record itself.
const SPARE: usize = 32;
/// Rows of a block that are read one by one; where there are more, the whole block is.
const FEW: usize = 64;

/// Records, the most alike first.
#[derive(Debug, Clone, Default)]
pub struct Alike {
    /// Each with its likeness: the cosine, above 0 and at most 1.
    pub items: Vec<(Stored, f32)>,
    /// The index is being built: older ones may be missing.
    pub rebuilding: Option<Progress>,
}

impl Store {
    /// The retriever, where there is one.
    pub fn retriever(&self) -> Option<&Retriever> {
        self.shared.index.retriever().map(|retriever| &**retriever)
    }

    /// What is on record and most like `asked`, the most alike first. All conditions of the filter hold; its limit counts, its pages do not.
    pub fn alike(&self, asked: &Vector, filter: &Filter) -> Alike {
        let mut alike = Alike { rebuilding: self.rebuilding(), ..Alike::default() };
        let limit = filter.limit.clamp(1, Filter::MAX_LIMIT);
        if filter.serial.is_some() {
            self.shared.alike_of_serial(self, asked, filter, &mut alike);
        } else {
            let mut most = limit + SPARE;
            loop {
                alike.items.clear();
                let looked = self.shared.nearest(asked, filter, (most, limit), &mut alike);
                // The rows take hardly a record that the filter does not: asking for more is for a score of a named label alone.
                if alike.items.len() >= limit || looked < most || most >= LOOKS {
                    break;
                }
                most = (8 * most).min(LOOKS);
            }
        }
        alike.items.truncate(limit);
        alike
    }

    /// Where a part lies; none where there is no retriever, or nothing was decided of it.
    pub fn vector_of(&self, part: &Inspection) -> Option<Vector> {
        vector_of(self.retriever()?, part)
    }
}

impl Shared {
    /// Fills in what is found; how many records the index named.
    fn nearest(&self, asked: &Vector, filter: &Filter, (most, limit): (usize, usize), alike: &mut Alike) -> usize {
        let found = self.index.ask(|trees| trees.nearest(asked, filter, most)).unwrap_or_default();
        let looked = found.len();
        for (id, dot) in found {
            match self.indexed(id) {
                Ok(Some(stored)) if filter.matches(&stored.inspection) => {
                    alike.items.push((stored, Vector::likeness(dot)));
                }
                Ok(_) => {}
                Err(error) => tracing::error!("{error}"),
            }
            if alike.items.len() >= limit {
                break;
            }
        }
        looked
    }

    /// Of one serial number there are few: each is placed anew.
    fn alike_of_serial(&self, store: &Store, asked: &Vector, filter: &Filter, alike: &mut Alike) {
        let page = store.query(&Filter { limit: Filter::MAX_LIMIT, ..filter.clone() });
        for stored in page.items {
            let Some(vector) = store.vector_of(&stored.inspection) else { continue };
            let dot = asked.dot(&vector);
            if dot > 0 {
                alike.items.push((stored, Vector::likeness(dot)));
            }
        }
        alike.items.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
}

/// The `most` rows whose vectors lie nearest, the nearest first, and of equally near ones the newest, as ids with their products. Nothing that
/// lies at a right angle or behind it.
pub(super) fn nearest(
    (rows, vectors): (&Rows, &Vectors),
    asked: &Vector,
    wanted: &Wanted,
    most: usize,
    is_there: impl Fn(u64) -> bool,
    ids: (u64, u64),
) -> io::Result<Vec<(u64, i32)>> {
    let mut best: BinaryHeap<Reverse<(i32, u64)>> = BinaryHeap::new();
    let (mut bytes, mut dots) = (Vec::new(), Vec::new());
    let blocks = rows.blocks(|zone| zone.ids.1 >= ids.0 && zone.ids.0 < ids.1 && wanted.may_be_in(zone));
    for (block, _) in blocks {
        let (first, count) = rows.extent(block);
        vectors.read(first, count, &mut bytes)?;
        asked.dots(&bytes, BYTES, &mut dots);
        let least = |best: &BinaryHeap<Reverse<(i32, u64)>>| match best.peek() {
            Some(Reverse((dot, _))) if best.len() >= most => *dot,
            _ => 1,
        };
        let bar = least(&best);
        let near: Vec<usize> = dots.iter().enumerate().filter(|(_, dot)| **dot >= bar).map(|(at, _)| at).collect();
        let mut consider = |at: usize, row: &Row| {
            let dot = dots.get(at).copied().unwrap_or(0);
            if dot >= least(&best) && (ids.0..ids.1).contains(&row.id) && wanted.takes(row) && is_there(row.id) {
                best.push(Reverse((dot, row.id)));
                if best.len() > most {
                    best.pop();
                }
            }
        };
        // Of a long journal few rows of a block are near enough, and only those are read; at first, and under a narrow filter, nearly all.
        if near.len() <= FEW {
            near.into_iter().try_for_each(|at| rows.row(first + at as u64).map(|row| consider(at, &row)))?;
        } else {
            let mut at = 0;
            rows.each_of(block, |row| {
                consider(at, row);
                at += 1;
            })?;
        }
    }
    let mut found: Vec<(u64, i32)> = best.into_iter().map(|Reverse((dot, id))| (id, dot)).collect();
    found.sort_unstable_by_key(|&(id, dot)| (Reverse(dot), Reverse(id)));
    Ok(found)
}
