//! The index's trees: which keys lead to a record. The only file that names `sled`.
//!
//! Keys have a fixed size, integers big endian, so that sled's order is the order of ids. Serial numbers and labels are hashed to
//! 64 bits; readers check the record itself, so a collision costs a look and no wrong answer.
//!
//! | tree      | key                     | value                             |
//! |-----------|-------------------------|-----------------------------------|
//! | `id`      | id                      | position                          |
//! | `late`    | id                      | position of the late result       |
//! | `minute`  | minute of the trigger   | lowest and highest id in it       |
//! | `verdict` | verdict (1 byte), id    |                                   |
//! | `label`   | hash of the label, id   |                                   |
//! | `serial`  | hash of the serial, id  |                                   |
//! | `meta`    | name                    | format, journal, position reached |

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use stages::inspection::Inspection;

use super::query::{Filter, VerdictKind};
use super::segment::Position;

/// Keys or values have changed when this does; an index of another format is built anew.
const FORMAT: u64 = 1;

pub(crate) type Result<T> = std::result::Result<T, sled::Error>;

pub(crate) struct Trees {
    db: sled::Db,
    id: sled::Tree,
    late: sled::Tree,
    minute: sled::Tree,
    verdict: sled::Tree,
    label: sled::Tree,
    serial: sled::Tree,
    meta: sled::Tree,
}

/// Keys of many records, applied at once.
#[derive(Default)]
pub(crate) struct Keys {
    id: sled::Batch,
    late: sled::Batch,
    minute: BTreeMap<u64, (u64, u64)>,
    verdict: sled::Batch,
    label: sled::Batch,
    serial: sled::Batch,
}

impl Keys {
    pub(crate) fn inspection(&mut self, position: Position, inspection: &Inspection) {
        let id = inspection.id;
        self.id.insert(&id.to_be_bytes(), &position.pack().to_be_bytes());
        self.verdict.insert(verdict_key(inspection.verdict.into(), id).as_slice(), &[]);
        let found = inspection.found.iter().map(|f| &f.label);
        for label in inspection.label.iter().chain(found) {
            self.label.insert(pair(hash(label), id).as_slice(), &[]);
        }
        if let Some(serial) = &inspection.serial {
            self.serial.insert(pair(hash(serial), id).as_slice(), &[]);
        }
        let span = self.minute.entry(minute(inspection.triggered_at)).or_insert((id, id));
        *span = (span.0.min(id), span.1.max(id));
    }

    pub(crate) fn late(&mut self, position: Position, id: u64) {
        self.late.insert(&id.to_be_bytes(), &position.pack().to_be_bytes());
    }
}

impl Trees {
    /// Opens or creates the index in `dir`. sled may panic on a damaged one.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Trees> {
        let db = sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(None).open()?;
        Ok(Trees {
            id: db.open_tree("id")?,
            late: db.open_tree("late")?,
            minute: db.open_tree("minute")?,
            verdict: db.open_tree("verdict")?,
            label: db.open_tree("label")?,
            serial: db.open_tree("serial")?,
            meta: db.open_tree("meta")?,
            db,
        })
    }

    /// The position reached, if this is an index of `journal` in this program's format.
    pub(crate) fn reached(&self, journal: u64) -> Result<Option<Position>> {
        let fits = self.meta_u64("format")? == Some(FORMAT) && self.meta_u64("journal")? == Some(journal);
        Ok(if fits { self.meta_u64("reached")?.map(Position::unpack) } else { None })
    }

    /// Marks a new index as made for `journal`.
    pub(crate) fn claim(&self, journal: u64) -> Result<()> {
        self.meta.insert("journal", &journal.to_be_bytes())?;
        self.meta.insert("format", &FORMAT.to_be_bytes())?;
        Ok(())
    }

    /// Whether nothing was ever put in.
    pub(crate) fn is_empty(&self) -> Result<bool> {
        Ok(self.meta.is_empty() && self.id.is_empty())
    }

    fn meta_u64(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.meta.get(key)?.and_then(|v| number(&v)))
    }

    /// Adds keys, then says how far the journal is covered. In this order: sled keeps a prefix of what was written.
    pub(crate) fn apply(&self, keys: Keys, reached: Position) -> Result<()> {
        self.id.apply_batch(keys.id)?;
        self.late.apply_batch(keys.late)?;
        self.verdict.apply_batch(keys.verdict)?;
        self.label.apply_batch(keys.label)?;
        self.serial.apply_batch(keys.serial)?;
        for (minute, (low, high)) in keys.minute {
            let key = minute.to_be_bytes();
            let (low, high) = match self.minute.get(key)?.and_then(|v| span(&v)) {
                Some((a, b)) => (a.min(low), b.max(high)),
                None => (low, high),
            };
            self.minute.insert(key, pair(low, high).as_slice())?;
        }
        self.meta.insert("reached", &reached.pack().to_be_bytes())?;
        Ok(())
    }

    /// Hands everything to the operating system.
    pub(crate) fn flush(&self) -> Result<()> {
        self.db.flush().map(|_| ())
    }

    /// Where a record stands, and its late result.
    pub(crate) fn find(&self, id: u64) -> Result<Option<(Position, Option<Position>)>> {
        let place = |tree: &sled::Tree| -> Result<Option<Position>> {
            Ok(tree.get(id.to_be_bytes())?.and_then(|v| number(&v)).map(Position::unpack))
        };
        Ok(match place(&self.id)? {
            Some(position) => Some((position, place(&self.late)?)),
            None => None,
        })
    }

    /// Ids in `low..below` that may match `filter`, newest first, from the tree that narrows most.
    pub(crate) fn candidates(
        &self,
        filter: &Filter,
        low: u64,
        below: u64,
    ) -> impl Iterator<Item = Result<u64>> + use<> {
        let (tree, prefix) = match (&filter.serial, &filter.label, filter.verdict) {
            (Some(serial), _, _) => (&self.serial, hash(serial).to_be_bytes().to_vec()),
            (_, Some(label), _) => (&self.label, hash(label).to_be_bytes().to_vec()),
            (_, _, Some(verdict)) => (&self.verdict, vec![code(verdict)]),
            _ => (&self.id, Vec::new()),
        };
        keyed(tree, &prefix, low, below).rev()
    }

    /// Ids in `low..below`, oldest first.
    pub(crate) fn ids(&self, low: u64, below: u64) -> impl Iterator<Item = Result<u64>> + use<> {
        keyed(&self.id, &[], low, below)
    }

    /// Lowest id, and one above the highest, of the parts whose trigger came in the filter's time, give or take a minute. Clocks
    /// are set back now and then, so the minutes tell and not the order of the ids.
    pub(crate) fn id_range(&self, filter: &Filter) -> Result<(u64, u64)> {
        if filter.from.is_none() && filter.to.is_none() {
            return Ok((0, u64::MAX));
        }
        let from = filter.from.map_or(0, minute).to_be_bytes();
        let to = filter.to.map_or(u64::MAX, minute).to_be_bytes();
        if from > to {
            return Ok((0, 0));
        }
        let (mut low, mut below) = (u64::MAX, 0);
        for item in self.minute.range(from..=to) {
            if let Some((a, b)) = span(&item?.1) {
                low = low.min(a);
                below = below.max(b + 1);
            }
        }
        Ok((low.min(below), below))
    }
}

fn keyed(
    tree: &sled::Tree,
    prefix: &[u8],
    low: u64,
    below: u64,
) -> impl DoubleEndedIterator<Item = Result<u64>> + use<> {
    let key = |id: u64| [prefix, &id.to_be_bytes()].concat();
    let at = prefix.len();
    // An empty range is asked for as one: sled panics on a reversed one.
    let range = tree.range(key(low.min(below))..key(below));
    range.filter_map(move |item| item.map(|(key, _)| number(&key[at..])).transpose())
}

fn pair(a: u64, b: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&a.to_be_bytes());
    key[8..].copy_from_slice(&b.to_be_bytes());
    key
}

fn verdict_key(verdict: VerdictKind, id: u64) -> [u8; 9] {
    let mut key = [code(verdict); 9];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

fn code(verdict: VerdictKind) -> u8 {
    match verdict {
        VerdictKind::Pass => 0,
        VerdictKind::Fail => 1,
        VerdictKind::Review => 2,
        VerdictKind::NoDecision => 3,
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn span(bytes: &[u8]) -> Option<(u64, u64)> {
    Some((number(bytes.get(..8)?)?, number(bytes.get(8..)?)?))
}

/// Minutes since 1970, shifted so that earlier ones stay in order.
fn minute(at: Timestamp) -> u64 {
    (at.as_second().div_euclid(60) as u64) ^ (1 << 63)
}

/// FNV-1a, 64 bits: the same on every machine and in every version, unlike the standard library's hasher.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
