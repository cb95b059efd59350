//! TOML into a type, and *everything* that does not fit, not only the first: what is wrong is noted and dropped, and the
//! rest is read again.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::error::Problem;

/// After this many the reader has seen enough.
const MAX_PROBLEMS: usize = 50;

/// What became of a text.
pub(super) struct Parsed<T> {
    /// What could be read, without the dropped keys; none if too much is missing.
    pub(super) value: Option<T>,
    /// In the order of the file's sections.
    pub(super) problems: Vec<Problem>,
    /// Keys that were left out because something was wrong with them.
    pub(super) dropped: Vec<String>,
}

/// Reads a text. An error is one of TOML's grammar: then nothing else can be said.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<Parsed<T>, Problem> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map(|span| line_at(text, span.start));
        Problem::new("", format!("not TOML: {}", error.message().replace('\n', ", "))).at(line)
    })?;
    let (mut problems, mut dropped) = (Vec::new(), Vec::new());
    while problems.len() < MAX_PROBLEMS {
        let error = match attempt::<T>(&table) {
            Ok(value) => return Ok(Parsed { value: Some(value), problems, dropped }),
            Err(error) => error,
        };
        let Complaint { key, said } = Complaint::of::<T>(&table, &error);
        let joined = key.join(".");
        let follows = dropped.contains(&joined);
        if !follows {
            problems.push(Problem::new(&joined, said).at(line_of(text, &joined)));
        }
        // A key that is missing cannot be dropped; then the section that misses it is.
        let Some(gone) = drop_nearest(&mut table, &key) else { break };
        dropped.push(gone);
    }
    Ok(Parsed { value: None, problems, dropped })
}

type Failure = serde_path_to_error::Error<toml::de::Error>;

fn attempt<T: DeserializeOwned>(table: &Table) -> Result<T, Failure> {
    serde_path_to_error::deserialize(Value::Table(table.clone()))
}

/// An error put into words.
struct Complaint {
    key: Vec<String>,
    said: String,
}

impl Complaint {
    fn of<T: DeserializeOwned>(table: &Table, error: &Failure) -> Complaint {
        let mut key: Vec<String> = error.path().iter().map_while(map_key).collect();
        let message = error.inner().message().lines().next().unwrap_or_default().to_owned();
        if let Some(field) = quoted_after(&message, "unknown field ") {
            push_once(&mut key, field);
            return Complaint { key, said: format!("is no key that is known here{}", suggestion(field, &message)) };
        }
        if let Some(field) = quoted_after(&message, "missing field ") {
            push_once(&mut key, field);
            return Complaint { key, said: "is missing".to_owned() };
        }
        // Tagged sections are read in one piece, so their errors name the section only.
        if let Some(Value::Table(section)) = find(table, &key) {
            let suspects = || section.iter().filter(|(name, _)| changes::<T>(table, &key, name, &message));
            // A tag that is taken out changes every complaint, so the value that the message cites comes first.
            let cited = suspects().find(|(_, value)| message.contains(value.to_string().trim_matches('"')));
            let culprit = cited.or_else(|| suspects().next()).map(|(name, _)| name.clone());
            key.extend(culprit);
        }
        if let Some(variant) = quoted_after(&message, "unknown variant ") {
            return Complaint {
                key,
                said: format!("is `{variant}`, which is not known{}", suggestion(variant, &message)),
            };
        }
        Complaint { key, said: plain(&message) }
    }
}

/// Whether the complaint goes away with this key.
fn changes<T: DeserializeOwned>(table: &Table, section: &[String], name: &str, message: &str) -> bool {
    let mut without = table.clone();
    let mut key = section.to_vec();
    key.push(name.to_owned());
    remove(&mut without, &key);
    !attempt::<T>(&without).is_err_and(|error| error.inner().message().starts_with(message))
}

fn map_key(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    }
}

fn push_once(key: &mut Vec<String>, last: &str) {
    if key.last().is_none_or(|end| end != last) {
        key.push(last.to_owned());
    }
}

fn quoted_after<'a>(message: &'a str, words: &str) -> Option<&'a str> {
    message.strip_prefix(words)?.strip_prefix('`')?.split('`').next()
}

/// `; did you mean ...`, or what there is to choose from.
fn suggestion(wrong: &str, message: &str) -> String {
    let Some((_, expected)) = message.split_once(", expected ") else { return ": leave it out".to_owned() };
    // Backticks come in pairs, so every second piece is a name.
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let close = |name: &&&str| strsim::damerau_levenshtein(wrong, name) <= 1 + wrong.chars().count() / 4;
    match known.iter().filter(close).min_by_key(|name| strsim::damerau_levenshtein(wrong, name)) {
        Some(name) => format!("; did you mean `{name}`?"),
        None if known.is_empty() => ": leave it out".to_owned(),
        None => format!("; known are: {}", known.join(", ")),
    }
}

/// serde's words without the names of Rust's types.
fn plain(message: &str) -> String {
    let Some((got, expected)) = message.split_once(", expected ") else { return format!("cannot be used: {message}") };
    let got = got.strip_prefix("invalid type: ").or(got.strip_prefix("invalid value: ")).unwrap_or(got);
    let expected = match expected.trim() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more, that is not too large",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" => "text in quotes",
        "a sequence" => "a list in [ ]",
        "socket address" => "an address with a port, as \"127.0.0.1:8787\"",
        other => other,
    };
    format!("is wrong: {got}; expected {expected}")
}

fn find<'a>(table: &'a Table, key: &[String]) -> Option<&'a Value> {
    let (first, rest) = key.split_first()?;
    let value = table.get(first)?;
    match rest {
        [] => Some(value),
        _ => find(value.as_table()?, rest),
    }
}

/// Takes out the key, or if it is not there the section around it; says which. None: nothing is left to take out.
fn drop_nearest(table: &mut Table, key: &[String]) -> Option<String> {
    (1..=key.len()).rev().map(|length| &key[..length]).find(|part| remove(table, part)).map(|part| part.join("."))
}

fn remove(table: &mut Table, key: &[String]) -> bool {
    match key {
        [] => false,
        [last] => table.remove(last).is_some(),
        [first, rest @ ..] => {
            table.get_mut(first).and_then(Value::as_table_mut).is_some_and(|table| remove(table, rest))
        }
    }
}

/// The line of a dotted key, or of the nearest section that there is.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut at = None;
    for part in key.split('.') {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else { break };
        at = Some(line_at(text, name.span().start));
        let Some(below) = value.get_ref().as_table() else { break };
        table = below;
    }
    at
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}
