//! A search on disk: what was proposed and what came out, in the order in which it happened.
//!
//! A line is the CRC-32C of its JSON in eight hexadecimal digits, a space, the JSON, a line feed; it is synced before the search goes on, so
//! that a kill or a power cut costs what was running and nothing else. The first line says what the search is: another one cannot go on
//! from here. A last line without its end was never acknowledged and is cut off; any other damage is refused.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crc::{CRC_32_ISCSI, Crc};
use serde::{Deserialize, Serialize};

use super::error::SearchError;
use super::space::{Point, Space};
use super::trial::{Measured, Trial};

/// The format's number.
const FORMAT: u64 = 1;
/// How often, and with what pause, the file is claimed.
const CLAIM_TRIES: usize = 20;
const CLAIM_PAUSE: Duration = Duration::from_millis(100);
/// CRC-32C.
static CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// What makes two searches the same, in words, by name: data, trunk, seed, rounds and so on.
pub type Terms = Vec<(String, String)>;

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: u64,
    terms: Terms,
}

/// Any other line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Entry {
    /// A network was proposed and timed.
    Proposed {
        /// Its number.
        trial: usize,
        /// What it is.
        point: Point,
        /// Time of a verdict.
        latency_ms: f64,
        /// How long that took to find out.
        seconds: f64,
    },
    /// A network learned and was measured.
    Measured {
        /// Its number.
        trial: usize,
        /// What came out.
        measured: Measured,
        /// How long that took.
        seconds: f64,
    },
}

/// Everything that a journal says, in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// The trials by number.
    pub trials: Vec<Trial>,
    /// Seconds that they took.
    pub seconds: f64,
    /// Rounds that they learned.
    pub rounds: u64,
}

impl Past {
    /// Takes an entry over.
    ///
    /// # Errors
    /// Why it cannot follow what was before.
    pub(super) fn take(&mut self, entry: Entry, space: &Space) -> Result<(), String> {
        let time = |value: f64| value.is_finite() && value >= 0.0;
        match entry {
            Entry::Proposed { trial, point, latency_ms, seconds } => {
                if trial != self.trials.len() {
                    return Err(format!("trial {trial} is proposed where {} would be the next", self.trials.len()));
                }
                if !space.holds(&point) || !time(latency_ms) || !time(seconds) {
                    return Err(format!("trial {trial} has settings or times that cannot be"));
                }
                self.seconds += seconds;
                self.trials.push(Trial { number: trial, point, latency_ms, results: Vec::new() });
            }
            Entry::Measured { trial, measured, seconds } => {
                let Some(of) = self.trials.get_mut(trial) else {
                    return Err(format!("trial {trial} was measured and never proposed"));
                };
                let before = of.latest().map_or(0, |latest| latest.rounds);
                // A network that would not learn at all has no rounds.
                let grows = measured.rounds > before || (measured.ended && measured.rounds == before);
                if !grows || !measured.is_sound() || !time(seconds) || of.latest().is_some_and(|latest| latest.ended) {
                    return Err(format!("trial {trial} has figures that cannot be, or cannot follow its earlier ones"));
                }
                self.seconds += seconds;
                self.rounds += u64::from(measured.rounds - before);
                of.results.push(measured);
            }
        }
        Ok(())
    }
}

/// The open journal, ours as long as this lives.
pub struct Journal {
    path: PathBuf,
    file: File,
    space: Space,
}

impl Journal {
    /// Begins a journal, or with `resume` goes on with the one that is there.
    ///
    /// # Errors
    /// When there is one already and `resume` is not given; when it is damaged, of another search, a newer program's or in use; when it
    /// cannot be read or written.
    pub fn open(path: &Path, terms: &Terms, space: &Space, resume: bool) -> Result<(Journal, Past), SearchError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(SearchError::io(path))?;
        claim(&file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(SearchError::io(path))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole > 0 && !resume {
            return Err(SearchError::Exists(path.into()));
        }
        let past = match whole {
            0 => Past::default(),
            _ => read(path, &bytes[..whole], terms, space)?,
        };
        let mut journal = Journal { path: path.into(), file, space: space.clone() };
        journal.cut(whole).map_err(SearchError::io(path))?;
        if whole == 0 {
            journal.write(&line(&Head { format: FORMAT, terms: terms.clone() }))?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(SearchError::io(folder))?;
        }
        Ok((journal, past))
    }

    /// Takes an entry over into the file and the state; returns once it is on the disk. The state takes what a reader of the file would, so
    /// that numbers are the same to the last bit whether it was killed in between or not.
    pub(super) fn append(&mut self, past: &mut Past, entry: &Entry) -> Result<(), SearchError> {
        let line = line(entry);
        let damaged = |reason| SearchError::Damaged { path: self.path.clone(), line: 0, reason };
        let read: Entry = parse(&line[..line.len() - 1]).map_err(damaged)?;
        past.take(read, &self.space).map_err(|reason| SearchError::Settings(format!("nothing to note: {reason}")))?;
        self.write(&line)
    }

    fn write(&mut self, line: &[u8]) -> Result<(), SearchError> {
        let written = self.file.write_all(line).and_then(|()| self.file.sync_data());
        written.map_err(SearchError::io(&self.path))
    }

    /// Cuts off what was never acknowledged.
    fn cut(&mut self, whole: usize) -> io::Result<()> {
        self.file.set_len(whole as u64)?;
        self.file.seek(SeekFrom::End(0)).map(drop)
    }
}

/// Makes sure that no other search writes the file.
fn claim(file: &File, path: &Path) -> Result<(), SearchError> {
    // A search that was killed just now may need a moment to go.
    for _ in 0..CLAIM_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(CLAIM_PAUSE),
            Err(TryLockError::Error(source)) => return Err(SearchError::Io { path: path.into(), source }),
        }
    }
    Err(SearchError::Busy(path.into()))
}

fn line(of: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_string(of).expect("plain numbers and text");
    format!("{:08x} {json}\n", CASTAGNOLI.checksum(json.as_bytes())).into_bytes()
}

fn parse<T: serde::de::DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    let (digits, json) = line.split_at_checked(9).ok_or("it is too short")?;
    let sum = std::str::from_utf8(digits).ok().and_then(|digits| digits.strip_suffix(' '));
    let sum = sum.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    if sum != Some(CASTAGNOLI.checksum(json)) {
        return Err("its checksum is not that of its content".into());
    }
    serde_json::from_slice(json).map_err(|error| format!("it says what no search says ({error})"))
}

/// Reads whole lines.
fn read(path: &Path, bytes: &[u8], terms: &Terms, space: &Space) -> Result<Past, SearchError> {
    let damaged = |line: usize| move |reason| SearchError::Damaged { path: path.into(), line, reason };
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut lines = (1..).zip(body.split(|&byte| byte == b'\n'));
    let (_, first) = lines.next().unwrap_or((1, &[]));
    check_head(path, first, terms)?;
    let mut past = Past::default();
    for (number, line) in lines {
        let entry = parse(line).map_err(damaged(number))?;
        past.take(entry, space).map_err(damaged(number))?;
    }
    Ok(past)
}

fn check_head(path: &Path, line: &[u8], terms: &Terms) -> Result<(), SearchError> {
    #[derive(Deserialize)]
    struct Version {
        format: u64,
    }
    let damaged = |reason| SearchError::Damaged { path: path.into(), line: 1, reason };
    // Told apart first: a newer one may hold what is unknown here.
    let Version { format: found } = parse(line).map_err(damaged)?;
    if found > FORMAT {
        return Err(SearchError::NewerFormat { path: path.into(), found, known: FORMAT });
    }
    let Head { format, terms: theirs } = parse(line).map_err(damaged)?;
    if format != FORMAT {
        return Err(damaged(format!("format {format} is unknown")));
    }
    let value = |terms: &Terms, name: &str| {
        let found = terms.iter().find(|(other, _)| other == name);
        found.map_or_else(|| "nothing".to_owned(), |(_, value)| value.clone())
    };
    for (name, _) in terms.iter().chain(&theirs) {
        let (found, here) = (value(&theirs, name), value(terms, name));
        if found != here {
            return Err(SearchError::OtherSearch { path: path.into(), what: name.clone(), found, here });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(seed: u64) -> Terms {
        vec![("data".into(), "abc".into()), ("seed".into(), seed.to_string())]
    }

    fn open(path: &Path, seed: u64, resume: bool) -> Result<(Journal, Past), SearchError> {
        Journal::open(path, &terms(seed), &Space::up_to(224), resume)
    }

    fn proposed(trial: usize) -> Entry {
        Entry::Proposed { trial, point: Point::usual(224), latency_ms: 0.1 + 0.2, seconds: 0.25 }
    }

    fn measured(trial: usize, rounds: u32) -> Entry {
        let measured = Measured {
            rounds,
            ended: false,
            errors: 3,
            images: 142,
            escape_rate: Some(1.0 / 3.0),
            overkill_rate: Some(0.0),
            loss: Some(0.1 / 0.3),
            failed: None,
        };
        Entry::Measured { trial, measured, seconds: 1.5 }
    }

    /// A journal of two trials, and its bytes.
    fn written(path: &Path) -> (Past, Vec<u8>) {
        let (mut journal, mut past) = open(path, 1, false).unwrap();
        for entry in [proposed(0), measured(0, 2), proposed(1), measured(1, 2), measured(0, 6)] {
            journal.append(&mut past, &entry).unwrap();
        }
        (past, std::fs::read(path).unwrap())
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("search.journal");
        let (past, _) = written(&path);
        assert_eq!((past.rounds, past.seconds, past.trials.len()), (8, 5.0, 2));
        assert!(matches!(open(&path, 1, false), Err(SearchError::Exists(_))));
        let (mut journal, mut again) = open(&path, 1, true).unwrap();
        assert_eq!(again, past);
        journal.append(&mut again, &proposed(2)).unwrap();
        assert!(matches!(open(&path, 1, true), Err(SearchError::Busy(_))), "two at once");
        drop(journal);
        assert_eq!(open(&path, 1, true).unwrap().1, again);
    }

    #[test]
    fn a_kill_at_any_byte_costs_the_line_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("search.journal");
        let (_, bytes) = written(&path);
        for length in (0..bytes.len()).step_by(7) {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let whole = bytes[..length].iter().filter(|&&byte| byte == b'\n').count();
            let (mut journal, mut past) = open(&path, 1, true).unwrap();
            let entries = past.trials.len() + past.trials.iter().map(|trial| trial.results.len()).sum::<usize>();
            assert_eq!(entries, whole.saturating_sub(1), "cut at {length}");
            let next = past.trials.len();
            journal.append(&mut past, &proposed(next)).unwrap();
            drop(journal);
            assert_eq!(open(&path, 1, true).unwrap().1, past, "it goes on from there");
        }
    }

    #[test]
    fn every_changed_byte_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("search.journal");
        let (_, bytes) = written(&path);
        for at in 0..bytes.len() - 1 {
            let mut other = bytes.clone();
            other[at] ^= 0x04;
            std::fs::write(&path, &other).unwrap();
            let error = open(&path, 1, true).map(|(_, past)| past).expect_err("damage").to_string();
            assert!(error.contains("line ") && error.contains("search.journal"), "{at}: {error}");
        }
    }

    #[test]
    fn sound_lines_that_cannot_follow_each_other_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("search.journal");
        let (_, bytes) = written(&path);
        let head: Vec<u8> = bytes.iter().copied().take_while(|&byte| byte != b'\n').chain([b'\n']).collect();
        let mut odd = measured(0, 2);
        if let Entry::Measured { measured, .. } = &mut odd {
            measured.errors = 143;
        }
        let outside = Entry::Proposed {
            trial: 0,
            point: Point { size: 999, ..Point::usual(224) },
            latency_ms: 1.0,
            seconds: 0.0,
        };
        for entries in [
            vec![measured(0, 2)],
            vec![proposed(1)],
            vec![proposed(0), proposed(0)],
            vec![proposed(0), measured(0, 2), measured(0, 2)],
            vec![proposed(0), odd],
            vec![outside],
        ] {
            let lines: Vec<u8> = head.iter().copied().chain(entries.iter().flat_map(line)).collect();
            std::fs::write(&path, lines).unwrap();
            assert!(matches!(open(&path, 1, true), Err(SearchError::Damaged { .. })), "{entries:?}");
        }
    }

    #[test]
    fn other_searches_and_newer_formats_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("search.journal");
        written(&path);
        let error = open(&path, 2, true).map(drop).expect_err("another seed").to_string();
        assert!(error.contains("its seed is `1`, here it is `2`"), "{error}");
        #[derive(Serialize)]
        struct Newer {
            format: u64,
            surprise: &'static str,
        }
        std::fs::write(&path, line(&Newer { format: 9, surprise: "new" })).unwrap();
        assert!(matches!(open(&path, 1, true), Err(SearchError::NewerFormat { found: 9, .. })));
        std::fs::write(&path, b"some other file\n").unwrap();
        assert!(matches!(open(&path, 1, true), Err(SearchError::Damaged { line: 1, .. })));
    }
}
