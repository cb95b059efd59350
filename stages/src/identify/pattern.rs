//! A regular expression that says where in a file's name, or in a code, the serial number stands.

use regex::Regex;
use serde::{Deserialize, Serialize};

/// Texts that are longer are not looked at: no file system has longer names, and no code that is read here holds more.
const MAX_BYTES: usize = 4096;

/// A regular expression with a group `serial`. It is matched in linear time, whatever text it is given.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

impl Pattern {
    /// The serial number as it stands in the text, not yet cleaned.
    ///
    /// # Errors
    /// There is none, in words that never repeat the text.
    pub fn find<'t>(&self, text: &'t str) -> Result<&'t str, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("the text has {} bytes, of which at most {MAX_BYTES} are looked at", text.len()));
        }
        let found = self.0.captures(text).and_then(|captures| captures.name("serial"));
        found.map(|group| group.as_str()).ok_or_else(|| "the pattern does not fit".to_owned())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0.as_str().to_owned()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Pattern, String> {
        let regex = Regex::new(&text).map_err(|error| format!("it is no regular expression: {error}"))?;
        match regex.capture_names().flatten().any(|name| name == "serial") {
            true => Ok(Pattern(regex)),
            false => Err("it has no group `serial`: write e.g. '^(?<serial>[A-Z0-9]+)_'".to_owned()),
        }
    }
}
