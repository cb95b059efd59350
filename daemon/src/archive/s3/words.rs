//! What a store says, in words that name the way out.

use std::error::Error as _;

use object_store::Error;
use object_store::client::HttpError;

use super::super::ArchiveError;

/// Of a store's own words so much is repeated.
const SAID: usize = 200;

/// An object that is not there, in a bucket that is.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. }) && code(&error.to_string()) != Some("NoSuchBucket")
}

/// An error with its way out.
pub(super) fn of(what: &'static str, place: &str, error: &Error) -> ArchiveError {
    let text = error.to_string();
    let why = match (code(&text), error) {
        (Some("NoSuchBucket"), _) | (None, Error::NotFound { .. }) => {
            "the store has no such bucket: make it there, or name another one".to_owned()
        }
        (Some(code @ ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "RequestTimeTooSkewed" | "NotSignedUp")), _) => {
            let clock =
                if code == "RequestTimeTooSkewed" { "this machine's clock" } else { "`key_id` and `secret_key`" };
            format!("the store does not take the key ({code}): check {clock}")
        }
        (code, Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => format!(
            "the store refuses it ({}): check `key_id`, `secret_key`, and that this key may list, read, write and delete there",
            code.unwrap_or("no reason given")
        ),
        (Some(code), _) => {
            format!("the store answers {code}: {}", element(&text, "Message").unwrap_or("no reason given"))
        }
        (None, error) => match http(error) {
            Some(reason) => format!(
                "the store cannot be reached: {reason}; check `endpoint` and the network. The next run goes on where this one ended"
            ),
            None => text,
        },
    };
    plain(what, place, &why)
}

/// The same from words.
pub(super) fn plain(what: &'static str, place: &str, why: &str) -> ArchiveError {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let why = if why.chars().count() > SAID * 2 {
        why.chars().take(SAID).chain("...".chars()).collect()
    } else {
        why.to_owned()
    };
    ArchiveError::Remote { what, place: place.to_owned(), why: why.chars().map(clean).collect() }
}

/// S3's word for what is wrong.
fn code(text: &str) -> Option<&str> {
    element(text, "Code")
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}

/// Why no answer came.
fn http(error: &Error) -> Option<String> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.source().map_or_else(|| http.to_string(), ToString::to_string));
        }
        source = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stores_words_are_cut_and_cleaned() {
        let said = format!("{}\u{1b}[2J", "x".repeat(5000));
        let ArchiveError::Remote { why, .. } = plain("read", "s3://b/x", &said) else { panic!("remote") };
        assert!(why.chars().count() < 300 && !why.contains('\u{1b}'), "{why}");
        assert_eq!(code("403: <Error><Code>AccessDenied</Code><Message>no</Message></Error>"), Some("AccessDenied"));
        assert_eq!(code("<Code>cut off"), None);
    }
}
