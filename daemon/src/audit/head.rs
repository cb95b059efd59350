//! The head: number and hash of the newest entry. Whoever keeps a copy of it elsewhere can later prove that nothing up to it
//! was changed or cut off.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

use super::chain::Hash;
use crate::access::files;

/// Number and hash of an entry, written as `N:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of the entry; 0: there is none yet.
    pub n: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// Of an empty trail.
    pub const EMPTY: Head = Head { n: 0, hash: Hash::START };

    /// Reads the head that was kept beside the trail; none: there is no such file.
    pub(super) fn kept(path: &Path) -> io::Result<Option<Head>> {
        match fs::read_to_string(path) {
            Ok(text) => text.trim().parse().map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces it, synced.
    pub(super) fn keep(self, path: &Path) -> io::Result<()> {
        files::replace(path, format!("{self}\n").as_bytes())
    }
}

impl Default for Head {
    fn default() -> Head {
        Head::EMPTY
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.n, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Head, String> {
        let (n, hash) =
            text.split_once(':').ok_or("a head is written as NUMBER:HASH, as `inspectd audit verify` prints it")?;
        let n = n.parse().map_err(|_| format!("`{n}` is no number of an entry"))?;
        Ok(Head { n, hash: hash.parse()? })
    }
}

impl Serialize for Head {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
