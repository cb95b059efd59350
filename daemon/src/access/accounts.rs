//! Users and tokens: one file, replaced as a whole. The daemon and the command line may both change it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::AccessError;
use super::files;
use super::role::{Role, Scope};
use super::secret::Digest;
use crate::formats::newer;

/// Version of the file's format.
const FORMAT: u32 = 1;
/// More than a plant has.
const MAX_USERS: usize = 1000;
const MAX_TOKENS: usize = 1000;

/// A person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// What they may.
    pub role: Role,
    /// argon2id, as a PHC string.
    pub(super) password: String,
    /// Since when there is this user.
    pub created: Timestamp,
    /// When the password was last set: sessions from before are void.
    pub password_set: Timestamp,
}

/// A program's or screen's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it may at most.
    pub role: Role,
    /// And of that only this.
    pub scopes: Vec<Scope>,
    /// Of the secret.
    pub(super) digest: Digest,
    /// Since when there is this token.
    pub created: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Not valid any more from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// Everybody, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Everyone {
    format: u32,
    /// People.
    pub users: BTreeMap<String, User>,
    /// Programs and screens.
    pub tokens: BTreeMap<String, Token>,
}

impl Default for Everyone {
    fn default() -> Everyone {
        Everyone { format: FORMAT, users: BTreeMap::new(), tokens: BTreeMap::new() }
    }
}

impl Everyone {
    /// A token that is valid now.
    pub(super) fn token(&self, digest: &Digest, now: Timestamp) -> Option<(&String, &Token)> {
        let valid = |token: &Token| token.expires.is_none_or(|end| now < end);
        self.tokens.iter().find(|(_, token)| token.digest == *digest && valid(token))
    }

    pub(super) fn add_user(&mut self, name: &str, user: User) -> Result<(), AccessError> {
        if self.users.contains_key(name) {
            return Err(AccessError::Taken { what: "user", name: name.to_owned() });
        }
        if self.users.len() >= MAX_USERS {
            return Err(AccessError::Full(MAX_USERS, "users"));
        }
        self.users.insert(name.to_owned(), user);
        Ok(())
    }

    pub(super) fn add_token(&mut self, name: &str, token: Token) -> Result<(), AccessError> {
        if self.tokens.contains_key(name) {
            return Err(AccessError::Taken { what: "token", name: name.to_owned() });
        }
        if self.tokens.len() >= MAX_TOKENS {
            return Err(AccessError::Full(MAX_TOKENS, "tokens"));
        }
        self.tokens.insert(name.to_owned(), token);
        Ok(())
    }

    pub(super) fn user_mut(&mut self, name: &str) -> Result<&mut User, AccessError> {
        self.users.get_mut(name).ok_or_else(|| AccessError::Unknown { what: "user", name: name.to_owned() })
    }

    /// Whether somebody else than `name` is admin.
    pub(super) fn another_admin(&self, name: &str) -> bool {
        self.users.iter().any(|(other, user)| other != name && user.role == Role::Admin)
    }
}

/// A name as it is kept: in lower case, so that nobody can pass for somebody else by a capital letter.
pub(super) fn plain_name(name: &str) -> Result<String, AccessError> {
    let lower = name.trim().to_lowercase();
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    let starts_well = lower.chars().next().is_some_and(char::is_alphanumeric);
    if !starts_well || lower.chars().count() > 64 || !lower.chars().all(allowed) {
        return Err(AccessError::Name(name.chars().take(64).collect()));
    }
    Ok(lower)
}

/// The file, and what was last read of it.
pub(super) struct Accounts {
    path: PathBuf,
    lock: PathBuf,
    known: Mutex<(Option<Version>, Arc<Everyone>)>,
}

/// What tells one version of the file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Accounts {
    pub(super) fn open(dir: &Path) -> Result<Accounts, AccessError> {
        let path = dir.join("accounts.json");
        let accounts =
            Accounts { path, lock: dir.join("lock"), known: Mutex::new((None, Arc::new(Everyone::default()))) };
        match accounts.everyone() {
            // The line must start. Nobody is let in by a file that cannot be read, and nothing is written over it.
            Err(error @ AccessError::Damaged { .. }) => {
                tracing::error!("{error}; until then nobody can sign in, and parts are inspected all the same");
            }
            other => drop(other?),
        }
        Ok(accounts)
    }

    /// Everybody, as the file says now.
    pub(super) fn everyone(&self) -> Result<Arc<Everyone>, AccessError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.version()?;
        if known.0 != version {
            *known = (version, Arc::new(self.read()?));
        }
        Ok(known.1.clone())
    }

    /// Changes the file while nobody else does. `announce` is called before anything is written: it writes the audit entry.
    pub(super) fn change<T>(
        &self,
        work: impl FnOnce(&mut Everyone) -> Result<T, AccessError>,
        announce: impl FnOnce(&T) -> Result<(), AccessError>,
    ) -> Result<T, AccessError> {
        let lock = files::private(&self.lock, false).map_err(|error| AccessError::written(&self.lock, error))?;
        // Released with the file.
        lock.lock().map_err(|error| AccessError::written(&self.lock, error))?;
        let mut everyone = self.read()?;
        let done = work(&mut everyone)?;
        announce(&done)?;
        let bytes = serde_json::to_vec_pretty(&everyone).expect("names and roles can be written as JSON");
        files::replace(&self.path, &bytes).map_err(|error| AccessError::written(&self.path, error))?;
        Ok(done)
    }

    fn version(&self) -> Result<Option<Version>, AccessError> {
        match fs::metadata(&self.path) {
            Ok(meta) => {
                Ok(Some(Version { inode: meta.ino(), bytes: meta.len(), changed: (meta.ctime(), meta.ctime_nsec()) }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(AccessError::read(&self.path, error)),
        }
    }

    fn read(&self) -> Result<Everyone, AccessError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Everyone::default()),
            Err(error) => return Err(AccessError::read(&self.path, error)),
        };
        let damaged = |reason: String| AccessError::Damaged { path: self.path.clone(), reason };
        if let Some(why) = newer(&bytes, FORMAT) {
            return Err(damaged(why));
        }
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))
    }
}
