//! `inspectd tokens`: keys of programs and screens.

use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;

use super::change::Change;
use super::{SUCCESS, out};
use crate::access::{NewToken, Role, Scope};

/// Arguments of `tokens`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    change: Change,
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
    let (access, who, why) = args.change.open()?;
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
