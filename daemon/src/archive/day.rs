//! One day of one line.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use jiff::civil::Date;

use super::manifest::{self, Before, Manifest, Parts, hex};
use super::shelf::{Read, Shelf};
use super::{ArchiveError, Day, Found, date_of, folder_word};
use crate::exports::parquet::{Layout, Table, parts_of};
use crate::store::{self, Exported, evidence_path};

const TABLE: &str = "records.parquet";
/// Begins the path of each picture.
pub(super) const IMAGES: &str = "_images/";

/// Archives a day, unless it is there with as many records.
pub(super) fn archive(
    state: &Path,
    shelf: &mut dyn Shelf,
    (date, line): (Date, &str),
    found: &Found,
    no_images: bool,
) -> Result<Day, ArchiveError> {
    let folder = format!("date={date}/line={}", folder_word(line));
    let of = Of { state, date, line, found };
    let before = match manifest::before(shelf, &folder)? {
        Before::Whole(before) => Some(before),
        Before::Nothing => None,
        Before::Newer(format) => return Err(manifest::newer(&shelf.named(&folder), format)),
    };
    if let Some(before) = before.as_ref()
        && of.is_within(before, shelf, &folder)?
    {
        let (records, images) = (before.records, before.images());
        return Ok(Day { date, line: line.to_owned(), records, images, there: true, refused: None });
    }
    shelf.begin(&folder, before.is_some())?;
    let mut making = Making { shelf, no_images, files: BTreeMap::new() };
    let (records, parts, table) = making.table(&of, &folder)?;
    let images = making.files.len() as u64;
    let Making { shelf, mut files, .. } = making;
    let sum = hex(&table);
    shelf.put(TABLE, table, &sum, true)?;
    files.insert(TABLE.to_owned(), sum);
    shelf.settle(&Manifest::new(date.to_string(), line.to_owned(), records, parts.sum(), files))?;
    Ok(Day { date, line: line.to_owned(), records, images, there: false, refused: None })
}

/// Whose records.
struct Of<'a> {
    state: &'a Path,
    date: Date,
    line: &'a str,
    found: &'a Found,
}

impl Of<'_> {
    /// Each record of the day, in the journal's order.
    fn each(&self, with: &mut dyn FnMut(Record) -> Result<(), ArchiveError>) -> Result<(), ArchiveError> {
        for record in store::export_files(self.state, self.found.first, self.found.last)? {
            let Exported::Inspection(part) = record? else { continue };
            if date_of(part.triggered_at) == self.date && *part.line == *self.line {
                with(part)?;
            }
        }
        Ok(())
    }

    /// Whether all of this line's parts are in what is there. If there are more, that is to be written anew; what holds parts that this line does not know, though it lacks
    /// some of this line's, is another line's, and refused. (A journal that let its oldest files go, or was restored, knows fewer.)
    fn is_within(&self, before: &Manifest, shelf: &mut dyn Shelf, day: &str) -> Result<bool, ArchiveError> {
        let (date, line, place) = (self.date, self.line, shelf.named(day));
        let (of_line, of_date) = (&before.line, &before.date);
        if *of_line != *line || *of_date != date.to_string() {
            return Err(ArchiveError::Refused(format!(
                "`{place}` holds {of_date} of line `{of_line}`: left as it is; move it elsewhere, or archive into another place"
            )));
        }
        if before.parts.as_ref().is_some_and(|parts| *parts == self.found.parts.sum()) {
            return Ok(true);
        }
        let there = parts_there(before, shelf, day)?;
        let mut here = HashSet::new();
        self.each(&mut |part| {
            here.insert((part.id as i64, part.triggered_at.as_microsecond()));
            Ok(())
        })?;
        if here.is_subset(&there) {
            return Ok(true);
        }
        if there.is_subset(&here) {
            return Ok(false);
        }
        Err(ArchiveError::Refused(format!(
            "`{place}` holds parts that this line does not know, and lacks some of its own: left as it is; is there a second line named `{line}`? Give each its own name or \
             place, or move that day elsewhere"
        )))
    }
}

/// Number and time of each part of a day that is there.
fn parts_there(before: &Manifest, shelf: &mut dyn Shelf, day: &str) -> Result<HashSet<(i64, i64)>, ArchiveError> {
    let path = format!("{day}/{TABLE}");
    let place = shelf.named(&path);
    let unknown = |why: &str| {
        ArchiveError::Refused(format!(
            "`{place}` {why}, so nobody knows whether the day is this line's: left as it is; look at it with `--verify`, and move the day elsewhere to have it written anew"
        ))
    };
    match shelf.read(&path)? {
        Read::Bytes(table) if before.files.get(TABLE).is_some_and(|sum| *sum == hex(&table)) => {
            let parts = parts_of(table).map_err(|error| unknown(&format!("cannot be read ({error})")))?;
            Ok(parts.into_iter().collect())
        }
        Read::Bytes(_) => Err(unknown("is damaged")),
        Read::Missing => Err(unknown("is missing")),
        Read::Unreadable(why) => Err(unknown(&format!("cannot be read ({why})"))),
    }
}

type Record = std::sync::Arc<stages::inspection::Inspection>;

/// A day in the making.
struct Making<'a> {
    shelf: &'a mut dyn Shelf,
    no_images: bool,
    files: BTreeMap<String, String>,
}

impl Making<'_> {
    /// The table, and the pictures beside it; how many records, and of which parts.
    fn table(&mut self, of: &Of<'_>, day: &str) -> Result<(u64, Parts, Vec<u8>), ArchiveError> {
        let failed = |source| ArchiveError::Table { day: day.to_owned(), source };
        let (mut bytes, mut records, mut parts) = (Vec::new(), 0, Parts::default());
        let mut table = Table::begin(&mut bytes, Layout::WithoutLine).map_err(failed)?;
        of.each(&mut |part| {
            let image = match evidence_path(of.state, &part) {
                Some(from) if !self.no_images => self.image(part.id, &from)?,
                _ => None,
            };
            records += 1;
            parts.add(&part);
            table.add(part, image).map_err(failed)
        })?;
        table.end().map_err(failed)?;
        Ok((records, parts, bytes))
    }

    /// Copies a picture; where it lies now. None: it was let go, or never reached the disk.
    fn image(&mut self, id: u64, from: &Path) -> Result<Option<String>, ArchiveError> {
        let ending = from.extension().and_then(|it| it.to_str()).unwrap_or("bin");
        let name = format!("{IMAGES}{id}.{ending}");
        let sum = match fs::read(from) {
            Ok(bytes) => {
                let sum = hex(&bytes);
                self.shelf.put(&name, bytes, &sum, false)?;
                Some(sum)
            }
            // Retention let it go meanwhile; an archive of the day with fewer records may have it.
            Err(_) => self.shelf.keep(&name)?,
        };
        Ok(sum.map(|sum| {
            self.files.insert(name.clone(), sum);
            name
        }))
    }
}
