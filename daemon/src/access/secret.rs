//! Secrets that machines remember for people: session cookies, tokens. Only their digests are kept.

use std::fmt;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// Bits enough that guessing, and a salt, are beside the point.
const SECRET_BYTES: usize = 32;

/// A secret in the clear, on its way to whoever is to have it. It is shown once and never kept.
#[derive(Clone)]
pub struct Secret(String);

/// SHA-256 of a secret, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(String);

impl Secret {
    /// A new one. `prefix` says what it is, to people and to scanners for leaked secrets.
    ///
    /// # Errors
    /// The operating system has no random numbers.
    pub fn new(prefix: &str) -> io::Result<Secret> {
        let bytes = random::<SECRET_BYTES>()?;
        Ok(Secret(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// To be shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// To be kept.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Digest {
    /// Of what somebody has shown. Looking a digest up leaks no secret by its timing.
    pub fn of(shown: &str) -> Digest {
        Digest(sha2::Sha256::digest(shown.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
