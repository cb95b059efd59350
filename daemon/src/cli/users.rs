//! `inspectd users`: people and their roles. Works beside a running daemon, and without one.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;

use super::change::Change;
use super::{SUCCESS, out};
use crate::access::Role;

/// Arguments of `users`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user. The password is asked for, or read from standard input.
    Add {
        /// Letters, digits, `.`, `-`, `_`, `@`.
        name: String,
        /// operator, engineer or admin.
        #[arg(long, default_value = "operator")]
        role: Role,
    },
    /// One line per user: name, role, when the password was set.
    List,
    /// Set a new password: sessions end, failed attempts are forgiven.
    Passwd {
        /// The user.
        name: String,
    },
    /// Give a user another role.
    Role {
        /// The user.
        name: String,
        /// operator, engineer or admin.
        role: Role,
    },
    /// Remove a user.
    Remove {
        /// The user.
        name: String,
    },
}

/// Exit code 0.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (access, who, why) = args.change.open()?;
    match args.action {
        Action::Add { name, role } => {
            access.add_user(&who, &name, &ask()?, role, why)?;
            out::line(format_args!("`{name}` is {role} now"))?;
        }
        Action::List => {
            for (name, user) in &access.everyone()?.users {
                let set = user.password_set.strftime("%Y-%m-%d %H:%M");
                out::line(format_args!("{name:<24} {:<9} password of {set} UTC", user.role))?;
            }
        }
        Action::Passwd { name } => {
            access.set_password(&who, &name, &ask()?, why)?;
            out::line(format_args!("`{name}` has a new password; other sessions have ended"))?;
        }
        Action::Role { name, role } => {
            access.set_role(&who, &name, role, why)?;
            out::line(format_args!("`{name}` is {role} now"))?;
        }
        Action::Remove { name } => {
            access.remove_user(&who, &name, why)?;
            out::line(format_args!("`{name}` is no user any more"))?;
        }
    }
    Ok(ExitCode::from(SUCCESS))
}

/// Asks for a password twice, without showing it; from a pipe it is one line.
fn ask() -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("no password on standard input")?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let first = rpassword::prompt_password("New password: ").context("the terminal gives no password")?;
    if first != rpassword::prompt_password("Once more: ").context("the terminal gives no password")? {
        bail!("the two are not the same: nothing was changed");
    }
    Ok(first)
}
