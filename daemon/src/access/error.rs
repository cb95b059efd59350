//! What can go wrong with users, tokens and sessions.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::audit::AuditError;

/// Why something about users, tokens or sessions was not done.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The operating system refused.
    #[error("`{}` cannot be {what}: {source}; check its permissions and the disk", .path.display())]
    Io {
        /// `read` or `written`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that only this program writes is not as it wrote it.
    #[error("`{}` cannot be understood: {reason}; restore it from a backup", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No random numbers, no secrets.
    #[error("the operating system gives no random numbers: {0}")]
    Random(io::Error),
    /// A name that cannot be used.
    #[error(
        "`{0}` cannot be a name: use 1 to 64 letters, digits, `.`, `-`, `_` and `@`, beginning with a letter or digit"
    )]
    Name(String),
    /// There is one already.
    #[error("there is a {what} `{name}` already: choose another name, or remove that one first")]
    Taken {
        /// `user` or `token`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is none.
    #[error("there is no {what} `{name}`")]
    Unknown {
        /// `user` or `token`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Nobody could give rights any more.
    #[error("`{0}` is the last admin: make another user admin first")]
    LastAdmin(String),
    /// Kiosks have tokens.
    #[error("a user cannot be a kiosk: make a token for the screen (`inspectd tokens add --role kiosk`)")]
    KioskUser,
    /// A token that could do nothing, or what its role cannot.
    #[error("{0}")]
    Token(String),
    /// Too many users or tokens.
    #[error("there are {0} {1} already, and more are not kept: remove some")]
    Full(usize, &'static str),
    /// A password that will not do; reads on after "the password".
    #[error("the password {0}")]
    Password(String),
    /// Nothing happens without an entry in the trail.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl AccessError {
    pub(super) fn read(path: &Path, source: io::Error) -> AccessError {
        AccessError::Io { what: "read", path: path.to_owned(), source }
    }

    pub(super) fn written(path: &Path, source: io::Error) -> AccessError {
        AccessError::Io { what: "written", path: path.to_owned(), source }
    }
}

/// Why somebody is not let in.
#[derive(Debug, Error)]
pub enum LoginError {
    /// Which of the two is not said.
    #[error("name or password is wrong")]
    Wrong,
    /// The token is unknown, withdrawn or has expired.
    #[error("the token is not known, was withdrawn, or has expired")]
    WrongToken,
    /// Too many failures; seconds to wait.
    #[error("too many attempts have failed: wait {0} s, or ask an admin to set the password anew")]
    Wait(u64),
    /// Passwords are checked one after the other, and the queue is full.
    #[error("too many people sign in at this moment: try again in a few seconds")]
    Busy,
    /// There are users already, or nobody has the token.
    #[error("the first-run token is wrong, or there are users already")]
    NoSetup,
    /// It could not be done.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl From<AuditError> for LoginError {
    fn from(error: AuditError) -> LoginError {
        LoginError::Access(error.into())
    }
}
