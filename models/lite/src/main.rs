//! Parse, run, exit code.

mod checked;
mod cli;
mod inspect;
mod network;
mod report;
mod translate;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::run(&cli::Args::parse()).unwrap_or_else(|error| {
        // Nothing can be done when even the complaint cannot be written.
        let _ = writeln!(std::io::stderr(), "inspect-lite: {error:#}");
        ExitCode::from(cli::FAILURE)
    })
}
