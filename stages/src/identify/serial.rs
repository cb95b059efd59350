//! What a serial number may be. Every serial number, wherever it comes from, passes [`clean`] once, and nothing else judges it.
//!
//! - White space before and after it is taken away.
//! - 1 to 64 characters are left: ASCII letters and digits, `- _ . : / + # * , = ( ) [ ] $ % @`, and single spaces between them.
//! - `..` is refused: a serial number becomes part of file names elsewhere.
//!
//! What does not fit is refused as a whole, never mended: a mended number could be another part's. So what is shown, exported or sent
//! on holds no control character, no line break, no mark that turns the direction of writing, no look-alike letter, no angle bracket and
//! no quotation mark.

use std::fmt;
use std::sync::Arc;

/// Characters at most.
pub const MAX_CHARS: usize = 64;

/// Characters besides ASCII letters and digits.
const OTHERS: &str = "-_.:/+#*,=()[]$%@";

/// Why a text is no serial number. Its words never repeat the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Nothing is left of it.
    Empty,
    /// It has so many characters.
    TooLong(usize),
    /// This character, at this place, counted from 1.
    Character(char, usize),
    /// Two points, or two spaces, in a row.
    Pair(char),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Empty => write!(f, "is empty"),
            Refused::TooLong(chars) => write!(f, "has {chars} characters, more than {MAX_CHARS}"),
            Refused::Character(what, at) => {
                write!(
                    f,
                    "has the character U+{:04X} at place {at}; allowed are letters A to Z, digits and {OTHERS}",
                    *what as u32
                )
            }
            Refused::Pair(' ') => write!(f, "has two spaces in a row"),
            Refused::Pair(what) => write!(f, "has `{what}{what}` in it"),
        }
    }
}

/// A text as a serial number.
///
/// # Errors
/// It is none: see the module.
pub fn clean(text: &str) -> Result<Arc<str>, Refused> {
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
    if text.is_empty() {
        return Err(Refused::Empty);
    }
    let mut before = None;
    for (at, c) in text.chars().enumerate() {
        if at >= MAX_CHARS {
            return Err(Refused::TooLong(text.chars().count()));
        }
        if !(c.is_ascii_alphanumeric() || c == ' ' || OTHERS.contains(c)) {
            return Err(Refused::Character(c, at + 1));
        }
        if matches!(c, ' ' | '.') && before == Some(c) {
            return Err(Refused::Pair(c));
        }
        before = Some(c);
    }
    Ok(text.into())
}

/// A serial number that ends in digits: what stands before them, and the number. None if it does not, or if there are more than 18.
pub fn numbered(serial: &str) -> Option<(&str, u64)> {
    let digits = serial.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (before, number) = serial.split_at(serial.len() - digits);
    (1..=18).contains(&digits).then(|| number.parse().ok().map(|number| (before, number)))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_plants_use_is_taken_as_it_is() {
        for text in
            ["A1", "000123", "SN-2026_07.11", "+H123ABC01234567890D", "(01)04012345678901(21)ABC", "a b", "12/34#5"]
        {
            assert_eq!(clean(text).as_deref(), Ok(text));
        }
        assert_eq!(clean(" \tA17\r\n").as_deref(), Ok("A17"));
    }

    #[test]
    fn what_is_hostile_is_refused_and_never_repeated() {
        for (text, refused) in [
            ("", Refused::Empty),
            (" \n ", Refused::Empty),
            ("A\nB", Refused::Character('\n', 2)),
            ("A\0", Refused::Character('\0', 2)),
            ("A\u{1b}[2J", Refused::Character('\u{1b}', 2)),
            ("A\u{202e}17", Refused::Character('\u{202e}', 2)),
            ("<script>alert(1)</script>", Refused::Character('<', 1)),
            ("\"><img src=x>", Refused::Character('"', 1)),
            ("../../etc/passwd", Refused::Pair('.')),
            ("A\u{fffd}", Refused::Character('\u{fffd}', 2)),
            ("\u{0410}17", Refused::Character('\u{0410}', 1)),
            ("=HYPERLINK(\"x\")", Refused::Character('"', 12)),
            ("A  B", Refused::Pair(' ')),
        ] {
            let found = clean(text).expect_err(text);
            assert_eq!(found, refused, "{text:?}");
            let words = found.to_string();
            assert!(words.chars().all(|c| (' '..='~').contains(&c)), "{words:?}");
        }
        assert_eq!(clean(&"A".repeat(3000)), Err(Refused::TooLong(3000)));
        assert!(clean(&"A".repeat(64)).is_ok() && clean(&"A".repeat(65)).is_err());
    }

    #[test]
    fn the_number_at_the_end() {
        assert_eq!(numbered("A-0042"), Some(("A-", 42)));
        assert_eq!(numbered("17"), Some(("", 17)));
        assert_eq!(numbered("17X"), None);
        assert_eq!(numbered(""), None);
        assert_eq!(numbered(&"9".repeat(19)), None, "no number of ours");
    }

    proptest! {
        #[test]
        fn whatever_comes_a_serial_is_short_plain_and_clean_already(text in ".{0,200}") {
            if let Ok(serial) = clean(&text) {
                prop_assert!((1..=MAX_CHARS).contains(&serial.len()));
                let plain = |byte: u8| (b' '..=b'~').contains(&byte) && !b"<>\"'&\\`;|{}".contains(&byte);
                prop_assert!(serial.bytes().all(plain));
                prop_assert!(!serial.contains(".."));
                prop_assert_eq!(clean(&serial), Ok(serial.clone()));
                prop_assert!(text.contains(&*serial), "nothing is made up");
            }
        }
    }
}
