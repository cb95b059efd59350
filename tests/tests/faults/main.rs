//! The real program under faults, watched by an oracle outside the process: killed, its disk cut off, failing, full or damaged, its clock
//! set, its threads halted. `make test` runs short forms, `make soak` the long ones (`INSPECTD_FAULTS=long`); docs/RELIABILITY.md has
//! the figures.

#![allow(clippy::print_stderr)] // a test says on the terminal that it was skipped

mod archive;
mod archive_store;
mod backup;
mod bucket;
mod clock;
mod cut;
mod damage;
mod disks;
mod keeping;
mod kills;
mod line;
mod oracle;
mod shim;
mod soak;

/// As often as the short form wants, or the long one where it is asked for.
fn rounds(short: usize, long: usize) -> usize {
    if std::env::var("INSPECTD_FAULTS").as_deref() == Ok("long") { long } else { short }
}
