//! `inspectd openapi`: the description of the HTTP interface.

use std::process::ExitCode;

use super::{SUCCESS, out};

/// Arguments of `openapi`: none.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints it.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    let mut document = serde_json::to_value(crate::api::document())?;
    // Extensions come in no order of their own; the committed file needs one.
    document.sort_all_objects();
    out::line(serde_json::to_string_pretty(&document)?)?;
    Ok(ExitCode::from(SUCCESS))
}
