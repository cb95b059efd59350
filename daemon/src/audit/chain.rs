//! One entry and its place in the chain.
//!
//! A line is `HASH JSON`. `HASH = SHA-256(previous HASH, a space, JSON)`, hexadecimal; before the first entry stand 64 zeros. The
//! hash covers the bytes as they stand in the file, so there is no question of how JSON is written. Source of the
//! method: Haber and Stornetta, How to time-stamp a digital document, 1991.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::access::{Role, Via};

/// Longest line that is read.
pub(super) const MAX_LINE_BYTES: usize = 256 << 10;

/// SHA-256, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first entry follows.
    pub const START: Hash = Hash([0; 32]);

    /// The hash of an entry that follows `self`.
    pub(super) fn next(self, json: &[u8]) -> Hash {
        let mut digest = Sha256::new();
        digest.update(self.to_string().as_bytes());
        digest.update(b" ");
        digest.update(json);
        Hash(digest.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Hash, String> {
        let wrong = || format!("`{text}` is no hash: 64 hexadecimal digits in lower case");
        let lower = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        if text.len() != 64 || !text.as_bytes().iter().all(lower) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Hash(bytes))
    }
}

/// One thing that somebody did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// From 1, without gaps.
    pub n: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The user's name, the token's, or what stands for them: `open`, `signal`, the operating system's user.
    pub who: String,
    /// What they were allowed to at that moment; none: nobody was signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// On which way they came.
    pub via: Via,
    /// Their address, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `noun.verb`, as `user.add`.
    pub what: String,
    /// To whom or what.
    pub subject: String,
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A line of the trail, taken apart.
pub(super) struct Line<'a> {
    pub(super) hash: Hash,
    pub(super) json: &'a [u8],
    pub(super) entry: Entry,
}

impl Line<'_> {
    /// Reads a line without its newline.
    pub(super) fn parse(bytes: &[u8]) -> Option<Line<'_>> {
        let (hash, rest) = bytes.split_at_checked(64)?;
        let json = rest.strip_prefix(b" ")?;
        let hash = std::str::from_utf8(hash).ok()?.parse().ok()?;
        let entry = serde_json::from_slice(json).ok()?;
        Some(Line { hash, json, entry })
    }
}

/// A line with its newline, and its hash.
pub(super) fn line(before: Hash, entry: &Entry) -> Result<(Vec<u8>, Hash), serde_json::Error> {
    let json = serde_json::to_vec(entry)?;
    let hash = before.next(&json);
    let mut bytes = hash.to_string().into_bytes();
    bytes.push(b' ');
    bytes.extend(json);
    bytes.push(b'\n');
    Ok((bytes, hash))
}
