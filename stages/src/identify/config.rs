//! The recipe's `[identity]`: where a part's serial number comes from, and how it is found there.

use serde::{Deserialize, Serialize};

use super::code::Format;
use super::pattern::{LotPattern, Pattern};
use super::serial;

/// Where a part's serial number comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The source gives it where it has one: the PLC's call, a folder with `serial_from_name`.
    #[default]
    Source,
    /// The name of the picture's file, by a pattern.
    Name,
    /// A code in the picture.
    Code,
    /// Sent beforehand over the API, for the coming parts in turn.
    Api,
    /// Counted by the line.
    Counted,
}

impl Origin {
    /// As in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Source => "source",
            Origin::Name => "name",
            Origin::Code => "code",
            Origin::Api => "api",
            Origin::Counted => "counted",
        }
    }
}

/// `[identity]` of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identification {
    /// Where the serial number comes from.
    pub from: Origin,
    /// With `name` and `code`: a regular expression with a group `serial`. Of a code it is optional: absent, the whole code is the serial.
    pub pattern: Option<Pattern>,
    /// A regular expression with a group `lot`, matched against each serial number wherever it comes from: the lot that the part belongs to.
    pub lot: Option<LotPattern>,
    /// With `code`: the kinds of codes that are looked for; empty: all.
    pub formats: Vec<Format>,
    /// With `code`: left, top, width and height of the rectangle that is searched, in pixels of the picture; absent: all of it.
    pub region: Option<[u32; 4]>,
    /// With `code`: how long a part waits for its code, at most. It is never more than half of what is left until the part's deadline.
    pub budget_ms: u32,
    /// A part that would pass, but has no serial number, goes to a person.
    pub required: bool,
    /// Serial numbers that end in digits follow each other: one that is left out is told.
    pub consecutive: bool,
    /// With `counted`: what stands before the number.
    pub prefix: String,
    /// With `counted`: the first number.
    pub start: u64,
    /// With `counted`: digits, filled up with zeros.
    pub digits: u8,
}

impl Default for Identification {
    fn default() -> Self {
        Identification {
            from: Origin::Source,
            pattern: None,
            lot: None,
            formats: Vec::new(),
            region: None,
            budget_ms: 40,
            required: false,
            consecutive: false,
            prefix: String::new(),
            start: 1,
            digits: 6,
        }
    }
}

impl Identification {
    /// Everything wrong with it: each names the key, the reason and the way out.
    pub fn problems(&self) -> Vec<String> {
        let usual = Identification::default();
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, words: String| {
            if wrong {
                problems.push(words);
            }
        };
        let from = self.from.word();
        let (code, name, counted) =
            (self.from == Origin::Code, self.from == Origin::Name, self.from == Origin::Counted);
        refuse(
            name && self.pattern.is_none(),
            "`identity.pattern` is missing: `from = \"name\"` needs a regular expression with a group `serial`, e.g. '^(?<serial>[A-Z0-9]+)_'".into(),
        );
        for (key, given, fits) in [
            ("pattern", self.pattern.is_some(), name || code),
            ("formats", !self.formats.is_empty(), code),
            ("region", self.region.is_some(), code),
            ("budget_ms", self.budget_ms != usual.budget_ms, code),
            ("prefix", self.prefix != usual.prefix, counted),
            ("start", self.start != usual.start, counted),
            ("digits", self.digits != usual.digits, counted),
        ] {
            refuse(given && !fits, format!("`identity.{key}` has no meaning with `from = \"{from}\"`: leave it out"));
        }
        refuse(
            self.region.is_some_and(|[_, _, width, height]| width < 8 || height < 8),
            "`identity.region` is smaller than 8 x 8 pixels: give left, top, width and height".into(),
        );
        refuse(
            self.region.is_some_and(|sides| sides.iter().any(|&side| side > 1 << 16)),
            "`identity.region` lies beyond 65536 pixels: give left, top, width and height".into(),
        );
        refuse(
            !(1..=5000).contains(&self.budget_ms),
            format!("`identity.budget_ms` is {}: give 1 to 5000", self.budget_ms),
        );
        refuse(!(1..=18).contains(&self.digits), format!("`identity.digits` is {}: give 1 to 18", self.digits));
        refuse(
            self.start > 1_000_000_000_000_000,
            format!("`identity.start` is {}: give at most 1000000000000000", self.start),
        );
        if counted && let Err(refused) = serial::clean(&self.counted(self.start)) {
            refuse(true, format!("`identity.prefix` makes no serial number: it {refused}"));
        }
        problems
    }

    /// The lot that a serial number names, where the recipe says how.
    pub fn lot_of<'s>(&self, serial: &'s str) -> Option<&'s str> {
        self.lot.as_ref()?.find(serial)
    }

    /// A counted serial number.
    pub fn counted(&self, number: u64) -> String {
        format!("{}{number:0digits$}", self.prefix, digits = usize::from(self.digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Identification, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_sound_is_taken_and_written_back() {
        for text in [
            "",
            "from = 'name'\npattern = '^(?<serial>[A-Z0-9]+)_'",
            "from = 'code'\nregion = [10, 20, 300, 200]\nformats = ['data_matrix', 'code128']\nbudget_ms = 25\nrequired = true",
            "from = 'code'\npattern = '\\x1d21(?P<serial>[^\\x1d]+)'",
            "from = 'counted'\nprefix = 'P3-'\nstart = 5000\ndigits = 8\nconsecutive = true",
            "from = 'api'",
            "from = 'counted'\nprefix = 'L7-'\nlot = '^(?<lot>[^-]+)-'",
        ] {
            let config = read(text).expect("readable");
            assert_eq!(config.problems(), Vec::<String>::new(), "{text}");
            let again = read(&toml::to_string(&config).expect("written")).expect("read again");
            assert_eq!(again, config);
        }
        assert_eq!(read("from = 'counted'\nprefix = 'A-'").expect("sound").counted(42), "A-000042");
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (text, words) in [
            ("from = 'name'", "identity.pattern"),
            ("from = 'counted'\nregion = [0, 0, 10, 10]", "identity.region"),
            ("from = 'code'\nregion = [0, 0, 0, 10]", "identity.region"),
            ("from = 'code'\nprefix = 'A'", "identity.prefix"),
            ("from = 'counted'\nprefix = \"a\\nb\"", "identity.prefix"),
            ("from = 'counted'\ndigits = 40", "identity.digits"),
            ("from = 'code'\nbudget_ms = 0", "identity.budget_ms"),
            ("budget_ms = 7", "identity.budget_ms"),
        ] {
            let problems = read(text).expect("readable").problems().join("\n");
            assert!(problems.contains(words), "{text}: {problems}");
        }
        for (text, words) in [
            ("from = 'magic'", "magic"),
            ("pattern = '(?<serial>[A-Z'", "pattern"),
            ("pattern = '([A-Z]+)'", "group `serial`"),
            ("lot = '(?<serial>[A-Z]+)'", "group `lot`"),
            ("formats = ['pdf417']", "pdf417"),
            ("nonsense = 1", "nonsense"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
