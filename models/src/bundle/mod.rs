//! A model on disk, one file (`*.bundle`, a zip): graph, manifest, calibration images and their expected scores.
//!
//! Files inside, in this order: `manifest.json`, `graph.onnx`, `MODEL_CARD.md` (optional, for people), `certificate.json`
//! (optional: what the graph was compared with when it was made), `reference.json` (optional: what it learned from), then for each
//! calibration image `calibration/NN.png` (lossless) and `calibration/NN.f32` (expected probabilities, then cell-wise
//! logits, then the further outputs that the manifest's heads name, in order of their names; 32-bit floats, little-endian). [`Bundle::open`] verifies all of it before any runtime sees a byte.

mod archive;
mod calibration;
mod certificate;
mod error;
mod fusion;
mod heads;
mod manifest;
mod memory;
mod prototypes;
mod reference;
mod signature;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

pub use calibration::Expectation;
pub use certificate::{Certificate, Compared, Export, Figures, Machine};
pub use error::BundleError;
pub use fusion::FusionSpec;
pub use heads::{HeadOutput, Heads};
pub use manifest::{Calibration, Disposition, FORMAT, Label, Manifest, OperatingPoint, Pooling, Provenance, Tolerance};
pub use memory::{MemorySpec, Method, Outcome, Rule, Saying, ThresholdNote};
pub use prototypes::{Kind, Metric, PrototypeSpec, Unknown};
pub use reference::Reference;
pub use signature::{SignatureError, Signer, Trust, TrustedKey, beside as signature_beside};

use crate::graph;
use archive::Entry;

/// Larger files are refused unread.
pub const MAX_BUNDLE_BYTES: u64 = 256 << 20;

const MANIFEST: &str = "manifest.json";
const GRAPH: &str = "graph.onnx";
const MODEL_CARD: &str = "MODEL_CARD.md";
const CERTIFICATE: &str = "certificate.json";
const REFERENCE: &str = "reference.json";

/// A bundle in memory. One that was opened has been verified; one that is saved is verified first.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// Everything but the weights.
    pub manifest: Manifest,
    /// The ONNX graph.
    pub graph: Vec<u8>,
    /// Calibration images and expected values, 1 to [`Bundle::MAX_EXPECTATIONS`].
    pub expectations: Vec<Expectation>,
    /// What the model is for, how it was made and measured, and its limits: for people, Markdown.
    pub model_card: Option<String>,
    /// What the graph was compared with when it was made, and how far it differed. Bundles from before there were
    /// certificates have none.
    pub certificate: Option<Certificate>,
    /// What the network learned from, where its maker says so.
    pub reference: Option<Reference>,
}

impl Bundle {
    /// How many calibration images a bundle should carry.
    pub const EXPECTATIONS: usize = 8;
    /// How many calibration images a bundle may carry.
    pub const MAX_EXPECTATIONS: usize = 64;

    /// Reads and verifies a bundle: structure, digests, no escaping paths, no external data. Does not run it.
    ///
    /// # Errors
    /// Names what is wrong and what to do: not a bundle, cut short, damaged, made by a newer inspectd, or unsafe.
    pub fn open(path: &Path) -> Result<Bundle, BundleError> {
        Bundle::from_bytes(&read_file(path)?)
    }

    /// The same from bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Bundle, BundleError> {
        let mut files = archive::read(bytes, is_known_name)?;
        let manifest = Manifest::from_json(take(&mut files, MANIFEST)?)?;
        let graph = take(&mut files, GRAPH)?;
        verify_digest(GRAPH, graph, Some(&manifest.graph_sha256))?;
        for (&name, &content) in &files {
            verify_digest(name, content, manifest.files_sha256.get(name))?;
        }
        if let Some(missing) = manifest.files_sha256.keys().find(|name| !files.contains_key(name.as_str())) {
            return Err(BundleError::MissingFile(missing.clone()));
        }
        let shape = manifest.check_graph(&graph::check(graph)?)?;
        let model_card = files.remove(MODEL_CARD).map(read_card).transpose()?;
        let certificate = files.remove(CERTIFICATE).map(Certificate::from_json).transpose()?;
        let reference = files.remove(REFERENCE).map(Reference::from_json).transpose()?;
        let expectations = calibration::read(files, &shape)?;
        let bundle = Bundle { manifest, graph: graph.to_vec(), expectations, model_card, certificate, reference };
        Ok(bundle)
    }

    /// Writes the bundle, atomically (temporary file, then rename). Digests in the manifest are computed here. The same
    /// bundle gives the same bytes.
    ///
    /// # Errors
    /// When the bundle is one that [`Bundle::open`] would refuse, or the file cannot be written; an older file of this name
    /// is then unharmed.
    pub fn save(&mut self, path: &Path) -> Result<(), BundleError> {
        let bytes = self.to_bytes()?;
        write::atomically(path, &bytes).map_err(|source| BundleError::Io { path: path.into(), source })
    }

    /// The bytes that [`Bundle::save`] writes. Digests in the manifest are computed here.
    pub fn to_bytes(&mut self) -> Result<Vec<u8>, BundleError> {
        self.manifest.check()?;
        let shape = self.manifest.check_graph(&graph::check(&self.graph)?)?;
        let mut files: Vec<Entry> = Vec::new();
        files.extend(self.model_card.iter().map(|card| Entry::new(MODEL_CARD, card.clone())));
        let certificate = self.certificate.as_ref().map(Certificate::to_json).transpose()?;
        files.extend(certificate.map(|json| Entry::new(CERTIFICATE, json)));
        let reference = self.reference.as_ref().map(Reference::to_json).transpose()?;
        files.extend(reference.map(|json| Entry::new(REFERENCE, json)));
        files.extend(calibration::write(&self.expectations, &shape)?);
        self.manifest.graph_sha256 = sha256(&self.graph);
        self.manifest.files_sha256 = files.iter().map(|file| (file.name.clone(), sha256(&file.content))).collect();
        files.insert(0, Entry::new(MANIFEST, self.manifest.to_json()?));
        files.insert(1, Entry::new(GRAPH, self.graph.clone()));
        let bytes = archive::write(&files);
        match bytes.len() as u64 {
            found if found > MAX_BUNDLE_BYTES => {
                Err(BundleError::TooLarge { what: "the bundle".into(), found, limit: MAX_BUNDLE_BYTES })
            }
            _ => Ok(bytes),
        }
    }
}

/// The bytes of a bundle's file, unverified.
///
/// # Errors
/// When it is no regular file, larger than any bundle, or cannot be read.
pub fn read_file(path: &Path) -> Result<Vec<u8>, BundleError> {
    let io = |source| BundleError::Io { path: path.into(), source };
    let meta = std::fs::metadata(path).map_err(io)?;
    if !meta.is_file() {
        return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")));
    }
    if meta.len() > MAX_BUNDLE_BYTES {
        return Err(BundleError::TooLarge { what: "the bundle".into(), found: meta.len(), limit: MAX_BUNDLE_BYTES });
    }
    std::fs::read(path).map_err(io)
}

/// Whether a file begins like a bundle: a zip whose first file is the manifest.
pub(crate) fn looks_like_bundle(bytes: &[u8]) -> bool {
    archive::first_name(bytes) == Some(MANIFEST.as_bytes())
}

/// Only these names are let in, so that none can point outside.
fn is_known_name(name: &str) -> bool {
    matches!(name, MANIFEST | GRAPH | MODEL_CARD | CERTIFICATE | REFERENCE) || calibration::is_known_name(name)
}

fn take<'a>(files: &mut BTreeMap<&str, &'a [u8]>, name: &str) -> Result<&'a [u8], BundleError> {
    files.remove(name).ok_or_else(|| BundleError::MissingFile(name.into()))
}

fn verify_digest(name: &str, content: &[u8], wanted: Option<&String>) -> Result<(), BundleError> {
    match wanted {
        None => Err(BundleError::Manifest(format!("it states no digest of `{name}`"))),
        Some(wanted) if *wanted != sha256(content) => Err(BundleError::Damaged(name.into())),
        Some(_) => Ok(()),
    }
}

fn read_card(content: &[u8]) -> Result<String, BundleError> {
    String::from_utf8(content.to_vec())
        .map_err(|_| BundleError::File { name: MODEL_CARD.into(), reason: "it is not UTF-8 text".into() })
}

/// SHA-256, hexadecimal, lower case.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
