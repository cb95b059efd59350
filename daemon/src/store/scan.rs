//! Looking for rows: a filter with its names as numbers, and the walk over the blocks that may hold what it asks for, newest id first.

use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use super::names::{KINDS, Kind, Names};
use super::query::Filter;
use super::row::{Row, label_bit, verdict_bits};
use super::rows::{Rows, Zone, code_bit};

/// Blocks that one page reads, at most: some sixteen million rows. Then it is handed back with where to go on.
const BLOCKS_PER_PAGE: usize = 4000;

/// A filter by rows. It takes every row that the filter takes, and hardly another.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    at_us: (i64, i64),
    verdicts: u32,
    purposes: u8,
    labels: Option<u64>,
    /// Where the score is asked of the label that the verdict rests on.
    score: Option<(f32, f32)>,
    codes: Vec<(Kind, Codes)>,
    /// A name that no record has.
    nothing: bool,
}

#[derive(Debug, Clone)]
struct Codes {
    bits: u64,
    codes: Vec<u32>,
}

impl Wanted {
    pub(crate) fn new(filter: &Filter, names: &Names) -> Wanted {
        let mut wanted = Wanted {
            at_us: (
                filter.from.map_or(i64::MIN, |from| from.as_microsecond()),
                filter.to.map_or(i64::MAX, |to| to.as_microsecond()),
            ),
            verdicts: filter.verdict.map_or(u32::MAX, verdict_bits),
            purposes: filter.purpose.map_or(u8::MAX, |purpose| 1 << purpose.code()),
            labels: None,
            // With another label than that one the record itself must be asked.
            score: (filter.score.0.is_some() || filter.score.1.is_some())
                .then(|| (filter.score.0.unwrap_or(0.0), filter.score.1.unwrap_or(1.0)))
                .filter(|_| filter.label.is_none()),
            codes: Vec::new(),
            nothing: false,
        };
        if let Some(label) = &filter.label {
            let code = names.find(Kind::Label, label);
            wanted.labels = code.map(label_bit);
            wanted.nothing |= code.is_none();
        }
        for (kind, asked) in [
            (Kind::Recipe, &filter.recipe),
            (Kind::Model, &filter.model),
            (Kind::Camera, &filter.camera),
            (Kind::Region, &filter.region),
            (Kind::Lot, &filter.lot),
        ] {
            let Some(asked) = asked else { continue };
            let codes = match kind {
                Kind::Recipe => names.matching(kind, |name| super::query::is_recipe(name, asked)),
                Kind::Model => names.matching(kind, |name| super::query::is_model(name, asked)),
                _ => names.find(kind, asked).into_iter().collect(),
            };
            wanted.nothing |= codes.is_empty();
            wanted.codes.push((kind, Codes { bits: codes.iter().fold(0, |bits, &it| bits | code_bit(it)), codes }));
        }
        wanted
    }

    /// Whether a block may hold what is asked for.
    pub(crate) fn may_be_in(&self, zone: &Zone) -> bool {
        !self.nothing
            && zone.at_us.1 >= self.at_us.0
            && zone.at_us.0 <= self.at_us.1
            && zone.verdicts & self.verdicts != 0
            && zone.purposes & self.purposes != 0
            && self.labels.is_none_or(|bit| zone.labels & bit != 0)
            && self.score.is_none_or(|(low, high)| zone.score.1 >= low && zone.score.0 <= high)
            && self.codes.iter().all(|(kind, codes)| zone.codes[*kind as usize] & codes.bits != 0)
    }

    pub(crate) fn takes(&self, row: &Row) -> bool {
        !self.nothing
            && row.at_us >= self.at_us.0
            && row.at_us <= self.at_us.1
            && self.verdicts & (1 << row.verdict.min(31)) != 0
            && self.purposes & (1 << row.purpose.min(7)) != 0
            && self.labels.is_none_or(|bit| row.labels & bit != 0)
            && self.score.is_none_or(|(low, high)| row.score >= low && row.score <= high)
            && self.codes.iter().all(|(kind, codes)| codes.codes.contains(&row.codes[*kind as usize]))
    }
}

const _: () = assert!(KINDS == 6, "a new kind of name may be filtered by");

/// One step of the walk.
pub(crate) enum Look {
    /// A record that may be wanted.
    At(u64),
    /// So much was read that others should have their turn: everything from this id on was looked at.
    Pause(u64),
}

/// The walk. Ids come in descending order, whatever the order of the rows: parts that a restart accounts for stand behind newer ones.
pub(crate) struct Walk {
    rows: Arc<Rows>,
    wanted: Wanted,
    ids: (u64, u64),
    /// Highest id and number of each block that is left, the highest last.
    blocks: Vec<(u64, usize)>,
    found: BinaryHeap<u64>,
    read: usize,
}

impl Walk {
    /// Over ids in `low..below`.
    pub(crate) fn new(rows: Arc<Rows>, wanted: Wanted, low: u64, below: u64) -> Walk {
        let blocks = rows.blocks(|zone| zone.ids.1 >= low && zone.ids.0 < below && wanted.may_be_in(zone));
        let mut blocks: Vec<(u64, usize)> = blocks.into_iter().map(|(at, zone)| (zone.ids.1, at)).collect();
        blocks.sort_unstable();
        Walk { rows, wanted, ids: (low, below), blocks, found: BinaryHeap::new(), read: 0 }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Look>> {
        loop {
            let rest = self.blocks.last().map(|(highest, _)| *highest);
            if let Some(&newest) = self.found.peek()
                && rest.is_none_or(|rest| newest > rest)
            {
                self.found.pop();
                return Ok(Some(Look::At(newest)));
            }
            if rest.is_some_and(|_| self.read >= BLOCKS_PER_PAGE) {
                self.read = 0;
                return Ok(rest.map(|rest| Look::Pause(rest.saturating_add(1))));
            }
            let Some((_, block)) = self.blocks.pop() else { return Ok(None) };
            self.read += 1;
            let (wanted, (low, below), found) = (&self.wanted, self.ids, &mut self.found);
            self.rows.each_of(block, |row| {
                if (low..below).contains(&row.id) && wanted.takes(row) {
                    found.push(row.id);
                }
            })?;
        }
    }
}
