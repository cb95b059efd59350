//! Alerts: what is wrong, who is told, who has seen it.
//!
//! - `rule` is one rule, `rules` its conditions (one file each), `ruleset` those in force.
//! - `facts` is what conditions look at; `machine` makes alerts of what they see, in simulated time if need be.
//! - `engine` keeps both across restarts and says who is to be told; `bodies` puts it into words for each kind of receiver.
//! - `service` runs it all beside a line.

mod bodies;
mod config;
mod engine;
mod facts;
mod machine;
mod rule;
mod rules;
mod ruleset;
mod service;
mod stamp;

pub use bodies::Notice;
pub use config::AlertsSection;
pub use engine::{Audience, Engine, alerts_in};
pub use facts::{Facts, LineFacts, PlcFacts, ProviderFacts, StoreFacts};
pub use machine::{Alert, Change, Level, Machine, Note, Reading, What};
pub use rule::{QuietHours, Rule, Severity, is_name};
#[cfg(test)]
pub(crate) use rules::testing;
pub use rules::{Watch, When};
pub use ruleset::{Named, Origin, PutError, RuleSet};
pub use service::{Alerts, AtWork, Conditions, Look};
pub use stamp::Stamped;
