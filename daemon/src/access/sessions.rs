//! Who is signed in. Kept on disk by digest, so that a restart of the daemon sends nobody to the login page.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::AccessError;
use super::files;
use super::secret::{Digest, Secret};

/// Sessions that are kept; the one that was idle longest makes room.
const MAX_SESSIONS: usize = 1000;
/// A session's last use is written down this often.
const NOTE_EVERY_S: i64 = 60;

/// How long a session lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    /// Without a request.
    pub(super) idle_s: i64,
    /// Altogether.
    pub(super) whole_s: i64,
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Holder {
    /// A person, by name.
    User(String),
    /// A screen that showed this token. It lives as long as the token.
    Token(Digest),
}

/// Who holds it, since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    pub(super) holder: Holder,
    /// Milliseconds since 1970: a password may be set in the same second.
    pub(super) began_ms: i64,
    /// Seconds since 1970.
    used: i64,
}

impl Session {
    fn lives(&self, now: i64, lifetimes: Lifetimes) -> bool {
        match self.holder {
            Holder::Token(_) => true,
            Holder::User(_) => now - self.used < lifetimes.idle_s && now - self.began_ms / 1000 < lifetimes.whole_s,
        }
    }
}

/// All of them.
pub(super) struct Sessions {
    path: PathBuf,
    lifetimes: Lifetimes,
    by_digest: Mutex<BTreeMap<String, Session>>,
}

impl Sessions {
    pub(super) fn open(dir: &Path, lifetimes: Lifetimes) -> Result<Sessions, AccessError> {
        let path = dir.join("sessions.json");
        let kept = match std::fs::read(&path) {
            // Nobody is harmed by signing in again, so a file that cannot be understood is no reason not to start.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!("`{}` cannot be understood ({error}); everybody must sign in again", path.display());
                BTreeMap::new()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(AccessError::read(&path, error)),
        };
        Ok(Sessions { path, lifetimes, by_digest: Mutex::new(kept) })
    }

    /// Begins one; gives the cookie's value.
    pub(super) fn begin(&self, holder: Holder, now: Timestamp) -> Result<Secret, AccessError> {
        let (now, began_ms) = (now.as_second(), now.as_millisecond());
        let secret = Secret::new("").map_err(AccessError::Random)?;
        let mut all = self.by_digest.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| session.lives(now, self.lifetimes));
        if all.len() >= MAX_SESSIONS {
            let idle = all.iter().min_by_key(|(_, session)| session.used).map(|(digest, _)| digest.clone());
            idle.and_then(|digest| all.remove(&digest));
        }
        all.insert(secret.digest().to_string(), Session { holder, began_ms, used: now });
        self.keep(&all)?;
        Ok(secret)
    }

    /// The session, if it still lives. Notes that it was used.
    pub(super) fn find(&self, digest: &Digest, now: i64, is_use: bool) -> Option<Session> {
        let mut all = self.by_digest.lock().unwrap_or_else(PoisonError::into_inner);
        let session = all.get_mut(digest.as_str()).filter(|session| session.lives(now, self.lifetimes))?;
        let noted = session.used;
        if is_use && now - noted >= NOTE_EVERY_S {
            session.used = now;
            let found = session.clone();
            if let Err(error) = self.keep(&all) {
                tracing::warn!("{error}");
            }
            return Some(found);
        }
        Some(session.clone())
    }

    /// Ends one. It is gone for this process even if the file cannot be written.
    pub(super) fn end(&self, digest: &Digest) -> Result<(), AccessError> {
        let mut all = self.by_digest.lock().unwrap_or_else(PoisonError::into_inner);
        if all.remove(digest.as_str()).is_some() { self.keep(&all) } else { Ok(()) }
    }

    fn keep(&self, all: &BTreeMap<String, Session>) -> Result<(), AccessError> {
        let bytes = serde_json::to_vec(all).expect("names and numbers can be written as JSON");
        files::replace(&self.path, &bytes).map_err(|error| AccessError::written(&self.path, error))
    }
}
