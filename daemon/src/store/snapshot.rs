//! The journal as it is at one moment, for whoever copies it beside the running line: whole files, and of the last one its whole frames. Takes no lock.

use std::fs::File;
use std::path::Path;

use super::entry::Brief;
use super::error::StoreError;
use super::segment::{self, Found, Header, HeaderRead, Scanner};

/// The journal of one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Its files, the oldest first.
    pub files: Vec<SnapshotFile>,
    /// The newest part with a verdict in the last file; none: there is none in it.
    pub newest_part: Option<u64>,
}

/// A file of it.
#[derive(Debug)]
pub struct SnapshotFile {
    /// Its final name.
    pub name: String,
    /// Of the last one: open, with the bytes that count. Those before it are whole as they lie there, unless they are let go meanwhile.
    pub open: Option<(File, u64)>,
}

/// Of the state directory `dir`. Whatever was acknowledged before this call stands in it.
///
/// # Errors
/// There is no journal, or it cannot be read.
pub fn snapshot(dir: &Path) -> Result<Snapshot, StoreError> {
    let dir = dir.join("journal");
    let failed = |e| StoreError::io("read the journal in", &dir, e);
    let numbers = segment::list(&dir).map_err(failed)?;
    let name = |number| segment::path(&dir, number).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files: Vec<SnapshotFile> =
        numbers.iter().map(|(number, _)| SnapshotFile { name: name(*number), open: None }).collect();
    let mut newest_part = None;
    if let (Some(last), Some((number, _))) = (files.last_mut(), numbers.last()) {
        let file = segment::open(&dir, *number).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let first = match Header::read(&file).map_err(failed)? {
            HeaderRead::Good(_, first) => first,
            HeaderRead::Bad | HeaderRead::Newer(_) => 0,
        };
        let mut scanner = Scanner::new(file.try_clone().map_err(failed)?, first, bytes);
        let mut end = u64::from(first);
        loop {
            match scanner.next().map_err(failed)? {
                Some(Found::Frame { payload, .. }) => {
                    if let Ok(Brief::Decided(part)) = rmp_serde::from_slice(payload) {
                        newest_part = newest_part.max(Some(part.id));
                    }
                }
                Some(Found::Damage { tail: false, .. }) => {}
                // Half a frame: it is being written, and nobody was told of it.
                Some(Found::Damage { .. }) | None => break,
            }
            end = u64::from(scanner.offset());
        }
        last.open = Some((file, end));
    }
    Ok(Snapshot { files, newest_part })
}
