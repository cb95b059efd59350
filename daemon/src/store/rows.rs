//! The file of rows: one [`Row`] for each record, in the order of the journal, and in memory what can be said of each block of them, so
//! that blocks which cannot hold what is wanted are not read. A million records are 60 MB of file and 30 kB of memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use super::names::KINDS;
use super::row::{BYTES, Row};

/// Rows that are read and judged together.
const BLOCK: usize = 4096;

pub(crate) struct Rows {
    file: File,
    zones: RwLock<Zones>,
}

#[derive(Default)]
struct Zones {
    count: u64,
    blocks: Vec<Zone>,
}

/// What holds of all rows of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zone {
    pub(crate) ids: (u64, u64),
    pub(crate) at_us: (i64, i64),
    pub(crate) verdicts: u32,
    /// A bit for each purpose that occurs.
    pub(crate) purposes: u8,
    pub(crate) labels: u64,
    /// By kind of name: a bit for each number that occurs, modulo 64.
    pub(crate) codes: [u64; KINDS],
    pub(crate) score: (f32, f32),
}

impl Rows {
    /// Opens the file, of which the first `count` rows count; what stands behind them was written and never named.
    ///
    /// # Errors
    /// It has fewer, or a row is not as it was written.
    pub(crate) fn open(path: &Path, count: u64) -> io::Result<Rows> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let bytes = count.saturating_mul(BYTES as u64);
        if file.metadata()?.len() < bytes {
            return Err(io::Error::other(format!("{} has fewer rows than it should", path.display())));
        }
        file.set_len(bytes)?;
        let rows = Rows { file, zones: RwLock::default() };
        let mut zones = Zones::default();
        let mut buffer = Vec::new();
        while zones.count < count {
            let here = (count - zones.count).min(BLOCK as u64) as usize;
            rows.read(zones.count, here, &mut buffer)?;
            if !buffer.chunks_exact(BYTES).all(Row::is_whole) {
                return Err(io::Error::other(format!("{} holds rows that are damaged", path.display())));
            }
            buffer.chunks_exact(BYTES).for_each(|row| zones.add(&Row::decode(row)));
        }
        *rows.zones.write().unwrap_or_else(PoisonError::into_inner) = zones;
        Ok(rows)
    }

    /// Adds rows; readers see all of them or none.
    pub(crate) fn append(&self, rows: &[Row]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(rows.len() * BYTES);
        rows.iter().for_each(|row| row.encode(&mut bytes));
        // Only the index thread writes, so the count stays what it is meanwhile.
        self.file.write_all_at(&bytes, self.count() * BYTES as u64)?;
        let mut zones = self.zones.write().unwrap_or_else(PoisonError::into_inner);
        rows.iter().for_each(|row| zones.add(row));
        Ok(())
    }

    pub(crate) fn count(&self) -> u64 {
        self.zones.read().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Makes what was written outlast the machine.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Blocks that may hold what is wanted, by their numbers.
    pub(crate) fn blocks(&self, may_hold: impl Fn(&Zone) -> bool) -> Vec<(usize, Zone)> {
        let zones = self.zones.read().unwrap_or_else(PoisonError::into_inner);
        zones.blocks.iter().copied().enumerate().filter(|(_, zone)| may_hold(zone)).collect()
    }

    /// The number of a block's first row, and how many it has.
    pub(crate) fn extent(&self, block: usize) -> (u64, usize) {
        let from = block as u64 * BLOCK as u64;
        (from, self.count().saturating_sub(from).min(BLOCK as u64) as usize)
    }

    /// One row.
    pub(crate) fn row(&self, number: u64) -> io::Result<Row> {
        let mut bytes = [0; BYTES];
        self.file.read_exact_at(&mut bytes, number * BYTES as u64)?;
        Ok(Row::decode(&bytes))
    }

    /// Shows each row of a block.
    pub(crate) fn each_of(&self, block: usize, mut each: impl FnMut(&Row)) -> io::Result<()> {
        let (from, here) = self.extent(block);
        let mut buffer = Vec::new();
        self.read(from, here, &mut buffer)?;
        buffer.chunks_exact(BYTES).for_each(|row| each(&Row::decode(row)));
        Ok(())
    }

    /// Shows each row from a number on.
    pub(crate) fn each_from(&self, first: u64, mut each: impl FnMut(&Row)) -> io::Result<()> {
        let (mut at, mut buffer) = (first, Vec::new());
        while at < self.count() {
            let here = (self.count() - at).min(BLOCK as u64) as usize;
            self.read(at, here, &mut buffer)?;
            buffer.chunks_exact(BYTES).for_each(|row| each(&Row::decode(row)));
            at += here as u64;
        }
        Ok(())
    }

    fn read(&self, first: u64, rows: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.resize(rows * BYTES, 0);
        self.file.read_exact_at(buffer, first * BYTES as u64)
    }
}

impl Zones {
    fn add(&mut self, row: &Row) {
        let new = self.count.is_multiple_of(BLOCK as u64);
        self.count += 1;
        if new {
            self.blocks.push(Zone::of(row));
        } else if let Some(zone) = self.blocks.last_mut() {
            zone.join(&Zone::of(row));
        }
    }
}

impl Zone {
    fn of(row: &Row) -> Zone {
        let some = !row.score.is_nan();
        Zone {
            ids: (row.id, row.id),
            at_us: (row.at_us, row.at_us),
            verdicts: 1 << row.verdict.min(31),
            purposes: 1 << row.purpose.min(7),
            labels: row.labels,
            codes: row.codes.map(code_bit),
            // Nothing lies in an empty range.
            score: if some { (row.score, row.score) } else { (f32::INFINITY, f32::NEG_INFINITY) },
        }
    }

    fn join(&mut self, other: &Zone) {
        self.ids = (self.ids.0.min(other.ids.0), self.ids.1.max(other.ids.1));
        self.at_us = (self.at_us.0.min(other.at_us.0), self.at_us.1.max(other.at_us.1));
        self.verdicts |= other.verdicts;
        self.purposes |= other.purposes;
        self.labels |= other.labels;
        self.codes.iter_mut().zip(other.codes).for_each(|(mine, other)| *mine |= other);
        self.score = (self.score.0.min(other.score.0), self.score.1.max(other.score.1));
    }
}

/// The bit of a number in [`Zone::codes`].
pub(crate) fn code_bit(code: u32) -> u64 {
    1 << (code % 64)
}
