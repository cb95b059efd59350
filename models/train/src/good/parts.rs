//! Pictures of good parts, and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use models::image::Image;
use models::prepare::Prepare;
use models::preprocess::Preprocess;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::dataset::{CACHE_BYTES, prepare, read};
use crate::error::TrainError;
use crate::formats::ENDINGS;

/// Fewer good parts than this say nothing about how good parts differ.
pub const FEWEST: usize = 10;
/// More parts than this are thinned out evenly: a memory has no room for more, and a threshold no need of them.
const MOST: usize = 1500;

/// A folder of good parts, in order of file names.
pub struct Parts {
    root: PathBuf,
    names: Vec<String>,
    /// What is done to each picture's geometry first.
    preparation: Option<Arc<dyn Prepare>>,
    /// Prepared pictures by part, as far as there was room: each is read several times, and finding a part takes its time.
    kept: Vec<Option<Image>>,
    /// Pictures in the folder, of which [`Parts::len`] are used.
    pub found: usize,
    /// What was left out and why, for a person.
    pub notes: Vec<String>,
}

impl Parts {
    /// Pictures of a folder to learn from.
    ///
    /// # Errors
    /// When the folder cannot be read or holds too few.
    pub fn open(root: &Path) -> Result<Parts, TrainError> {
        let parts = Parts::list(root)?;
        if parts.found < FEWEST {
            return Err(TrainError::Data(format!(
                "`{}` holds {} pictures: give a folder with at least {FEWEST} of good parts, the files directly in it",
                root.display(),
                parts.found
            )));
        }
        Ok(parts)
    }

    /// Pictures of a folder, however few.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(root: &Path) -> Result<Parts, TrainError> {
        let is_picture = |path: &Path| {
            let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
            path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
        };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(root).map_err(TrainError::io(root))? {
            let entry = entry.map_err(TrainError::io(root))?;
            if is_picture(&entry.path()) {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        let found = names.len();
        names.sort();
        if found > MOST {
            names = (0..MOST).map(|at| std::mem::take(&mut names[at * found / MOST])).collect();
        }
        Ok(Parts { root: root.into(), names, preparation: None, kept: Vec::new(), found, notes: Vec::new() })
    }

    /// Prepares every picture as the line prepares what its camera sees. Those that cannot be prepared are left out, with a note.
    ///
    /// # Errors
    /// When too few are left.
    pub fn prepared_by(mut self, preparation: Arc<dyn Prepare>) -> Result<Parts, TrainError> {
        let room = AtomicUsize::new(0);
        let attempt = |name: &String| -> Result<Option<Image>, String> {
            // What is no picture is told of by who reads it for its pixels.
            let Ok(image) = read(&self.root.join(name)) else { return Ok(None) };
            let image = preparation.prepare(image.view())?.image;
            let has_room = room.fetch_add(image.data.len(), Ordering::Relaxed) < CACHE_BYTES;
            Ok(has_room.then_some(image))
        };
        let attempts: Vec<_> = self.names.par_iter().map(attempt).collect();
        let refusals: Vec<Option<String>> = attempts.iter().map(|attempt| attempt.as_ref().err().cloned()).collect();
        self.kept = attempts.into_iter().flatten().collect();
        let refused = self.names.iter().zip(&refusals).filter_map(|(name, why)| Some((name, why.as_ref()?)));
        self.notes = refused.map(|(name, why)| format!("`{name}` was left out: {why}")).collect();
        let mut keep = refusals.iter().map(Option::is_none);
        self.names.retain(|_| keep.next().unwrap_or(true));
        if self.len() < FEWEST && !self.notes.is_empty() {
            let (left, all) = (self.len(), refusals.len());
            let why = &self.notes[0];
            return Err(TrainError::Data(format!(
                "{left} of {all} pictures can be prepared as the recipe asks, at least {FEWEST} are needed; {why}"
            )));
        }
        self.preparation = Some(preparation);
        Ok(self)
    }

    /// How many are used.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// File name of a part.
    pub fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// A part at the size of the recipe's input.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn load(&self, index: usize, preprocess: &Preprocess) -> Result<Image, TrainError> {
        let mut resized = Image::empty();
        preprocess.fill_image(self.decode(index)?.view(), &mut resized);
        Ok(resized)
    }

    fn decode(&self, index: usize) -> Result<Image, TrainError> {
        if let Some(Some(kept)) = self.kept.get(index) {
            return Ok(kept.clone());
        }
        let path = self.root.join(&self.names[index]);
        let image = read(&path)?;
        match &self.preparation {
            Some(preparation) => Ok(prepare(preparation.as_ref(), &image, &path)?.image),
            None => Ok(image),
        }
    }

    /// Length of the shortest side among some of the pictures.
    ///
    /// # Errors
    /// As [`Parts::load`].
    pub fn shortest_side(&self) -> Result<u32, TrainError> {
        let some = (0..self.len()).step_by(self.len().div_ceil(8));
        let sides = some.map(|index| self.decode(index).map(|image| image.width.min(image.height)));
        Ok(sides.collect::<Result<Vec<_>, _>>()?.into_iter().min().unwrap_or(1))
    }

    /// SHA-256 over the names and bytes of the parts used, in order of names.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String, TrainError> {
        let mut digest = Sha256::new();
        for name in &self.names {
            let path = self.root.join(name);
            let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
            digest.update((name.len() as u64).to_le_bytes());
            digest.update(name);
            digest.update(Sha256::digest(&bytes));
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
