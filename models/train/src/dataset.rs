//! A folder of labelled image files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use models::image::{self, Image};
use models::prepare::{Prepare, Prepared};
use models::preprocess::Preprocess;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::error::TrainError;
use crate::formats::{self, Entry, Format, Listing, voc};
use crate::mask::{self, Place};
use crate::samples::{Class, Sample, Samples};
use crate::split::{Side, Together};

/// Bytes of resized images that may be kept in memory; images beyond are read again each time.
pub(crate) const CACHE_BYTES: usize = 1 << 30;

/// A data folder's list: classes and files, before any image is read.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    /// The classes: those that pass a part first (see [`Class::named`]), then by name.
    pub classes: Vec<Class>,
    /// The form that the list was read from.
    pub format: Format,
    /// What was left out and why, for a person.
    pub notes: Vec<String>,
    entries: Vec<Entry>,
    /// What is done to each image's geometry first.
    preparation: Option<Arc<dyn Prepare>>,
    /// SHA-256 of each file's bytes, once something asked for them.
    hashes: OnceLock<Vec<[u8; 32]>>,
}

impl Folder {
    /// Reads the list of a data folder, whose form is told by what is there (see [`formats::read`]).
    ///
    /// # Errors
    /// When the folder or the list cannot be read, or the list is malformed.
    pub fn open(root: &Path, list: Option<&Path>) -> Result<Folder, TrainError> {
        Folder::open_as(root, list, None)
    }

    /// The same for a form that is known.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn open_as(root: &Path, list: Option<&Path>, format: Option<Format>) -> Result<Folder, TrainError> {
        let Listing { format, entries, notes } = formats::read(root, list, format)?;
        let mut names: Vec<&str> = entries.iter().flat_map(|entry| &entry.labels).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let mut classes: Vec<Class> = names.into_iter().map(Class::named).collect();
        // Number 0 is what a mask holds where there is no defect.
        classes.sort_by_key(|class| class.verdict != models::bundle::Disposition::Pass);
        Ok(Folder { root: root.into(), classes, format, notes, entries, preparation: None, hashes: OnceLock::new() })
    }

    /// Every picture below a folder, to learn from without labels: what the folders are called says nothing.
    ///
    /// # Errors
    /// When a folder cannot be read, or there is no picture.
    pub fn unlabelled(root: &Path) -> Result<Folder, TrainError> {
        let entries = formats::unlabelled(root)?;
        let classes = vec![Class::named(formats::UNLABELLED)];
        let (format, notes) = (Format::Folders, Vec::new());
        Ok(Folder { root: root.into(), classes, format, notes, entries, preparation: None, hashes: OnceLock::new() })
    }

    /// Takes the places of defects from Pascal VOC files in another folder, by the names of the images. Gives the number of images
    /// for which there is one. Boxes of a label that their image does not have are left out, with a note.
    ///
    /// # Errors
    /// When a file is malformed, or there is none for any image.
    pub fn take_boxes(&mut self, folder: &Path) -> Result<usize, TrainError> {
        let mut found = 0;
        for entry in &mut self.entries {
            let Some(file) = voc::beside(folder, &entry.path) else { continue };
            let boxes = voc::boxes_of(&file)?;
            // One mistake of who drew them should not cost the other boxes; which is right is for a person to say.
            if let Some(other) = boxes.iter().find(|one| !entry.labels.contains(&one.label)) {
                self.notes.push(format!(
                    "`{}` draws a box of `{}`, but the image `{}` is labelled `{}`: its boxes were left out",
                    file.display(),
                    other.label,
                    entry.path,
                    entry.labels.join("`, `")
                ));
                continue;
            }
            entry.boxes = boxes;
            found += 1;
        }
        match found {
            0 => Err(TrainError::Data(format!("`{}` holds no XML file for any image", folder.display()))),
            _ => Ok(found),
        }
    }

    /// Prepares every image as the line prepares what its camera sees. Those that cannot be prepared, which the line gives no decision,
    /// are left out, with a note.
    ///
    /// # Errors
    /// When none is left.
    pub fn prepared_by(mut self, preparation: Arc<dyn Prepare>) -> Result<Folder, TrainError> {
        let refusal = |entry: &Entry| {
            let bytes = std::fs::read(self.path_of(entry)).ok()?;
            // What is no picture is told of by who reads it for its pixels.
            preparation.prepare(image::decode(&bytes).ok()?.view()).err()
        };
        let refusals: Vec<Option<String>> = self.entries.par_iter().map(refusal).collect();
        let refused = self.entries.iter().zip(&refusals).filter_map(|(entry, why)| Some((&entry.path, why.as_ref()?)));
        let refused: Vec<String> = refused.map(|(path, why)| format!("`{path}` was left out: {why}")).collect();
        if refused.len() == self.entries.len() && !refused.is_empty() {
            return Err(TrainError::Data(format!("no image can be prepared as the recipe asks; {}", refused[0])));
        }
        self.notes.extend(refused);
        let mut keep = refusals.iter().map(Option::is_none);
        self.entries.retain(|_| keep.next().unwrap_or(true));
        // They count entries.
        self.hashes = OnceLock::new();
        self.preparation = Some(preparation);
        Ok(self)
    }

    /// The images of the list, in its order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Keeps these entries, in this order.
    pub(crate) fn keep(&mut self, order: &[usize]) {
        self.entries = order.iter().map(|&index| self.entries[index].clone()).collect();
        // They count entries.
        self.hashes = OnceLock::new();
    }

    /// Where the file of an entry lies.
    pub fn path_of(&self, entry: &Entry) -> PathBuf {
        self.root.join(&entry.path)
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
        // The first label of an image is the one that the sampler draws it by.
        let trains =
            |class: &&Class| !self.entries.iter().any(|entry| entry.label() == class.name && entry.side == Side::Train);
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
        let number = |name: &str, path: &str| {
            classes.iter().position(|class| class.name == name).ok_or_else(|| {
                let known = classes.iter().map(|class| class.name.as_str()).collect::<Vec<_>>().join(", ");
                TrainError::Data(format!("`{path}` is labelled `{name}`, which is not a label of the model ({known})"))
            })
        };
        let file = |entry: &Entry| {
            let labels = entry.labels.iter().map(|label| number(label, &entry.path)).collect::<Result<_, _>>()?;
            let place =
                |one: &formats::LabelBox| Ok(Place { label: number(&one.label, &entry.path)?, bounds: one.bounds });
            let places = entry.boxes.iter().map(place).collect::<Result<_, TrainError>>()?;
            Ok(File { path: entry.path.clone(), labels, places, resized: OnceLock::new() })
        };
        let files = self.of_side(side).map(|index| file(&self.entries[index])).collect::<Result<_, TrainError>>()?;
        let clean = classes.iter().position(|class| class.verdict == models::bundle::Disposition::Pass);
        let (root, resize, preparation) = (self.root.clone(), None, self.preparation.clone());
        Ok(Files { root, files, resize, preparation, cached: AtomicUsize::new(0), teach_boxes: false, clean })
    }

    fn of_side(&self, side: Option<Side>) -> impl Iterator<Item = usize> {
        (0..self.entries.len()).filter(move |&index| side.is_none_or(|side| self.entries[index].side == side))
    }

    /// For each file of [`Folder::files`] the number of its group: files of the same group of the list, or of the same bytes,
    /// belong together.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn groups(&self, side: Option<Side>) -> Result<Vec<usize>, TrainError> {
        let hashes = self.hashes()?;
        let indices: Vec<usize> = self.of_side(side).collect();
        let mut together = Together::new(indices.len());
        together.join_equal(indices.iter().map(|&index| hashes[index]).enumerate());
        let named = indices.iter().map(|&index| self.entries[index].group.as_deref()).enumerate();
        together.join_equal(named.filter_map(|(at, group)| Some((at, group?))));
        Ok(together.groups())
    }

    /// SHA-256 of each file's bytes, in the list's order.
    ///
    /// # Errors
    /// When a file cannot be read.
    fn hashes(&self) -> Result<&[[u8; 32]], TrainError> {
        if self.hashes.get().is_none() {
            let hash = |entry: &Entry| {
                let path = self.path_of(entry);
                let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
                Ok(Sha256::digest(&bytes).into())
            };
            let hashes: Vec<[u8; 32]> = self.entries.par_iter().map(hash).collect::<Result<_, TrainError>>()?;
            let _ = self.hashes.set(hashes);
        }
        Ok(self.hashes.get().expect("set above"))
    }

    /// SHA-256 over the list, in order of paths: each path, label, side and the SHA-256 of its file; groups, boxes and further
    /// labels where there are any. The same data give the same digest in whatever order they are listed.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String, TrainError> {
        let mut entries: Vec<(&Entry, &[u8; 32])> = self.entries.iter().zip(self.hashes()?).collect();
        entries.sort_by(|a, b| a.0.path.cmp(&b.0.path));
        let mut digest = Sha256::new();
        for (entry, hash) in entries {
            let side = u8::from(entry.side == Side::Test);
            let (boxes, group) = (u8::from(!entry.boxes.is_empty()), u8::from(entry.group.is_some()));
            // No label holds a NUL: the list refuses control characters.
            [&entry.path, &entry.labels.join("\0")].into_iter().for_each(|text| sized(&mut digest, text));
            digest.update([side | (boxes << 1) | (group << 2)]);
            digest.update(hash);
            if let Some(group) = &entry.group {
                sized(&mut digest, group);
            }
            if !entry.boxes.is_empty() {
                digest.update((entry.boxes.len() as u64).to_le_bytes());
            }
            for one in &entry.boxes {
                sized(&mut digest, &one.label);
                one.bounds.iter().for_each(|value| digest.update(value.to_le_bytes()));
            }
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The length stands before a text, so that no two lists give the same stream of bytes.
fn sized(digest: &mut Sha256, text: &str) {
    digest.update((text.len() as u64).to_le_bytes());
    digest.update(text);
}

/// Image files with their labels.
pub struct Files {
    root: PathBuf,
    files: Vec<File>,
    resize: Option<Preprocess>,
    preparation: Option<Arc<dyn Prepare>>,
    cached: AtomicUsize,
    teach_boxes: bool,
    /// The label of what has no defect, where there is one.
    clean: Option<usize>,
}

struct File {
    path: String,
    labels: Vec<usize>,
    places: Vec<Place>,
    /// The image at the network's size.
    resized: OnceLock<Given>,
}

/// An image as it is to be given.
#[derive(Clone)]
struct Given {
    image: Image,
    /// The size on which `places` stand.
    size: [u32; 2],
    places: Vec<Place>,
}

impl Files {
    /// Gives images resized for this recipe, each kept in memory from its first use on while there is room. Training sees an
    /// image dozens of times.
    pub fn resized(mut self, preprocess: &Preprocess) -> Files {
        self.resize = Some(preprocess.clone());
        self
    }

    /// Gives a mask with each image whose defects' places are known (see [`mask::of_boxes`]), which teaches the heat map.
    ///
    /// # Errors
    /// When no image has a box, there are more labels than a mask can tell apart, or the label that passes a part is not the
    /// first.
    pub fn teaching_boxes(mut self) -> Result<Files, TrainError> {
        if self.files.iter().all(|file| file.places.is_empty()) {
            let reason = "no image has a box: give data in COCO's or Pascal VOC's form, or name a folder of XML files";
            return Err(TrainError::Data(reason.into()));
        }
        let labels = self.files.iter().flat_map(|file| &file.labels).max().map_or(0, |top| top + 1);
        if labels > mask::MOST_LABELS || self.clean.is_some_and(|clean| clean != 0) {
            return Err(TrainError::Data(format!(
                "boxes can teach {} labels at most, of which the first passes the part; these are {labels}",
                mask::MOST_LABELS
            )));
        }
        self.teach_boxes = true;
        Ok(self)
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
        Ok(self.whole(file)?.image)
    }

    /// The image at its own size, prepared, with the places that are known on it.
    fn whole(&self, file: &File) -> Result<Given, TrainError> {
        let path = self.root.join(&file.path);
        let image = read(&path)?;
        let Some(preparation) = &self.preparation else {
            let size = [image.width, image.height];
            return Ok(Given { image, size, places: file.places.clone() });
        };
        let prepared = prepare(preparation.as_ref(), &image, &path)?;
        // A defect that does not come onto the prepared picture is none of it.
        let moved = |place: &Place| Some(Place { label: place.label, bounds: prepared.bounds(place.bounds)? });
        let places = file.places.iter().filter_map(moved).collect();
        let size = [prepared.image.width, prepared.image.height];
        Ok(Given { image: prepared.image, size, places })
    }

    /// The image as it is to be given.
    fn image(&self, file: &File) -> Result<Given, TrainError> {
        let Some(preprocess) = &self.resize else { return self.whole(file) };
        if let Some(kept) = file.resized.get() {
            return Ok(kept.clone());
        }
        let Given { image: whole, size, places } = self.whole(file)?;
        let mut image = Image::empty();
        preprocess.fill_image(whole.view(), &mut image);
        let given = Given { image, size, places };
        if self.cached.fetch_add(given.image.data.len(), Ordering::Relaxed) < CACHE_BYTES {
            let _ = file.resized.set(given.clone());
        }
        Ok(given)
    }

    fn mask(&self, file: &File, Given { image, size, places }: &Given) -> Option<Vec<u8>> {
        let passes = self.clean.is_some_and(|clean| file.labels == [clean]);
        // A defect whose place nobody drew could be anywhere.
        let known = self.teach_boxes && (passes || !file.places.is_empty());
        known.then(|| mask::of_boxes(places, *size, [image.width, image.height], self.clean))
    }
}

impl Samples for Files {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn label(&self, index: usize) -> usize {
        self.files[index].labels[0]
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let file = &self.files[index];
        let given = self.image(file)?;
        let mask = self.mask(file, &given);
        Ok(Sample { image: given.image, labels: file.labels.clone(), weight: 1.0, mask })
    }

    fn name(&self, index: usize) -> String {
        self.files[index].path.clone()
    }
}

/// Reads a picture from a file.
pub(crate) fn read(path: &Path) -> Result<Image, TrainError> {
    let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
    image::decode(&bytes).map_err(|source| TrainError::Image { path: path.into(), source })
}

/// Prepares a picture; `path` names it in messages.
pub(crate) fn prepare(preparation: &dyn Prepare, image: &Image, path: &Path) -> Result<Prepared, TrainError> {
    let words =
        |why: String| TrainError::Data(format!("`{}` cannot be prepared as the recipe asks: {why}", path.display()));
    preparation.prepare(image.view()).map_err(words)
}

/// The input size for images of this shortest side: 512, or the nearest multiple of 32 above where they are smaller.
pub fn input_size(shortest_side: u32) -> u32 {
    shortest_side.next_multiple_of(32).clamp(32, 512)
}
