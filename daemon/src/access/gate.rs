//! The gatekeeper: knows everybody, lets them in, and remembers who tried.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::json;

use super::accounts::{Accounts, Everyone, plain_name};
use super::error::{AccessError, LoginError};
use super::role::{Role, Via, Who};
use super::secret::{Digest, Secret};
use super::sessions::{Holder, Lifetimes, Sessions};
use super::throttle::Throttle;
use super::{files, password};
use crate::audit::{Deed, Trail};
use crate::config::{AccessMode, AccessSection};

/// What a caller shows.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// A session's cookie.
    Cookie(&'a str),
    /// A token, in the `Authorization` header.
    Bearer(&'a str),
    /// Nothing.
    Nothing,
}

/// Users, tokens, sessions and failed attempts of one state directory.
pub struct Access {
    mode: AccessMode,
    trail: Trail,
    pub(super) accounts: Accounts,
    sessions: Sessions,
    throttle_path: PathBuf,
    throttle: Mutex<Throttle>,
    /// Digest of the first-run token, as long as there are no users.
    setup: Mutex<Option<Digest>>,
}

/// The folder below a state directory.
pub(super) fn dir_of(state: &Path) -> PathBuf {
    state.join("access")
}

impl Access {
    /// Opens what is kept below a state directory, and the audit trail.
    ///
    /// # Errors
    /// Something there cannot be read or written.
    pub fn open(state: &Path, section: &AccessSection) -> Result<Access, AccessError> {
        let dir = dir_of(state);
        files::private_dir(&dir).map_err(|error| AccessError::written(&dir, error))?;
        let lifetimes = Lifetimes {
            idle_s: i64::from(section.session_idle_min) * 60,
            whole_s: i64::from(section.session_h) * 3600,
        };
        let throttle_path = dir.join("throttle.json");
        let throttle = match std::fs::read(&throttle_path) {
            // Failed attempts that are forgotten are a smaller harm than a line that does not start.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                let aside = files::aside(&throttle_path);
                let path = throttle_path.display();
                tracing::error!("`{path}` cannot be understood ({error}): failed attempts are counted anew{aside}");
                Throttle::default()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Throttle::default(),
            Err(error) => return Err(AccessError::read(&throttle_path, error)),
        };
        Ok(Access {
            mode: section.mode,
            trail: Trail::open(state)?,
            accounts: Accounts::open(&dir)?,
            sessions: Sessions::open(&dir, lifetimes)?,
            throttle_path,
            throttle: Mutex::new(throttle),
            setup: Mutex::new(None),
        })
    }

    /// Whether everybody who reaches the port may do everything.
    pub fn is_open(&self) -> bool {
        self.mode == AccessMode::Open
    }

    /// Where changes are written down before they are made.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Everybody there is.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn everyone(&self) -> Result<Arc<Everyone>, AccessError> {
        self.accounts.everyone()
    }

    /// Whether nobody can sign in yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn needs_setup(&self) -> Result<bool, AccessError> {
        Ok(!self.is_open() && self.everyone()?.users.is_empty())
    }

    /// The token that lets the first admin be made, if there is nobody yet. It is for the console, and void after a restart.
    ///
    /// # Errors
    /// The file cannot be read, or there are no random numbers.
    pub fn first_run_token(&self) -> Result<Option<Secret>, AccessError> {
        match self.needs_setup() {
            Ok(true) => {}
            // A damaged file is not an empty one: nobody becomes admin by it. What is wrong was said when it was opened.
            Ok(false) | Err(AccessError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        let secret = Secret::new("first-").map_err(AccessError::Random)?;
        *self.setup.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret.digest());
        Ok(Some(secret))
    }

    /// Whose credential this is; none: nobody's, or not any more.
    ///
    /// # Errors
    /// The file of users and tokens cannot be read.
    pub fn who(&self, credential: Credential<'_>, from: IpAddr) -> Result<Option<Who>, AccessError> {
        match credential {
            Credential::Bearer(shown) => self.bearer(&Digest::of(shown), from),
            _ if self.is_open() => Ok(Some(Who::open(from))),
            Credential::Cookie(shown) => self.holder(&Digest::of(shown), from, true),
            Credential::Nothing => Ok(None),
        }
    }

    /// Whether somebody who was let in may stay: sessions end, rights are taken away.
    ///
    /// # Errors
    /// As [`who`](Self::who).
    pub fn still(&self, who: &Who) -> Result<bool, AccessError> {
        let (Some(digest), Some(from)) = (&who.credential, who.from) else { return Ok(true) };
        let now = match who.via {
            Via::Token if who.scopes.is_some() => self.bearer(digest, from)?,
            _ => None,
        };
        let now = match now {
            Some(now) => Some(now),
            None => self.holder(digest, from, false)?,
        };
        Ok(now.is_some_and(|now| now.role >= who.role))
    }

    fn bearer(&self, digest: &Digest, from: IpAddr) -> Result<Option<Who>, AccessError> {
        let everyone = self.everyone()?;
        Ok(everyone.token(digest, Timestamp::now()).map(|(name, token)| Who {
            name: name.as_str().into(),
            role: Some(token.role),
            via: Via::Token,
            from: Some(from),
            scopes: Some(token.scopes.as_slice().into()),
            credential: Some(digest.clone()),
        }))
    }

    fn holder(&self, digest: &Digest, from: IpAddr, is_use: bool) -> Result<Option<Who>, AccessError> {
        let now = Timestamp::now();
        let Some(session) = self.sessions.find(digest, now.as_second(), is_use) else { return Ok(None) };
        let everyone = self.everyone()?;
        Ok(match &session.holder {
            Holder::User(name) => {
                everyone.users.get(name).filter(|user| session.began_ms >= user.password_set.as_millisecond()).map(
                    |user| Who {
                        name: name.as_str().into(),
                        role: Some(user.role),
                        via: Via::Session,
                        from: Some(from),
                        scopes: None,
                        credential: Some(digest.clone()),
                    },
                )
            }
            Holder::Token(token) => {
                self.bearer(token, from)?.map(|who| Who { credential: Some(digest.clone()), ..who })
            }
        })
    }

    /// Signs a user in. Takes tens of milliseconds and 19 MiB: let one at a time call it. Gives the cookie's value.
    ///
    /// # Errors
    /// Wrong, too many failures, or a file that cannot be written.
    pub fn sign_in(&self, name: &str, password: &str, from: IpAddr) -> Result<(Who, Secret), LoginError> {
        // A name that cannot be is treated as one that is not.
        let plain = plain_name(name).unwrap_or_default();
        let now = Timestamp::now();
        self.let_try(&plain, from, now)?;
        let everyone = self.everyone()?;
        let user = everyone.users.get(&plain);
        if !password::matches(password, user.map(|user| user.password.as_str())) {
            return Err(self.failed(&plain, from, now)?);
        }
        let role = user.map(|user| user.role);
        let mut who = Who::anonymous(&plain, from);
        (who.role, who.via) = (role, Via::Session);
        self.trail.append(&who, Deed::new("session.begin", plain.clone()))?;
        self.succeeded(&plain)?;
        let secret = self.sessions.begin(Holder::User(plain), Timestamp::now())?;
        who.credential = Some(secret.digest());
        Ok((who, secret))
    }

    /// Lets a screen in that shows a token, once, and gives it a cookie.
    ///
    /// # Errors
    /// As [`sign_in`](Self::sign_in).
    pub fn sign_in_with_token(&self, shown: &str, from: IpAddr) -> Result<(Who, Secret), LoginError> {
        let now = Timestamp::now();
        // The `@` keeps these apart from names of users. A token cannot be guessed, so only the address is made to wait.
        let attempt = format!("@token {from}");
        self.let_try(&attempt, from, now)?;
        let digest = Digest::of(shown);
        let Some(mut who) = self.bearer(&digest, from)? else {
            self.failed(&attempt, from, now)?;
            return Err(LoginError::WrongToken);
        };
        // A token in a browser is for looking: cookies go with every request, whoever caused it.
        if who.role != Some(Role::Kiosk) {
            return Err(LoginError::WrongToken);
        }
        self.trail.append(&who, Deed::new("session.begin", who.name.to_string()))?;
        let secret = self.sessions.begin(Holder::Token(digest), now)?;
        who.credential = Some(secret.digest());
        Ok((who, secret))
    }

    /// Makes the first admin with the token from the console, and signs them in.
    ///
    /// # Errors
    /// The token is wrong, there are users already, or name and password will not do.
    pub fn set_up(&self, shown: &str, name: &str, password: &str, from: IpAddr) -> Result<(Who, Secret), LoginError> {
        let now = Timestamp::now();
        let attempt = format!("@first-run {from}");
        self.let_try(&attempt, from, now)?;
        let expected = self.setup.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if expected != Some(Digest::of(shown.trim())) || !self.needs_setup()? {
            self.failed(&attempt, from, now)?;
            return Err(LoginError::NoSetup);
        }
        let mut who = Who::anonymous(&plain_name(name)?, from);
        self.add_first_user(&who, name, password)?;
        *self.setup.lock().unwrap_or_else(PoisonError::into_inner) = None;
        (who.role, who.via) = (Some(Role::Admin), Via::Session);
        let secret = self.sessions.begin(Holder::User(who.name.to_string()), Timestamp::now())?;
        who.credential = Some(secret.digest());
        Ok((who, secret))
    }

    /// Lets a user who has signed in choose another password. All sessions end, and a new one begins.
    ///
    /// # Errors
    /// The old password is wrong, or the new one will not do.
    pub fn change_own_password(
        &self,
        who: &Who,
        old: &str,
        new: &str,
        from: IpAddr,
    ) -> Result<(Who, Secret), LoginError> {
        let now = Timestamp::now();
        self.let_try(&who.name, from, now)?;
        let everyone = self.everyone()?;
        let user = everyone.users.get(&*who.name);
        // Whoever found a screen unlocked must not guess at the password for ever.
        if !password::matches(old, user.map(|user| user.password.as_str())) {
            return Err(self.failed(&who.name, from, now)?);
        }
        self.set_password(who, &who.name, new, None)?;
        let secret = self.sessions.begin(Holder::User(who.name.to_string()), Timestamp::now())?;
        Ok((Who { credential: Some(secret.digest()), ..who.clone() }, secret))
    }

    /// Ends the session that somebody shows.
    ///
    /// # Errors
    /// The file cannot be written; the session is void for this process all the same.
    pub fn sign_out(&self, who: &Who) -> Result<(), AccessError> {
        // A token that was sent as such is no session.
        let session = |digest: &&Digest| self.sessions.find(digest, Timestamp::now().as_second(), false).is_some();
        let Some(digest) = who.credential.as_ref().filter(session) else { return Ok(()) };
        self.trail.append(who, Deed::new("session.end", who.name.to_string()))?;
        self.sessions.end(digest)
    }

    fn let_try(&self, account: &str, from: IpAddr, now: Timestamp) -> Result<(), LoginError> {
        let everyone = self.everyone()?;
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        // An admin set a new password: what was guessed before does not count any more.
        if let Some(user) = everyone.users.get(account) {
            throttle.forgive_before(account, user.password_set.as_millisecond());
        }
        match throttle.wait_s(account, &from.to_string(), now.as_millisecond()) {
            0 => Ok(()),
            wait => Err(LoginError::Wait(wait)),
        }
    }

    /// Counts a failure, on disk first; what the caller is told.
    fn failed(&self, account: &str, from: IpAddr, now: Timestamp) -> Result<LoginError, LoginError> {
        let wait = {
            let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
            let wait = throttle.failed(account, &from.to_string(), now.as_millisecond());
            self.keep_throttle(&throttle)?;
            wait
        };
        // Those who must wait are turned away before they come here, so that nobody can fill the trail by guessing.
        let deed = Deed::new("session.refuse", account);
        let deed = if wait > 0 { deed.after(json!({ "locked_s": wait })) } else { deed };
        self.trail.append(&Who::anonymous("", from), deed)?;
        Ok(LoginError::Wrong)
    }

    fn succeeded(&self, account: &str) -> Result<(), AccessError> {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.succeeded(account);
        self.keep_throttle(&throttle)
    }

    fn keep_throttle(&self, throttle: &Throttle) -> Result<(), AccessError> {
        let bytes = serde_json::to_vec(throttle).expect("names and numbers can be written as JSON");
        files::replace(&self.throttle_path, &bytes).map_err(|error| AccessError::written(&self.throttle_path, error))
    }
}
