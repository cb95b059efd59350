//! Signatures over whole bundles: who made a model, and whom this machine believes.
//!
//! The format is minisign's (Ed25519 over BLAKE2b-512, <https://jedisct1.github.io/minisign/>), so that `minisign` itself signs and
//! verifies too. The signature of `NAME` lies beside it as `NAME.minisig` and covers every byte of the file; a bundle's own
//! digests only tell that it is whole, not who made it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use minisign_verify::{PublicKey, Signature};
use thiserror::Error;

use super::{Bundle, BundleError};

/// A signature is four short lines; larger files are none.
const MAX_SIGNATURE_BYTES: u64 = 4096;

/// Why a signature was not accepted.
#[derive(Debug, Error)]
pub enum SignatureError {
    /// There is none, and one is demanded.
    #[error("it is not signed (no `{}`), and only signed models are accepted: sign it with `inspectd models sign`", .0.display())]
    Missing(PathBuf),
    /// The file is no signature.
    #[error("`{}` is no minisign signature ({reason}): copy it again, or sign the model anew", path.display())]
    Malformed {
        /// The signature's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Made by a key that is not trusted here.
    #[error(
        "it is signed by none of the trusted keys ({trusted}): if you trust the signer, add the key to `trusted_keys` in `[models]`"
    )]
    Unknown {
        /// How many keys are trusted.
        trusted: usize,
    },
    /// The key is trusted, but the signature is not of these bytes.
    #[error(
        "its signature by the trusted key {key} does not fit: model or signature were changed after signing; take both from their source again"
    )]
    Forged {
        /// The key.
        key: TrustedKey,
    },
    /// The text of a key that is none.
    #[error(
        "`{0}` is no public key of minisign: give the second line of the `.pub` file, 56 characters that begin with RW"
    )]
    NotAKey(String),
}

/// A public key that this machine trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    text: String,
    key: PublicKey,
}

impl FromStr for TrustedKey {
    type Err = SignatureError;

    /// From the second line of minisign's `.pub` file.
    fn from_str(text: &str) -> Result<TrustedKey, SignatureError> {
        let text = text.trim();
        match PublicKey::from_base64(text) {
            Ok(key) => Ok(TrustedKey { text: text.into(), key }),
            Err(_) => Err(SignatureError::NotAKey(text.chars().take(80).collect())),
        }
    }
}

impl std::fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whom this machine believes.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The keys. Without any, signatures are not looked at.
    pub keys: Vec<TrustedKey>,
    /// Whether a bundle without a signature is refused.
    pub required: bool,
}

/// Who signed a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The key.
    pub key: TrustedKey,
    /// What the signer wrote beside the signature, covered by it.
    pub comment: String,
}

impl Trust {
    /// Reads and verifies a bundle and its signature. The bytes that are verified are the bytes that are used: the file is
    /// read once.
    ///
    /// A signature that is there must be good, demanded or not: a bad one is a reason to ask, never to shrug.
    ///
    /// # Errors
    /// As [`Bundle::open`]; [`BundleError::Signature`].
    pub fn open(&self, path: &Path) -> Result<(Bundle, Option<Signer>), BundleError> {
        let bytes = super::read_file(path)?;
        let signer = self.check(path, &bytes)?;
        Ok((Bundle::from_bytes(&bytes)?, signer))
    }

    /// Verifies the signature that lies beside the file `path` of these bytes. Nothing to say where there is none and none is
    /// demanded, or no key is trusted.
    ///
    /// # Errors
    /// The reason, with the way out.
    pub fn check(&self, path: &Path, bytes: &[u8]) -> Result<Option<Signer>, SignatureError> {
        let file = beside(path);
        if !self.required && (self.keys.is_empty() || !file.exists()) {
            return Ok(None);
        }
        let signature = read(&file)?;
        let mut known = None;
        for trusted in &self.keys {
            // Only signatures of the digest: the older form signs the file itself and no program makes it any more.
            match trusted.key.verify(bytes, &signature, false) {
                Ok(()) => {
                    let comment = signature.trusted_comment().to_owned();
                    return Ok(Some(Signer { key: trusted.clone(), comment }));
                }
                Err(minisign_verify::Error::UnexpectedKeyId) => {}
                Err(_) => known = Some(trusted.clone()),
            }
        }
        match known {
            Some(key) => Err(SignatureError::Forged { key }),
            None => Err(SignatureError::Unknown { trusted: self.keys.len() }),
        }
    }
}

/// Where the signature of a file lies.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

fn read(file: &Path) -> Result<Signature, SignatureError> {
    let malformed = |reason: String| SignatureError::Malformed { path: file.into(), reason };
    match std::fs::metadata(file) {
        Ok(meta) if meta.is_file() && meta.len() <= MAX_SIGNATURE_BYTES => {}
        Ok(_) => return Err(malformed(format!("it is no file of at most {MAX_SIGNATURE_BYTES} bytes"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(SignatureError::Missing(file.into())),
        Err(error) => return Err(malformed(error.to_string())),
    }
    let text = std::fs::read_to_string(file).map_err(|error| malformed(error.to_string()))?;
    Signature::decode(&text).map_err(|error| malformed(error.to_string()))
}
