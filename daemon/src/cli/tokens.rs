//! `inspectd tokens`: keys of programs and screens.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;

use super::users::open;
use super::{SUCCESS, out};
use crate::access::{NewToken, Role, Scope, Who};
use crate::config;

/// Arguments of `tokens`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// The state directory; default: where `run` keeps its records.
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT", global = true)]
    reason: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token and print it, this once.
    Add {
        /// Letters, digits, `.`, `-`, `_`, `@`.
        name: String,
        /// What it may at most.
        #[arg(long, default_value = "kiosk")]
        role: Role,
        /// And of that only this, as `records:read`; several times for several. Default: everything that only looks.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// Not valid any more from then on, as 2027-01-01T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        expires: Option<Timestamp>,
    },
    /// One line per token: name, role, end, scopes.
    List,
    /// Withdraw a token: it is void at once.
    Revoke {
        /// The token.
        name: String,
    },
}

/// Exit code 0.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let dir = args.state.unwrap_or_else(config::default_state_dir);
    let access = open(&dir)?;
    let (who, why) = (Who::on_this_machine(), args.reason);
    match args.action {
        Action::Add { name, role, scopes, expires } => {
            let secret = access.add_token(&who, NewToken { name, role, scopes, expires }, why)?;
            out::line(secret.reveal())?;
        }
        Action::List => {
            for (name, token) in &access.everyone()?.tokens {
                let end =
                    token.expires.map_or("never".to_owned(), |end| end.strftime("%Y-%m-%d %H:%M UTC").to_string());
                let scopes: Vec<String> = token.scopes.iter().map(Scope::to_string).collect();
                out::line(format_args!("{name:<24} {:<9} ends {end:<21} {}", token.role, scopes.join(" ")))?;
            }
        }
        Action::Revoke { name } => {
            access.remove_token(&who, &name, why)?;
            out::line(format_args!("`{name}` is void"))?;
        }
    }
    Ok(ExitCode::from(SUCCESS))
}
