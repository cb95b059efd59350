//! Roll-ups: what production came in each hour (UTC), counted. They follow from the rows and are kept beside them, so that a year is read in no time.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::names::Kind;
use super::purpose::PurposeKind;
use super::row::{NOWHERE, Row};

/// The number of lots that are told apart within an hour. Whoever takes each serial number for a lot would else count each part by itself.
const LOTS: usize = 200;

/// Stands for the lots of an hour beyond these.
pub(crate) const OTHER_LOTS: u32 = u32::MAX;

const MICROSECONDS: i64 = 3_600_000_000;

/// Verdict, then the numbers of label, recipe, model, camera and lot.
pub(crate) type PartKey = (u8, u32, u32, u32, u32, u32);
/// The numbers of label, recipe, camera and lot, then the cell.
pub(crate) type PlaceKey = (u32, u32, u32, u32, u16);

/// What came in a time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hour {
    pub(crate) parts: BTreeMap<PartKey, u64>,
    pub(crate) places: BTreeMap<PlaceKey, u64>,
    /// Lots that are told apart. In order to add to an hour that was read back.
    lots: HashSet<u32>,
}

impl Hour {
    /// Counts a part, unless it was sent through to check the line.
    pub(crate) fn add(&mut self, row: &Row) {
        if row.purpose != PurposeKind::Production.code() {
            return;
        }
        let mut lot = row.code(Kind::Lot);
        if !self.lots.contains(&lot) {
            if self.lots.len() < LOTS {
                self.lots.insert(lot);
            } else {
                lot = OTHER_LOTS;
            }
        }
        let [label, recipe, camera] = [Kind::Label, Kind::Recipe, Kind::Camera].map(|kind| row.code(kind));
        let key = (row.verdict, label, recipe, row.code(Kind::Model), camera, lot);
        *self.parts.entry(key).or_default() += 1;
        if row.cell != NOWHERE {
            *self.places.entry((label, recipe, camera, lot, row.cell)).or_default() += 1;
        }
    }

    pub(crate) fn join(&mut self, other: &Hour) {
        for (key, count) in &other.parts {
            *self.parts.entry(*key).or_default() += count;
        }
        for (key, count) in &other.places {
            *self.places.entry(*key).or_default() += count;
        }
    }
}

/// The hour that a time lies in, since 1970.
pub(crate) fn hour_of(at_us: i64) -> i64 {
    at_us.div_euclid(MICROSECONDS)
}

/// The whole hours within `from..to` as `first..end`, and what is left of it before and behind them.
pub(crate) fn split(from: i64, to: i64) -> ((i64, i64), [(i64, i64); 2]) {
    let first = from.div_euclid(MICROSECONDS) + i64::from(from.rem_euclid(MICROSECONDS) != 0);
    let end = to.div_euclid(MICROSECONDS);
    if first >= end {
        return ((0, 0), [(from, to), (0, 0)]);
    }
    ((first, end), [(from, first * MICROSECONDS), (end * MICROSECONDS, to)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_cut_into_whole_hours_and_what_is_left() {
        let h = MICROSECONDS;
        assert_eq!(split(0, 3 * h), ((0, 3), [(0, 0), (3 * h, 3 * h)]));
        assert_eq!(split(5, 3 * h + 7), ((1, 3), [(5, h), (3 * h, 3 * h + 7)]));
        assert_eq!(split(5, 9), ((0, 0), [(5, 9), (0, 0)]));
        assert_eq!(split(h - 1, h + 1), ((0, 0), [(h - 1, h + 1), (0, 0)]));
        assert_eq!(split(-h - 1, h), ((-1, 1), [(-h - 1, -h), (h, h)]));
    }
}
