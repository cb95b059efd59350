//! Giving and taking rights. Each change is in the audit trail before it is made; daemon and command line come here.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::accounts::{Everyone, Token, User, plain_name};
use super::error::AccessError;
use super::gate::Access;
use super::password;
use super::role::{Role, Scope, Who};
use super::secret::Secret;
use crate::audit::Deed;
use crate::config::AccessSection;

/// What a new token is to be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// What it may at most.
    pub role: Role,
    /// And of that only this; none given: everything that only looks.
    pub scopes: Vec<Scope>,
    /// Not valid any more from then on.
    pub expires: Option<Timestamp>,
}

/// What the trail says of a user.
#[derive(Serialize)]
struct Rights {
    role: Role,
}

impl Access {
    /// For a command beside the daemon, or without one.
    ///
    /// # Errors
    /// The files cannot be read or written by whoever runs the command.
    pub fn beside(state: &Path) -> Result<Access, AccessError> {
        Access::open(state, &AccessSection::default())
    }

    /// Adds a user.
    ///
    /// # Errors
    /// Name or password will not do, or the name is taken.
    pub fn add_user(
        &self,
        by: &Who,
        name: &str,
        password: &str,
        role: Role,
        why: Option<String>,
    ) -> Result<(), AccessError> {
        self.insert_user(by, (name, password), role, why, |_| true)
    }

    /// Adds the very first.
    pub(super) fn add_first_user(&self, by: &Who, name: &str, password: &str) -> Result<(), AccessError> {
        let why = Some("first run".to_owned());
        self.insert_user(by, (name, password), Role::Admin, why, |everyone| everyone.users.is_empty())
    }

    fn insert_user(
        &self,
        by: &Who,
        (name, secret): (&str, &str),
        role: Role,
        why: Option<String>,
        still: impl FnOnce(&Everyone) -> bool,
    ) -> Result<(), AccessError> {
        let name = plain_name(name)?;
        no_kiosk(role)?;
        password::check(&name, secret)?;
        let now = Timestamp::now();
        let user = User { role, password: password::hash(secret)?, created: now, password_set: now };
        self.accounts.change(
            |everyone| {
                if !still(everyone) {
                    return Err(AccessError::Taken { what: "user", name: name.clone() });
                }
                everyone.add_user(&name, user)
            },
            |()| {
                Ok(self
                    .trail()
                    .append(by, Deed::new("user.add", name.clone()).after(Rights { role }).because(why))
                    .map(drop)?)
            },
        )
    }

    /// Gives a user another role.
    ///
    /// # Errors
    /// There is no such user, or no admin would be left.
    pub fn set_role(&self, by: &Who, name: &str, role: Role, why: Option<String>) -> Result<(), AccessError> {
        let name = plain_name(name)?;
        no_kiosk(role)?;
        self.accounts
            .change(
                |everyone| {
                    let another = everyone.another_admin(&name);
                    let user = everyone.user_mut(&name)?;
                    if user.role == Role::Admin && role != Role::Admin && !another {
                        return Err(AccessError::LastAdmin(name.clone()));
                    }
                    Ok(std::mem::replace(&mut user.role, role))
                },
                |&before| {
                    let deed =
                        Deed::new("user.role", name.clone()).before(Rights { role: before }).after(Rights { role });
                    Ok(self.trail().append(by, deed.because(why)).map(drop)?)
                },
            )
            .map(drop)
    }

    /// Sets a password. Sessions that began before it are void, and failed attempts before it are forgiven.
    ///
    /// # Errors
    /// There is no such user, or the password will not do.
    pub fn set_password(&self, by: &Who, name: &str, secret: &str, why: Option<String>) -> Result<(), AccessError> {
        let name = plain_name(name)?;
        password::check(&name, secret)?;
        let hash = password::hash(secret)?;
        self.accounts.change(
            |everyone| {
                let user = everyone.user_mut(&name)?;
                user.password = hash;
                user.password_set = Timestamp::now();
                Ok(())
            },
            |()| Ok(self.trail().append(by, Deed::new("user.password", name.clone()).because(why)).map(drop)?),
        )
    }

    /// Removes a user. The user's sessions are void from then on.
    ///
    /// # Errors
    /// There is no such user, or no admin would be left.
    pub fn remove_user(&self, by: &Who, name: &str, why: Option<String>) -> Result<(), AccessError> {
        let name = plain_name(name)?;
        self.accounts
            .change(
                |everyone| {
                    let role = everyone.user_mut(&name)?.role;
                    if role == Role::Admin && !everyone.another_admin(&name) {
                        return Err(AccessError::LastAdmin(name.clone()));
                    }
                    everyone.users.remove(&name);
                    Ok(role)
                },
                |&role| {
                    let deed = Deed::new("user.remove", name.clone()).before(Rights { role });
                    Ok(self.trail().append(by, deed.because(why)).map(drop)?)
                },
            )
            .map(drop)
    }

    /// Makes a token. The secret is shown this once.
    ///
    /// # Errors
    /// The name is taken or will not do, or the token would be of no use.
    pub fn add_token(&self, by: &Who, new: NewToken, why: Option<String>) -> Result<Secret, AccessError> {
        let name = plain_name(&new.name)?;
        let now = Timestamp::now();
        if new.expires.is_some_and(|end| end <= now) {
            return Err(AccessError::Token("the token would have expired already: give a time to come".to_owned()));
        }
        let scopes = if new.scopes.is_empty() { Scope::reading().collect() } else { new.scopes };
        if let Some(scope) = scopes.iter().find(|scope| scope.write && new.role == Role::Kiosk) {
            return Err(AccessError::Token(format!(
                "a kiosk only looks, so it cannot have `{scope}`: leave it out, or give another role"
            )));
        }
        let secret = Secret::new("inspectd_").map_err(AccessError::Random)?;
        let token = Token {
            role: new.role,
            scopes,
            digest: secret.digest(),
            created: now,
            created_by: by.name.to_string(),
            expires: new.expires,
        };
        let said = json!({ "role": token.role, "scopes": token.scopes, "expires": token.expires });
        self.accounts.change(
            |everyone| everyone.add_token(&name, token),
            |()| {
                Ok(self.trail().append(by, Deed::new("token.add", name.clone()).after(said).because(why)).map(drop)?)
            },
        )?;
        Ok(secret)
    }

    /// Withdraws a token; sessions that began with it end with it.
    ///
    /// # Errors
    /// There is no such token.
    pub fn remove_token(&self, by: &Who, name: &str, why: Option<String>) -> Result<(), AccessError> {
        let name = plain_name(name)?;
        self.accounts
            .change(
                |everyone| {
                    everyone
                        .tokens
                        .remove(&name)
                        .ok_or_else(|| AccessError::Unknown { what: "token", name: name.clone() })
                },
                |token| {
                    let deed = Deed::new("token.revoke", name.clone())
                        .before(json!({ "role": token.role, "scopes": token.scopes }));
                    Ok(self.trail().append(by, deed.because(why)).map(drop)?)
                },
            )
            .map(drop)
    }
}

fn no_kiosk(role: Role) -> Result<(), AccessError> {
    if role == Role::Kiosk { Err(AccessError::KioskUser) } else { Ok(()) }
}
