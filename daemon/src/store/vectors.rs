//! The file of vectors: one for each row ([`super::rows`]), in the same order, 64 bytes and their checksum. A million are 68 MB, which are read
//! through for each question: that takes less than an index over them would save (docs/RETRIEVAL.md).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use models::retrieval::{DIMENSIONS, Vector};

/// Bytes of a vector with its checksum.
pub(crate) const BYTES: usize = DIMENSIONS + 4;
/// Vectors that are checked together.
const AT_ONCE: u64 = 4096;

pub(crate) struct Vectors(File);

impl Vectors {
    /// Opens the file, of which the first `count` vectors count.
    ///
    /// # Errors
    /// It has fewer, or one is not as it was written.
    pub(crate) fn open(path: &Path, count: u64) -> io::Result<Vectors> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let bytes = count.saturating_mul(BYTES as u64);
        if file.metadata()?.len() < bytes {
            return Err(io::Error::other(format!("{} has fewer vectors than it should", path.display())));
        }
        file.set_len(bytes)?;
        let vectors = Vectors(file);
        let mut buffer = Vec::new();
        for first in (0..count).step_by(AT_ONCE as usize) {
            vectors.read(first, (count - first).min(AT_ONCE) as usize, &mut buffer)?;
            if !buffer.chunks_exact(BYTES).all(is_whole) {
                return Err(io::Error::other(format!("{} holds vectors that are damaged", path.display())));
            }
        }
        Ok(vectors)
    }

    /// Adds vectors behind the first `count`.
    pub(crate) fn append(&self, count: u64, vectors: &[Vector]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(vectors.len() * BYTES);
        for vector in vectors {
            let start = bytes.len();
            bytes.extend(vector.bytes());
            bytes.extend(crc32fast::hash(&bytes[start..]).to_le_bytes());
        }
        self.0.write_all_at(&bytes, count * BYTES as u64)
    }

    /// `count` vectors from a place on, each [`BYTES`] long.
    pub(crate) fn read(&self, first: u64, count: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.resize(count * BYTES, 0);
        self.0.read_exact_at(buffer, first * BYTES as u64)
    }

    /// Makes what was written outlast the machine.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let (vector, sum) = bytes.split_at(DIMENSIONS);
    sum == crc32fast::hash(vector).to_le_bytes()
}
