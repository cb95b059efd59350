//! The trail for others: as it is, or with pseudonyms in the place of names.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::chain::{Entry, Line};
use super::trail::{AuditError, read};
use crate::access::{Via, files, random};

/// Stands for a person: the same one always for the same name, and nothing to be had from it without this machine's key.
pub struct Pseudonyms {
    key: [u8; 32],
    names: BTreeSet<String>,
}

/// Entries in the order in which they were written.
pub struct Export {
    entries: std::vec::IntoIter<Entry>,
    pseudonyms: Option<Pseudonyms>,
}

impl Export {
    /// Reads the trail below a state directory. Lines that are no entries are left out: `verify` finds them.
    ///
    /// # Errors
    /// The trail, or the key of the pseudonyms, cannot be read.
    pub fn open(state: &Path, pseudonymise: bool) -> Result<Export, AuditError> {
        let bytes = read(state)?;
        let entries: Vec<Entry> =
            bytes.split(|&byte| byte == b'\n').filter_map(Line::parse).map(|line| line.entry).collect();
        let pseudonyms = if pseudonymise { Some(Pseudonyms::of(state, &entries)?) } else { None };
        Ok(Export { entries: entries.into_iter(), pseudonyms })
    }
}

impl Iterator for Export {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let entry = self.entries.next()?;
        Some(match &self.pseudonyms {
            Some(pseudonyms) => pseudonyms.hide(entry),
            None => entry,
        })
    }
}

impl Pseudonyms {
    fn of(state: &Path, entries: &[Entry]) -> Result<Pseudonyms, AuditError> {
        let path = state.join("audit").join("pseudonym.key");
        let key = key(&path).map_err(|source| AuditError::Io { what: "read", path, source })?;
        let mut names = BTreeSet::new();
        for entry in entries {
            if !matches!(entry.via, Via::Open | Via::Signal | Via::Program) {
                names.insert(entry.who.clone());
            }
            if entry.what.starts_with("user.") || entry.what.starts_with("session.") {
                names.insert(entry.subject.clone());
            }
        }
        names.remove("");
        Ok(Pseudonyms { key, names })
    }

    fn pseudonym(&self, name: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(self.key);
        digest.update(name.as_bytes());
        let digest = digest.finalize();
        digest[..4].iter().fold("person-".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// Names become pseudonyms wherever they stand; addresses, which lead to a workplace, go.
    fn hide(&self, entry: Entry) -> Entry {
        Entry {
            who: self.text(&entry.who),
            from: None,
            subject: self.text(&entry.subject),
            before: entry.before.map(|value| self.value(value)),
            after: entry.after.map(|value| self.value(value)),
            reason: entry.reason.map(|reason| self.text(&reason)),
            ..entry
        }
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                Value::Object(fields.into_iter().map(|(key, value)| (key, self.value(value))).collect())
            }
            other => other,
        }
    }

    /// Replaces every known name that stands as a word of its own, whatever its case.
    fn text(&self, text: &str) -> String {
        let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(|c| !part(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(word);
            out.push_str(&self.word(word));
            let gap = after.find(part).unwrap_or(after.len());
            out.push_str(&after[..gap]);
            rest = &after[gap..];
        }
        out
    }

    fn word(&self, word: &str) -> String {
        // A full stop may end a sentence rather than belong to the name.
        let bare = word.trim_end_matches(['.', '-']);
        let known = |name: &str| self.names.contains(name) || self.names.contains(&name.to_lowercase());
        if known(word) {
            self.pseudonym(&word.to_lowercase())
        } else if known(bare) {
            format!("{}{}", self.pseudonym(&bare.to_lowercase()), &word[bare.len()..])
        } else {
            word.to_owned()
        }
    }
}

/// The key of this machine's pseudonyms; made when it is first needed.
fn key(path: &Path) -> std::io::Result<[u8; 32]> {
    match std::fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| std::io::Error::other("it is not 32 bytes long")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = random()?;
            files::replace(path, &key)?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}
