//! Closed days for the shelf: records as Parquet, partitioned by date and line, their pictures beside them, in a folder or in a store that speaks S3, where any tool
//! reads them for as long as there are tools. docs/ARCHIVE.md has the whole picture.
//!
//! ```text
//! DEST/date=2026-11-27/line=press-3/records.parquet
//! DEST/date=2026-11-27/line=press-3/_images/812.jpg
//! DEST/date=2026-11-27/line=press-3/_manifest.json
//! ```
//!
//! Names that begin with `_` are passed over by what reads such folders (Spark, Arrow, DuckDB's globs ask for `*.parquet`). Days are those of UTC. In a folder a day appears
//! under its name when all of it is on the medium; in a store its manifest is written last. So a day with a manifest is whole.

mod config;
mod day;
mod folder;
mod manifest;
mod s3;
mod shelf;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use thiserror::Error;

pub use config::{ArchiveSection, S3Target, Target};
pub use manifest::{Checked, check};

use crate::background::yield_to_the_line;
use crate::store::{self, Exported, StoreError};
use manifest::Parts;

/// A day is closed so long after its end: its last parts have their verdicts by then.
const SETTLES_H: i64 = 1;

/// Why a day was not archived, or an archive not checked.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The operating system refused something.
    #[error("cannot {what} `{}`: {source}; check the path, its permissions and the disk", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A table could not be written.
    #[error("the table of `{day}` could not be written: {source}")]
    Table {
        /// Its day.
        day: String,
        /// Why.
        source: ::parquet::errors::ParquetError,
    },
    /// The store could not be reached, or refused something.
    #[error("cannot {what} `{place}`: {why}")]
    Remote {
        /// What was tried.
        what: &'static str,
        /// On what.
        place: String,
        /// What the store said, and the way out.
        why: String,
    },
    /// A day holds something else than this line's: it stays as it is, and others go on.
    #[error("{0}")]
    Refused(String),
}

impl ArchiveError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
        let path = path.to_owned();
        move |source| ArchiveError::Io { what, path, source }
    }
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The first day; none: the first on record.
    pub from: Option<Date>,
    /// The last day; none: the last that is closed.
    pub to: Option<Date>,
    /// Without pictures.
    pub no_images: bool,
}

/// What came of a day of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// The line.
    pub line: String,
    /// Records of it.
    pub records: u64,
    /// Their pictures.
    pub images: u64,
    /// It was there already, whole.
    pub there: bool,
    /// What is there is not this line's, and was left as it is: why.
    pub refused: Option<String>,
}

/// Records of a day of a line, and the journal's files that hold them.
#[derive(Debug, Clone)]
struct Found {
    records: u64,
    parts: Parts,
    first: u32,
    last: u32,
}

/// Archives every closed day of `state` that is not there yet, and tells of each. Reads beside the running line.
///
/// # Errors
/// Something cannot be read or written. Days that were told of are whole, but for those that were refused.
pub fn archive(state: &Path, to: &Target, asked: &Asked, each: &mut dyn FnMut(&Day)) -> Result<(), ArchiveError> {
    yield_to_the_line();
    let mut shelf = shelf::open(to, true)?;
    let closed = closed_at(Timestamp::now());
    for ((date, line), found) in days(state)? {
        let outside = asked.from.is_some_and(|from| date < from) || asked.to.is_some_and(|to| date > to);
        if outside || date > closed {
            continue;
        }
        match day::archive(state, &mut *shelf, (date, &line), &found, asked.no_images) {
            Ok(day) => each(&day),
            Err(ArchiveError::Refused(why)) => {
                each(&Day { date, line, records: found.records, images: 0, there: false, refused: Some(why) });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The newest day that is closed.
fn closed_at(now: Timestamp) -> Date {
    let settled = now.checked_sub(SETTLES_H.hours()).unwrap_or(now);
    let today = date_of(settled);
    today.yesterday().unwrap_or(today)
}

fn date_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Every day of every line on record.
fn days(state: &Path) -> Result<BTreeMap<(Date, String), Found>, ArchiveError> {
    let mut days: BTreeMap<(Date, String), Found> = BTreeMap::new();
    let mut export = store::export(state)?;
    while let Some(record) = export.next() {
        let Exported::Inspection(part) = record? else { continue };
        let file = export.file();
        let key = (date_of(part.triggered_at), part.line.to_string());
        let new = || Found { records: 0, parts: Parts::default(), first: file, last: file };
        let found = days.entry(key).or_insert_with(new);
        found.records += 1;
        found.parts.add(&part);
        // A clock that is set back, and parts that a restart accounts for, come again to earlier days.
        (found.first, found.last) = (found.first.min(file), found.last.max(file));
    }
    Ok(days)
}

/// A line's name as a folder's, as Hive writes what a folder's name must not hold.
fn folder_word(line: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || byte >= 0x80;
    let mut word = Vec::new();
    for byte in line.bytes() {
        if plain(byte) { word.push(byte) } else { word.extend(format!("%{byte:02X}").into_bytes()) }
    }
    if word.is_empty() || line == "." || line == ".." {
        return "__HIVE_DEFAULT_PARTITION__".to_owned();
    }
    String::from_utf8_lossy(&word).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_closed_an_hour_after_its_end() {
        let at = |text: &str| closed_at(text.parse().unwrap()).to_string();
        assert_eq!(at("2026-11-27T23:59:59Z"), "2026-11-26");
        assert_eq!(at("2026-11-28T00:59:59Z"), "2026-11-26");
        assert_eq!(at("2026-11-28T01:00:00Z"), "2026-11-27");
    }

    #[test]
    fn a_line_of_any_name_is_one_folder() {
        assert_eq!(folder_word("press-3"), "press-3");
        assert_eq!(folder_word("a/b=c %"), "a%2Fb%3Dc%20%25");
        assert_eq!(folder_word(".."), "__HIVE_DEFAULT_PARTITION__");
        assert_eq!(folder_word("Straße"), "Straße");
    }
}
