//! `inspectd completions`: what a shell needs to complete this command line.

use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::{Cli, SUCCESS, out};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For yourself, in bash: inspectd completions bash > ~/.local/share/bash-completion/completions/inspectd\n\
                        The package has those of bash, zsh and fish."
)]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints them.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut shown(), "inspectd", &mut text);
    out::line(String::from_utf8(text)?.trim_end())?;
    Ok(ExitCode::from(SUCCESS))
}

/// The command line without what is hidden from people: clap_complete would offer that too.
fn shown() -> Command {
    let whole = Cli::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("inspectd")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(whole.get_arguments().cloned())
        .subcommands(commands)
}
