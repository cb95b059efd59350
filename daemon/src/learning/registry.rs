//! The register of models on this machine: where each comes from, who put it in force, and which one decides now. Bundles lie beside it.
//!
//! One line of the log is one fact; the last promotion says which model is the champion. A promotion is on disk before the line sees the
//! model, and its bundle before that: after a kill at any moment there is the old champion or the new one, whole.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use models::bundle::Bundle;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::access::files;
use crate::linelog::{Log, LogError, Opened};
use crate::store::RealDisk;

/// Ending of the file that stays of a removed bundle: its manifest.
pub const MANIFEST: &str = "manifest.json";

/// Why the register refuses.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// Nobody knows such a model.
    #[error("no model `{0}` is in the register: `inspectd models list` shows those that are")]
    Unknown(String),
    /// Too short a digest.
    #[error("`{0}` is the beginning of several models' digests: give more of it")]
    Ambiguous(String),
    /// The bundle could not be written.
    #[error("the model cannot be kept in {}: {source}; check the disk", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The bundle could not be removed.
    #[error("the model {} cannot be removed, though newer ones need its room: {source}", .path.display())]
    Remove {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It could not be put into its form.
    #[error("the model cannot be kept: {0}")]
    Bundle(#[from] models::bundle::BundleError),
    /// The log does not take it.
    #[error("the register of models: {0}")]
    Log(#[from] LogError),
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    /// The recipe names it, or it ships with the program.
    Recipe,
    /// A kind was registered from labelled parts.
    FewShot {
        /// The kind.
        label: Arc<str>,
        /// Parts that it was registered from.
        shots: usize,
    },
    /// A training job.
    Job {
        /// Its number.
        number: u64,
        /// Digest of what it learned from.
        dataset: String,
    },
}

/// A model as it was taken in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// SHA-256 of its graph, hexadecimal.
    pub digest: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its labels, in its order, then its registered kinds.
    pub labels: Vec<String>,
    /// The model that it was made from or to be measured against.
    pub parent: Option<Arc<str>>,
    /// Where it comes from.
    pub origin: Origin,
    /// When it was made.
    pub at: Timestamp,
    /// By whom.
    pub by: Arc<str>,
    /// How it did against its parent; filled by the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<serde_json::Value>,
    /// When its bundle made room for newer ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
}

/// A model was put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The model.
    pub digest: Arc<str>,
    /// The one before.
    pub previous: Arc<str>,
    /// The recipe's own model: where the recipe names another one, the promotion counts no more.
    pub base: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Arc<str>,
    /// Why, in the person's words or the program's.
    pub reason: Option<String>,
    /// The gate had not passed.
    pub forced: bool,
    /// It is a way back, not forward.
    pub rollback: bool,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
enum Entry {
    Added(Model),
    Judged {
        digest: Arc<str>,
        gate: serde_json::Value,
    },
    Promoted(Promotion),
    /// Its bundle made room.
    Removed {
        digest: Arc<str>,
        at: Timestamp,
    },
}

/// The open register.
pub struct Registry {
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    log: Log<Entry>,
    models: Vec<Model>,
    promotions: Vec<Promotion>,
    by_digest: HashMap<Arc<str>, usize>,
    /// Grows with every change.
    revision: u64,
}

impl Registry {
    /// Opens the register in `dir`.
    ///
    /// # Errors
    /// It cannot be read or written, or another process has it.
    pub fn open(dir: &Path) -> Result<Registry, RegistryError> {
        let Opened { log, entries, damaged } = Log::open(dir, "registry.log", Arc::new(RealDisk))?;
        if damaged > 0 {
            tracing::error!("register of models: {damaged} lines are damaged and left out");
        }
        let mut state =
            State { log, models: Vec::new(), promotions: Vec::new(), by_digest: HashMap::new(), revision: 0 };
        entries.into_iter().for_each(|entry| state.apply(entry));
        Ok(Registry { dir: dir.to_owned(), state: Mutex::new(state) })
    }

    /// Where a model's bundle lies.
    pub fn path_of(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{}.bundle", &digest[..digest.len().min(16)]))
    }

    /// Takes a model in; its bundle is kept beside the log. A model that is known already stays as it is, unless its bundle had made
    /// room: then it is back.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn add(&self, bundle: &mut Bundle, model: Model) -> Result<(), RegistryError> {
        let mut state = self.lock();
        if state.known(&model.digest).is_some_and(|known| known.removed_at.is_none()) {
            return Ok(());
        }
        let path = self.path_of(&model.digest);
        files::replace(&path, &bundle.to_bytes()?).map_err(|source| RegistryError::Io { path, source })?;
        state.keep(Entry::Added(model))
    }

    /// Takes a model in whose bundle stays where it is: the recipe's.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn know(&self, model: Model) -> Result<(), RegistryError> {
        let mut state = self.lock();
        if state.by_digest.contains_key(&model.digest) { Ok(()) } else { state.keep(Entry::Added(model)) }
    }

    /// Lets a model's bundle make room; the model stays on record. Noted first, so that nobody counts on a file that is gone.
    ///
    /// # Errors
    /// Nobody knows the model, or the disk refuses.
    pub fn remove_file(&self, digest: &Arc<str>) -> Result<(), RegistryError> {
        let mut state = self.lock();
        let known = state.known(digest).ok_or_else(|| RegistryError::Unknown(digest.to_string()))?;
        if known.removed_at.is_none() {
            state.keep(Entry::Removed { digest: digest.clone(), at: Timestamp::now() })?;
        }
        let path = self.path_of(digest);
        // What its labels meant is still asked for by a replay of the parts that it decided.
        if let Ok(bundle) = Bundle::open(&path) {
            let manifest = serde_json::to_vec(&bundle.manifest).map_err(std::io::Error::from);
            let kept = manifest.and_then(|bytes| files::replace(&path.with_extension(MANIFEST), &bytes));
            kept.map_err(|source| RegistryError::Io { path: path.with_extension(MANIFEST), source })?;
        }
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(RegistryError::Remove { path, source }),
            _ => Ok(()),
        }
    }

    /// Notes how a model did against its champion.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn judged(&self, digest: &Arc<str>, gate: serde_json::Value) -> Result<(), RegistryError> {
        self.lock().keep(Entry::Judged { digest: digest.clone(), gate })
    }

    /// Notes that a model is in force. From here on a restart puts it in force too.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn promoted(&self, promotion: Promotion) -> Result<(), RegistryError> {
        self.lock().keep(Entry::Promoted(promotion))
    }

    /// The model that decides where the recipe's own is `base`; `None`: that one itself.
    pub fn champion(&self, base: &str) -> Option<Arc<str>> {
        let state = self.lock();
        let last = state.promotions.last().filter(|last| &*last.base == base && &*last.digest != base)?;
        Some(last.digest.clone())
    }

    /// A model by its digest, or by enough of its beginning to tell it from all others.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn find(&self, digest: &str) -> Result<Model, RegistryError> {
        let state = self.lock();
        let mut found = state.models.iter().filter(|model| !digest.is_empty() && model.digest.starts_with(digest));
        match (found.next(), found.next()) {
            (Some(model), None) => Ok(model.clone()),
            (Some(_), Some(_)) => Err(RegistryError::Ambiguous(digest.to_owned())),
            (None, _) => Err(RegistryError::Unknown(digest.to_owned())),
        }
    }

    /// Every model, the newest first.
    pub fn models(&self) -> Vec<Model> {
        self.lock().models.iter().rev().cloned().collect()
    }

    /// Every promotion, oldest first.
    pub fn promotions(&self) -> Vec<Promotion> {
        self.lock().promotions.clone()
    }

    /// The model whose sketches can be compared with those of this one: kinds that are registered leave the trunk as it is.
    pub fn trunk_of(&self, digest: &Arc<str>) -> Arc<str> {
        let state = self.lock();
        let mut at = digest.clone();
        // The register names parents before their children, so this ends.
        while let Some(Model { origin: Origin::FewShot { .. }, parent: Some(parent), .. }) =
            state.by_digest.get(&at).map(|&place| &state.models[place])
        {
            at = parent.clone();
        }
        at
    }

    /// Grows with every change.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn known(&self, digest: &str) -> Option<&Model> {
        self.by_digest.get(digest).map(|&at| &self.models[at])
    }

    fn keep(&mut self, entry: Entry) -> Result<(), RegistryError> {
        let (models, promotions) = (&self.models, &self.promotions);
        let before = || {
            let added = models.iter().cloned().map(Entry::Added);
            added.chain(promotions.iter().cloned().map(Entry::Promoted)).collect()
        };
        self.log.append(std::slice::from_ref(&entry), true, before)?;
        self.apply(entry);
        Ok(())
    }

    fn apply(&mut self, entry: Entry) {
        self.revision += 1;
        match entry {
            Entry::Added(model) => {
                if let Some(&place) = self.by_digest.get(&model.digest) {
                    // One that is back keeps its parent: it may be its own child's child by now, and lines of descent have to end.
                    let known = &mut self.models[place];
                    (known.at, known.removed_at) = (model.at, None);
                    return;
                }
                self.by_digest.insert(model.digest.clone(), self.models.len());
                self.models.push(model);
            }
            Entry::Judged { digest, gate } => {
                if let Some(&at) = self.by_digest.get(&digest) {
                    self.models[at].gate = Some(gate);
                }
            }
            Entry::Promoted(promotion) => self.promotions.push(promotion),
            Entry::Removed { digest, at } => {
                if let Some(&place) = self.by_digest.get(&digest) {
                    self.models[place].removed_at = Some(at);
                }
            }
        }
    }
}
