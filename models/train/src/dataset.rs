//! A folder of labelled image files.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use models::image::{self, Image};
use models::preprocess::Preprocess;
use sha2::{Digest, Sha256};

use crate::error::TrainError;
use crate::samples::{Class, Sample, Samples};
use crate::split::{self, Entry, Side};

/// Bytes of resized images that may be kept in memory; images beyond are read again each time.
const CACHE_BYTES: usize = 1 << 30;

/// A data folder's list: classes and files, before any image is read.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    /// The classes, sorted by name.
    pub classes: Vec<Class>,
    entries: Vec<Entry>,
}

impl Folder {
    /// Reads the list of a data folder: from a split file (a path, or a name inside the folder), or else from its
    /// folders, one per class.
    ///
    /// # Errors
    /// When the folder or the split cannot be read, or the split is malformed.
    pub fn open(root: &Path, split: Option<&Path>) -> Result<Folder, TrainError> {
        if !root.is_dir() {
            return Err(TrainError::Data(format!("`{}` is not a folder", root.display())));
        }
        let entries = match split {
            // A bare name means the file that comes with the data, wherever the command is started.
            Some(split) if !split.exists() && split.is_relative() => split::read(&root.join(split))?,
            Some(split) => split::read(split)?,
            None => split::list_folders(root)?,
        };
        let mut names: Vec<&str> = entries.iter().map(|entry| entry.label.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let classes = names.into_iter().map(Class::named).collect();
        Ok(Folder { root: root.into(), classes, entries })
    }

    /// Refuses data that no classifier can be learned from: fewer than two classes, a class without a training image.
    ///
    /// # Errors
    /// With the class.
    pub fn check_trainable(&self) -> Result<(), TrainError> {
        if let [only] = self.classes.as_slice() {
            let reason = format!("all images are `{}`: a classifier needs at least two labels", only.name);
            return Err(TrainError::Data(reason));
        }
        let trains =
            |class: &&Class| !self.entries.iter().any(|entry| entry.label == class.name && entry.side == Side::Train);
        match self.classes.iter().find(trains) {
            Some(class) => Err(TrainError::Data(format!(
                "label `{}` has no training image: add some, or leave its images out",
                class.name
            ))),
            None => Ok(()),
        }
    }

    /// Whether any file is on the test side.
    pub fn has_test_side(&self) -> bool {
        self.entries.iter().any(|entry| entry.side == Side::Test)
    }

    /// The files of one side, or of both, as samples with labels counted by `classes`.
    ///
    /// # Errors
    /// When a file's label is not among the classes.
    pub fn files(&self, side: Option<Side>, classes: &[Class]) -> Result<Files, TrainError> {
        let entries = self.entries.iter().filter(|entry| side.is_none_or(|side| entry.side == side));
        let files = entries.map(|entry| match classes.iter().position(|class| class.name == entry.label) {
            Some(label) => Ok(File { path: entry.path.clone(), label, resized: OnceLock::new() }),
            None => {
                let known = classes.iter().map(|class| class.name.as_str()).collect::<Vec<_>>().join(", ");
                Err(TrainError::Data(format!(
                    "`{}` is labelled `{}`, which is not a label of the model ({known})",
                    entry.path, entry.label
                )))
            }
        });
        let files = files.collect::<Result<_, _>>()?;
        Ok(Files { root: self.root.clone(), files, resize: None, cached: AtomicUsize::new(0) })
    }

    /// SHA-256 over the list, in order of paths: each path, label, side and the SHA-256 of its file. The same data give the
    /// same digest in whatever order they are listed.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String, TrainError> {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let mut digest = Sha256::new();
        for entry in entries {
            let path = self.root.join(&entry.path);
            let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
            // Lengths stand before texts, so that no two lists give the same stream of bytes.
            for text in [&entry.path, &entry.label] {
                digest.update((text.len() as u64).to_le_bytes());
                digest.update(text);
            }
            digest.update([u8::from(entry.side == Side::Test)]);
            digest.update(Sha256::digest(&bytes));
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Image files with their labels.
pub struct Files {
    root: PathBuf,
    files: Vec<File>,
    resize: Option<Preprocess>,
    cached: AtomicUsize,
}

struct File {
    path: String,
    label: usize,
    resized: OnceLock<Image>,
}

impl Files {
    /// Gives images resized for this recipe, each kept in memory from its first use on while there is room. Training sees an
    /// image dozens of times.
    pub fn resized(mut self, preprocess: &Preprocess) -> Files {
        self.resize = Some(preprocess.clone());
        self
    }

    /// Length of the shortest side among the first images, to choose an input size by; `None` without images.
    ///
    /// # Errors
    /// When an image cannot be read.
    pub fn shortest_side(&self) -> Result<Option<u32>, TrainError> {
        let looked_at = self.files.iter().take(32);
        let sides = looked_at.map(|file| self.decode(file).map(|image| image.width.min(image.height)));
        Ok(sides.collect::<Result<Vec<_>, _>>()?.into_iter().min())
    }

    fn decode(&self, file: &File) -> Result<Image, TrainError> {
        let path = self.root.join(&file.path);
        let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
        image::decode(&bytes).map_err(|source| TrainError::Image { path, source })
    }

    fn image(&self, file: &File) -> Result<Image, TrainError> {
        let Some(preprocess) = &self.resize else {
            return self.decode(file);
        };
        if let Some(image) = file.resized.get() {
            return Ok(image.clone());
        }
        let mut image = Image { width: 0, height: 0, format: image::PixelFormat::Mono8, data: Vec::new() };
        preprocess.fill_image(self.decode(file)?.view(), &mut image);
        if self.cached.fetch_add(image.data.len(), Ordering::Relaxed) < CACHE_BYTES {
            let _ = file.resized.set(image.clone());
        }
        Ok(image)
    }
}

impl Samples for Files {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn label(&self, index: usize) -> usize {
        self.files[index].label
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let file = &self.files[index];
        Ok(Sample { image: self.image(file)?, labels: vec![file.label], weight: 1.0, mask: None })
    }

    fn name(&self, index: usize) -> String {
        self.files[index].path.clone()
    }
}

/// The input size for images of this shortest side: 512, or the nearest multiple of 32 above where they are smaller.
pub fn input_size(shortest_side: u32) -> u32 {
    shortest_side.next_multiple_of(32).clamp(32, 512)
}
