//! Settles, when a part is opened, what can be known of its serial number without its picture's pixels.

use std::sync::Arc;

use super::pattern::Pattern;
use super::{Identification, Origin, serial};
use crate::inspection::Identity;

/// Who knows serial numbers besides the source. Called by the capture thread, in trigger order, so it must not block for long.
pub trait Serials: Send + Sync {
    /// The next serial number that was sent for the coming parts; it is taken.
    fn sent(&self) -> Option<Arc<str>>;
    /// The number of part `id` in the series of `prefix`, which begins at `start`. Never the same twice.
    ///
    /// # Errors
    /// It cannot be kept, so it might be given again, in words.
    fn count(&self, prefix: &str, start: u64, id: u64) -> Result<u64, String>;
}

/// What is known of a part when it is opened.
pub struct Naming<'a> {
    /// Its id.
    pub id: u64,
    /// What the source says.
    pub given: Option<&'a str>,
    /// Where its picture came from: a file's path.
    pub origin: Option<&'a str>,
}

impl Naming<'_> {
    /// Its serial number, and how that came about. `serials`: none where nobody sends or counts them.
    pub fn settle(
        &self,
        config: &Identification,
        serials: Option<&dyn Serials>,
    ) -> (Option<Arc<str>>, Option<Identity>) {
        let found = match config.from {
            Origin::Source => match self.given {
                // As before: a source without serial numbers says nothing, unless one is required.
                None if !config.required => return (None, None),
                None => Err("the source gave none".to_owned()),
                Some(text) => cleaned(text),
            },
            Origin::Name => match self.origin {
                None => Err("the picture has no file name".to_owned()),
                Some(path) => extracted(path.rsplit('/').next().unwrap_or(path), config.pattern.as_ref()),
            },
            Origin::Code => Err("the part was decided before its code was read".to_owned()),
            Origin::Api => {
                let sent = serials.and_then(Serials::sent);
                sent.ok_or_else(|| "none was sent for this part".to_owned())
            }
            Origin::Counted => match serials {
                None => Err("nobody counts here".to_owned()),
                Some(serials) => serials
                    .count(&config.prefix, config.start, self.id)
                    .and_then(|number| cleaned(&config.counted(number))),
            },
        };
        match found {
            Ok(serial) if config.from == Origin::Source && !config.consecutive => (Some(serial), None),
            Ok(serial) => (Some(serial), Some(Identity::read(config.from, config.consecutive))),
            Err(detail) => (None, Some(Identity::unread(config.from, config.consecutive, detail))),
        }
    }
}

/// The serial number in a text.
pub(super) fn extracted(text: &str, pattern: Option<&Pattern>) -> Result<Arc<str>, String> {
    let found = match pattern {
        Some(pattern) => pattern.find(text)?,
        None => text,
    };
    cleaned(found)
}

fn cleaned(text: &str) -> Result<Arc<str>, String> {
    serial::clean(text).map_err(|refused| format!("it is no serial number: it {refused}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inspection::IdentityState;

    fn by(config: &str, given: Option<&str>, origin: Option<&str>) -> (Option<Arc<str>>, Option<Identity>) {
        let config: Identification = toml::from_str(config).expect("readable");
        assert_eq!(config.problems(), Vec::<String>::new());
        Naming { id: 7, given, origin }.settle(&config, None)
    }

    const NAME: &str = "from = 'name'\npattern = '^(?<serial>[A-Z0-9]+)_.*'";

    #[test]
    fn a_files_name_gives_the_serial_and_its_folder_does_not() {
        let (serial, identity) = by(NAME, None, Some("/srv/X9_in/A17_top.png"));
        assert_eq!(serial.as_deref(), Some("A17"));
        assert_eq!(identity.expect("told").state, IdentityState::Read);
        for hostile in [
            "/srv/a17_top.png",
            "/srv/A17",
            "/srv/../_x.png",
            "/srv/\n_x.png",
            "/srv/\u{202e}A17_x.png",
            "/srv/\u{fffd}\u{fffd}_x.png",
            "",
        ] {
            let (serial, identity) = by(NAME, None, Some(hostile));
            let identity = identity.expect("told");
            assert_eq!((serial, identity.state), (None, IdentityState::Unread), "{hostile:?}");
            let words = identity.detail.expect("why");
            assert!(words.chars().all(|c| (' '..='~').contains(&c)), "{words:?}");
        }
        // A pattern that takes everything hands everything to the one place that cleans.
        let (serial, _) = by("from = 'name'\npattern = '(?s)(?<serial>.*)'", None, Some("A\r\n17\u{1b}[31m.png"));
        assert_eq!(serial, None);
        let long = format!("/srv/{}_x.png", "A".repeat(5000));
        assert_eq!(by(NAME, None, Some(&long)).0, None);
    }

    #[test]
    fn what_the_source_gives_is_cleaned_too_and_its_silence_is_no_news() {
        assert_eq!(by("", None, Some("/x/y.png")), (None, None));
        assert_eq!(by("", Some(" S1 "), None), (Some("S1".into()), None));
        let (serial, identity) = by("", Some("S\u{7}1"), None);
        assert_eq!((serial, identity.expect("told").state), (None, IdentityState::Unread));
        assert_eq!(by("required = true", None, None).1.expect("told").state, IdentityState::Unread);
        assert_eq!(by("from = 'api'", Some("S1"), None).0, None, "only what was sent counts");
    }

    proptest! {
        #[test]
        fn no_file_name_makes_anything_but_a_clean_serial(name in "(.|\n){0,120}", take_all in any::<bool>()) {
            let config = if take_all { "from = 'name'\npattern = '(?s)(?<serial>.*)'" } else { NAME };
            let (serial, identity) = by(config, None, Some(&name));
            let identity = identity.expect("always told");
            prop_assert_eq!(serial.is_some(), identity.state == IdentityState::Read);
            if let Some(serial) = serial {
                prop_assert_eq!(serial::clean(&serial), Ok(serial.clone()));
            }
        }

        #[test]
        fn no_bytes_as_a_name_make_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4200)) {
            let name = String::from_utf8_lossy(&bytes);
            by(NAME, None, Some(&name));
        }
    }
}
