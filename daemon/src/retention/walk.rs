//! Every kept picture, found on the disk when the line starts. In the background: a million take a minute, and the line is not waited for.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::shelf::{Picture, Shelf};
use crate::store::Store;

/// Files looked at between two breaks.
const FILES: usize = 256;
const BREAK: Duration = Duration::from_millis(2);

/// Puts every picture of a part up to `seen` on the shelf. False: the index is not complete yet, or it is to stop.
pub(super) fn walk(store: &Store, seen: u64, shelf: &mut Shelf, stop: &dyn Fn() -> bool) -> io::Result<bool> {
    let mut found: HashMap<u64, Picture> = HashMap::new();
    let mut looked = 0;
    let mut each = |day: Date, name: &str, bytes: u64| {
        looked += 1;
        if looked % FILES == 0 {
            std::thread::sleep(BREAK);
        }
        let Some((id, ending)) = name.split_once('.') else { return };
        let (Ok(id), Some(ending)) = (id.parse::<u64>(), shelf.ending(ending)) else { return };
        let at_s = day.to_zoned(TimeZone::UTC).map_or(0, |it| it.timestamp().as_second());
        if id <= seen {
            found.insert(id, Picture { at_s, bytes, verdict: None, ending });
        }
    };
    if !days(store.evidence_dir(), &mut each, stop)? {
        return Ok(false);
    }
    let complete = store.each_glance(|glance| {
        if let Some(picture) = found.get_mut(&glance.id) {
            (picture.at_s, picture.verdict) = (glance.at.as_second(), Some(glance.verdict));
        }
    });
    if !complete {
        return Ok(false);
    }
    for (id, mut picture) in found {
        // The newest stand in memory before they stand in the index.
        if picture.verdict.is_none()
            && let Ok(Some(stored)) = store.get(id)
        {
            picture.verdict = Some(stored.inspection.verdict.into());
            picture.at_s = stored.inspection.triggered_at.as_second();
        }
        shelf.put(id, picture);
    }
    Ok(true)
}

/// Shows each file of `evidence/YYYY/MM/DD`. False: it is to stop.
fn days(dir: &Path, each: &mut dyn FnMut(Date, &str, u64), stop: &dyn Fn() -> bool) -> io::Result<bool> {
    for (year, folder) in numbers(dir)? {
        for (month, folder) in numbers(&folder)? {
            for (day, folder) in numbers(&folder)? {
                if stop() {
                    return Ok(false);
                }
                let date = i16::try_from(year).ok().zip(i8::try_from(month).ok()).zip(i8::try_from(day).ok());
                let Some(date) = date.and_then(|((y, m), d)| Date::new(y, m, d).ok()) else { continue };
                for item in fs::read_dir(&folder)? {
                    let item = item?;
                    // Removed meanwhile, or no file: nothing of ours.
                    let Ok(meta) = item.metadata() else { continue };
                    if let Some(name) = item.file_name().to_str().filter(|_| meta.is_file()) {
                        each(date, name, meta.len());
                    }
                }
            }
        }
    }
    Ok(true)
}

/// Folders whose names are numbers.
fn numbers(dir: &Path) -> io::Result<Vec<(u32, std::path::PathBuf)>> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir)? {
        let path = item?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        found.extend(number.filter(|_| path.is_dir()).map(|number| (number, path)));
    }
    found.sort_unstable();
    Ok(found)
}
