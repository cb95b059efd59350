//! Counting: what production came in a time, by verdict, label, recipe, model, camera and lot, and where on the part defects were. Whole hours come from the
//! roll-ups, what is left of them from the rows; nothing is read from the journal.

use std::sync::Arc;

use jiff::Timestamp;
use stages::verdict::Verdict;

use super::hours::{Hour, OTHER_LOTS, split};
use super::index::IndexState;
use super::names::{Kind, Names};
use super::query::{Filter, Progress};
use super::row::{SIDE, verdict_of};
use super::trees::{Result, Trees};
use super::{Store, StoreError};

/// Stands for the lots of an hour beyond the first 200.
pub const OTHER: &str = "(other lots)";

/// Parts that have all this in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The answer.
    pub verdict: Verdict,
    /// The label it rests on.
    pub label: Option<Arc<str>>,
    /// As `name@version`; none: of a part that a restart accounted for.
    pub recipe: Option<Arc<str>>,
    /// SHA-256 of the model's graph.
    pub model: Option<Arc<str>>,
    /// The source's name.
    pub camera: Option<Arc<str>>,
    /// The lot; [`OTHER`] for lots beyond those that are told apart.
    pub lot: Option<Arc<str>>,
    /// How many.
    pub parts: u64,
}

/// A place at which defects of parts that failed or went to a person were seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What was seen.
    pub label: Option<Arc<str>>,
    /// As `name@version`.
    pub recipe: Option<Arc<str>>,
    /// The source's name.
    pub camera: Option<Arc<str>>,
    /// The lot.
    pub lot: Option<Arc<str>>,
    /// Column, from the left, of [`PLACES`].
    pub x: u16,
    /// Row, from the top.
    pub y: u16,
    /// How many parts.
    pub parts: u64,
}

/// Columns and rows of places on the picture.
pub const PLACES: u16 = SIDE;

/// What came in a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Parts.
    pub parts: Vec<Counted>,
    /// Places of defects.
    pub places: Vec<Place>,
}

/// Names that occur in records, the oldest first.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Labels, given or found.
    pub labels: Vec<Arc<str>>,
    /// Recipes as `name@version`.
    pub recipes: Vec<Arc<str>>,
    /// Digests of models.
    pub models: Vec<Arc<str>>,
    /// Sources.
    pub cameras: Vec<Arc<str>>,
    /// Regions that decided a part.
    pub regions: Vec<Arc<str>>,
    /// Lots, the newest 200.
    pub lots: Vec<Arc<str>>,
}

impl Store {
    /// Counts each of these times, `from` (inclusive) to `to` (exclusive). Also whether older parts may be missing.
    ///
    /// # Errors
    /// There is no index to count by.
    pub fn tally(&self, times: &[(Timestamp, Timestamp)]) -> std::result::Result<Vec<Tally>, StoreError> {
        let counted =
            self.shared.index.ask(|trees| times.iter().map(|time| tally(trees, *time)).collect::<Result<_>>());
        counted.ok_or_else(no_index)
    }

    /// How far the index has come, where it is not complete. Off: both numbers are 0.
    pub fn rebuilding(&self) -> Option<Progress> {
        match self.shared.index.state(self.shared.live.floor()) {
            IndexState::Ready => None,
            IndexState::Rebuilding(progress) => Some(progress),
            IndexState::Off(_) => Some(Progress { done_bytes: 0, total_bytes: 0 }),
        }
    }

    /// About how many inspections match: exact but for the score of a named label, and a serial number with other conditions, where it is the most
    /// that there can be.
    ///
    /// # Errors
    /// There is no index to count by.
    pub fn count(&self, filter: &Filter) -> std::result::Result<u64, StoreError> {
        self.shared.index.ask(|trees| trees.count_of(filter)).ok_or_else(no_index)
    }

    /// Names that occur in records: what can be asked for. Empty without an index.
    pub fn known(&self) -> Known {
        let known = self.shared.index.ask(|trees| {
            let names = trees.names();
            let all = |kind| names.all(kind).to_vec();
            let lots = names.all(Kind::Lot);
            Ok(Known {
                labels: all(Kind::Label),
                recipes: all(Kind::Recipe),
                models: all(Kind::Model),
                cameras: all(Kind::Camera),
                regions: all(Kind::Region),
                lots: lots[lots.len().saturating_sub(200)..].to_vec(),
            })
        });
        known.unwrap_or_default()
    }
}

fn no_index() -> StoreError {
    StoreError::NoIndex
}

fn tally(trees: &Trees, (from, to): (Timestamp, Timestamp)) -> Result<Tally> {
    let mut counted = Hour::default();
    let ((first, end), rest) = split(from.as_microsecond(), to.as_microsecond());
    trees.hours_between(first, end, &mut counted)?;
    for time in rest {
        trees.rows_between(time, &mut counted)?;
    }
    Ok(named(&counted, &trees.names()))
}

fn named(counted: &Hour, names: &Names) -> Tally {
    let name = |kind, code| match code {
        OTHER_LOTS => Some(OTHER.into()),
        _ => names.name(kind, code).cloned(),
    };
    let parts = counted.parts.iter().filter_map(|(&(verdict, label, recipe, model, camera, lot), &parts)| {
        Some(Counted {
            verdict: verdict_of(verdict)?,
            label: name(Kind::Label, label),
            recipe: name(Kind::Recipe, recipe),
            model: name(Kind::Model, model),
            camera: name(Kind::Camera, camera),
            lot: name(Kind::Lot, lot),
            parts,
        })
    });
    let places = counted.places.iter().map(|(&(label, recipe, camera, lot, cell), &parts)| Place {
        label: name(Kind::Label, label),
        recipe: name(Kind::Recipe, recipe),
        camera: name(Kind::Camera, camera),
        lot: name(Kind::Lot, lot),
        x: cell % SIDE,
        y: cell / SIDE,
        parts,
    });
    Tally { parts: parts.collect(), places: places.collect() }
}
