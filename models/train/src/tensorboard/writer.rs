//! TensorFlow's record files: each record between its length and two checksums, so that a reader notices what is damaged or cut off.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc};
use prost::Message;

use super::proto::{Event, What};

/// CRC-32C, by the name that the catalogue of checksums has for it.
static CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// What TensorFlow adds to a turned checksum, so that a record that holds records has no checksum of a checksum.
const MASK: u32 = 0xa282_ead8;
/// The version of the event files, which each of them begins with.
const VERSION: &str = "brain.Event:2";

/// The checksum that stands behind `bytes` in a record file.
pub fn masked_crc(bytes: &[u8]) -> u32 {
    CASTAGNOLI.checksum(bytes).rotate_right(15).wrapping_add(MASK)
}

/// Puts a record into its frame: length, checksum of the length, the record, checksum of the record.
pub fn frame(record: &[u8]) -> Vec<u8> {
    let length = (record.len() as u64).to_le_bytes();
    let mut framed = Vec::with_capacity(record.len() + 16);
    framed.extend(length);
    framed.extend(masked_crc(&length).to_le_bytes());
    framed.extend(record);
    framed.extend(masked_crc(record).to_le_bytes());
    framed
}

/// Events, one record each.
pub struct Writer<W> {
    to: W,
}

impl<W: Write> Writer<W> {
    /// Begins a file of events.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(to: W) -> io::Result<Writer<W>> {
        let mut writer = Writer { to };
        writer.write(0, What::FileVersion(VERSION.into()))?;
        Ok(writer)
    }

    /// Adds an event of this moment. It is handed on at once and whole: a process that is killed leaves whole records.
    ///
    /// # Errors
    /// When it cannot be written. Nothing may be added then: a reader stops at the first record that is cut off.
    pub fn write(&mut self, step: usize, what: What) -> io::Result<()> {
        let event = Event { wall_time: now(), step: i64::try_from(step).unwrap_or(i64::MAX), what: Some(what) };
        self.to.write_all(&frame(&event.encode_to_vec()))
    }
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
