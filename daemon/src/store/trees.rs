//! The index on disk: sled's trees, and the files of rows and of vectors beside them. The only file that names `sled`.
//!
//! Keys have a fixed size, integers big endian, so that sled's order is the order of ids. Serial numbers are hashed to 64 bits; readers
//! check the record itself, so a collision costs a look and no wrong answer.
//!
//! | tree      | key                     | value                                            |
//! |-----------|-------------------------|--------------------------------------------------|
//! | `id`      | id                      | position                                         |
//! | `late`    | id                      | position of the late result                      |
//! | `serial`  | hash of the serial, id  |                                                  |
//! | `name`    | kind, number            | a name ([`Names`])                               |
//! | `hour`    | hour of the trigger     | what came in it ([`Hour`]); `upto`: rows counted |
//! | `meta`    | name                    | format, journal, retriever, position and rows reached, `from`: the oldest file that the hours count |
//!
//! All other conditions are answered by the rows, which are a tenth of the size that a tree for each of them would have, take hardly any memory, and
//! answer conditions together.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use models::retrieval::{Retriever, Vector};
use stages::inspection::Inspection;

use super::gone::{Forgotten, Gone};
use super::hours::{Hour, hour_of};
use super::names::Names;
use super::nearest::nearest;
use super::query::Filter;
use super::row::Row;
use super::rows::Rows;
use super::scan::{Look, Walk, Wanted};
use super::segment::Position;
use super::vectors::Vectors;
use crate::retrieval::vector_of;

/// Keys, values or rows have changed when this does; an index of another format is built anew.
const FORMAT: u64 = 2;
/// Key of the digest of the retriever whose vectors these are.
const RETRIEVER: &str = "retriever";

/// Key of how many rows the hours count. It sorts before every hour since 1970.
const UPTO: &[u8] = b"upto";

pub(crate) type Result<T> = std::result::Result<T, sled::Error>;

pub(crate) struct Trees {
    db: sled::Db,
    id: sled::Tree,
    late: sled::Tree,
    serial: sled::Tree,
    name: sled::Tree,
    hour: sled::Tree,
    meta: sled::Tree,
    rows: Arc<Rows>,
    /// Where each row's part lies, and by whose word; none: nobody looks for likeness.
    vectors: Option<(Vectors, Arc<Retriever>)>,
    names: RwLock<Names>,
    /// Hours that have changed since they were last written, whole.
    hours: Mutex<BTreeMap<i64, Hour>>,
    /// What is named here and gone from the journal.
    forgotten: Forgotten,
}

/// Keys of many records, applied at once.
#[derive(Default)]
pub(crate) struct Keys {
    id: sled::Batch,
    late: sled::Batch,
    serial: sled::Batch,
    rows: Vec<Row>,
    vectors: Vec<Vector>,
}

impl Keys {
    pub(crate) fn inspection(&mut self, trees: &Trees, position: Position, inspection: &Inspection) {
        let id = inspection.id;
        self.id.insert(&id.to_be_bytes(), &position.pack().to_be_bytes());
        if let Some(serial) = &inspection.serial {
            self.serial.insert(pair(hash(serial), id).as_slice(), &[]);
        }
        if let Some((_, retriever)) = &trees.vectors {
            self.vectors.push(vector_of(retriever, inspection).unwrap_or(Vector::NOTHING));
        }
        let mut names = trees.names.write().unwrap_or_else(PoisonError::into_inner);
        self.rows.push(Row::of(inspection, &mut names));
    }

    pub(crate) fn late(&mut self, position: Position, id: u64) {
        self.late.insert(&id.to_be_bytes(), &position.pack().to_be_bytes());
    }
}

impl Trees {
    /// Opens or creates the index in `dir`. sled may panic on a damaged one.
    pub(crate) fn open(
        dir: &Path,
        cache_bytes: u64,
        forgotten: Forgotten,
        retriever: Option<Arc<Retriever>>,
    ) -> Result<Trees> {
        let db = sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(None).open()?;
        let meta = db.open_tree("meta")?;
        let (hour, name) = (db.open_tree("hour")?, db.open_tree("name")?);
        let count = meta.get("reached")?.and_then(|value| reached_of(&value)).map_or(0, |(_, rows)| rows);
        let mut names = Names::default();
        for item in &name {
            let (key, value) = item?;
            if !names.restore(&key, &value) {
                return Err(broken("its names are not as they were written"));
            }
        }
        let rows = Arc::new(Rows::open(&rows_path(dir), count)?);
        // Another retriever's vectors, or none, are found out by whoever asks how far the journal is covered.
        let same = meta.get(RETRIEVER)?.is_some_and(|value| value == digest_of(retriever.as_ref()));
        let count_here = if same { count } else { 0 };
        let vectors =
            retriever.map(|it| io::Result::Ok((Vectors::open(&vectors_path(dir), count_here)?, it))).transpose()?;
        let trees = Trees {
            id: db.open_tree("id")?,
            late: db.open_tree("late")?,
            serial: db.open_tree("serial")?,
            name,
            hour,
            meta,
            rows,
            vectors,
            names: RwLock::new(names),
            hours: Mutex::default(),
            forgotten,
            db,
        };
        trees.count_the_rest(count)?;
        Ok(trees)
    }

    /// Counts the rows that were written after the hours had been.
    fn count_the_rest(&self, count: u64) -> Result<()> {
        let upto = self.hour.get(UPTO)?.and_then(|value| number(&value)).unwrap_or(0);
        if upto > count {
            return Err(broken("its hours count more rows than there are"));
        }
        let mut rest = Vec::new();
        self.rows.each_from(upto, |row| rest.push(*row))?;
        self.count(&rest)
    }

    /// The position reached, if this is an index of `journal` in this program's format.
    pub(crate) fn reached(&self, journal: u64) -> Result<Option<Position>> {
        let retriever = digest_of(self.vectors.as_ref().map(|(_, retriever)| retriever));
        let fits = self.meta_u64("format")? == Some(FORMAT)
            && self.meta_u64("journal")? == Some(journal)
            && self.meta.get(RETRIEVER)?.is_some_and(|value| value == retriever);
        let reached = self.meta.get("reached")?.and_then(|value| reached_of(&value));
        Ok(reached.filter(|_| fits).map(|(position, _)| position))
    }

    /// Whether this is an index of `journal`, by whatever program.
    pub(crate) fn is_of(&self, journal: u64) -> Result<bool> {
        Ok(self.meta_u64("journal")? == Some(journal))
    }

    /// Marks a new index as made for `journal`.
    pub(crate) fn claim(&self, journal: u64) -> Result<()> {
        self.meta.insert("journal", &journal.to_be_bytes())?;
        self.meta.insert("format", &FORMAT.to_be_bytes())?;
        self.meta.insert(RETRIEVER, digest_of(self.vectors.as_ref().map(|(_, retriever)| retriever)))?;
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
        let unsaved = self.names.write().unwrap_or_else(PoisonError::into_inner).take_unsaved();
        let mut names = sled::Batch::default();
        unsaved.iter().for_each(|(key, name)| names.insert(key, name.as_bytes()));
        self.name.apply_batch(names)?;
        self.id.apply_batch(keys.id)?;
        self.late.apply_batch(keys.late)?;
        self.serial.apply_batch(keys.serial)?;
        if let Some((vectors, _)) = &self.vectors {
            vectors.append(self.rows.count(), &keys.vectors)?;
        }
        self.rows.append(&keys.rows)?;
        self.count(&keys.rows)?;
        self.meta.insert("reached", pair(reached.pack(), self.rows.count()).as_slice())?;
        Ok(())
    }

    /// Adds rows to their hours.
    fn count(&self, rows: &[Row]) -> Result<()> {
        let mut hours = self.hours();
        let gone = self.forgotten.now();
        for row in rows.iter().filter(|row| !gone.has(row.id)) {
            let at = hour_of(row.at_us);
            let hour = match hours.entry(at) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unread) => {
                    let kept = self.hour.get(hour_key(at))?;
                    unread.insert(kept.map_or(Ok(Hour::default()), |value| hour(&value))?)
                }
            };
            hour.add(row);
        }
        Ok(())
    }

    /// Hands everything to the operating system.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut hours = self.hours();
        let mut batch = sled::Batch::default();
        for (at, hour) in &*hours {
            let value = rmp_serde::to_vec(hour).map_err(|e| broken(&format!("an hour cannot be encoded: {e}")))?;
            batch.insert(&hour_key(*at), value);
        }
        // In one batch, which sled keeps as a whole or not at all: a row is counted once.
        batch.insert(UPTO, &self.rows.count().to_be_bytes());
        self.hour.apply_batch(batch)?;
        hours.clear();
        drop(hours);
        self.db.flush().map(|_| ())
    }

    /// What the rows' file was given outlasts the machine from here on.
    pub(crate) fn sync(&self) -> Result<()> {
        self.rows.sync()?;
        Ok(self.vectors.as_ref().map_or(Ok(()), |(vectors, _)| vectors.sync())?)
    }

    /// Where a record stands, and its late result.
    pub(crate) fn find(&self, id: u64) -> Result<Option<(Position, Option<Position>)>> {
        if self.forgotten.now().has(id) {
            return Ok(None);
        }
        let place = |tree: &sled::Tree| -> Result<Option<Position>> {
            Ok(tree.get(id.to_be_bytes())?.and_then(|v| number(&v)).map(Position::unpack))
        };
        Ok(match place(&self.id)? {
            Some(position) => Some((position, place(&self.late)?)),
            None => None,
        })
    }

    /// Ids in `low..below` that may match `filter`, newest first: from the serial number's tree, else from the rows.
    pub(crate) fn candidates(&self, filter: &Filter, low: u64, below: u64) -> Candidates {
        let low = low.max(self.forgotten.now().low());
        match &filter.serial {
            Some(serial) => {
                Candidates::Serial(Box::new(keyed(&self.serial, &hash(serial).to_be_bytes(), low, below).rev()))
            }
            None => Candidates::Rows(Walk::new(self.rows.clone(), Wanted::new(filter, &self.names()), low, below)),
        }
    }

    /// Ids of the records that lie nearest to a question, of those that may match `filter`, the nearest first, each with its product.
    pub(crate) fn nearest(&self, asked: &Vector, filter: &Filter, most: usize) -> Result<Vec<(u64, i32)>> {
        let Some((vectors, _)) = &self.vectors else { return Ok(Vec::new()) };
        let gone = self.forgotten.now();
        let low = filter.after_id.map_or(0, |after| after.saturating_add(1)).max(gone.low());
        let ids = (low, filter.before_id.unwrap_or(u64::MAX));
        let wanted = Wanted::new(filter, &self.names());
        Ok(nearest((&self.rows, vectors), asked, &wanted, most, |id| !gone.has(id), ids)?)
    }

    /// How many records may match `filter`, without looking at each: exact but for a label's score, and a serial number together with others.
    pub(crate) fn count_of(&self, filter: &Filter) -> Result<u64> {
        let (low, below) =
            (filter.after_id.map_or(0, |after| after.saturating_add(1)), filter.before_id.unwrap_or(u64::MAX));
        let gone = self.forgotten.now();
        let low = low.max(gone.low());
        if let Some(serial) = &filter.serial {
            let mut count = 0;
            for id in keyed(&self.serial, &hash(serial).to_be_bytes(), low, below) {
                count += u64::from(!gone.has(id?));
            }
            return Ok(count);
        }
        let wanted = Wanted::new(filter, &self.names());
        let mut count = 0;
        for (block, _) in self.rows.blocks(|zone| zone.ids.1 >= low && zone.ids.0 < below && wanted.may_be_in(zone)) {
            self.rows.each_of(block, |row| {
                count += u64::from((low..below).contains(&row.id) && !gone.has(row.id) && wanted.takes(row));
            })?;
        }
        Ok(count)
    }

    /// What came in the whole hours `first..end`.
    pub(crate) fn hours_between(&self, first: i64, end: i64, into: &mut Hour) -> Result<()> {
        // Held all the while, so that no hour is written back between the two looks.
        let changed = self.hours();
        for item in self.hour.range(hour_key(first)..hour_key(end.max(first))) {
            let (key, value) = item?;
            let Some(at) = number(&key).map(|at| (at ^ (1 << 63)) as i64) else { continue };
            if !changed.contains_key(&at) {
                into.join(&hour(&value)?);
            }
        }
        changed.range(first..end.max(first)).for_each(|(_, hour)| into.join(hour));
        Ok(())
    }

    /// What came within `from..to`, by the rows: for what is left of whole hours.
    pub(crate) fn rows_between(&self, (from, to): (i64, i64), into: &mut Hour) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        let gone = self.forgotten.now();
        for (block, _) in self.rows.blocks(|zone| zone.at_us.1 >= from && zone.at_us.0 < to && zone.ids.1 >= gone.low())
        {
            self.rows.each_of(block, |row| {
                if (from..to).contains(&row.at_us) && !gone.has(row.id) {
                    into.add(row);
                }
            })?;
        }
        Ok(())
    }

    /// Names as numbers.
    pub(crate) fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn hours(&self) -> MutexGuard<'_, BTreeMap<i64, Hour>> {
        self.hours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids in `low..below`, oldest first.
    pub(crate) fn ids(&self, low: u64, below: u64) -> impl Iterator<Item = Result<u64>> + use<> {
        let gone = self.forgotten.now();
        keyed(&self.id, &[], low.max(gone.low()), below).filter(move |id| id.as_ref().map_or(true, |id| !gone.has(*id)))
    }

    /// Shows each row with an id in `low..below`, in the order of the journal.
    pub(crate) fn each_row(&self, low: u64, below: u64, mut each: impl FnMut(&Row)) -> Result<()> {
        for (block, _) in self.rows.blocks(|zone| zone.ids.1 >= low && zone.ids.0 < below) {
            self.rows.each_of(block, |row| {
                if (low..below).contains(&row.id) {
                    each(row);
                }
            })?;
        }
        Ok(())
    }

    /// The trigger of the oldest record that is left. It need not lie in the first block: a part that was open for long is written late.
    pub(crate) fn oldest(&self, gone: &Gone) -> Result<Option<jiff::Timestamp>> {
        let mut oldest = i64::MAX;
        for (block, zone) in self.rows.blocks(|zone| zone.ids.1 >= gone.low()) {
            if zone.at_us.0 < oldest {
                self.rows.each_of(block, |row| {
                    if !gone.has(row.id) {
                        oldest = oldest.min(row.at_us);
                    }
                })?;
            }
        }
        Ok(jiff::Timestamp::from_microsecond(oldest).ok())
    }

    /// Number of the oldest file whose records the hours count.
    pub(crate) fn from(&self) -> Result<Option<u32>> {
        Ok(self.meta_u64("from")?.and_then(|from| u32::try_from(from).ok()))
    }

    /// Takes what is gone out of the hours: those that held any of it are counted anew. How many of the rows are gone, and how many there are.
    pub(crate) fn forget(&self, gone: &Gone) -> Result<(u64, u64)> {
        let mut touched = BTreeSet::new();
        let mut dead = 0;
        let mut hours = self.hours();
        self.each_row(0, gone.below, |row| {
            if gone.has(row.id) {
                dead += 1;
                touched.insert(hour_of(row.at_us));
            }
        })?;
        let mut anew: BTreeMap<i64, Hour> = BTreeMap::new();
        let (first, last) = (touched.first().copied().unwrap_or(0), touched.last().copied().unwrap_or(0));
        for (block, _) in self
            .rows
            .blocks(|zone| zone.ids.1 >= gone.low() && hour_of(zone.at_us.1) >= first && hour_of(zone.at_us.0) <= last)
        {
            self.rows.each_of(block, |row| {
                let at = hour_of(row.at_us);
                if touched.contains(&at) && !gone.has(row.id) {
                    anew.entry(at).or_default().add(row);
                }
            })?;
        }
        let mut batch = sled::Batch::default();
        for at in touched {
            batch.remove(&hour_key(at));
            hours.remove(&at);
        }
        // All that is unwritten goes along, so that what is written is one state: every row is counted once, or gone.
        batch.insert(UPTO, &self.rows.count().to_be_bytes());
        for (at, hour) in hours.iter().map(|(at, hour)| (*at, hour)).chain(anew.iter().map(|(at, hour)| (*at, hour))) {
            let value = rmp_serde::to_vec(hour).map_err(|e| broken(&format!("an hour cannot be encoded: {e}")))?;
            batch.insert(&hour_key(at), value);
        }
        self.hour.apply_batch(batch)?;
        hours.clear();
        self.meta.insert("from", &u64::from(gone.first).to_be_bytes())?;
        Ok((dead, self.rows.count()))
    }
}

/// Ids that may match, newest first.
pub(crate) enum Candidates {
    Serial(Box<dyn Iterator<Item = Result<u64>> + Send>),
    Rows(Walk),
}

impl Candidates {
    pub(crate) fn next(&mut self) -> Result<Option<Look>> {
        match self {
            Candidates::Serial(ids) => Ok(ids.next().transpose()?.map(Look::At)),
            Candidates::Rows(walk) => Ok(walk.next()?),
        }
    }
}

fn rows_path(dir: &Path) -> PathBuf {
    dir.join("rows")
}

fn vectors_path(dir: &Path) -> PathBuf {
    dir.join("vectors")
}

fn digest_of(retriever: Option<&Arc<Retriever>>) -> &[u8] {
    retriever.map_or(&[], |retriever| retriever.digest().as_bytes())
}

fn broken(words: &str) -> sled::Error {
    io::Error::other(words.to_owned()).into()
}

fn hour(value: &[u8]) -> Result<Hour> {
    rmp_serde::from_slice(value).map_err(|e| broken(&format!("an hour is not understood: {e}")))
}

/// Earlier hours sort before later ones, those before 1970 too.
fn hour_key(at: i64) -> [u8; 8] {
    ((at as u64) ^ (1 << 63)).to_be_bytes()
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

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// The journal's position and the number of rows.
fn reached_of(bytes: &[u8]) -> Option<(Position, u64)> {
    Some((Position::unpack(number(bytes.get(..8)?)?), number(bytes.get(8..)?)?))
}

/// FNV-1a, 64 bits: the same on every machine and in every version, unlike the standard library's hasher.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
