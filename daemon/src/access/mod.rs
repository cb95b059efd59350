//! Users, roles, tokens, sessions: who may do what. docs/ACCESS.md says how it is used and what it withstands.

mod accounts;
mod error;
pub(crate) mod files;
mod gate;
mod manage;
mod password;
mod role;
mod secret;
mod sessions;
mod throttle;
pub(crate) mod tls;

pub use accounts::{Everyone, Token, User};
pub use error::{AccessError, LoginError};
pub use gate::{Access, Credential};
pub use manage::NewToken;
pub use role::{Area, Need, Role, Scope, Via, Who};
pub(crate) use secret::random;
pub use secret::{Digest, Secret};
