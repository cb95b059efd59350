//! The audit trail: who changed what, when, from what to what, and why. Append-only, hash-chained, synced before the change
//! takes effect. The daemon and the command line may append at the same time.
//!
//! What the chain can show and what it cannot stands in docs/ACCESS.md.

mod chain;
mod export;
mod head;
mod trail;
mod verify;

pub use chain::{Entry, Hash};
pub use export::{Export, Pseudonyms};
pub use head::Head;
pub use trail::{AuditError, Deed, Trail, read};
pub use verify::{Finding, Report, Trouble, verify};
