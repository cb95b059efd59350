//! Contents by their SHA-256, in pieces: a file that only grows costs its new pieces, and one that has not changed nothing.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use super::BackupError;
use crate::access::files;

/// The largest piece.
pub(super) const PIECE: usize = 4 << 20;

/// SHA-256 of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Digest([u8; 32]);

/// Of some bytes.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    Digest(sha2::Sha256::digest(bytes).into())
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Digest, &'static str> {
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err("no SHA-256");
        }
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| "no SHA-256")?;
        }
        Ok(Digest(digest))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a piece lies.
pub(super) fn place(dir: &Path, digest: Digest) -> PathBuf {
    let name = digest.to_string();
    dir.join("objects").join(&name[..2]).join(name)
}

/// Whether a piece is there.
pub(super) fn has(dir: &Path, digest: Digest) -> bool {
    place(dir, digest).exists()
}

/// Puts a piece there, unless it is; whether it was new. Not synced by itself: the whole file system is, before the manifest names it.
pub(super) fn put(dir: &Path, bytes: &[u8]) -> Result<(Digest, bool), BackupError> {
    let digest = digest(bytes);
    let path = place(dir, digest);
    if path.exists() {
        return Ok((digest, false));
    }
    let folder = path.parent().unwrap_or(dir);
    if !folder.exists() {
        files::private_dir(folder).map_err(BackupError::io("make", folder))?;
    }
    let new = dir.join("objects/unfinished");
    let write = || -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        io::Write::write_all(&mut file, bytes)?;
        fs::rename(&new, &path)
    };
    write().map_err(BackupError::io("write", &path))?;
    Ok((digest, true))
}

/// A piece, as it was put there.
pub(super) fn get(dir: &Path, digest: Digest) -> Result<Vec<u8>, BackupError> {
    let path = place(dir, digest);
    let bytes = fs::read(&path).map_err(BackupError::io("read", &path))?;
    if self::digest(&bytes) != digest {
        return Err(BackupError::Damaged { path, reason: "its checksum does not match its name".into() });
    }
    Ok(bytes)
}

/// Reads up to a whole piece; fewer bytes only at the end.
pub(super) fn piece(from: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    from.take(PIECE as u64).read_to_end(buffer)?;
    Ok(())
}
