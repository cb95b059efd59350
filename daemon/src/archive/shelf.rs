//! Where days are put: what a folder and a store have in common.

use super::folder::Folder;
use super::manifest::Manifest;
use super::s3::Bucket;
use super::{ArchiveError, Target};

/// A place for days. Paths are below its root, with `/` between.
pub(super) trait Shelf {
    /// What a message calls a path.
    fn named(&self, path: &str) -> String;

    /// A file.
    fn read(&mut self, path: &str) -> Result<Read, ArchiveError>;

    /// Every day of every line that is there, whole or not.
    fn days(&mut self) -> Result<Vec<String>, ArchiveError>;

    /// A day begins. `known`: what is there is of this line, with fewer records.
    fn begin(&mut self, day: &str, known: bool) -> Result<(), ArchiveError>;

    /// A file of the day that began. `grows`: it may be there as it was when there were fewer records.
    fn put(&mut self, name: &str, bytes: Vec<u8>, sum: &str, grows: bool) -> Result<(), ArchiveError>;

    /// A file that the line no longer has stays as it was on the shelf: its SHA-256; none: it is not there either.
    fn keep(&mut self, name: &str) -> Result<Option<String>, ArchiveError>;

    /// The day that began is whole.
    fn settle(&mut self, manifest: &Manifest) -> Result<(), ArchiveError>;
}

/// What came of reading a file.
pub(super) enum Read {
    /// All of it.
    Bytes(Vec<u8>),
    /// There is none.
    Missing,
    /// It cannot be read, for this reason.
    Unreadable(String),
}

/// `write`: days will be put there.
pub(super) fn open(to: &Target, write: bool) -> Result<Box<dyn Shelf>, ArchiveError> {
    Ok(match to {
        Target::Folder(path) => Box::new(Folder::open(path, write)?),
        Target::S3(target) => Box::new(Bucket::open(target)?),
    })
}
