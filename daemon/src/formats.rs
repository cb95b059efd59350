//! Files that say their format: after an update was taken back they may be a newer program's, and that is no damage.

use serde::Deserialize;

/// Whether a JSON file is a newer program's, in words that name the way out. The format is read first: what else a newer one holds need not be
/// understood.
pub(crate) fn newer(json: &[u8], known: u32) -> Option<String> {
    #[derive(Deserialize)]
    struct Any {
        format: u64,
    }
    let Any { format } = serde_json::from_slice(json).ok().filter(|Any { format }| *format > u64::from(known))?;
    Some(format!(
        "it has format {format}, this program knows {known}: a newer inspectd wrote it, so run that one, or go back to a backup of before the update"
    ))
}
