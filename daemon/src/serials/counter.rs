//! Counts serial numbers and never gives one twice, without writing for each part.
//!
//! A part takes one number of a series at most, and part ids are never used twice, even after a power cut. So of a series it is enough to
//! know one number with the part that had it: a part that comes n ids later gets a number that is n higher, or more. The file holds such a
//! pair for each prefix. It is written, and synced, before the first number of a prefix goes out in this process; and again from time to
//! time and at the end, only so that no number is left out by the next start. A series that the file does not know is looked for in
//! the newest records.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stages::identify::{Origin, serial};
use thiserror::Error;

use crate::access::files;
use crate::formats::newer;
use crate::store::{Filter, Store};

/// Version of the file's format.
const FORMAT: u32 = 1;
/// Prefixes that are counted, at most.
const SERIES: usize = 1000;
/// A file that is older is written anew with the next number.
const EVERY: Duration = Duration::from_secs(60);

/// Why the line cannot count.
#[derive(Debug, Error)]
#[error(
    "counted serial numbers: `{path}` {why}; mend it, or delete it and give the recipes another `identity.prefix` or a higher `identity.start`"
)]
pub struct CounterError {
    path: String,
    why: String,
}

/// The number that a part had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    number: u64,
    part: u64,
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    series: BTreeMap<String, Pair>,
    /// The file was damaged once: a series that is not in it may have been counted all the same.
    #[serde(default)]
    incomplete: bool,
}

pub(super) struct Counter {
    path: PathBuf,
    /// Of the process before: the next number follows from the distance of the parts.
    before: BTreeMap<String, Pair>,
    /// Of this process: the next number is the next.
    now: BTreeMap<String, Pair>,
    /// See [`File`].
    incomplete: bool,
    last: Option<String>,
    saved: Instant,
}

impl Counter {
    pub(super) fn open(path: PathBuf, store: &Store) -> Result<Counter, CounterError> {
        let refused = |why: String| CounterError { path: path.display().to_string(), why };
        let empty = |incomplete| File { format: FORMAT, series: BTreeMap::new(), incomplete };
        let file = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => empty(false),
            Err(error) => return Err(refused(format!("cannot be read: {error}"))),
            Ok(bytes) => {
                // Not set aside as damage: what it counted must not be counted again.
                if let Some(why) = newer(&bytes, FORMAT) {
                    return Err(refused(format!("cannot be used: {why}")));
                }
                // The line must start; a part without a number is better than two with one.
                serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                    let aside = files::aside(&path);
                    let path = path.display();
                    tracing::error!(
                        "counted serial numbers: `{path}` is damaged ({error}): only series among the newest parts go on{aside}"
                    );
                    empty(true)
                })
            }
        };
        let (mut before, incomplete) = (file.series, file.incomplete);
        on_record(&mut before, store);
        Ok(Counter { path, before, now: BTreeMap::new(), incomplete, last: None, saved: Instant::now() })
    }

    pub(super) fn next(&mut self, prefix: &str, start: u64, part: u64) -> Result<u64, String> {
        let number = match (self.now.get(prefix), self.before.get(prefix)) {
            (Some(last), _) => (last.number + 1).max(start),
            (None, Some(old)) => (old.number.saturating_add(part.saturating_sub(old.part).max(1))).max(start),
            (None, None) if self.incomplete => {
                return Err(format!(
                    "how far `{prefix}` was counted is lost, `{}` was damaged: give the recipe another `identity.prefix`, or delete the file if \
                     no part has such a number",
                    self.path.display()
                ));
            }
            (None, None) => start,
        };
        if !self.now.contains_key(prefix) && self.now.len() >= SERIES {
            return Err(format!("{SERIES} prefixes are counted already"));
        }
        let first = !self.now.contains_key(prefix);
        let changed = self.last.as_deref().is_some_and(|last| last != prefix);
        let old = self.now.insert(prefix.to_owned(), Pair { number, part });
        if first && let Err(error) = self.save() {
            // Not given: nobody would know of it after a crash.
            match old {
                Some(old) => self.now.insert(prefix.to_owned(), old),
                None => self.now.remove(prefix),
            };
            return Err(format!("the count cannot be kept in `{}`: {error}", self.path.display()));
        }
        if changed || self.saved.elapsed() >= EVERY {
            self.save_quietly();
        }
        if self.last.as_deref() != Some(prefix) {
            self.last = Some(prefix.to_owned());
        }
        Ok(number)
    }

    /// See [`LineSerials::save`](super::LineSerials::save).
    pub(super) fn save_quietly(&mut self) {
        if !self.now.is_empty()
            && let Err(error) = self.save()
        {
            tracing::warn!(
                "`{}` cannot be written: {error}; numbers may be left out, none comes twice",
                self.path.display()
            );
        }
    }

    fn save(&mut self) -> io::Result<()> {
        self.saved = Instant::now();
        let mut series = self.before.clone();
        series.extend(self.now.iter().map(|(prefix, pair)| (prefix.clone(), *pair)));
        let file = File { format: FORMAT, series, incomplete: self.incomplete };
        files::replace(&self.path, &serde_json::to_vec_pretty(&file)?)
    }
}

/// Series in the newest records, for a state directory whose file is lost.
fn on_record(before: &mut BTreeMap<String, Pair>, store: &Store) {
    let page = store.query(&Filter { limit: Filter::MAX_LIMIT, ..Filter::default() });
    for part in page.items.iter().map(|stored| &stored.inspection) {
        let counted = part.identity.as_ref().is_some_and(|identity| identity.from == Origin::Counted);
        let Some((prefix, number)) = part.serial.as_deref().filter(|_| counted).and_then(serial::numbered) else {
            continue;
        };
        let pair = Pair { number, part: part.id };
        let known = before.entry(prefix.to_owned()).or_insert(pair);
        if known.part < pair.part {
            *known = pair;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Options;

    fn rig() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(&folder.path().join("store"), Options::default()).expect("a store");
        (folder, store)
    }

    #[test]
    fn a_series_goes_on_after_any_end_and_never_repeats() {
        let (folder, store) = rig();
        let path = folder.path().join("counters.json");
        let mut counter = Counter::open(path.clone(), &store).expect("new");
        let first: Vec<u64> = (1..=5).map(|part| counter.next("A-", 100, part).expect("kept")).collect();
        assert_eq!(first, [100, 101, 102, 103, 104]);
        // Killed: the file has the first pair only. Ids go on at 6 or, after a power cut, later.
        drop(counter);
        let mut killed = Counter::open(path.clone(), &store).expect("there");
        assert_eq!(killed.next("A-", 100, 6), Ok(105));
        assert_eq!(killed.next("B-", 1, 7), Ok(1), "another product");
        assert_eq!(killed.next("A-", 100, 8), Ok(106));
        killed.save_quietly();
        drop(killed);
        let mut cut = Counter::open(path.clone(), &store).expect("there");
        assert_eq!(
            cut.next("A-", 100, 1009),
            Ok(1107),
            "1000 ids were reserved: numbers are left out, none comes twice"
        );
        assert_eq!(cut.next("A-", 5000, 1010), Ok(5000), "a higher start counts from then on");
        std::fs::write(&path, "{").expect("written");
        let mut damaged = Counter::open(path.clone(), &store).expect("the line must start");
        let refused = damaged.next("A-", 5000, 1011).expect_err("it may have been counted");
        assert!(refused.contains("how far `A-` was counted is lost"), "{refused}");
        assert_eq!(std::fs::read(path.with_file_name("counters.json.damaged")).expect("kept"), b"{");
    }

    #[test]
    fn a_number_that_cannot_be_kept_is_not_given() {
        let (folder, store) = rig();
        let mut counter = Counter::open(folder.path().join("gone").join("counters.json"), &store).expect("none yet");
        assert!(counter.next("A-", 1, 1).expect_err("no folder").contains("cannot be kept"));
        std::fs::create_dir(folder.path().join("gone")).expect("made");
        assert_eq!(counter.next("A-", 1, 2), Ok(1));
    }
}
