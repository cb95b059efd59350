//! Why a bundle was refused.

use std::path::PathBuf;

use thiserror::Error;

use super::SignatureError;
use crate::graph::GraphError;

/// Why a bundle was refused.
#[derive(Debug, Error)]
pub enum BundleError {
    /// The file could not be read or written.
    #[error("bundle `{path}`: {source}")]
    Io {
        /// The bundle.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The bytes are no zip at all, or not a whole one.
    #[error("not a bundle, or only a part of one ({0}): copy the file again")]
    NotABundle(&'static str),
    /// A zip, but with bytes that no bundle has.
    #[error("the bundle was packed by another program or is damaged ({0}): take the file as inspectd wrote it")]
    Repacked(&'static str),
    /// A file that has no place in a bundle; its name might lead outside.
    #[error("the bundle holds `{0}`, which is no part of a bundle: take the file as inspectd wrote it")]
    UnknownFile(String),
    /// Two files of one name.
    #[error("the bundle holds `{0}` twice: take the file as inspectd wrote it")]
    Duplicate(String),
    /// A file that every bundle needs, or that the manifest lists.
    #[error("the bundle lacks `{0}`: copy the file again")]
    MissingFile(String),
    /// Too many bytes or pixels.
    #[error("{what} is too large ({found}, the limit is {limit})")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size.
        found: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// A file that is not what was written.
    #[error("`{0}` in the bundle is damaged (its checksum differs): copy the file again")]
    Damaged(String),
    /// Made by a newer program.
    #[error("the bundle has format {found}, this inspectd knows {known}: update inspectd, or train with this version")]
    NewerFormat {
        /// The bundle's format.
        found: u64,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The manifest says something impossible.
    #[error("the bundle's manifest: {0}")]
    Manifest(String),
    /// The graph is not one that this program runs.
    #[error("the bundle's graph: {0}")]
    Graph(#[from] GraphError),
    /// The signature beside the bundle, or the lack of one.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Another file in the bundle is not what it should be.
    #[error("`{name}` in the bundle: {reason}")]
    File {
        /// The file in the bundle.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}
