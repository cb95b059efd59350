//! Who may do what: roles, the areas of the interface, and what a route asks of its caller.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Each may do everything that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks, and changes nothing: a screen in the hall.
    Kiosk,
    /// Works at the line: acknowledges, labels.
    Operator,
    /// Answers for the line: recipes, thresholds, models, alert rules.
    Engineer,
    /// Gives others their rights, and reads the audit trail.
    Admin,
}

impl Role {
    /// All, least first.
    pub const ALL: [Role; 4] = [Role::Kiosk, Role::Operator, Role::Engineer, Role::Admin];

    /// As in the interface.
    pub fn word(self) -> &'static str {
        match self {
            Role::Kiosk => "kiosk",
            Role::Operator => "operator",
            Role::Engineer => "engineer",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A part of the interface that a token may be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// The line and its recipe.
    Line,
    /// What is on record, pictures, live events.
    Records,
    /// Alert rules, alerts, webhooks.
    Alerts,
    /// Models, labels, training.
    Models,
    /// Users and tokens.
    Access,
    /// The audit trail.
    Audit,
}

impl Area {
    const ALL: [Area; 6] = [Area::Line, Area::Records, Area::Alerts, Area::Models, Area::Access, Area::Audit];

    fn word(self) -> &'static str {
        match self {
            Area::Line => "line",
            Area::Records => "records",
            Area::Alerts => "alerts",
            Area::Models => "models",
            Area::Access => "access",
            Area::Audit => "audit",
        }
    }
}

/// What a token may do in one area: `records:read`, `alerts:write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// Where.
    pub area: Area,
    /// Whether it may change something there.
    pub write: bool,
}

impl Scope {
    /// Every scope there is.
    pub fn all() -> impl Iterator<Item = Scope> {
        Area::ALL.into_iter().flat_map(|area| [false, true].map(|write| Scope { area, write }))
    }

    /// Every scope that only looks.
    pub fn reading() -> impl Iterator<Item = Scope> {
        Scope::all().filter(|scope| !scope.write)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.area.word(), if self.write { "write" } else { "read" })
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Scope, String> {
        Scope::all().find(|scope| scope.to_string() == text).ok_or_else(|| {
            let known = Scope::all().map(|scope| scope.to_string()).collect::<Vec<_>>().join(", ");
            format!("`{text}` is no scope; known are: {known}")
        })
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Scope, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a route asks of whoever calls it. It stands beside the route, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: nobody needs to be signed in.
    Nothing,
    /// At least this role, and of a token the scope of this area.
    Role(Role, Area),
}

impl Need {
    /// `anonymous`, or the least role that is enough.
    pub fn word(self) -> &'static str {
        match self {
            Need::Nothing => "anonymous",
            Need::Role(role, _) => role.word(),
        }
    }
}

/// On which way somebody came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Nobody asked who it is: `access.mode` is `open`.
    Open,
    /// Signed in with name and password.
    Session,
    /// With a token.
    Token,
    /// Nobody is signed in, or not yet.
    Anonymous,
    /// A command on this machine.
    CommandLine,
    /// A signal of the operating system, as `systemctl reload` sends.
    Signal,
    /// The program by itself.
    Program,
}

/// Who does something.
#[derive(Debug, Clone, PartialEq)]
pub struct Who {
    /// The user's or token's name, or what stands for one.
    pub name: Arc<str>,
    /// What they may; none: nobody is signed in.
    pub role: Option<Role>,
    /// On which way they came.
    pub via: Via,
    /// Their address, if they came over the network.
    pub from: Option<IpAddr>,
    /// Of a token: what it is limited to.
    pub(super) scopes: Option<Arc<[Scope]>>,
    /// What was shown: digest of a session's cookie or of a token.
    pub(super) credential: Option<super::secret::Digest>,
}

impl Who {
    fn bare(name: &str, role: Option<Role>, via: Via, from: Option<IpAddr>) -> Who {
        Who { name: name.into(), role, via, from, scopes: None, credential: None }
    }

    /// Anybody, where nobody is asked.
    pub fn open(from: IpAddr) -> Who {
        Who::bare("open", Some(Role::Admin), Via::Open, Some(from))
    }

    /// Nobody in particular. `name` is what they call themselves, if they do.
    pub fn anonymous(name: &str, from: IpAddr) -> Who {
        Who::bare(name, None, Via::Anonymous, Some(from))
    }

    /// A signal.
    pub fn signal() -> Who {
        Who::bare("signal", Some(Role::Admin), Via::Signal, None)
    }

    /// The program on a person's word: it does what follows from something that they did.
    pub fn program_for(name: Arc<str>) -> Who {
        Who { name, ..Who::program() }
    }

    /// The program itself.
    pub fn program() -> Who {
        Who::bare("program", Some(Role::Admin), Via::Program, None)
    }

    /// Whoever runs this command, by their name on this machine.
    pub fn on_this_machine() -> Who {
        let uid = nix::unistd::Uid::current();
        let name =
            nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid-{uid}"), |user| user.name);
        Who::bare(&name, Some(Role::Admin), Via::CommandLine, None)
    }

    /// Whether a route that needs `need` may be called; `write`: it changes something.
    pub fn may(&self, need: Need, write: bool) -> bool {
        match need {
            Need::Nothing => true,
            Need::Role(role, area) => {
                let scope = Scope { area, write };
                self.role.is_some_and(|own| own >= role) && self.scopes.as_ref().is_none_or(|own| own.contains(&scope))
            }
        }
    }
}
