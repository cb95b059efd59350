//! What is known of the models that decided the stored parts: their manifests, which say what each label means for a part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::bundle::{Bundle, Manifest};
use models::prediction::{Model, Prediction};
use models::runtime::{Provider, RuntimeError};

use super::recipes::Recipes;
use crate::learning::MANIFEST;
use crate::supervise::{open_bundle, shipped_bundle};

/// A model that is known by its manifest alone: it says what scores mean and gives none.
pub(super) struct Paper {
    manifest: Manifest,
    digest: Arc<str>,
}

impl Paper {
    pub(super) fn new(manifest: Manifest) -> Paper {
        Paper { digest: manifest.graph_sha256.as_str().into(), manifest }
    }
}

impl Model for Paper {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    fn provider(&self) -> Provider {
        Provider::Cpu
    }

    fn predict(&self, _: &[f32]) -> Result<Prediction, RuntimeError> {
        Err(RuntimeError::GraphRefused("only its manifest was read; this is a fault of the program".into()))
    }
}

/// The manifests of these models, by digest: from the register beside the records, from the recipes that are known, from the program
/// itself. Those that are found nowhere are missing.
pub(super) fn of<'a>(
    digests: impl Iterator<Item = &'a Arc<str>>,
    state: &Path,
    recipes: &Recipes,
) -> BTreeMap<Arc<str>, Arc<Paper>> {
    let mut named = named(recipes);
    let mut papers = BTreeMap::new();
    for digest in digests {
        let manifest = named.remove(&**digest).or_else(|| registered(state, digest));
        if let Some(manifest) = manifest {
            papers.insert(digest.clone(), Arc::new(Paper::new(manifest)));
        }
    }
    papers
}

fn named(recipes: &Recipes) -> BTreeMap<String, Manifest> {
    let files = recipes.files().map(|recipe| match &recipe.bundle {
        Some(path) => open_bundle(path),
        None => shipped_bundle(),
    });
    // The shipped model comes last: a recipe's own bundle may have the same graph under other thresholds.
    let bundles = files.chain(std::iter::once_with(shipped_bundle));
    let mut manifests = BTreeMap::new();
    for bundle in bundles {
        match bundle {
            Ok(Bundle { manifest, .. }) => {
                manifests.entry(manifest.graph_sha256.clone()).or_insert(manifest);
            }
            Err(error) => tracing::debug!("a model that may have decided parts: {error:#}"),
        }
    }
    manifests
}

/// As `learning::Registry` keeps it, read without its lock: the line may hold that.
fn registered(state: &Path, digest: &str) -> Option<Manifest> {
    let hexadecimal = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let start = digest.get(..16).filter(|_| hexadecimal)?;
    let path: PathBuf = state.join("models").join(format!("{start}.bundle"));
    let bundle = open_bundle(&path).map(|bundle| bundle.manifest).ok();
    // Of a bundle that made room for newer ones the manifest stays.
    let kept = || serde_json::from_slice(&std::fs::read(path.with_extension(MANIFEST)).ok()?).ok();
    let manifest: Manifest = bundle.or_else(kept)?;
    (manifest.graph_sha256 == digest).then_some(manifest)
}
