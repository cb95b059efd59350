//! Parse, run, exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use inspectd::cli::Cli;

fn main() -> ExitCode {
    inspectd::cli::run(Cli::parse()).unwrap_or_else(|error| {
        // Nothing can be done when even the complaint cannot be written.
        let _ = writeln!(std::io::stderr(), "inspectd: {}", inspectd::words::of(&error));
        ExitCode::from(inspectd::cli::FAILURE)
    })
}
