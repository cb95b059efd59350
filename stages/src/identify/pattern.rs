//! Regular expressions that say where in a file's name, or in a code, the serial number stands, and where in that the lot does.
//! They are matched in linear time, whatever text they are given.

use regex::Regex;
use serde::{Deserialize, Serialize};

/// Texts that are longer are not looked at: no file system has longer names, and no code that is read here holds more.
const MAX_BYTES: usize = 4096;

/// A regular expression with a group `serial`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

/// A regular expression with a group `lot`, for serial numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LotPattern(Regex);

impl Pattern {
    /// The serial number as it stands in the text, not yet cleaned.
    ///
    /// # Errors
    /// There is none, in words that never repeat the text.
    pub fn find<'t>(&self, text: &'t str) -> Result<&'t str, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("the text has {} bytes, of which at most {MAX_BYTES} are looked at", text.len()));
        }
        group(&self.0, "serial", text).ok_or_else(|| "the pattern does not fit".to_owned())
    }
}

impl LotPattern {
    /// The lot that a serial number names. A part of which it cannot be told belongs to none.
    pub fn find<'t>(&self, serial: &'t str) -> Option<&'t str> {
        group(&self.0, "lot", serial).filter(|lot| !lot.is_empty())
    }
}

fn group<'t>(regex: &Regex, name: &str, text: &'t str) -> Option<&'t str> {
    Some(regex.captures(text)?.name(name)?.as_str())
}

fn with_group(text: &str, name: &str, example: &str) -> Result<Regex, String> {
    let regex = Regex::new(text).map_err(|error| format!("it is no regular expression: {error}"))?;
    match regex.capture_names().flatten().any(|group| group == name) {
        true => Ok(regex),
        false => Err(format!("it has no group `{name}`: write e.g. '{example}'")),
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl PartialEq for LotPattern {
    fn eq(&self, other: &LotPattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0.as_str().to_owned()
    }
}

impl From<LotPattern> for String {
    fn from(pattern: LotPattern) -> String {
        pattern.0.as_str().to_owned()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Pattern, String> {
        with_group(&text, "serial", "^(?<serial>[A-Z0-9]+)_").map(Pattern)
    }
}

impl TryFrom<String> for LotPattern {
    type Error = String;

    fn try_from(text: String) -> Result<LotPattern, String> {
        with_group(&text, "lot", "^(?<lot>[A-Z0-9]+)-").map(LotPattern)
    }
}
