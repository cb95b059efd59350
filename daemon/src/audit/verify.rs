//! Looks for entries that were edited, removed, moved or cut off, and says where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::chain::{Hash, Line};
use super::head::Head;
use super::trail::{AuditError, paths, read};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Line in the file, from 1; none: it is not about a line.
    pub line: Option<u64>,
    /// Number of the entry that is concerned.
    pub entry: u64,
    /// What is wrong there.
    pub trouble: Trouble,
}

/// Kinds of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The line is no entry any more.
    Unreadable,
    /// The hash does not follow from the entry before and this one's words.
    Edited,
    /// The entry is not there.
    Missing,
    /// The entry stands behind a later one.
    Moved,
    /// The number is there twice.
    Doubled,
    /// The last line has no end: a crash while it was written, or a cut.
    Torn,
    /// The head names an entry after the last one: the end was cut off.
    CutOff,
    /// The entry that the head names has another hash: everything before it may have been written anew.
    Rewritten,
    /// The head that is kept beside the trail is gone or older than a crash explains.
    HeadLost,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        let n = self.entry;
        match self.trouble {
            Trouble::Unreadable => write!(f, "entry {n} cannot be read any more"),
            Trouble::Edited if n > 1 => {
                write!(f, "entry {n} was edited (or entry {} was, and its own hash was made to fit)", n - 1)
            }
            Trouble::Edited => write!(f, "entry {n} was edited"),
            Trouble::Missing => write!(f, "entry {n} was removed"),
            Trouble::Moved => write!(f, "entry {n} stands behind a later one: it was moved"),
            Trouble::Doubled => write!(f, "entry {n} is there twice"),
            Trouble::Torn => write!(f, "entry {n} is cut short: a crash while it was written, or a cut"),
            Trouble::CutOff => write!(f, "entry {n} was written and is not there: the end was cut off"),
            Trouble::Rewritten => write!(f, "entry {n} is not the one that the head names: the trail was written anew"),
            Trouble::HeadLost => write!(f, "the head beside the trail is gone or old; the last entry is {n}"),
        }
    }
}

/// What a look at a trail found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whole entries.
    pub entries: u64,
    /// The last one, as the file has it: note it elsewhere.
    pub head: Head,
    /// What is wrong, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Looks at the trail below a state directory. `noted` is a head that was kept elsewhere.
///
/// # Errors
/// The files cannot be read.
pub fn verify(state: &Path, noted: Option<Head>) -> Result<Report, AuditError> {
    let bytes = read(state)?;
    let (_, path) = paths(state);
    // A head that cannot be read is as good as none.
    let kept = Head::kept(&path).unwrap_or_default();
    let mut look = Look::default();
    look.lines(&bytes);
    look.chain();
    if look.entries > 0 || kept.is_some() {
        look.against_kept(kept);
    }
    if let Some(noted) = noted {
        look.against(noted);
    }
    let mut findings = look.findings;
    findings.sort_by_key(|finding| (finding.entry, finding.line));
    findings.dedup();
    Ok(Report { entries: look.entries, head: look.head, findings })
}

#[derive(Default)]
struct Look {
    findings: Vec<Finding>,
    entries: u64,
    /// By number: line, hash, words. The first of its number counts.
    seen: BTreeMap<u64, (u64, Hash, Vec<u8>)>,
    /// Numbers of lines that could not be read.
    unreadable: BTreeSet<u64>,
    head: Head,
}

impl Look {
    fn find(&mut self, line: Option<u64>, entry: u64, trouble: Trouble) {
        self.findings.push(Finding { line, entry, trouble });
    }

    fn lines(&mut self, bytes: &[u8]) {
        let mut expected = 1;
        for (at, raw) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let at = at as u64 + 1;
            let Some(whole) = raw.strip_suffix(b"\n") else {
                self.spoilt(at, expected, Trouble::Torn);
                continue;
            };
            let Some(line) = Line::parse(whole) else {
                self.spoilt(at, expected, Trouble::Unreadable);
                expected += 1;
                continue;
            };
            self.entries += 1;
            let n = line.entry.n;
            match self.seen.get(&n) {
                Some((_, hash, _)) if *hash == line.hash => self.find(Some(at), n, Trouble::Doubled),
                // No copy of that entry, and no other that is missing: its number was edited.
                known if known.is_some() || n == 0 => {
                    self.spoilt(at, expected, Trouble::Edited);
                    expected += 1;
                }
                _ => {
                    if n < expected {
                        self.find(Some(at), n, Trouble::Moved);
                    }
                    self.seen.insert(n, (at, line.hash, line.json.to_vec()));
                    expected = expected.max(n.saturating_add(1));
                }
            }
        }
    }

    /// A line of which it is known only where it stands.
    fn spoilt(&mut self, line: u64, entry: u64, trouble: Trouble) {
        self.find(Some(line), entry, trouble);
        self.unreadable.insert(entry);
    }

    /// Numbers without a gap, each hash from the one before, wherever that stands.
    fn chain(&mut self) {
        let mut before = Some(Hash::START);
        let mut expected = 1;
        for (&n, (line, hash, json)) in &std::mem::take(&mut self.seen) {
            // A trail of billions of entries does not exist, so a jump of that size is an edited number.
            for gone in (expected..n).take(1000) {
                if !self.unreadable.contains(&gone) {
                    self.find(None, gone, Trouble::Missing);
                }
                before = None;
            }
            if before.is_some_and(|before| before.next(json) != *hash) {
                self.find(Some(*line), n, Trouble::Edited);
            }
            before = Some(*hash);
            expected = n.saturating_add(1);
            self.head = Head { n, hash: *hash };
            self.seen.insert(n, (*line, *hash, Vec::new()));
        }
    }

    fn against(&mut self, head: Head) {
        if head.n == 0 {
            return;
        }
        match self.seen.get(&head.n) {
            Some((line, hash, _)) if *hash != head.hash => {
                let line = *line;
                self.find(Some(line), head.n, Trouble::Rewritten);
            }
            Some(_) => {}
            None if head.n > self.head.n => {
                for gone in (self.head.n.saturating_add(1)..=head.n)
                    .take(1000)
                    .filter(|n| !self.unreadable.contains(n))
                    .collect::<Vec<_>>()
                {
                    self.find(None, gone, Trouble::CutOff);
                }
            }
            // A gap: found already.
            None => {}
        }
    }

    /// The head beside the trail is written after the entry, so after a crash it may lag by one.
    fn against_kept(&mut self, kept: Option<Head>) {
        match kept {
            Some(kept) if kept.n.saturating_add(1) >= self.head.n => self.against(kept),
            _ => self.find(None, self.head.n, Trouble::HeadLost),
        }
    }
}
