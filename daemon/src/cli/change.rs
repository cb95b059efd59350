//! What changes users and tokens from the command line has in common: where they are, and why they change.

use std::path::PathBuf;

use anyhow::Context;

use crate::access::{Access, Who};
use crate::config;

/// Whose users and tokens, and why.
#[derive(Debug, clap::Args)]
pub(super) struct Change {
    /// The state directory; default: where `run` keeps its records.
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT", global = true)]
    reason: Option<String>,
}

impl Change {
    /// Users, tokens and trail; who acts on them, and why.
    pub(super) fn open(self) -> anyhow::Result<(Access, Who, Option<String>)> {
        let dir = self.state.unwrap_or_else(config::default_state_dir);
        let access = Access::beside(&dir).with_context(|| {
            format!(
                "users of `{}`; name the directory with `--state`, and run this as the daemon's user",
                dir.display()
            )
        })?;
        Ok((access, Who::on_this_machine(), self.reason))
    }
}
