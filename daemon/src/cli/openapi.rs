//! `inspectd openapi`: the description of the HTTP interface.

use std::process::ExitCode;

use super::{SUCCESS, out};

/// Arguments of `openapi`: none.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints it.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    out::line(crate::api::document().to_pretty_json()?)?;
    Ok(ExitCode::from(SUCCESS))
}
